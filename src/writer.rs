//! The writer thread: the only one that changes the store. It gathers what has queued up, decides it, makes all of it
//! durable with one commit, and only then answers. While a commit runs the next batch gathers, so N callers share a sync.

use crate::{
    Error, ErrorKind, Result,
    limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX},
    plan::{Admission, Plan},
    poison::PoisonOnPanic,
    queue::{Claim, Message, SweepStep},
    shared::Shared,
    storage::{ApplyError, Position, StorageError},
    sync::queue::Receiver,
    transition::{Answer, Now},
};
use std::{sync::Arc, time::Duration};

/// How often a full disk is tried again.
const SPACE_CHECK: Duration = Duration::from_secs(1);

/// The writer thread's state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    receiver: Receiver<Message>,
    /// Set while the disk is full: when it was last tried.
    low_space: Option<Duration>,
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
        let low_space = low_space.then(|| shared.clock().monotonic());
        Self { shared: shared.clone(), receiver, low_space }
    }

    /// Works until the queue is closed.
    pub(crate) fn run(mut self) {
        let shared = self.shared.clone();
        let _poison = watch(&shared);
        while self.turn() {}
    }

    /// Does one batch; returns false after the last.
    fn turn(&mut self) -> bool {
        let Ok(first) = self.receiver.recv() else { return false };
        let mut gathered = Gathered::default();
        let mut next = Some(first);
        while let Some(message) = next {
            self.shared.queue().took(message.bytes());
            if let Some(message) = gathered.add(message) {
                self.batch(std::mem::take(&mut gathered.batch));
                return self.special(message);
            }
            next = if gathered.is_full() { None } else { self.receiver.try_recv().ok() };
        }
        self.batch(gathered.batch);
        true
    }

    /// Handles what does not go into a batch; returns false at the end.
    fn special(&mut self, message: Message) -> bool {
        match message {
            Message::Pause { paused, resume } => {
                if paused.send(()).is_ok() {
                    resume.wait();
                }
                true
            }
            _ => false,
        }
    }

    fn batch(&mut self, batch: Vec<Message>) {
        if batch.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let _poison = watch(&shared);
        self.try_space();
        if let Err(poisoned) = self.shared.poison.check() {
            refuse(&self.shared, batch, &poisoned);
            return;
        }
        if let Err((batch, cause)) = self.settle(batch) {
            self.not_done(batch, cause);
        }
    }

    /// Applies a batch and tells everybody; gives it back if nothing took effect.
    fn settle(&self, batch: Vec<Message>) -> Result<(), (Vec<Message>, StorageError)> {
        let _poison = watch(&self.shared);
        let (planned, applied) = self.apply(&batch);
        match applied {
            Ok(()) => deliver(&self.shared, batch, planned),
            Err(ApplyError::Indeterminate(cause)) => self.poison(batch, cause),
            Err(ApplyError::NotDone(cause)) => return Err((batch, cause)),
        }
        Ok(())
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
        if batch.len() == 1 && (was_low || !is_full) {
            return self.refuse_not_done(batch, cause);
        }
        for message in batch {
            if let Err((batch, cause)) = self.settle(vec![message]) {
                self.refuse_not_done(batch, cause);
            }
        }
    }

    fn refuse_not_done(&self, batch: Vec<Message>, cause: StorageError) {
        let error = cause.into_error(format!("writing {}", self.shared.storage.path()));
        refuse(&self.shared, batch, &error);
    }

    /// Fail-stop: after a failed sync nobody knows what the disk holds, and trying again would only hide that.
    fn poison(&self, batch: Vec<Message>, cause: StorageError) {
        let cause = cause.into_error(format!("writing {}", self.shared.storage.path()));
        self.shared.poison.set(cause.to_string());
        let message = format!("{cause}; open the store again and ask what became of it");
        refuse(&self.shared, batch, &Error::new(ErrorKind::Indeterminate, message).caused_by(cause));
    }

    /// Decides a batch and makes it durable.
    ///
    /// A crash before the commit's last sync returns: nothing of the batch happened, and nobody was told otherwise. After
    /// it: all of the batch is durable, and some callers may not have heard; they ask again and find it.
    fn apply(&self, batch: &[Message]) -> (Vec<Planned>, Result<(), ApplyError>) {
        let shared = &self.shared;
        let started = shared.clock().monotonic();
        let now = shared.now();
        let (planned, changes) = match shared.storage.read(|reader| {
            let admission = Admission { counts: shared.storage.counts(), refuse_new: self.low_space.is_some() };
            let mut plan = Plan::new(reader, &shared.settings, now, shared.storage.next_token(), admission);
            let planned = batch.iter().map(|message| self.plan(&mut plan, message, now)).collect();
            Ok((planned, plan.into_batch()))
        }) {
            Ok(decided) => decided,
            Err(cause) => return (Vec::new(), Err(ApplyError::NotDone(cause))),
        };
        let Some(changes) = changes else { return (planned, Ok(())) };
        let applied = shared.storage.apply(&changes);
        shared.stats.committed(batch.len(), shared.clock().monotonic().saturating_sub(started), applied.is_ok());
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
        let due = self.shared.storage.due(now.wall, after, limit);
        Ok(plan.sweep(due.map_err(|error| error.into_error("sweeping"))?, limit))
    }

    /// While the disk is full: looks now and then whether there is space again.
    fn try_space(&mut self) {
        let Some(tried) = self.low_space else { return };
        let now = self.shared.clock().monotonic();
        if now.saturating_sub(tried) >= SPACE_CHECK {
            let is_filled = self.shared.storage.reserve().fill();
            self.low_space = (!is_filled).then_some(now);
        }
    }
}

fn watch(shared: &Shared) -> PoisonOnPanic<'_> {
    PoisonOnPanic { shared, thread: "writer" }
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
            _ => (),
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
    let _poison = watch(shared);
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
