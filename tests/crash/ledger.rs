//! What the store has acknowledged, kept outside of it, and what it was being asked at the same instant.

use idemstore::{Fingerprint, Key, OutcomeKind, Record, State};
use std::{collections::BTreeMap, time::Duration};

pub(crate) const RETENTION: Duration = Duration::from_secs(60);
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// What the store must hold for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Unseen,
    InFlight(Attempt),
    Ended(End),
}

/// An attempt in flight. Times are milliseconds of the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// `None` until the store has told.
    pub(crate) token: Option<u64>,
    pub(crate) number: u32,
    pub(crate) checkpoint: Option<Vec<u8>>,
    pub(crate) lease_until: u64,
    pub(crate) expires_at: u64,
    /// In which open it was granted.
    pub(crate) open: u32,
}

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) kind: OutcomeKind,
    pub(crate) payload: Vec<u8>,
    pub(crate) token: Option<u64>,
    pub(crate) number: u32,
    pub(crate) expires_at: u64,
}

/// One key: what is acknowledged, and what an operation under way may make of it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) settled: Held,
    pub(crate) pending: Vec<Held>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// The store's creation was acknowledged.
    pub(crate) exists: bool,
    pub(crate) entries: BTreeMap<usize, Entry>,
    pub(crate) token_max: u64,
    pub(crate) now: u64,
    /// Audit rows: acknowledged, and at most.
    pub(crate) audit_rows: (usize, usize),
}

pub(crate) fn key(number: usize) -> Key {
    let scope = ["tenant-7/POST /payments", "tenant-7/POST /refunds", "t"][number % 3];
    Key::new(scope, format!("pay_{number}")).unwrap()
}

pub(crate) fn fingerprint(number: usize) -> Fingerprint {
    Fingerprint::of(&[b"POST", &number.to_le_bytes()])
}

pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

impl Ledger {
    /// Starts with keys that the store has never seen.
    pub(crate) fn new(keys: usize, now: u64) -> Self {
        let unseen = Entry { settled: Held::Unseen, pending: vec![] };
        Self { entries: (0..keys).map(|number| (number, unseen.clone())).collect(), now, ..Self::default() }
    }

    pub(crate) fn settled(&self, number: usize) -> &Held {
        &self.entries[&number].settled
    }

    /// An operation is under way that makes this of the key.
    pub(crate) fn pend(&mut self, number: usize, held: Held) {
        self.entries.get_mut(&number).unwrap().pending.push(held);
    }

    /// The operation was acknowledged.
    pub(crate) fn settle(&mut self, number: usize, held: Held) {
        if let Held::InFlight(Attempt { token: Some(token), .. }) = held {
            self.token_max = self.token_max.max(token);
        }
        self.entries.insert(number, Entry { settled: held, pending: vec![] });
    }

    /// The latest operation did not take place. What an earlier one did may still be unknown.
    pub(crate) fn withdraw(&mut self, number: usize) {
        self.entries.get_mut(&number).unwrap().pending.pop();
    }

    /// Returns which of the allowed states this record shows.
    pub(crate) fn recognise(&self, number: usize, record: Option<&Record>) -> Result<Held, String> {
        let entry = &self.entries[&number];
        if record.is_none() && entry.pending.contains(&Held::Unseen) {
            // A record that has ceased to answer cannot be told from one that was swept.
            return Ok(Held::Unseen);
        }
        let mut allowed = std::iter::once(&entry.settled).chain(&entry.pending);
        match allowed.find(|held| held.is_shown_by(number, record, self)) {
            Some(held) => Ok(held.with_token_of(record)),
            None => Err(format!("key {number}: the store has {record:?}, allowed is {entry:?} at {}", self.now)),
        }
    }
}

impl Held {
    /// The record, unless it has ceased to answer.
    pub(crate) fn live(&self, now: u64) -> &Self {
        match self {
            Self::Ended(end) if end.expires_at <= now => &Self::Unseen,
            held => held,
        }
    }

    fn is_shown_by(&self, number: usize, record: Option<&Record>, ledger: &Ledger) -> bool {
        let (held, Some(record)) = (self.live(ledger.now), record) else {
            return record.is_none() && *self.live(ledger.now) == Self::Unseen;
        };
        let is_token = |token: &Option<u64>| match token {
            Some(token) => record.token().get() == *token,
            None => record.token().get() > ledger.token_max,
        };
        let same_request = record.fingerprint() == fingerprint(number);
        same_request
            && match held {
                Self::Unseen => false,
                Self::InFlight(attempt) => {
                    record.state() == State::InFlight
                        && is_token(&attempt.token)
                        && record.attempt() == attempt.number
                        && record.lease_expires_at().as_millis() == attempt.lease_until
                        && record.checkpoint() == attempt.checkpoint.as_deref()
                }
                Self::Ended(end) => record.outcome().is_some_and(|outcome| {
                    outcome.kind() == end.kind
                        && outcome.payload() == end.payload
                        && outcome.expires_at().as_millis() == end.expires_at
                        && is_token(&end.token)
                        && record.attempt() == end.number
                }),
            }
    }

    fn with_token_of(&self, record: Option<&Record>) -> Self {
        let mut held = self.clone();
        if let (Self::InFlight(Attempt { token, .. }) | Self::Ended(End { token, .. }), Some(record)) = (&mut held, record) {
            *token = Some(record.token().get());
        }
        held
    }
}
