//! The right to write. Whoever holds the pen decides a batch and makes it durable with one commit: the writer thread, or a
//! caller that finds nobody else there and so saves itself two hand-overs between threads. Nobody is told anything while it
//! is held, because that runs code of callers.

use crate::{
    Error, ErrorKind, Result,
    plan::{Admission, Plan},
    queue::{Message, SweepStep},
    shared::{Shared, StopOnPanic},
    storage::{ApplyError, Due, Position, StorageError},
    transition::{Answer, Now},
};
use std::time::Duration;

/// How often a full disk is tried again.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// How far the note beside the store may be behind.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// What only the holder of the pen may know and change.
#[derive(Debug)]
pub(crate) struct Pen {
    /// Set while the disk is full: when it was last tried.
    low_space: Option<Duration>,
    /// When the note beside the store was last brought up to date.
    noted: Duration,
    /// The commands of the last batch.
    last_batch: usize,
}

/// What a message will be told. If it was planned, it is durable.
pub(crate) enum Told {
    Command(Result<Answer>),
    Sweep(Result<SweepStep>),
    #[cfg(feature = "ndjson")]
    Import(Result<crate::queue::ImportStep>),
    Nothing,
    /// Nothing came of it, or nobody knows.
    Refused(Error),
}

/// Messages and what each is told, in the order in which they were decided.
pub(crate) type Settled = Vec<(Message, Told)>;

impl Pen {
    pub(crate) fn new(now: Duration) -> Self {
        Self { low_space: None, noted: now, last_batch: 0 }
    }

    /// Notes that there was no room for the reserve when the store was opened.
    pub(crate) fn begin_low(&mut self, now: Duration) {
        self.low_space = Some(now);
    }

    /// Returns whether callers come one at a time. When several do, a commit for one of them makes the others wait for a
    /// second sync that they could have shared.
    pub(crate) fn is_quiet(&self) -> bool {
        self.last_batch <= 1 && self.low_space.is_none()
    }

    /// Settles a batch. Returns what did not fit into it, too.
    pub(crate) fn write(&mut self, shared: &Shared, batch: Vec<Message>) -> (Settled, Vec<Message>) {
        let mut settled = Vec::with_capacity(batch.len());
        // Before anything that was settled is dropped untold.
        let _stop = StopOnPanic { shared, what: "a write" };
        self.last_batch = batch.len();
        self.try_space(shared);
        let rest = match self.settle(shared, batch, &mut settled) {
            Ok(rest) => rest,
            Err((batch, cause)) => {
                self.not_done(shared, batch, cause, &mut settled);
                Vec::new()
            }
        };
        self.note(shared);
        (settled, rest)
    }

    /// Applies a batch. Returns what did not fit into it, or all of it if nothing took effect.
    fn settle(
        &self,
        shared: &Shared,
        mut batch: Vec<Message>,
        settled: &mut Settled,
    ) -> Result<Vec<Message>, (Vec<Message>, StorageError)> {
        // Before the promises of the batch are dropped, if something here panics: then nobody knows.
        let _stop = StopOnPanic { shared, what: "a write" };
        if let Err(poisoned) = shared.poison.check() {
            refuse(batch, &poisoned, settled);
            return Ok(Vec::new());
        }
        let (planned, applied) = self.apply(shared, &batch);
        if let Err(ApplyError::NotDone(cause)) = applied {
            return Err((batch, cause));
        }
        let rest = batch.split_off(planned.len());
        match applied {
            Err(ApplyError::Indeterminate(cause)) => poison(shared, batch, cause, settled),
            _ => settled.extend(batch.into_iter().zip(planned)),
        }
        Ok(rest)
    }

    /// Nothing of the batch took effect. Perhaps one command is to blame, or the disk is full and only new keys have to
    /// wait: try them one by one.
    fn not_done(&mut self, shared: &Shared, batch: Vec<Message>, cause: StorageError, settled: &mut Settled) {
        let is_full = matches!(cause, StorageError::Full(_));
        let was_low = self.low_space.is_some();
        if is_full && !was_low {
            self.low_space = Some(shared.clock().monotonic());
            shared.storage.reserve().release();
        }
        let has_hope = batch.len() > 1 || (is_full && !was_low) || matches!(batch.first(), Some(Message::Sweep { .. }));
        if !has_hope {
            return refuse_not_done(shared, batch, cause, settled);
        }
        for message in batch {
            if let Err((batch, cause)) = self.settle(shared, vec![message], settled) {
                self.not_done_alone(shared, batch, cause, settled);
            }
        }
    }

    fn not_done_alone(&self, shared: &Shared, mut batch: Vec<Message>, cause: StorageError, settled: &mut Settled) {
        match (batch.pop(), cause) {
            (Some(Message::Sweep { after, limit, reply }), StorageError::Damaged(_)) => {
                let step = self.sweep_around(shared, after.as_ref(), limit);
                settled.push((Message::Sweep { after, limit, reply }, Told::Sweep(step)));
            }
            (message, cause) => refuse_not_done(shared, message.into_iter().collect(), cause, settled),
        }
    }

    /// Decides a batch and makes it durable.
    ///
    /// A crash before the commit's sync returns: nothing of the batch happened, and nobody was told otherwise. After
    /// it: all of the batch is durable, and some callers may not have heard; they ask again and find it.
    fn apply(&self, shared: &Shared, batch: &[Message]) -> (Vec<Told>, Result<(), ApplyError>) {
        let now = shared.now();
        let planned = |plan: &mut Plan<'_>| {
            let mut planned = Vec::with_capacity(batch.len());
            for message in batch {
                if plan.is_heavy() && !planned.is_empty() {
                    break;
                }
                planned.push(plan_one(shared, plan, message, now));
            }
            planned
        };
        self.apply_plan(shared, now, batch.len(), planned)
    }

    /// Makes a plan durable.
    fn apply_plan<T>(
        &self,
        shared: &Shared,
        now: Now,
        commands: usize,
        plan: impl FnOnce(&mut Plan<'_>) -> T,
    ) -> (T, Result<(), ApplyError>) {
        let started = shared.clock().monotonic();
        let admission = Admission { counts: shared.storage.counts(), refuse_new: self.low_space.is_some() };
        let mut draft = Plan::new(&shared.storage, &shared.settings, now, admission, commands);
        let planned = plan(&mut draft);
        let Some(changes) = draft.into_batch() else { return (planned, Ok(())) };
        let applied = shared.storage.apply(changes);
        if applied.is_ok() {
            shared.stats.committed(commands, shared.clock().monotonic().saturating_sub(started));
        }
        (planned, applied)
    }

    /// Sweeps beside damage: one entry at a time, leaving those that cannot be removed.
    fn sweep_around(&self, shared: &Shared, after: Option<&Position>, limit: usize) -> Result<SweepStep> {
        let failed = |error: StorageError| error.into_error("sweeping");
        let now = shared.now();
        let due = shared.storage.due(now.wall, after, limit).map_err(failed)?;
        let mut step = SweepStep { next: due.next, ..SweepStep::default() };
        for entry in due.entries {
            let alone = |plan: &mut Plan<'_>| plan.sweep(Due { entries: vec![entry.clone()], next: None });
            match self.apply_plan(shared, now, 1, alone) {
                (one, Ok(())) => step.removed += one.removed,
                (_, Err(ApplyError::Indeterminate(cause))) => {
                    shared.poison.set(cause.to_string());
                    return Err(failed(cause));
                }
                _ => (),
            }
            step.examined += 1;
        }
        Ok(step)
    }

    /// Now and then writes down, beside the store, how far it has got.
    fn note(&mut self, shared: &Shared) {
        let now = shared.clock().monotonic();
        if now.saturating_sub(self.noted) >= NOTE_INTERVAL {
            self.noted = now;
            shared.storage.note_progress();
        }
    }

    /// Notices that there is no space for a checkpoint, before there is none in the journal either, and that a checkpoint has had
    /// to give up the reserve. While the disk is full: looks now and then whether there is space again.
    fn try_space(&mut self, shared: &Shared) {
        let storage = &shared.storage;
        let (lacks_space, is_reserved) = (storage.lacks_space(), storage.reserve().is_filled());
        if self.low_space.is_none() && !lacks_space && is_reserved {
            return;
        }
        let now = shared.clock().monotonic();
        match self.low_space {
            None if lacks_space => storage.reserve().release(),
            // The checkpoint that gave it up may still need the space.
            None => return self.low_space = Some(now),
            Some(tried) if now.saturating_sub(tried) < SPACE_CHECK => return,
            Some(_) => (),
        }
        let is_over = if lacks_space { storage.retry_checkpoint() } else { storage.reserve().fill() };
        self.low_space = (!is_over || lacks_space).then_some(now);
    }
}

fn plan_one(shared: &Shared, plan: &mut Plan<'_>, message: &Message, now: Now) -> Told {
    match message {
        Message::Command(request) => Told::Command(plan.command(request)),
        Message::Sweep { after, limit, .. } => Told::Sweep(plan_sweep(shared, plan, after.as_ref(), *limit, now)),
        #[cfg(feature = "ndjson")]
        Message::Import { records, .. } => {
            let mut step = crate::queue::ImportStep::default();
            let imported = records.iter().try_for_each(|(key, record)| plan.import(key, record, &mut step));
            Told::Import(imported.map(|()| step))
        }
        Message::Pause { .. } | Message::Shutdown => Told::Nothing,
    }
}

fn plan_sweep(shared: &Shared, plan: &mut Plan<'_>, after: Option<&Position>, limit: usize, now: Now) -> Result<SweepStep> {
    if shared.clock_doubted().is_some() {
        return Ok(SweepStep { paused: true, ..SweepStep::default() });
    }
    let storage = &shared.storage;
    if after.is_none() {
        let removed = storage.sweep_soon(now.wall);
        shared.stats.swept(removed.map_err(|error| shared.poisoned_by("sweeping", error))?);
    }
    let due = storage.due(now.wall, after, limit);
    Ok(plan.sweep(due.map_err(|error| error.into_error("sweeping"))?))
}

fn refuse_not_done(shared: &Shared, batch: Vec<Message>, cause: StorageError, settled: &mut Settled) {
    let error = cause.into_error(format!("writing {}", shared.storage.path()));
    refuse(batch, &error, settled);
}

/// Fail-stop: after a failed sync nobody knows what the disk holds, and trying again would only hide that.
fn poison(shared: &Shared, batch: Vec<Message>, cause: StorageError, settled: &mut Settled) {
    let cause = cause.into_error(format!("writing {}", shared.storage.path()));
    shared.poison.set(cause.to_string());
    let message = format!("{cause}; open the store again and ask what became of it");
    refuse(batch, &Error::new(ErrorKind::Indeterminate, message).caused_by(cause), settled);
}

fn refuse(batch: Vec<Message>, error: &Error, settled: &mut Settled) {
    settled.extend(batch.into_iter().map(|message| (message, Told::Refused(error.clone()))));
}

#[cfg(test)]
mod tests {
    use crate::{Begin, ErrorKind, Fingerprint, Key, ManualClock, Options, Timestamp, storage::disk::MemoryDisk};
    use std::time::Duration;

    #[test]
    fn new_keys_are_refused_from_when_a_checkpoint_gave_up_the_reserve_until_it_is_back() {
        let (disk, clock) = (MemoryDisk::new(), ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
        let store = Options::new().clock(clock.clone()).reserve_bytes(64 << 10).create_on(disk, "s").unwrap();
        let begin = |id: &str| store.begin(&Key::new("shop", id).unwrap(), Fingerprint::of(&[b"1"]));
        let Begin::Fresh(held) = begin("held").unwrap() else { panic!("a new key") };
        // As a failed commit does, which may then succeed, so that nothing else tells of it.
        store.shared().storage.reserve().release();
        assert_eq!(begin("new").unwrap_err().kind(), ErrorKind::Full);
        assert!(!store.shared().storage.reserve().is_filled(), "the space is for what is in flight");
        held.complete("done").unwrap();
        clock.advance(Duration::from_secs(1));
        assert!(matches!(begin("new").unwrap(), Begin::Fresh(_)));
        assert!(store.shared().storage.reserve().is_filled());
    }
}
