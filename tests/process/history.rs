//! What must be true of a store, worked out from the journal alone, outside the process that is killed.
//!
//! A key's history is its grants in the order of their tokens. Only the holder of a token changes the record, one operation
//! after the other, so the state after a kill is that of the last grant, with or without the one operation that was not
//! acknowledged, and with or without a begin that was not.

use crate::journal::{Ack, Change, End, Intent, Line, payload};
use idemstore::{Record, State, Store};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    keys: BTreeMap<String, KeyHistory>,
    tokens: BTreeSet<u64>,
    token_max: u64,
    open: BTreeMap<String, Open>,
    touched: BTreeSet<String>,
    round: u64,
    acks: u64,
    errors: BTreeMap<String, u64>,
    /// A write of this child's was indeterminate: from then on it must write nothing.
    is_poisoned: bool,
}

#[derive(Clone, Debug, Default)]
struct KeyHistory {
    grants: BTreeMap<u64, Grant>,
    /// Begins without an answer.
    lost_begins: usize,
    /// One of these is what the store holds after the cut.
    expected: Vec<Expected>,
}

#[derive(Clone, Debug, Default)]
struct Grant {
    round: u64,
    attempt: u32,
    is_takeover: bool,
    may_lapse: bool,
    /// What the takeover was shown.
    inherited: Option<String>,
    checkpoint: Option<String>,
    ended: Option<End>,
    is_released: bool,
    /// Changes without an answer.
    pending: Vec<Change>,
}

/// An operation that has started.
#[derive(Clone, Debug)]
struct Open {
    intent: Intent,
    token_floor: u64,
    /// The key's attempt had ended when a begin started; another grant had been given when a change started.
    is_settled: bool,
    after_indeterminate: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Absent,
    /// Without a token: granted by a begin that was not acknowledged.
    InFlight {
        token: Option<u64>,
        attempt: u32,
        checkpoint: Option<String>,
    },
    Ended {
        token: u64,
        end: End,
    },
}

type Checked = Result<(), String>;

fn ensure(holds: bool, violation: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(violation()) }
}

impl History {
    pub(crate) fn new() -> Self {
        Self { round: 1, ..Self::default() }
    }

    /// How many operations were acknowledged.
    pub(crate) fn acks(&self) -> u64 {
        self.acks
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many operations were answered with an error of this kind.
    pub(crate) fn errors(&self, kind: &str) -> u64 {
        self.errors.get(kind).copied().unwrap_or_default()
    }

    /// Returns the keys that are in flight, for the next child to take over.
    pub(crate) fn in_flight(&self) -> Vec<String> {
        let held = |key: &KeyHistory| key.grants.values().next_back().is_some_and(Grant::is_held);
        self.keys.iter().filter(|(_, key)| held(key)).map(|(id, _)| id.clone()).collect()
    }

    /// Returns the keys that have an outcome.
    pub(crate) fn ended(&self) -> Vec<String> {
        let ended = |key: &KeyHistory| key.grants.values().next_back().is_some_and(|grant| grant.ended.is_some());
        self.keys.iter().filter(|(_, key)| ended(key)).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn feed_tolerantly(&mut self, line: Line, violations: &mut Vec<String>) {
        if let Err(violation) = self.feed(line) {
            violations.push(violation);
        }
    }

    /// Takes in one line of the journal; an error is a broken promise.
    pub(crate) fn feed(&mut self, line: Line) -> Checked {
        match line {
            Line::Intent(op, intent) => self.intent(op, intent),
            Line::Ack(op, ack) => self.ack(&op, ack),
            Line::Cut => self.cut(),
            Line::Other(_) => Ok(()),
        }
    }

    fn intent(&mut self, op: String, intent: Intent) -> Checked {
        let (Intent::Begin { key: id, .. } | Intent::Change { key: id, .. }) = &intent;
        self.touched.insert(id.clone());
        let key = self.keys.entry(id.clone()).or_default();
        let is_settled = match &intent {
            Intent::Begin { .. } => key.grants.values().next_back().is_some_and(|grant| grant.ended.is_some()),
            Intent::Change { token, change, .. } => {
                let is_superseded = key.grants.range(token + 1..).next().is_some();
                let grant = key.grants.get_mut(token).ok_or_else(|| format!("{op}: token {token} of {id} was never granted"))?;
                grant.pending.push(change.clone());
                is_superseded
            }
        };
        let after_indeterminate = self.is_poisoned;
        self.open.insert(op, Open { intent, token_floor: self.token_max, is_settled, after_indeterminate });
        Ok(())
    }

    fn ack(&mut self, op: &str, ack: Ack) -> Checked {
        let open = self.open.remove(op).ok_or_else(|| format!("{op}: an acknowledgment without an intent"))?;
        self.acks += 1;
        if let Ack::Error(kind) = &ack {
            *self.errors.entry(kind.clone()).or_default() += 1;
            self.is_poisoned |= kind == "Indeterminate";
            let known = ["Indeterminate", "Poisoned", "Io", "Full"];
            ensure(known.contains(&kind.as_str()), || format!("{op}: error {kind} for {:?}", open.intent))?;
        }
        let writes = matches!(ack, Ack::Fresh { .. } | Ack::Takeover { .. } | Ack::Done);
        ensure(!(writes && open.after_indeterminate), || format!("{op}: a write was acknowledged after an indeterminate one"))?;
        match &open.intent {
            Intent::Begin { key, is_short } => self.begin_ack(op, &open, key, *is_short, ack),
            Intent::Change { key, token, change } => self.change_ack(op, &open, key, *token, change, &ack),
        }
    }

    fn begin_ack(&mut self, op: &str, open: &Open, id: &str, is_short: bool, ack: Ack) -> Checked {
        let says = format!("{op}: {id}: {}", ack.text());
        let key = self.keys.entry(id.to_owned()).or_default();
        let is_replay = matches!(ack, Ack::Replay { .. } | Ack::Error(_));
        ensure(is_replay || !open.is_settled, || format!("{says}, but its attempt had ended"))?;
        let (token, grant) = match ack {
            Ack::Fresh { token } => (token, Grant { attempt: 1, ..Grant::default() }),
            Ack::Takeover { token, attempt, checkpoint } => {
                let inherited = checkpoint.clone();
                (token, Grant { attempt, is_takeover: true, inherited, checkpoint, ..Grant::default() })
            }
            Ack::Replay { end, payload: found } => {
                let ended_so =
                    key.grants.iter().any(|(&token, grant)| grant.may_have_ended(end) && found == payload(id, token, end));
                return ensure(ended_so, || format!("{says}, which no attempt ended with"));
            }
            Ack::InFlight => return Ok(()),
            Ack::Error(kind) => {
                key.lost_begins += usize::from(kind == "Indeterminate");
                return Ok(());
            }
            Ack::Done | Ack::LeaseLost => return Err(format!("{says} answers no begin")),
        };
        ensure(token > open.token_floor, || format!("{says}, but token {} had been given before", open.token_floor))?;
        ensure(self.tokens.insert(token), || format!("{says}, a token that was given before"))?;
        self.token_max = self.token_max.max(token);
        key.grants.insert(token, Grant { round: self.round, may_lapse: is_short, ..grant });
        Ok(())
    }

    fn change_ack(&mut self, op: &str, open: &Open, id: &str, token: u64, change: &Change, ack: &Ack) -> Checked {
        let says = || format!("{op}: {id}: {change:?} with token {token}: {}", ack.text());
        let others_begin = self.open.values().any(|open| matches!(&open.intent, Intent::Begin { key, .. } if key == id));
        let key = self.keys.get_mut(id).ok_or_else(says)?;
        let is_superseded = key.grants.range(token + 1..).next().is_some();
        let grant = key.grants.get_mut(&token).ok_or_else(says)?;
        let answered = |grant: &mut Grant| grant.pending.retain(|pending| pending != change);
        match ack {
            Ack::Done => {
                ensure(!open.is_settled, || format!("{}, but the key had another holder", says()))?;
                answered(grant);
                grant.apply(change);
                Ok(())
            }
            Ack::LeaseLost => {
                answered(grant);
                ensure(is_superseded || others_begin, || format!("{}, but nobody else had the key", says()))
            }
            Ack::Error(kind) => {
                if kind != "Indeterminate" {
                    answered(grant);
                }
                Ok(())
            }
            _ => Err(format!("{} answers no change", says())),
        }
    }

    /// The child is gone: works out what the store may hold now.
    pub(crate) fn cut(&mut self) -> Checked {
        for open in std::mem::take(&mut self.open).into_values() {
            if let Intent::Begin { key, .. } = open.intent {
                self.keys.entry(key).or_default().lost_begins += 1;
            }
        }
        let round = self.round;
        (self.round, self.is_poisoned) = (round + 1, false);
        let mut first = Ok(());
        for id in std::mem::take(&mut self.touched) {
            let key = self.keys.entry(id.clone()).or_default();
            first = first.and(key.check_grants().map_err(|violation| format!("{id}: {violation}")));
            key.settle(round);
        }
        first
    }

    /// Compares the store with what it must hold, key by key, and goes on from what it does hold.
    pub(crate) fn check(&mut self, store: &Store, violations: &mut Vec<String>) {
        let mut present = 0;
        for (id, key) in &mut self.keys {
            let record = match store.get(&crate::key(id)) {
                Ok(record) => record,
                Err(error) => {
                    violations.push(format!("{id}: {error}"));
                    continue;
                }
            };
            present += u64::from(record.is_some());
            let found = record.as_ref().map_or(Ok(Expected::Absent), |record| observe(id, record));
            match found {
                Ok(found) if key.admits(&found, &self.tokens) => key.adopt(found, self.round - 1),
                found => violations.push(format!("{id}: found {found:?}, expected one of {:?}", key.expected)),
            }
            if let Some(record) = record {
                self.tokens.insert(record.token().get());
                self.token_max = self.token_max.max(record.token().get());
            }
        }
        let stats = store.stats().unwrap();
        let stored = stats.in_flight + stats.completed + stats.failed;
        if stored != present {
            violations.push(format!("the store holds {stored} records, of which {present} are known"));
        }
    }
}

impl KeyHistory {
    /// Each grant must follow from the one before it.
    fn check_grants(&self) -> Checked {
        let mut before: Option<(&u64, &Grant)> = None;
        for (token, grant) in &self.grants {
            let violation = || format!("token {token} ({grant:?}) cannot follow {before:?}");
            ensure(grant.follows(before.map(|(_, before)| before), self.lost_begins), violation)?;
            before = Some((token, grant));
        }
        Ok(())
    }

    fn settle(&mut self, round: u64) {
        let last = self.grants.pop_last();
        self.grants.clear();
        let mut expected = last.as_ref().map_or(vec![Expected::Absent], |(token, grant)| grant.expected(*token));
        let last_may_lapse = last.as_ref().is_some_and(|(_, grant)| grant.may_lapse || grant.round < round);
        for _ in 0..self.lost_begins {
            let further: Vec<Expected> = expected.iter().filter_map(|state| state.after_begin(last_may_lapse)).collect();
            expected.extend(further);
            expected.dedup();
        }
        self.grants.extend(last);
        self.lost_begins = 0;
        self.expected = expected;
    }

    fn admits(&self, found: &Expected, tokens: &BTreeSet<u64>) -> bool {
        self.expected.iter().any(|expected| match (expected, found) {
            (
                Expected::InFlight { token: None, attempt, checkpoint },
                Expected::InFlight { token: Some(token), attempt: found_attempt, checkpoint: found_checkpoint },
            ) => attempt == found_attempt && checkpoint == found_checkpoint && !tokens.contains(token),
            (expected, found) => expected == found,
        })
    }

    fn adopt(&mut self, found: Expected, round: u64) {
        self.grants.clear();
        let grant = |attempt, checkpoint, ended| Grant { round, attempt, checkpoint, ended, ..Grant::default() };
        match &found {
            Expected::Absent => None,
            Expected::InFlight { token, attempt, checkpoint } => {
                self.grants.insert(token.unwrap(), grant(*attempt, checkpoint.clone(), None))
            }
            Expected::Ended { token, end } => self.grants.insert(*token, grant(1, None, Some(*end))),
        };
        self.expected = vec![found];
    }
}

impl Grant {
    fn is_held(&self) -> bool {
        self.ended.is_none() && !self.is_released
    }

    fn may_have_ended(&self, end: End) -> bool {
        self.ended == Some(end) || self.pending.contains(&Change::End(end))
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::End(end) => self.ended = Some(*end),
            Change::Release => self.is_released = true,
            Change::Checkpoint(data) => self.checkpoint = Some(data.clone()),
            Change::Renew => self.may_lapse = true,
        }
    }

    /// Whether this grant may come right after `before`, or with `unseen` other grants between them.
    fn follows(&self, before: Option<&Self>, unseen: usize) -> bool {
        let was_free = before.is_none_or(|before| before.is_released || before.pending.contains(&Change::Release));
        if !self.is_takeover {
            return was_free;
        }
        let (Some(before), true) = (before, before.is_some_and(|before| before.is_held() || unseen > 0)) else {
            return unseen > 0;
        };
        let may_lapse = before.may_lapse || before.pending.contains(&Change::Renew) || before.round < self.round;
        let checkpoint = before.checkpoints().any(|mark| mark == self.inherited.as_deref());
        let direct = before.is_held() && may_lapse && checkpoint && self.attempt > before.attempt;
        let extra = usize::try_from(self.attempt.saturating_sub(before.attempt + 1)).unwrap();
        (direct && extra <= unseen) || (was_free && unseen > 0)
    }

    /// Every mark that the record may bear.
    fn checkpoints(&self) -> impl Iterator<Item = Option<&str>> {
        let pending = self.pending.iter().filter_map(|change| match change {
            Change::Checkpoint(data) => Some(Some(data.as_str())),
            _ => None,
        });
        std::iter::once(self.checkpoint.as_deref()).chain(pending)
    }

    fn expected(&self, token: u64) -> Vec<Expected> {
        let in_flight = |checkpoint: Option<&str>| {
            let checkpoint = checkpoint.map(str::to_owned);
            Expected::InFlight { token: Some(token), attempt: self.attempt, checkpoint }
        };
        match (self.ended, self.is_released) {
            (Some(end), _) => vec![Expected::Ended { token, end }],
            (None, true) => vec![Expected::Absent],
            (None, false) => {
                let ends = self.pending.iter().filter_map(|change| match change {
                    Change::End(end) => Some(Expected::Ended { token, end: *end }),
                    Change::Release => Some(Expected::Absent),
                    Change::Checkpoint(_) | Change::Renew => None,
                });
                self.checkpoints().map(in_flight).chain(ends).collect()
            }
        }
    }
}

impl Expected {
    /// What a begin makes of it that was not acknowledged.
    fn after_begin(&self, may_lapse: bool) -> Option<Self> {
        match self {
            Self::Absent => Some(Self::InFlight { token: None, attempt: 1, checkpoint: None }),
            Self::InFlight { token, attempt, checkpoint } if may_lapse || token.is_none() => {
                Some(Self::InFlight { token: None, attempt: attempt + 1, checkpoint: checkpoint.clone() })
            }
            Self::InFlight { .. } | Self::Ended { .. } => None,
        }
    }
}

/// What the store holds, or why that cannot be right.
fn observe(id: &str, record: &Record) -> Result<Expected, String> {
    let token = record.token().get();
    let end = match record.state() {
        State::InFlight => {
            let checkpoint = record.checkpoint().map(|mark| String::from_utf8_lossy(mark).into_owned());
            return Ok(Expected::InFlight { token: Some(token), attempt: record.attempt(), checkpoint });
        }
        State::Completed => End::Complete,
        State::Failed => End::Fail,
    };
    let outcome = record.outcome().ok_or("an ended record without an outcome")?;
    ensure(outcome.payload() == payload(id, token, end).as_bytes(), || format!("token {token}: not the payload it ended with"))?;
    Ok(Expected::Ended { token, end })
}
