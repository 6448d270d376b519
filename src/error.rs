use std::{borrow::Cow, error, fmt, io, sync::Arc};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation that the store could not do, or whose end it cannot know.
///
/// [`kind`](Error::kind) says what to do about it. Messages name paths, limits and shortened keys, and never a payload.
///
/// ```
/// use idemstore::{ErrorKind, Key};
///
/// let error = Key::new("tenant-7", "").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert!(!error.is_indeterminate());
/// assert_eq!(error.to_string(), "key id is empty: give 1 to 255 bytes");
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    #[source]
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

/// The kinds of [`Error`]: what happened, whether the operation may have taken effect, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value is outside its documented limit or form. Nothing happened. Correct the call.
    InvalidInput,
    /// The token is not the record's current one: the attempt ended, was taken over, released or swept. Nothing happened.
    /// Stop working under this lease; whoever holds the key now decides.
    LeaseLost,
    /// The key has another attempt than the one that was to be resolved: somebody took it over meanwhile, or freed it and began
    /// afresh. Nothing happened. Look at the record again.
    AttemptChanged,
    /// There is no record, or no store file, of that name. Nothing happened.
    NotFound,
    /// A store is to be created where a file exists already. Nothing happened. Open it instead.
    AlreadyExists,
    /// A limit on records or bytes is reached, or the disk is full. Nothing happened. New keys are refused, keys in flight
    /// can still end. Sweep, raise the limit or free space, then retry.
    Full,
    /// The queue to the writer is full, or too many callers wait. Nothing happened. Retry later.
    Busy,
    /// Another live lease holds the key, so an operator cannot resolve it. Nothing happened. Wait for its lease to lapse.
    InFlight,
    /// The key was granted as often as [`Options::attempts_max`](crate::Options::attempts_max) allows and no attempt ended.
    /// Nothing happened. Resolve it by hand.
    TooManyAttempts,
    /// Another process, or another handle of this one, owns the store. Nothing happened. The message says who.
    Locked,
    /// The file is not a store, or a newer release wrote it. Nothing was changed. The message says what to do.
    UnsupportedFormat,
    /// The file is an older copy of a store that has moved on, a backup, or without the journal that belongs to it: it does
    /// not know the keys begun since.
    /// No record was changed. Decide, then open it with [`Options::accept_restored`](crate::Options::accept_restored).
    Restored,
    /// Stored bytes do not verify. Treat the key as used: never run its operation because of this error.
    /// Nothing happened. [`Store::verify`](crate::Store::verify) says how much is damaged.
    Corrupted,
    /// The operating system refused an operation. Nothing of the call took effect.
    Io,
    /// The store cannot know whether the operation took effect: the disk failed between the write and its confirmation.
    /// The store is poisoned; after it is opened again, ask with [`Store::get`](crate::Store::get) or
    /// [`Store::begin`](crate::Store::begin).
    Indeterminate,
    /// An earlier I/O failure or a dead background thread stopped the store from writing. Nothing happened.
    /// Fix the cause and open the store again.
    Poisoned,
    /// The store was closed. Nothing happened.
    Closed,
    /// The progress callback stopped the work. What was made of it so far is of no use, or, for an import, is in the store.
    Stopped,
}

impl Error {
    /// Makes an error of a kind; `message` says what was done to what, and holds no payload and no whole key. For who implements
    /// [`IdempotencyStore`](crate::IdempotencyStore).
    ///
    /// ```
    /// use idemstore::{Error, ErrorKind};
    ///
    /// let error = Error::new(ErrorKind::Busy, "begin: no connection is free").caused_by(std::io::Error::other("pool timed out"));
    /// assert_eq!(error.kind(), ErrorKind::Busy);
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    pub(crate) fn io(context: impl fmt::Display, source: io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{context}: {source}")).caused_by(source)
    }

    /// Adds what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns what happened and what to do.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns whether the operation may have taken effect; every other error means that it did not.
    pub fn is_indeterminate(&self) -> bool {
        self.kind == ErrorKind::Indeterminate
    }
}
