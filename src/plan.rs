//! A batch of decisions, before any of it is durable. Only the writer changes records, so what it reads stays so until it
//! applies the batch.

use crate::{
    Error, ErrorKind, FencingToken, Key, OutcomeKind, Result, Scope,
    keyed::Keyed,
    limits::{BATCH_BYTES_MAX, TOKEN_MAX},
    options::Settings,
    queue::{Request, SweepStep},
    record::Record,
    storage::{Batch, Before, Counts, Due, DueEntry, KeyChange, NewAuditRow, Seen, Storage, StorageError},
    transition::{self, Answer, Change, Command, Decision, Now},
};

/// Decides commands one after the other; each sees what the ones before it did.
pub(crate) struct Plan<'r> {
    storage: &'r Storage,
    settings: &'r Settings,
    now: Now,
    admission: Admission,
    slots: Keyed<Slot>,
    first_token: u64,
    next_token: u64,
    /// By how many records.
    grown: i64,
    /// Payload bytes of stored records that the plan holds on to.
    loaded_bytes: usize,
    audit: Vec<NewAuditRow>,
    stale: Vec<DueEntry>,
}

/// What limits new keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) counts: Counts,
    /// The disk is full: only what exists may go on.
    pub(crate) refuse_new: bool,
}

/// One key as the batch has left it so far.
struct Slot {
    before: Before,
    current: Option<Record>,
    changed: bool,
}

impl<'r> Plan<'r> {
    pub(crate) fn new(storage: &'r Storage, settings: &'r Settings, now: Now, admission: Admission, commands: usize) -> Self {
        let next_token = storage.next_token();
        let (audit, stale) = Default::default();
        Self {
            storage,
            settings,
            now,
            admission,
            slots: Keyed::with_capacity(commands),
            first_token: next_token,
            next_token,
            grown: 0,
            loaded_bytes: 0,
            audit,
            stale,
        }
    }

    /// Returns whether the batch should end here, because of the memory that its records take.
    pub(crate) fn is_heavy(&self) -> bool {
        self.loaded_bytes >= BATCH_BYTES_MAX
    }

    /// Decides one command.
    pub(crate) fn command(&mut self, request: &Request) -> Result<Answer> {
        let (key, command) = (&request.key, &request.command);
        if request.seen.is_some() {
            self.load(key, request.seen.as_ref())?;
        }
        if let Command::Resolve { ending, .. } = command {
            return self.resolve(key, command, ending.as_ref().map(|ending| ending.kind), request.reason.as_deref());
        }
        self.decide(key, command)
    }

    fn decide(&mut self, key: &Key, command: &Command) -> Result<Answer> {
        let (now, token) = (self.now, FencingToken::new(self.next_token));
        let current = self.slot(key)?.current.as_ref();
        let is_new = current.is_none();
        let decision = transition::decide(current, command, now, token);
        let granted = matches!(decision.answer, Answer::Fresh(_) | Answer::Takeover(_));
        if granted {
            if self.next_token > TOKEN_MAX {
                return Err(Error::new(ErrorKind::Full, "the store has given out all its fencing tokens"));
            }
            if is_new {
                self.admit(key)?;
            }
            self.next_token += 1;
        }
        self.put(key, decision)
    }

    fn put(&mut self, key: &Key, decision: Decision) -> Result<Answer> {
        let slot = self.slot(key)?;
        let after = match decision.change {
            Change::Keep => return Ok(decision.answer),
            Change::Put(record) => Some(record),
            Change::Delete => None,
        };
        let grown = i64::from(after.is_some()) - i64::from(slot.current.is_some());
        slot.current = after;
        slot.changed = true;
        self.grown += grown;
        Ok(decision.answer)
    }

    /// An operator may also free a key whose record is damaged: nothing else could. Not if a certain attempt was meant, because whose
    /// record it is cannot be read.
    fn resolve(&mut self, key: &Key, command: &Command, outcome: Option<OutcomeKind>, reason: Option<&str>) -> Result<Answer> {
        let is_of_any = matches!(command, Command::Resolve { token: None, .. });
        let answer = match (self.decide(key, command), outcome) {
            (Err(error), None) if is_of_any && error.kind() == ErrorKind::Corrupted => self.free_damaged(key),
            (answer, _) => answer?,
        };
        if let Answer::Resolved { token } = answer {
            let token = (token.get() > 0).then_some(token);
            let reason = reason.unwrap_or_default().to_owned();
            self.audit.push(NewAuditRow { key: key.clone(), token, outcome, reason });
        }
        Ok(answer)
    }

    fn free_damaged(&mut self, key: &Key) -> Answer {
        self.slots.insert(key, Slot { before: Before::Damaged, current: None, changed: true });
        Answer::Resolved { token: FencingToken::new(0) }
    }

    /// Removes what is due, and index entries that belong to no record.
    pub(crate) fn sweep(&mut self, due: Due) -> SweepStep {
        let mut step = SweepStep { next: due.next, ..SweepStep::default() };
        for entry in due.entries {
            if self.is_heavy() {
                break;
            }
            step.examined += 1;
            let position = entry.position();
            step.removed += u64::from(self.sweep_entry(entry));
            if self.is_heavy() {
                step.next = Some(position);
            }
        }
        step
    }

    /// Returns whether the record was removed.
    fn sweep_entry(&mut self, entry: DueEntry) -> bool {
        let Some(key) = entry.key.clone() else { return false };
        // A damaged record stays, as a sign that its key was used.
        let Ok(slot) = self.slot(&key) else { return false };
        match &slot.before {
            Before::Present(record) if entry.is_of(record) => matches!(self.decide(&key, &Command::Sweep), Ok(Answer::Swept)),
            Before::Present(_) | Before::Absent => {
                self.stale.push(entry);
                false
            }
            Before::Damaged => false,
        }
    }

    #[cfg(feature = "ndjson")]
    /// Adds a record of another store, unless the key is known.
    pub(crate) fn import(&mut self, key: &Key, record: &Record, step: &mut crate::queue::ImportStep) -> Result<()> {
        let now = self.now;
        let slot = self.slot(key)?;
        match slot.current.as_ref().filter(|known| !transition::is_expired(known, now)) {
            Some(known) if same_claim(known, record) => step.known += 1,
            Some(_) => step.conflicts += 1,
            None => {
                let is_new = slot.current.is_none();
                if is_new {
                    self.admit(key)?;
                }
                self.next_token = self.next_token.max(record.token.get() + 1);
                let record = Record { holder: crate::record::Holder::GONE, ..record.clone() };
                self.put(key, Decision { answer: Answer::Marked, change: Change::Put(record) })?;
                step.imported += 1;
            }
        }
        Ok(())
    }

    /// Refuses a new key when the store is full.
    fn admit(&self, key: &Key) -> Result<()> {
        let full = |message: String| Err(Error::new(ErrorKind::Full, message));
        let Settings { records_max, bytes_max, scope_records_max, .. } = *self.settings;
        let counts = self.admission.counts;
        if self.admission.refuse_new {
            return full("the disk is full: no new keys until there is space; what is in flight can still end".into());
        }
        let records = counts.records().saturating_add_signed(self.grown);
        if records >= records_max {
            return full(format!("the store has {records} records of at most {records_max}: no new keys"));
        }
        if counts.bytes >= bytes_max {
            return full(format!("the store has {} bytes of at most {bytes_max}: no new keys", counts.bytes));
        }
        if scope_records_max < u64::MAX && self.scope_records(key.scope())? >= scope_records_max {
            return full(format!("scope {:?} has its {scope_records_max} records: no new keys", key.scope().as_str()));
        }
        Ok(())
    }

    fn scope_records(&self, scope: &Scope) -> Result<u64> {
        let stored = self.storage.scope_records(scope).map_err(|error| error.into_error("counting a scope"))?;
        let of_scope = self.slots.iter().filter(|(key, slot)| key.scope() == scope && slot.changed);
        let grown = of_scope.map(|(_, slot)| i64::from(slot.current.is_some()) - i64::from(slot.before.is_stored())).sum();
        Ok(stored.saturating_add_signed(grown))
    }

    fn slot(&mut self, key: &Key) -> Result<&mut Slot> {
        self.load(key, None)?;
        self.slots.get_mut(key).ok_or_else(|| Error::new(ErrorKind::Io, "a key vanished from its batch"))
    }

    fn load(&mut self, key: &Key, seen: Option<&Seen>) -> Result<()> {
        if !self.slots.contains(key) {
            let current = self.storage.get_since(key, seen).map_err(|error| damaged(key, error))?;
            self.loaded_bytes += current.as_ref().map_or(0, |record| record.payload.len());
            let before = current.clone().map_or(Before::Absent, Before::Present);
            self.slots.insert(key, Slot { before, current, changed: false });
        }
        Ok(())
    }

    /// Returns what has to become durable; `None` if nothing does.
    pub(crate) fn into_batch(self) -> Option<Batch> {
        let touched = self.slots.into_rows().into_iter().filter(|(_, slot)| slot.changed);
        let changes = touched.map(|(key, slot)| (key, KeyChange { before: slot.before, after: slot.current }));
        let changes: Vec<_> = changes.filter(|(_, change)| !change.is_nothing()).collect();
        // A key that was granted and freed within the batch leaves no record, but its token must not be given again.
        let nothing = changes.is_empty() && self.audit.is_empty() && self.stale.is_empty() && self.next_token == self.first_token;
        let (audit, stale, next_token) = (self.audit, self.stale, self.next_token);
        (!nothing).then_some(Batch { changes, audit, stale, next_token, now: self.now.wall })
    }
}

fn damaged(key: &Key, error: StorageError) -> Error {
    error.into_error(format!("reading {key}"))
}

#[cfg(feature = "ndjson")]
/// Whether two records say the same to a caller.
fn same_claim(known: &Record, record: &Record) -> bool {
    known.fingerprint == record.fingerprint && known.state == record.state && known.payload == record.payload
}
