//! The writer thread gathers what has queued up, has it settled with one commit, and only then answers. While a commit runs
//! the next batch gathers, so N callers share a sync. A caller that is alone does not wait for the thread: it takes the
//! [pen](crate::pen) itself.

use crate::{
    Error,
    limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX},
    pen::{Settled, Told},
    queue::{Claim, Message},
    shared::{Shared, StopOnPanic},
    sync::{self, queue::Receiver},
    transition::Answer,
};
use std::{panic, sync::Arc};

/// Works until the queue is closed and empty.
pub(crate) fn run(shared: &Arc<Shared>, receiver: &Receiver<Message>) {
    // In this order: the reason is known before the callers are told.
    let _end = EndQueue(shared);
    let _stop = StopOnPanic { shared, what: "the writer thread" };
    let next = || if shared.queue().is_closed() { receiver.try_recv().ok() } else { receiver.recv().ok() };
    while let Some(first) = next() {
        turn(shared, receiver, first);
    }
}

/// Does a blocking caller's command on its own thread, if nobody else wants to write; otherwise gives it back.
///
/// What is queued goes first: a caller that has queued something and then blocks must find it done. `pending` counts from
/// before a message is queued until it is settled, so under the pen zero means that there is none. Whoever queues one from
/// here on finds the writer thread, which waits for the pen.
pub(crate) fn lead(shared: &Arc<Shared>, message: Message) -> Option<Message> {
    // Something that was unwinding before must not look like a panic in here.
    if sync::panicking() {
        return Some(message);
    }
    let Some(mut pen) = shared.pen.try_lock() else { return Some(message) };
    // The end of the writer thread takes the pen once: from then on the queue is closed for everybody who gets it.
    if !pen.is_quiet() || shared.queue().has_pending() || shared.queue().is_closed() {
        return Some(message);
    }
    // A panic has stopped the store by the time it arrives here, and the caller hears of it by its broken promise.
    let written = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let (settled, _) = pen.write(shared, vec![message]);
        drop(pen);
        tell(shared, settled);
    }));
    drop(written);
    None
}

/// Gathers a batch and does it.
fn turn(shared: &Arc<Shared>, receiver: &Receiver<Message>, first: Message) {
    let mut gathered = Gathered::default();
    let mut next = Some(first);
    while let Some(message) = next {
        shared.queue().took(message.bytes());
        if let Some(message) = gathered.add(message) {
            write(shared, std::mem::take(&mut gathered.batch));
            return handle_alone(shared, message);
        }
        next = if gathered.is_full() { None } else { receiver.try_recv().ok() };
    }
    write(shared, gathered.batch);
}

fn write(shared: &Arc<Shared>, mut batch: Vec<Message>) {
    while !batch.is_empty() {
        let (settled, rest) = shared.pen.lock().write(shared, batch);
        shared.queue().settled(settled.len());
        tell(shared, settled);
        batch = rest;
    }
}

/// Handles what does not go into a batch.
fn handle_alone(shared: &Shared, message: Message) {
    if let Message::Pause { paused, resume } = message {
        let nobody_writes = shared.pen.lock();
        if paused.send(()).is_ok() {
            resume.wait();
        }
        drop(nobody_writes);
        shared.queue().settled(1);
    }
}

/// Tells those whose commands are left in the queue, however the writer ends.
struct EndQueue<'s>(&'s Shared);

impl Drop for EndQueue<'_> {
    fn drop(&mut self) {
        self.0.queue().writer_ended();
        // A caller that still writes may need a checkpoint for that.
        drop(self.0.pen.lock());
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

/// Tells everybody what was settled.
fn tell(shared: &Arc<Shared>, settled: Settled) {
    // A waker of the caller's may panic.
    let _stop = StopOnPanic { shared, what: "what a caller had run when it was told" };
    shared.dismiss_if_poisoned();
    for (message, told) in settled {
        match (message, told) {
            (Message::Command(request), Told::Command(result)) => {
                let has_news = result.as_ref().is_ok_and(is_news);
                match &result {
                    Ok(answer) => shared.stats.answered(answer),
                    Err(error) => shared.stats.refused(error.kind()),
                }
                let key = request.key;
                (request.reply)(result.map(|answer| Claim::new(shared, &key, answer)));
                if has_news {
                    shared.waiters.wake_all(&key);
                }
            }
            (Message::Sweep { reply, .. }, Told::Sweep(result)) => {
                shared.stats.swept(result.as_ref().map_or(0, |step| step.removed));
                reply(result);
            }
            #[cfg(feature = "ndjson")]
            (Message::Import { reply, .. }, Told::Import(result)) => reply(result),
            (message, Told::Refused(error)) => refuse(shared, message, error),
            _ => (),
        }
    }
}

/// Whether waiters have something new to ask for.
fn is_news(answer: &Answer) -> bool {
    let is_over = matches!(answer, Answer::Ended(_) | Answer::Released | Answer::Resolved { .. });
    // They wait for the end of the lease as they know it.
    is_over || matches!(answer, Answer::Renewed { is_cut_short: true, .. })
}

/// Tells that nothing came of it.
fn refuse(shared: &Shared, message: Message, error: Error) {
    shared.stats.refused(error.kind());
    match message {
        Message::Command(request) => (request.reply)(Err(error)),
        Message::Sweep { reply, .. } => reply(Err(error)),
        #[cfg(feature = "ndjson")]
        Message::Import { reply, .. } => reply(Err(error)),
        Message::Pause { .. } | Message::Shutdown => (),
    }
}
