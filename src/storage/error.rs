use crate::{Error, ErrorKind};
use std::io;

/// Why the storage could not do something. Nothing of what was asked took effect, unless an [`ApplyError`] says otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("disk full: {0}")]
    Full(io::Error),
    #[error("{0}")]
    Io(io::Error),
    #[error("the store is closed")]
    Closed,
    /// The library underneath refused; not a matter of bytes.
    #[error("storage engine: {0}")]
    Engine(String),
}

/// Why a batch was not applied.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// The store is as it was before the batch, durably.
    NotDone(StorageError),
    /// Nobody knows; the storage takes no further write.
    Indeterminate(StorageError),
}

impl ApplyError {
    /// Makes the public error; `context` says what was being done.
    pub(crate) fn into_error(self, context: impl std::fmt::Display) -> Error {
        match self {
            Self::NotDone(cause) => cause.into_error(context),
            Self::Indeterminate(cause) => Error::new(ErrorKind::Indeterminate, format!("{context}: {cause}")).caused_by(cause),
        }
    }

    /// Why, without the answer to whether.
    pub(crate) fn cause(&self) -> &StorageError {
        match self {
            Self::NotDone(cause) | Self::Indeterminate(cause) => cause,
        }
    }

    /// As [`cause`](Self::cause).
    pub(crate) fn into_cause(self) -> StorageError {
        match self {
            Self::NotDone(cause) | Self::Indeterminate(cause) => cause,
        }
    }
}

impl StorageError {
    /// Sorts an error of the operating system.
    pub(crate) fn from_io(error: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full(error),
            _ => Self::Io(error),
        }
    }

    /// Says the same again, for somebody else.
    pub(crate) fn again(&self) -> Self {
        let io = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
        match self {
            Self::Damaged(what) => Self::Damaged(what.clone()),
            Self::Unsupported(what) => Self::Unsupported(what.clone()),
            Self::Full(error) => Self::Full(io(error)),
            Self::Io(error) => Self::Io(io(error)),
            Self::Closed => Self::Closed,
            Self::Engine(what) => Self::Engine(what.clone()),
        }
    }

    /// Makes the public error; `context` says what was being done.
    pub(crate) fn into_error(self, context: impl std::fmt::Display) -> Error {
        let kind = match &self {
            Self::Damaged(_) => ErrorKind::Corrupted,
            Self::Unsupported(_) => ErrorKind::UnsupportedFormat,
            Self::Full(_) => ErrorKind::Full,
            Self::Closed => ErrorKind::Closed,
            Self::Io(_) | Self::Engine(_) => ErrorKind::Io,
        };
        Error::new(kind, format!("{context}: {self}")).caused_by(self)
    }
}
