//! What travels from callers to the writer thread.

use crate::{
    Error, ErrorKind, FencingToken, Key, Result,
    limits::{QUEUE_BYTES_MAX, QUEUE_COMMANDS_MAX},
    shared::Shared,
    storage::{Position, Seen},
    sync::{
        promise::{Fulfil, Promise},
        queue::{self, Receiver, Sender, TrySendError},
    },
    transition::{Answer, Command},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Told the result once it is durable. Runs on the thread that wrote, so it only hands over.
pub(crate) type Reply<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// One thing that the writer is asked to do.
pub(crate) enum Message {
    Command(Request),
    Sweep {
        after: Option<Position>,
        limit: usize,
        reply: Reply<SweepStep>,
    },
    #[cfg(feature = "ndjson")]
    Import {
        records: Vec<(Key, crate::Record)>,
        reply: Reply<ImportStep>,
    },
    /// Holds the writer up between two batches until `resume` is fulfilled or dropped.
    Pause {
        paused: Fulfil<()>,
        resume: Promise<()>,
    },
    Shutdown,
}

/// A command on one key.
pub(crate) struct Request {
    pub(crate) key: Key,
    pub(crate) command: Command,
    /// For the audit row of a resolution.
    pub(crate) reason: Option<String>,
    /// What the caller has found already.
    pub(crate) seen: Option<Seen>,
    pub(crate) reply: Reply<Claim>,
}

/// An answer on its way to its caller. A fresh grant that nobody receives frees its key: nothing can have happened under it.
pub(crate) struct Claim {
    answer: Answer,
    unclaimed: Option<Unclaimed>,
}

struct Unclaimed {
    shared: Arc<Shared>,
    key: Key,
    token: FencingToken,
}

/// One step of a sweep.
#[derive(Clone, Debug, Default)]
pub(crate) struct SweepStep {
    pub(crate) examined: u64,
    pub(crate) removed: u64,
    pub(crate) paused: bool,
    pub(crate) next: Option<Position>,
}

/// One step of an import.
#[cfg(feature = "ndjson")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ImportStep {
    pub(crate) imported: u64,
    pub(crate) known: u64,
    pub(crate) conflicts: u64,
}

impl Claim {
    pub(crate) fn new(shared: &Arc<Shared>, key: &Key, answer: Answer) -> Self {
        let unclaimed = match &answer {
            Answer::Fresh(grant) => Some(Unclaimed { shared: shared.clone(), key: key.clone(), token: grant.token }),
            _ => None,
        };
        Self { answer, unclaimed }
    }

    /// Takes the answer; from here on the caller is responsible for the grant.
    pub(crate) fn claim(mut self) -> Answer {
        if let Some(unclaimed) = self.unclaimed.take() {
            unclaimed.disarm();
        }
        self.answer
    }
}

impl Unclaimed {
    fn disarm(mut self) {
        // A token that no record has: the drop below then does nothing.
        self.token = FencingToken::new(0);
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if self.token.get() > 0 {
            let command = Command::Release { token: self.token };
            let request = Request { key: self.key.clone(), command, reason: None, seen: None, reply: Box::new(|_| ()) };
            // If there is no room, the lease lapses instead, which is slower and as safe.
            let _ = self.shared.queue().try_send(Message::Command(request));
        }
    }
}

impl Message {
    /// The memory that the message holds on to, roughly.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Command(request) => {
                let seen = request.seen.as_ref().and_then(|seen| seen.record.as_ref());
                let own = match &request.command {
                    Command::End { payload, .. } => payload.len(),
                    Command::Resolve { ending: Some(ending), .. } => ending.payload.len(),
                    _ => 0,
                };
                own + seen.map_or(0, |record| record.payload.len())
            }
            #[cfg(feature = "ndjson")]
            Self::Import { records, .. } => records.iter().map(|(_, record)| record.payload.len()).sum(),
            _ => 0,
        }
    }
}

/// The sending side of the queue: bounded in messages and in bytes.
///
/// What lies in a channel stays there when its reader goes, and whoever waits for the answer would wait for ever. So the
/// queue keeps a reader of its own, for the time after the writer: the writer marks its end and then drops what is queued;
/// a sender looks for the mark after it has sent and drops what is queued then. One of the two sees the other.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Sender<Message>,
    leftovers: Receiver<Message>,
    has_writer: AtomicBool,
    bytes: AtomicUsize,
    /// Messages from before they are queued until they are settled.
    pending: AtomicUsize,
    closed: AtomicBool,
}

impl Queue {
    pub(crate) fn new() -> (Self, Receiver<Message>) {
        let (sender, receiver) = queue::bounded(QUEUE_COMMANDS_MAX);
        let leftovers = receiver.clone();
        let (bytes, pending) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (closed, has_writer) = (AtomicBool::new(false), AtomicBool::new(true));
        (Self { sender, leftovers, has_writer, bytes, pending, closed }, receiver)
    }

    /// Queues a message if there is room.
    pub(crate) fn try_send(&self, message: Message) -> Result<()> {
        self.push(message, |message| self.sender.try_send(message).map_err(|error| refusal(&error)))
    }

    /// Queues a message, waiting for room at most `timeout`.
    pub(crate) fn send(&self, message: Message, timeout: Duration) -> Result<()> {
        self.push(message, |message| queue::send(&self.sender, message, timeout).map_err(|error| refusal(&error)))
    }

    /// Ends the queue: what is in it is still done, then the writer stops.
    pub(crate) fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            // Only wakes a writer that waits for work. If there is no room it is at work, and sees the mark when it is through.
            let _ = self.sender.try_send(Message::Shutdown);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The writer is gone: what is queued, and what will be, is dropped, which tells its callers.
    pub(crate) fn writer_ended(&self) {
        self.has_writer.store(false, Ordering::SeqCst);
        self.drop_leftovers();
    }

    fn drop_leftovers(&self) {
        while let Ok(message) = self.leftovers.try_recv() {
            self.took(message.bytes());
            drop(message);
        }
    }

    /// Gives back the room of messages that the writer took.
    pub(crate) fn took(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Returns whether there is a message that is not settled yet.
    pub(crate) fn has_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst) > 0
    }

    /// Notes that messages which were queued are settled.
    pub(crate) fn settled(&self, messages: usize) {
        self.pending.fetch_sub(messages, Ordering::SeqCst);
    }

    fn push(&self, message: Message, send: impl FnOnce(Message) -> Result<()>) -> Result<()> {
        if self.is_closed() {
            return Err(closed());
        }
        let bytes = message.bytes();
        if self.bytes.fetch_add(bytes, Ordering::AcqRel) + bytes > QUEUE_BYTES_MAX {
            self.took(bytes);
            return Err(busy("payloads"));
        }
        self.pending.fetch_add(1, Ordering::SeqCst);
        send(message).inspect_err(|_| {
            self.settled(1);
            self.took(bytes);
        })?;
        if !self.has_writer.load(Ordering::SeqCst) {
            // This message too, unless the writer was quick: either way its caller hears of it.
            self.drop_leftovers();
        }
        Ok(())
    }
}

fn refusal(error: &TrySendError<Message>) -> Error {
    match error {
        TrySendError::Full(_) => busy("commands"),
        TrySendError::Disconnected(_) => closed(),
    }
}

fn busy(what: &str) -> Error {
    Error::new(ErrorKind::Busy, format!("too many {what} wait for the writer: retry later"))
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed")
}
