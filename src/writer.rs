//! The writer thread: the only one that changes the store. It gathers what has queued up, decides it, makes all of it
//! durable with one commit, and only then answers. While a commit runs the next batch gathers, so N callers share a sync.

use crate::{
    Error, ErrorKind, Result,
    limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX},
    plan::{Admission, Plan},
    queue::{Claim, Message, SweepStep},
    shared::{Shared, StopOnPanic},
    storage::{ApplyError, Due, Position, StorageError},
    sync::queue::Receiver,
    transition::{Answer, Now},
};
use std::{sync::Arc, time::Duration};

/// How often a full disk is tried again.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// How far the note beside the store may be behind.
const NOTE_INTERVAL: Duration = Duration::from_secs(60);

/// The writer thread's state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    receiver: Receiver<Message>,
    /// Set while the disk is full: when it was last tried.
    low_space: Option<Duration>,
    /// When the note beside the store was last brought up to date.
    noted: Duration,
}

/// What a message will be told, if the batch becomes durable.
enum Planned {
    Command(Result<Answer>),
    Sweep(Result<SweepStep>),
    #[cfg(feature = "ndjson")]
    Import(Result<crate::queue::ImportStep>),
    Nothing,
}

impl Writer {
    pub(crate) fn new(shared: &Arc<Shared>, receiver: Receiver<Message>, low_space: bool) -> Self {
        let now = shared.clock().monotonic();
        Self { shared: shared.clone(), receiver, low_space: low_space.then_some(now), noted: now }
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let shared = self.shared.clone();
        // In this order: the reason is known before the callers are told.
        let _end = EndQueue(&shared);
        let _stop = StopOnPanic { shared: &shared, thread: "writer" };
        while let Some(first) = self.next() {
            self.turn(first);
        }
    }

    fn next(&self) -> Option<Message> {
        if self.shared.queue().is_closed() { self.receiver.try_recv().ok() } else { self.receiver.recv().ok() }
    }

    /// Gathers a batch and does it.
    fn turn(&mut self, first: Message) {
        let mut gathered = Gathered::default();
        let mut next = Some(first);
        while let Some(message) = next {
            self.shared.queue().took(message.bytes());
            if let Some(message) = gathered.add(message) {
                self.batch(std::mem::take(&mut gathered.batch));
                return handle_alone(message);
            }
            next = if gathered.is_full() { None } else { self.receiver.try_recv().ok() };
        }
        self.batch(gathered.batch);
    }

    fn batch(&mut self, mut batch: Vec<Message>) {
        while !batch.is_empty() {
            self.try_space();
            match self.settle(batch) {
                Ok(rest) => batch = rest,
                Err((batch, cause)) => return self.not_done(batch, cause),
            }
        }
        self.note();
    }

    /// Applies a batch and tells everybody. Returns what did not fit into it, or all of it if nothing took effect.
    fn settle(&self, mut batch: Vec<Message>) -> Result<Vec<Message>, (Vec<Message>, StorageError)> {
        // Before the promises of the batch are dropped, if something here panics: then nobody knows.
        let _stop = StopOnPanic { shared: &self.shared, thread: "writer" };
        if let Err(poisoned) = self.shared.poison.check() {
            refuse(&self.shared, batch, &poisoned);
            return Ok(Vec::new());
        }
        let (planned, applied) = self.apply(&batch);
        if let Err(ApplyError::NotDone(cause)) = applied {
            return Err((batch, cause));
        }
        let rest = batch.split_off(planned.len());
        match applied {
            Err(ApplyError::Indeterminate(cause)) => self.poison(batch, cause),
            _ => deliver(&self.shared, batch, planned),
        }
        Ok(rest)
    }

    /// Nothing of the batch took effect. Perhaps one command is to blame, or the disk is full and only new keys have to
    /// wait: try them one by one.
    fn not_done(&mut self, batch: Vec<Message>, cause: StorageError) {
        let is_full = matches!(cause, StorageError::Full(_));
        let was_low = self.low_space.is_some();
        if is_full && !was_low {
            self.low_space = Some(self.shared.clock().monotonic());
            self.shared.storage.reserve().release();
        }
        let has_hope = batch.len() > 1 || (is_full && !was_low) || matches!(batch.first(), Some(Message::Sweep { .. }));
        if !has_hope {
            return self.refuse_not_done(batch, cause);
        }
        for message in batch {
            if let Err((batch, cause)) = self.settle(vec![message]) {
                self.not_done_alone(batch, cause);
            }
        }
    }

    fn not_done_alone(&self, mut batch: Vec<Message>, cause: StorageError) {
        match (batch.pop(), cause) {
            (Some(Message::Sweep { after, limit, reply }), StorageError::Damaged(_)) => {
                reply(self.sweep_around(after.as_ref(), limit));
            }
            (message, cause) => self.refuse_not_done(message.into_iter().collect(), cause),
        }
    }

    fn refuse_not_done(&self, batch: Vec<Message>, cause: StorageError) {
        let error = cause.into_error(format!("writing {}", self.shared.storage.path()));
        refuse(&self.shared, batch, &error);
    }

    /// Fail-stop: after a failed sync nobody knows what the disk holds, and trying again would only hide that.
    fn poison(&self, batch: Vec<Message>, cause: StorageError) {
        let cause = cause.into_error(format!("writing {}", self.shared.storage.path()));
        self.shared.stop_writing(cause.to_string());
        let message = format!("{cause}; open the store again and ask what became of it");
        refuse(&self.shared, batch, &Error::new(ErrorKind::Indeterminate, message).caused_by(cause));
    }

    /// Decides a batch and makes it durable.
    ///
    /// A crash before the commit's sync returns: nothing of the batch happened, and nobody was told otherwise. After
    /// it: all of the batch is durable, and some callers may not have heard; they ask again and find it.
    fn apply(&self, batch: &[Message]) -> (Vec<Planned>, Result<(), ApplyError>) {
        let now = self.shared.now();
        let planned = |plan: &mut Plan<'_>| {
            let mut planned = Vec::with_capacity(batch.len());
            for message in batch {
                if plan.is_heavy() && !planned.is_empty() {
                    break;
                }
                planned.push(self.plan(plan, message, now));
            }
            planned
        };
        self.apply_plan(now, batch.len(), planned)
    }

    /// Makes a plan durable.
    fn apply_plan<T>(&self, now: Now, commands: usize, plan: impl FnOnce(&mut Plan<'_>) -> T) -> (T, Result<(), ApplyError>) {
        let shared = &self.shared;
        let started = shared.clock().monotonic();
        let admission = Admission { counts: shared.storage.counts(), refuse_new: self.low_space.is_some() };
        let mut draft = Plan::new(&shared.storage, &shared.settings, now, shared.storage.next_token(), admission);
        let planned = plan(&mut draft);
        let Some(changes) = draft.into_batch() else { return (planned, Ok(())) };
        let applied = shared.storage.apply(changes);
        if applied.is_ok() {
            shared.stats.committed(commands, shared.clock().monotonic().saturating_sub(started));
        }
        (planned, applied)
    }

    fn plan(&self, plan: &mut Plan<'_>, message: &Message, now: Now) -> Planned {
        match message {
            Message::Command(request) => Planned::Command(plan.command(request)),
            Message::Sweep { after, limit, .. } => Planned::Sweep(self.plan_sweep(plan, after.as_ref(), *limit, now)),
            #[cfg(feature = "ndjson")]
            Message::Import { records, .. } => {
                let mut step = crate::queue::ImportStep::default();
                let imported = records.iter().try_for_each(|(key, record)| plan.import(key, record, &mut step));
                Planned::Import(imported.map(|()| step))
            }
            Message::Pause { .. } | Message::Shutdown => Planned::Nothing,
        }
    }

    fn plan_sweep(&self, plan: &mut Plan<'_>, after: Option<&Position>, limit: usize, now: Now) -> Result<SweepStep> {
        if self.shared.clock_doubted().is_some() {
            return Ok(SweepStep { paused: true, ..SweepStep::default() });
        }
        let storage = &self.shared.storage;
        if after.is_none() {
            let removed = storage.sweep_soon(now.wall);
            self.shared.stats.swept(removed.map_err(|error| self.shared.failed_to_write("sweeping", error))?);
        }
        let due = storage.due(now.wall, after, limit);
        Ok(plan.sweep(due.map_err(|error| error.into_error("sweeping"))?))
    }

    /// Sweeps beside damage: one entry at a time, leaving those that cannot be removed.
    fn sweep_around(&self, after: Option<&Position>, limit: usize) -> Result<SweepStep> {
        let failed = |error: StorageError| error.into_error("sweeping");
        let now = self.shared.now();
        let due = self.shared.storage.due(now.wall, after, limit).map_err(failed)?;
        let mut step = SweepStep { next: due.next, ..SweepStep::default() };
        for entry in due.entries {
            let alone = |plan: &mut Plan<'_>| plan.sweep(Due { entries: vec![entry.clone()], next: None });
            match self.apply_plan(now, 1, alone) {
                (one, Ok(())) => step.removed += one.removed,
                (_, Err(ApplyError::Indeterminate(cause))) => {
                    self.shared.stop_writing(cause.to_string());
                    return Err(failed(cause));
                }
                _ => (),
            }
            step.examined += 1;
        }
        Ok(step)
    }

    /// Now and then writes down, beside the store, how far it has got.
    fn note(&mut self) {
        let now = self.shared.clock().monotonic();
        if now.saturating_sub(self.noted) >= NOTE_INTERVAL {
            self.noted = now;
            self.shared.storage.note_progress();
        }
    }

    /// Notices that there is no space for a checkpoint, before there is none in the journal either. While the disk is full:
    /// looks now and then whether there is space again.
    fn try_space(&mut self) {
        let storage = &self.shared.storage;
        let lacks_space = storage.lacks_space();
        if self.low_space.is_none() && !lacks_space {
            return;
        }
        let now = self.shared.clock().monotonic();
        match self.low_space {
            None => storage.reserve().release(),
            Some(tried) if now.saturating_sub(tried) < SPACE_CHECK => return,
            Some(_) => (),
        }
        let is_over = if lacks_space { storage.retry_checkpoint() } else { storage.reserve().fill() };
        self.low_space = (!is_over || lacks_space).then_some(now);
    }
}

/// Handles what does not go into a batch.
fn handle_alone(message: Message) {
    if let Message::Pause { paused, resume } = message
        && paused.send(()).is_ok()
    {
        resume.wait();
    }
}

/// Tells those whose commands are left in the queue, however the writer ends.
struct EndQueue<'s>(&'s Shared);

impl Drop for EndQueue<'_> {
    fn drop(&mut self) {
        self.0.queue().writer_ended();
        // Nobody will ask for one any more.
        self.0.storage.stop_checkpoints();
    }
}

/// A batch in the making.
#[derive(Default)]
struct Gathered {
    batch: Vec<Message>,
    bytes: usize,
    has_sweep: bool,
}

impl Gathered {
    /// Adds a message; gives back one that has to be handled alone.
    fn add(&mut self, message: Message) -> Option<Message> {
        match &message {
            Message::Pause { .. } | Message::Shutdown => return Some(message),
            Message::Sweep { .. } => self.has_sweep = true,
            Message::Command(_) => (),
            #[cfg(feature = "ndjson")]
            Message::Import { .. } => (),
        }
        self.bytes += message.bytes();
        self.batch.push(message);
        None
    }

    /// A second sweep in a batch would find what the first one has removed.
    fn is_full(&self) -> bool {
        self.batch.len() >= BATCH_COMMANDS_MAX || self.bytes >= BATCH_BYTES_MAX || self.has_sweep
    }
}

/// Tells everybody what was decided; it is durable.
fn deliver(shared: &Arc<Shared>, batch: Vec<Message>, planned: Vec<Planned>) {
    // A waker of the caller's may panic.
    let _stop = StopOnPanic { shared, thread: "writer" };
    for (message, planned) in batch.into_iter().zip(planned) {
        match (message, planned) {
            (Message::Command(request), Planned::Command(result)) => {
                let ended = result.as_ref().is_ok_and(ends);
                match &result {
                    Ok(answer) => shared.stats.answered(answer),
                    Err(error) => shared.stats.refused(error.kind()),
                }
                let key = request.key;
                (request.reply)(result.map(|answer| Claim::new(shared, &key, answer)));
                if ended {
                    shared.waiters.wake_all(&key);
                }
            }
            (Message::Sweep { reply, .. }, Planned::Sweep(result)) => {
                shared.stats.swept(result.as_ref().map_or(0, |step| step.removed));
                reply(result);
            }
            #[cfg(feature = "ndjson")]
            (Message::Import { reply, .. }, Planned::Import(result)) => reply(result),
            _ => (),
        }
    }
}

/// Whether waiters have something new to ask for.
fn ends(answer: &Answer) -> bool {
    matches!(answer, Answer::Ended(_) | Answer::Released | Answer::Resolved { .. })
}

/// Tells everybody that nothing came of it.
fn refuse(shared: &Shared, batch: Vec<Message>, error: &Error) {
    for message in batch {
        shared.stats.refused(error.kind());
        match message {
            Message::Command(request) => (request.reply)(Err(error.clone())),
            Message::Sweep { reply, .. } => reply(Err(error.clone())),
            #[cfg(feature = "ndjson")]
            Message::Import { reply, .. } => reply(Err(error.clone())),
            Message::Pause { .. } | Message::Shutdown => (),
        }
    }
}
