use crate::Timestamp;
use std::{fmt, sync::Arc};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// The operation succeeded.
    Completed,
    /// The operation ended without success, for good: a retry gets this answer, not another run.
    Failed,
}

/// The final result of an operation and its payload: what every later caller with the same key is answered.
///
/// ```
/// # let store = idemstore::Store::in_memory()?;
/// use idemstore::{Begin, Fingerprint, Key};
///
/// let (key, request) = (Key::new("shop/POST /payments", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
/// if let Begin::Fresh(lease) = store.begin(&key, request)? {
///     lease.complete("receipt 7")?;
/// }
/// let Begin::Replay(outcome) = store.begin(&key, request)? else { panic!() };
/// assert!(outcome.is_completed());
/// assert_eq!(outcome.payload(), b"receipt 7");
/// # Ok::<(), idemstore::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Outcome {
    pub(crate) kind: OutcomeKind,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) ended_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl Outcome {
    /// Makes an outcome of its parts. For who implements [`IdempotencyStore`](crate::IdempotencyStore).
    pub fn new(kind: OutcomeKind, payload: impl Into<Arc<[u8]>>, ended_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { kind, payload: payload.into(), ended_at, expires_at }
    }

    /// Returns whether the operation completed or failed.
    pub fn kind(&self) -> OutcomeKind {
        self.kind
    }

    /// Returns whether the operation completed.
    pub fn is_completed(&self) -> bool {
        self.kind == OutcomeKind::Completed
    }

    /// Returns the bytes that the attempt ended with.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the bytes that the attempt ended with, shared.
    pub fn into_payload(self) -> Arc<[u8]> {
        self.payload
    }

    /// Returns when the attempt ended.
    pub fn ended_at(&self) -> Timestamp {
        self.ended_at
    }

    /// Returns until when the outcome is replayed, at least.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// Shows the payload's size, never its bytes.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("kind", &self.kind)
            .field("payload_bytes", &self.payload.len())
            .field("ended_at", &self.ended_at)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
