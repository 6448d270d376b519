//! What all handles and threads of one open store share.

use crate::{
    Clock, Error, ErrorKind, Result, Timestamp,
    options::Settings,
    pen::Pen,
    poison::Poison,
    queue::{Claim, Message, Queue, Reply, Request, closed},
    record::Holder,
    stats::StatsCell,
    storage::{ApplyError, Seen, Storage},
    sync::{Mutex, promise::Promise},
    time::{ClockGuard, millis},
    timer::Timer,
    transition::{self, Answer, Change, Command, Now},
    waiters::Waiters,
    writer,
};
use std::{sync::Arc, time::Duration};

/// The store without its threads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) storage: Storage,
    pub(crate) settings: Settings,
    pub(crate) poison: Poison,
    pub(crate) pen: Mutex<Pen>,
    pub(crate) stats: StatsCell,
    pub(crate) waiters: Waiters,
    pub(crate) timer: Timer,
    queue: Queue,
    clock: Arc<dyn Clock>,
    guard: Mutex<ClockGuard>,
    /// The monotonic time of the open.
    origin: Duration,
}

impl Shared {
    pub(crate) fn new(storage: Storage, settings: Settings, clock: Arc<dyn Clock>, queue: Queue) -> Self {
        let origin = clock.monotonic();
        let guard = ClockGuard::new(settings.clock, Some(storage.high_water()), clock.wall(), origin);
        Self {
            storage,
            settings,
            poison: Poison::default(),
            pen: Mutex::new(Pen::new(origin)),
            stats: StatsCell::default(),
            waiters: Waiters::default(),
            timer: Timer::default(),
            queue,
            clock,
            guard: Mutex::new(guard),
            origin,
        }
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Returns the instant at which something is decided.
    pub(crate) fn now(&self) -> Now {
        let mut guard = self.guard.lock();
        // Under the lock, so that of two callers the later one never brings the older reading.
        let monotonic = self.clock.monotonic();
        let wall = guard.observe(self.clock.wall(), monotonic);
        let monotonic_ms = millis(monotonic.saturating_sub(self.origin));
        let holder = Holder { incarnation: self.storage.incarnation(), is_remote: self.settings.remote_holders };
        Now { wall, monotonic_ms, holder }
    }

    /// Returns how far the wall clock is ahead of what can be believed.
    pub(crate) fn clock_doubted(&self) -> Option<Duration> {
        self.guard.lock().doubted()
    }

    /// Believes the wall clock.
    pub(crate) fn accept_clock(&self) -> Timestamp {
        self.guard.lock().accept(self.clock.wall());
        self.now().wall
    }

    /// Refuses an operation on a closed or poisoned store.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.queue.is_closed() {
            return Err(closed());
        }
        self.poison.check()
    }

    /// Answers from the stored record alone, if the command changes nothing. The record that is read is durable and was
    /// current at some instant during the call, which is all that the writer could say as well.
    /// Otherwise returns what it saw, for the writer.
    pub(crate) fn peek(&self, key: &crate::Key, command: &Command) -> Result<std::result::Result<Answer, Seen>> {
        let now = self.now();
        let seen = self.storage.look(key);
        let seen = seen.map_err(|error| error.into_error(format!("reading {key}")))?;
        let unused = crate::FencingToken::new(0);
        let decision = transition::decide(seen.record.as_deref(), command, now, unused);
        Ok(if decision.change == Change::Keep { Ok(decision.answer) } else { Err(seen) })
    }

    /// Hands a command to the writer, or is the writer for it; `patience` is how long to wait for room.
    pub(crate) fn submit(
        self: &Arc<Self>,
        key: &crate::Key,
        command: Command,
        reason: Option<String>,
        seen: Option<Seen>,
        patience: Patience,
    ) -> Result<Promise<Result<Claim>>> {
        self.check_writable()?;
        let (fulfil, promise) = crate::sync::promise::promise();
        // Nobody to receive it: the claim is dropped, and frees what it granted.
        let reply = Box::new(move |result| drop(fulfil.send(result)));
        let message = Message::Command(Request { key: key.clone(), command, reason, seen, reply });
        let left = if patience == Patience::Queue { writer::lead(self, message) } else { Some(message) };
        left.map_or(Ok(()), |message| self.send(message, patience))?;
        Ok(promise)
    }

    /// Hands a message to the writer and blocks until it replies.
    pub(crate) fn ask<T: Send + 'static>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T> {
        self.check_writable()?;
        let (fulfil, promise) = crate::sync::promise::promise();
        self.send(message(Box::new(move |result| drop(fulfil.send(result)))), Patience::Queue)?;
        promise.wait().unwrap_or_else(|| Err(self.broken_promise()))
    }

    /// Hands anything to the writer.
    pub(crate) fn send(&self, message: Message, patience: Patience) -> Result<()> {
        let sent = match patience {
            Patience::None => self.queue.try_send(message),
            Patience::Queue => self.queue.send(message, self.settings.queue_wait),
        };
        sent.map_err(|error| self.poison.check().err().unwrap_or(error))
    }

    /// Refuses all writes from here on, and sends away those who wait for one.
    pub(crate) fn stop_writing(&self, reason: impl Into<String>) {
        self.poison.set(reason);
        self.waiters.clear();
    }

    /// The checkpoint thread.
    pub(crate) fn run_checkpoints(&self) {
        let _stop = StopOnPanic { shared: self, what: "the checkpoint thread" };
        if let Err(cause) = self.storage.run_checkpoints(|removed| self.stats.swept(removed)) {
            self.stop_writing(cause.into_error(format!("writing {}", self.storage.path())).to_string());
        }
    }

    /// Makes the public error of a write that did not go through the writer; stops all writes if nobody knows what came of it.
    pub(crate) fn failed_to_write(&self, context: &str, error: ApplyError) -> Error {
        let error = self.poisoned_by(context, error);
        self.dismiss_if_poisoned();
        error
    }

    /// As [`failed_to_write`](Self::failed_to_write), for whoever holds the pen: waiters are sent away later.
    pub(crate) fn poisoned_by(&self, context: &str, error: ApplyError) -> Error {
        let is_indeterminate = matches!(error, ApplyError::Indeterminate(_));
        let error = error.into_error(format!("{context} {}", self.storage.path()));
        if is_indeterminate {
            self.poison.set(error.to_string());
        }
        error
    }

    /// Sends away those who wait, if there is nothing to wait for any more. Runs their wakers.
    pub(crate) fn dismiss_if_poisoned(&self) {
        if self.poison.check().is_err() {
            self.waiters.clear();
        }
    }

    /// What a promise means that nobody fulfilled.
    pub(crate) fn broken_promise(&self) -> Error {
        match self.poison.reason() {
            None if self.queue.is_closed() => closed(),
            reason => {
                let reason = reason.unwrap_or_else(|| "its writer is gone".into());
                Error::new(ErrorKind::Indeterminate, format!("the store stopped before it answered: {reason}"))
            }
        }
    }
}

/// Stops all writes if the thread that holds it panics: nobody would do its work, or know what came of it.
pub(crate) struct StopOnPanic<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) what: &'static str,
}

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if crate::sync::panicking() {
            self.shared.stop_writing(format!("{} panicked", self.what));
            // Renewals end when nothing drives them any more.
            self.shared.timer.close();
        }
    }
}

/// How long a submission waits for room in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all: the caller must not block.
    None,
    /// As the options say.
    Queue,
}
