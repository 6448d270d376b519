//! What callers ask of the store in a [`Workload`], alone and several at once.

use super::{
    super::{
        block_on::{block_on, poll_once},
        ledger::{Attempt, End, Held, LEASE, RETENTION, fingerprint, key, millis},
    },
    KEYS, Workload, is_not_done,
};
use idemstore::{Begin, BeginFuture, Error, FencingToken, OutcomeKind};
use std::{future::Future, pin::Pin, task::Poll};

type Asking = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// One command whose answer is awaited.
enum Asked {
    Begin(BeginFuture, Held),
    Other(Asking, Held),
}

impl Workload {
    pub(crate) fn begin(&mut self, number: usize) {
        let store = self.store();
        if let Some(pending) = self.granted(number) {
            self.ledger().pend(number, pending.clone());
            let begun = store.begin(&key(number), fingerprint(number));
            return self.end_begin(number, pending, begun);
        }
        let begun = store.begin(&key(number), fingerprint(number));
        self.count(begun.as_ref().err());
        let settled = self.ledger().settled(number).clone();
        match (&settled, begun) {
            (Held::Ended(end), Ok(Begin::Replay(told))) if told.payload() == end.payload && told.kind() == end.kind => (),
            (Held::InFlight(_), Ok(Begin::InFlight { .. })) => (),
            (_, Err(error)) if is_not_done(&error) => (),
            (_, begun) => self.violation(format!("begin of {number}: {begun:?} where the ledger has {settled:?}")),
        }
    }

    /// What a begin would make of a key, if it would grant it.
    fn granted(&self, number: usize) -> Option<Held> {
        let ledger = self.ledger();
        let (attempt, checkpoint) = match ledger.settled(number).live(ledger.now) {
            Held::Unseen => (1, None),
            Held::InFlight(attempt) if self.is_lapsed(attempt, ledger.now) => (attempt.number + 1, attempt.checkpoint.clone()),
            _ => return None,
        };
        let lease_until = ledger.now + millis(LEASE);
        let expires_at = lease_until + millis(RETENTION);
        Some(Held::InFlight(Attempt { token: None, number: attempt, checkpoint, lease_until, expires_at, open: self.opens }))
    }

    pub(super) fn is_lapsed(&self, attempt: &Attempt, now: u64) -> bool {
        attempt.open != self.opens || attempt.lease_until <= now
    }

    fn end_begin(&mut self, number: usize, pending: Held, begun: Result<Begin, Error>) {
        let Held::InFlight(expected) = &pending else { return };
        let lease = match begun {
            Ok(Begin::Fresh(lease)) if expected.number == 1 => lease,
            Ok(Begin::Takeover(lease)) if expected.number > 1 => lease,
            Ok(other) => return self.violation(format!("begin of {number}: {other:?} where {expected:?} was due")),
            Err(error) => return self.end_change(number, pending, Err(error)),
        };
        let token = lease.token().get();
        let told = (lease.attempt(), lease.earlier_checkpoint());
        let is_right = told == (expected.number, expected.checkpoint.as_deref()) && token > self.ledger().token_max;
        if !is_right {
            return self.violation(format!("begin of {number}: {lease:?} where {expected:?} was due"));
        }
        let granted = Held::InFlight(Attempt { token: Some(token), ..expected.clone() });
        self.end_change(number, granted, Ok(()));
    }

    pub(super) fn end_change(&mut self, number: usize, pending: Held, result: Result<(), Error>) {
        self.count(result.as_ref().err());
        match result {
            Ok(()) => self.ledger().settle(number, pending),
            // Either way, for ever.
            Err(error) if error.is_indeterminate() => (),
            Err(error) => {
                self.ledger().withdraw(number);
                if !is_not_done(&error) {
                    self.violation(format!("key {number}: {error:?} where {pending:?} was due"));
                }
            }
        }
    }

    /// Something that a holder does.
    pub(crate) fn change(&mut self, number: usize) {
        let Held::InFlight(attempt) = self.ledger().settled(number).clone() else { return self.begin(number) };
        let kind = self.rng.below(8);
        if let Some(Asked::Other(asked, pending)) = self.ask_change(number, &attempt, kind) {
            let result = block_on(asked);
            self.end_change(number, pending, result);
        }
    }

    fn ask_change(&mut self, number: usize, attempt: &Attempt, kind: usize) -> Option<Asked> {
        let (store, key, now) = (self.store(), key(number), self.ledger().now);
        let token = FencingToken::new(attempt.token?);
        let len = [0, 20, 300, 3000][self.rng.below(4)];
        let bytes = self.rng.bytes(len);
        let (pending, asked): (Held, Asking) = match kind {
            0..4 => {
                let kind = if kind == 3 { OutcomeKind::Failed } else { OutcomeKind::Completed };
                let pending = ended(attempt, kind, &bytes, now);
                self.ledger().pend(number, pending.clone());
                let ticket = store.end_async(&key, token, pending_kind(&pending), &bytes, None);
                (pending, Box::pin(async move { ticket.await.map(drop) }))
            }
            4 => {
                self.ledger().pend(number, Held::Unseen);
                (Held::Unseen, Box::pin(store.release_async(&key, token)))
            }
            5 => {
                let lease_until = now + millis(LEASE * 2);
                let expires_at = lease_until + millis(RETENTION);
                let pending = Held::InFlight(Attempt { lease_until, expires_at, open: self.opens, ..attempt.clone() });
                self.ledger().pend(number, pending.clone());
                let ticket = store.renew_async(&key, token, LEASE * 2);
                (pending, Box::pin(async move { ticket.await.map(drop) }))
            }
            _ => {
                let pending = Held::InFlight(Attempt { checkpoint: Some(bytes.clone()), ..attempt.clone() });
                self.ledger().pend(number, pending.clone());
                (pending, Box::pin(store.checkpoint_async(&key, token, &bytes)))
            }
        };
        Some(Asked::Other(asked, pending))
    }

    /// Several commands that one commit makes durable, and one before it that keeps the writer busy meanwhile.
    pub(crate) fn batch(&mut self) {
        if self.store().stats().map_or(true, |stats| stats.is_poisoned) {
            return;
        }
        let mut numbers: Vec<usize> = (0..KEYS).filter(|&number| self.is_changeable(number)).collect();
        self.rng.shuffle(&mut numbers);
        numbers.truncate(2 + self.rng.below(5));
        self.disk.close_gate();
        let mut asked = Vec::new();
        for number in numbers {
            if let Some(mut command) = self.ask(number) {
                if let Asked::Begin(begin, _) = &mut command
                    && let Poll::Ready(begun) = poll_once(begin)
                {
                    // Only a failing disk answers without the writer.
                    let pending = command.into_pending();
                    self.end_begin(number, pending, begun);
                    continue;
                }
                if asked.is_empty() {
                    self.disk.await_gate();
                }
                asked.push((number, command));
            }
        }
        self.disk.open_gate();
        for (number, command) in asked {
            match command {
                Asked::Begin(begin, pending) => {
                    let answer = block_on(begin);
                    self.end_begin(number, pending, answer);
                }
                Asked::Other(other, pending) => {
                    let result = block_on(other);
                    self.end_change(number, pending, result);
                }
            }
        }
    }

    fn is_changeable(&self, number: usize) -> bool {
        let is_in_flight = matches!(self.ledger().settled(number), Held::InFlight(_));
        is_in_flight || self.granted(number).is_some()
    }

    fn ask(&mut self, number: usize) -> Option<Asked> {
        if let Some(pending) = self.granted(number) {
            self.ledger().pend(number, pending.clone());
            return Some(Asked::Begin(self.store().begin_async(&key(number), fingerprint(number)), pending));
        }
        let Held::InFlight(attempt) = self.ledger().settled(number).clone() else { return None };
        let kind = self.rng.below(8);
        self.ask_change(number, &attempt, kind)
    }
}

impl Asked {
    fn into_pending(self) -> Held {
        match self {
            Self::Begin(_, pending) | Self::Other(_, pending) => pending,
        }
    }
}

pub(super) fn ended(attempt: &Attempt, kind: OutcomeKind, payload: &[u8], now: u64) -> Held {
    let retention = if kind == OutcomeKind::Completed { RETENTION } else { RETENTION * 2 };
    let expires_at = now + millis(retention);
    Held::Ended(End { kind, payload: payload.to_vec(), token: attempt.token, number: attempt.number, expires_at })
}

fn pending_kind(held: &Held) -> OutcomeKind {
    match held {
        Held::Ended(end) => end.kind,
        _ => OutcomeKind::Completed,
    }
}
