//! What is compared: anything that can be asked "may I run this?" and told how it ended.

use crate::{load::Request, process, syncs};
use std::{future::Future, pin::Pin};

/// An answer to a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The key is the caller's from now on, durably.
    Fresh,
    /// Somebody else's payment is running.
    Running,
    /// The payment completed with this payload.
    Replay(Vec<u8>),
    /// The key was used for another request.
    Mismatch,
    /// The outcome is stored, durably.
    Done,
}

/// A system, filled and running.
pub trait System: Send + Sync {
    /// Returns somebody who makes payments, with a connection if that takes one.
    fn caller(&self) -> Box<dyn Caller + '_>;

    /// Returns the system as one that can be awaited, if its callers are to be tasks of one thread instead of threads.
    fn awaited(&self) -> Option<&dyn Awaited> {
        None
    }

    /// Returns what was written so far, as far as it is known.
    fn io(&self) -> Io {
        Io::of_this_process()
    }

    /// Whether its syncs are calls of this process, so that they can be counted and slowed down.
    fn syncs_here(&self) -> bool {
        true
    }
}

/// One of those who pay at the same time.
pub trait Caller: Send {
    /// Claims the key unless it is known.
    fn begin(&mut self, id: &str, request: &Request) -> Answer;

    /// Stores the outcome of a payment that this caller began last.
    fn complete(&mut self, id: &str, payload: &[u8]);

    /// Brings figures up to date, outside of what is measured.
    fn settle(&mut self) {}
}

/// What a task awaits.
pub type Awaiting<'s, T> = Pin<Box<dyn Future<Output = T> + 's>>;

/// A system that many tasks of one thread use, as in an asynchronous server.
pub trait Awaited {
    /// Runs the tasks on this thread, and with them what the system itself has to be run for.
    fn block_on(&self, tasks: Pin<&mut dyn Future<Output = ()>>);

    /// Claims a new key and stores the outcome.
    fn pay<'s>(&'s self, id: &'s str, request: &'s Request, payload: &'s [u8]) -> Awaiting<'s, ()>;

    /// Claims the key unless it is known.
    fn begin<'s>(&'s self, id: &'s str, request: &'s Request) -> Awaiting<'s, Answer>;
}

/// Counts since the start, or between two points in time. What is not known is not guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    pub syncs: Option<u64>,
    /// Bytes handed to the operating system for files.
    pub bytes: Option<u64>,
}

impl Io {
    pub fn of_this_process() -> Self {
        Self { syncs: Some(syncs::count()), bytes: process::bytes_written() }
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let between = |now: Option<u64>, then: Option<u64>| now?.checked_sub(then?);
        Self { syncs: between(self.syncs, earlier.syncs), bytes: between(self.bytes, earlier.bytes) }
    }
}
