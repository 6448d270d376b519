use super::{BoxError, SentKey};
use std::{error::Error, fmt};

/// A request that ended without a response.
///
/// If anything was sent, nobody knows whether it took effect: ask again later with the same [`key`](Self::key), and never with a
/// new one. What the inner service said is the [`source`](Error::source).
pub struct ClientError {
    kind: ClientErrorKind,
    key: Option<SentKey>,
    sends: u32,
    source: Option<BoxError>,
}

/// The kinds of [`ClientError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// No key could be made: the operating system gives no random bytes, or the key of
    /// [`make_key`](super::IdempotentClientLayer::make_key) is not one. Nothing was sent.
    Key,
    /// The request's own body failed while it was read. Nothing was sent.
    Body,
    /// The inner service failed the last time. The request may have taken effect, unless [`sends`](ClientError::sends) is zero.
    Service,
    /// [`total_time`](super::IdempotentClientLayer::total_time) passed while no response had come. The request may have taken effect,
    /// unless [`sends`](ClientError::sends) is zero.
    OutOfTime,
}

impl ClientError {
    pub(super) fn new(kind: ClientErrorKind, key: Option<SentKey>, sends: u32, source: Option<BoxError>) -> Self {
        Self { kind, key, sends, source }
    }

    /// Returns what happened.
    pub fn kind(&self) -> ClientErrorKind {
        self.kind
    }

    /// Returns the key to go on with; None if the request had none.
    pub fn key(&self) -> Option<&SentKey> {
        self.key.as_ref()
    }

    /// Returns how often the request was given to the inner service. Zero means that it cannot have taken effect.
    pub fn sends(&self) -> u32 {
        self.sends
    }

    /// Returns the inner service's own error, to be downcast.
    pub fn into_source(self) -> Option<BoxError> {
        self.source
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ClientErrorKind::Key => f.write_str("making an idempotency key")?,
            ClientErrorKind::Body => f.write_str("reading the body to be sent")?,
            ClientErrorKind::Service => write!(f, "sending a request, {} times", self.sends)?,
            ClientErrorKind::OutOfTime => write!(f, "no response in time, after {} sends", self.sends)?,
        }
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, sends, source } = self;
        let mut debug = f.debug_struct("ClientError");
        debug.field("kind", kind).field("key", key).field("sends", sends).field("source", source).finish()
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
