//! The protocol: what each command makes of a record. Pure: no I/O, no clock, no randomness; every branch of the protocol
//! stands here and nowhere else.

use crate::{
    Fingerprint, Outcome, OutcomeKind, Timestamp,
    record::{FencingToken, Holder, Record, State},
    time::millis,
};
use std::{fmt, sync::Arc, time::Duration};

/// The instant at which a command is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The store's guarded wall time.
    pub(crate) wall: Timestamp,
    /// Monotonic milliseconds since the store was opened.
    pub(crate) monotonic_ms: u64,
    /// Who is granted what is granted now. The holder of an earlier open is dead, unless it is another process.
    pub(crate) holder: Holder,
}

/// What a caller, an operator or the sweeper asks of one key.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Begin {
        fingerprint: Fingerprint,
        lease: Duration,
        retention: Duration,
        attempts_max: u32,
    },
    End {
        token: FencingToken,
        kind: OutcomeKind,
        payload: Arc<[u8]>,
        retention: Duration,
    },
    Release {
        token: FencingToken,
    },
    Renew {
        token: FencingToken,
        lease: Duration,
        retention: Duration,
    },
    Checkpoint {
        token: FencingToken,
        data: Arc<[u8]>,
    },
    /// Ends a lapsed attempt, or that one only which has `token`; `None` as its ending frees the key.
    Resolve {
        token: Option<FencingToken>,
        ending: Option<Ending>,
    },
    Sweep,
}

/// The outcome that a resolution gives.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) kind: OutcomeKind,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) retention: Duration,
}

/// What the asker is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Fresh(Grant),
    Takeover(Grant),
    Replay(Outcome),
    InFlight {
        retry_after: Duration,
        lease_expires_at: Timestamp,
    },
    Mismatch,
    TooManyAttempts {
        attempts: u32,
    },
    Ended(Ended),
    Released,
    Renewed {
        lease_expires_at: Timestamp,
        /// The lease lasts less long than before: the holder gives it up.
        is_cut_short: bool,
    },
    Marked,
    LeaseLost,
    Resolved {
        token: FencingToken,
    },
    /// The record has another attempt than the one that was to be resolved.
    AttemptChanged,
    AlreadyEnded,
    NotFound,
    Swept,
    /// The sweeper has to leave the record.
    Kept,
}

/// The right to run one attempt, as plain values; a [`Lease`](crate::Lease) is one that can act.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// What every later command of this attempt has to show.
    pub token: FencingToken,
    /// Which grant of the key this is, counting from 1.
    pub attempt: u32,
    /// Until when the lease lasts unless it is renewed.
    pub lease_expires_at: Timestamp,
    /// The progress mark of the earlier attempt, on a takeover.
    pub checkpoint: Option<Arc<[u8]>>,
}

/// Shows the checkpoint's size, never its bytes.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("token", &self.token)
            .field("attempt", &self.attempt)
            .field("lease_expires_at", &self.lease_expires_at)
            .field("checkpoint_bytes", &self.checkpoint.as_ref().map(|mark| mark.len()))
            .finish()
    }
}

/// What [`complete`](crate::Lease::complete) and [`fail`](crate::Lease::fail) return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How the attempt ended.
    pub kind: OutcomeKind,
    /// Until when the outcome is replayed, at least.
    pub expires_at: Timestamp,
}

/// What happens to the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Keep,
    Put(Record),
    Delete,
}

/// An answer, and the change that has to be durable before it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) answer: Answer,
    pub(crate) change: Change,
}

/// Decides one command. `next_token` is used when the answer is a grant.
pub(crate) fn decide(record: Option<&Record>, command: &Command, now: Now, next_token: FencingToken) -> Decision {
    match command {
        Command::Begin { fingerprint, lease, retention, attempts_max } => {
            let terms = Terms { lease: *lease, retention: *retention, token: next_token };
            begin(record, *fingerprint, &terms, *attempts_max, now)
        }
        Command::End { token, kind, payload, retention } => end(record, *token, *kind, payload, *retention, now),
        Command::Release { token } => match held_by(record, *token) {
            Some(_) => Decision { answer: Answer::Released, change: Change::Delete },
            None => Answer::LeaseLost.alone(),
        },
        Command::Renew { token, lease, retention } => match held_by(record, *token) {
            Some(record) => {
                let terms = Terms { lease: *lease, retention: *retention, token: *token };
                let renewed = terms.apply(record.clone(), now);
                let lease_expires_at = renewed.lease_expires_at;
                let answer = Answer::Renewed { lease_expires_at, is_cut_short: lease_expires_at < record.lease_expires_at };
                Decision { answer, change: Change::Put(renewed) }
            }
            None => Answer::LeaseLost.alone(),
        },
        Command::Checkpoint { token, data } => match held_by(record, *token) {
            Some(record) => {
                let marked = Record { checkpoint: Some(data.clone()), ..record.clone() };
                Decision { answer: Answer::Marked, change: Change::Put(marked) }
            }
            None => Answer::LeaseLost.alone(),
        },
        Command::Resolve { token, ending } => resolve(record, *token, ending.as_ref(), now),
        Command::Sweep => match record {
            Some(record) if is_sweepable(record, now) => Decision { answer: Answer::Swept, change: Change::Delete },
            Some(_) => Answer::Kept.alone(),
            None => Answer::NotFound.alone(),
        },
    }
}

/// Returns whether a terminal record has ceased to answer. An attempt in flight never expires: it is taken over or swept.
pub(crate) fn is_expired(record: &Record, now: Now) -> bool {
    record.state != State::InFlight && record.expires_at <= now.wall
}

impl Answer {
    /// This answer, and no change.
    fn alone(self) -> Decision {
        Decision { answer: self, change: Change::Keep }
    }
}

/// The terms of a lease.
struct Terms {
    lease: Duration,
    retention: Duration,
    token: FencingToken,
}

impl Terms {
    fn apply(&self, mut record: Record, now: Now) -> Record {
        record.token = self.token;
        record.holder = now.holder;
        record.lease_deadline_ms = now.monotonic_ms.saturating_add(millis(self.lease));
        record.lease_expires_at = now.wall.saturating_add(self.lease);
        record.expires_at = record.lease_expires_at.saturating_add(self.retention);
        record
    }
}

fn begin(record: Option<&Record>, fingerprint: Fingerprint, terms: &Terms, attempts_max: u32, now: Now) -> Decision {
    let Some(record) = record.filter(|record| !is_expired(record, now)) else {
        return grant_fresh(fingerprint, terms, now);
    };
    if record.fingerprint != fingerprint {
        return Answer::Mismatch.alone();
    }
    if let Some(outcome) = record.outcome() {
        return Answer::Replay(outcome).alone();
    }
    if !is_lapsed(record, now) {
        return in_flight(record, now).alone();
    }
    if record.attempt >= attempts_max {
        return Answer::TooManyAttempts { attempts: record.attempt }.alone();
    }
    grant_takeover(record, terms, now)
}

fn grant_fresh(fingerprint: Fingerprint, terms: &Terms, now: Now) -> Decision {
    let blank = Record {
        state: State::InFlight,
        fingerprint,
        token: terms.token,
        attempt: 1,
        holder: now.holder,
        first_seen_at: now.wall,
        started_at: now.wall,
        ended_at: Timestamp::default(),
        lease_expires_at: now.wall,
        lease_deadline_ms: now.monotonic_ms,
        expires_at: now.wall,
        checkpoint: None,
        payload: Arc::default(),
    };
    let record = terms.apply(blank, now);
    Decision { answer: Answer::Fresh(grant(&record)), change: Change::Put(record) }
}

/// The earlier checkpoint stays on the record: if this attempt dies as well, the effect may still be that of the earlier one.
fn grant_takeover(record: &Record, terms: &Terms, now: Now) -> Decision {
    let attempt = record.attempt.saturating_add(1);
    let record = terms.apply(Record { attempt, started_at: now.wall, ..record.clone() }, now);
    Decision { answer: Answer::Takeover(grant(&record)), change: Change::Put(record) }
}

fn grant(record: &Record) -> Grant {
    Grant {
        token: record.token,
        attempt: record.attempt,
        lease_expires_at: record.lease_expires_at,
        checkpoint: record.checkpoint.clone(),
    }
}

fn end(
    record: Option<&Record>,
    token: FencingToken,
    kind: OutcomeKind,
    payload: &Arc<[u8]>,
    retention: Duration,
    now: Now,
) -> Decision {
    let Some(record) = record.filter(|record| record.token == token) else {
        return Answer::LeaseLost.alone();
    };
    if record.state == State::InFlight {
        let ended = ended(record, kind, payload, retention, now);
        let answer = Answer::Ended(Ended { kind, expires_at: ended.expires_at });
        return Decision { answer, change: Change::Put(ended) };
    }
    // The holder repeats a call whose answer it lost.
    if record.state == State::from(kind) && record.payload == *payload {
        return Answer::Ended(Ended { kind, expires_at: record.expires_at }).alone();
    }
    Answer::LeaseLost.alone()
}

fn ended(record: &Record, kind: OutcomeKind, payload: &Arc<[u8]>, retention: Duration, now: Now) -> Record {
    Record {
        state: kind.into(),
        ended_at: now.wall,
        expires_at: now.wall.saturating_add(retention),
        checkpoint: None,
        payload: payload.clone(),
        ..record.clone()
    }
}

fn resolve(record: Option<&Record>, token: Option<FencingToken>, ending: Option<&Ending>, now: Now) -> Decision {
    let Some(record) = record.filter(|record| !is_expired(record, now)) else {
        return Answer::NotFound.alone();
    };
    if token.is_some_and(|token| token != record.token) {
        return Answer::AttemptChanged.alone();
    }
    if record.state != State::InFlight {
        return Answer::AlreadyEnded.alone();
    }
    if !is_lapsed(record, now) {
        return in_flight(record, now).alone();
    }
    let change = match ending {
        Some(ending) => Change::Put(ended(record, ending.kind, &ending.payload, ending.retention, now)),
        None => Change::Delete,
    };
    Decision { answer: Answer::Resolved { token: record.token }, change }
}

fn in_flight(record: &Record, now: Now) -> Answer {
    let retry_after = lease_left(record, now);
    Answer::InFlight { retry_after, lease_expires_at: record.lease_expires_at }
}

/// The record, if `token` is that of its attempt in flight. A lapsed lease is still held until somebody else is granted one.
pub(crate) fn held_by(record: Option<&Record>, token: FencingToken) -> Option<&Record> {
    record.filter(|record| record.state == State::InFlight && record.token == token)
}

/// Whether an attempt in flight may be taken over: nobody renewed its lease in time, or its process is gone.
pub(crate) fn is_lapsed(record: &Record, now: Now) -> bool {
    lease_left(record, now).is_zero()
}

/// How much longer the holder of an attempt in flight has the right to run it.
///
/// The monotonic clock of an earlier open is gone. A holder that was part of that process is gone with it; one that is another
/// process goes by what it was told, the wall clock, and may be at work.
pub(crate) fn lease_left(record: &Record, now: Now) -> Duration {
    let left_ms = match record.holder {
        Holder { incarnation, .. } if incarnation == now.holder.incarnation => {
            record.lease_deadline_ms.saturating_sub(now.monotonic_ms)
        }
        Holder { is_remote: true, .. } => record.lease_expires_at.as_millis().saturating_sub(now.wall.as_millis()),
        Holder { is_remote: false, .. } => 0,
    };
    Duration::from_millis(left_ms)
}

/// Whether a sweep removes the record.
pub(crate) fn is_sweepable(record: &Record, now: Now) -> bool {
    match record.state {
        State::InFlight => !record.is_held() && is_lapsed(record, now) && record.expires_at <= now.wall,
        State::Completed | State::Failed => is_expired(record, now),
    }
}

#[cfg(test)]
#[path = "transition_table.rs"]
mod table;
