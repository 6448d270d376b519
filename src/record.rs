use crate::{Fingerprint, Outcome, OutcomeKind, Timestamp};
use std::{fmt, sync::Arc};

/// Where a record stands. "Expired" is computed from the time, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// An attempt was granted and has not ended, as far as the store knows.
    InFlight,
    /// The operation completed; its outcome is replayed.
    Completed,
    /// The operation failed for good; its outcome is replayed.
    Failed,
}

impl From<OutcomeKind> for State {
    fn from(kind: OutcomeKind) -> Self {
        match kind {
            OutcomeKind::Completed => Self::Completed,
            OutcomeKind::Failed => Self::Failed,
        }
    }
}

/// Proves which grant its holder has. Tokens rise over the whole life of a store and none is given twice, so whatever the
/// operation acts on can refuse a token that is lower than one it has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(pub(crate) u64);

impl FencingToken {
    /// Makes a token from the number that [`get`](FencingToken::get) returned, perhaps in another process.
    pub const fn new(token: u64) -> Self {
        Self(token)
    }

    /// Returns the number: at least 1, at most 2^53 - 1.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who has, or had, the right to run an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// The open of the store in which the attempt was granted, or last renewed.
    pub(crate) incarnation: u64,
    /// It is another process, which does not end with that open.
    pub(crate) is_remote: bool,
}

impl Holder {
    /// Of an attempt that was granted elsewhere: no open has this number.
    #[cfg(feature = "ndjson")]
    pub(crate) const GONE: Self = Self { incarnation: 0, is_remote: false };
    /// No store is opened that often.
    const REMOTE: u64 = 1 << 63;

    /// As it is stored.
    pub(crate) fn to_number(self) -> u64 {
        if self.is_remote { self.incarnation | Self::REMOTE } else { self.incarnation }
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self { incarnation: number & !Self::REMOTE, is_remote: number & Self::REMOTE != 0 }
    }
}

/// What the store holds for one key.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(crate) state: State,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) token: FencingToken,
    pub(crate) attempt: u32,
    /// Whom the current attempt was granted to.
    pub(crate) holder: Holder,
    pub(crate) first_seen_at: Timestamp,
    pub(crate) started_at: Timestamp,
    /// The epoch while in flight.
    pub(crate) ended_at: Timestamp,
    /// For people, and for what a holder that outlives its open may still do; other decisions use `lease_deadline_ms`.
    pub(crate) lease_expires_at: Timestamp,
    /// When the lease lapses on the monotonic clock of the holder's incarnation, in milliseconds since that open.
    pub(crate) lease_deadline_ms: u64,
    /// When a terminal record ceases to answer; when a lapsed attempt without a checkpoint may be swept.
    pub(crate) expires_at: Timestamp,
    pub(crate) checkpoint: Option<Arc<[u8]>>,
    /// Empty while in flight.
    pub(crate) payload: Arc<[u8]>,
}

impl Record {
    /// Returns where the record stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the digest that a retry must have.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the token of the latest grant.
    pub fn token(&self) -> FencingToken {
        self.token
    }

    /// Returns how many times the key was granted, counting from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns when the first attempt was granted.
    pub fn first_seen_at(&self) -> Timestamp {
        self.first_seen_at
    }

    /// Returns when the latest attempt was granted.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// Returns when the latest attempt ended, unless it is in flight.
    pub fn ended_at(&self) -> Option<Timestamp> {
        (self.state != State::InFlight).then_some(self.ended_at)
    }

    /// Returns when the latest lease lapses or lapsed. The store decides by the monotonic clock, so a stepped wall clock can
    /// make this differ from what it does.
    pub fn lease_expires_at(&self) -> Timestamp {
        self.lease_expires_at
    }

    /// Returns until when the key is known, at least. `None`: until the attempt ends or is resolved, because it set a
    /// checkpoint and its effect may have started.
    pub fn expires_at(&self) -> Option<Timestamp> {
        (!self.is_held()).then_some(self.expires_at)
    }

    /// Returns the latest progress mark.
    pub fn checkpoint(&self) -> Option<&[u8]> {
        self.checkpoint.as_deref()
    }

    /// Returns the outcome, unless the record is in flight.
    pub fn outcome(&self) -> Option<Outcome> {
        let kind = match self.state {
            State::InFlight => return None,
            State::Completed => OutcomeKind::Completed,
            State::Failed => OutcomeKind::Failed,
        };
        let (payload, ended_at, expires_at) = (self.payload.clone(), self.ended_at, self.expires_at);
        Some(Outcome { kind, payload, ended_at, expires_at })
    }

    /// An attempt that marked its effect as started and has not ended: it is kept until somebody ends it.
    pub(crate) fn is_held(&self) -> bool {
        self.state == State::InFlight && self.checkpoint.is_some()
    }
}

/// Shows sizes of the payload and checkpoint, never their bytes.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("state", &self.state)
            .field("token", &self.token)
            .field("attempt", &self.attempt)
            .field("first_seen_at", &self.first_seen_at)
            .field("started_at", &self.started_at)
            .field("ended_at", &self.ended_at())
            .field("lease_expires_at", &self.lease_expires_at)
            .field("expires_at", &self.expires_at())
            .field("checkpoint_bytes", &self.checkpoint.as_ref().map(|mark| mark.len()))
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
