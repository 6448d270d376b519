//! Group commit: one thread writes, and whatever has queued up while it did becomes its next transaction.

use super::{Engine, Reader, io};
use crate::{
    load::Request,
    record::{Command, Step},
    system::{Answer, Caller, Io, System},
};
use std::{
    iter,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// As idemstore's: commands that wait, and commands in one commit.
const QUEUE: usize = 4096;
const BATCH: usize = 1024;
const PATIENCE: Duration = Duration::from_mins(1);

struct Waiting {
    command: Command,
    done: SyncSender<Answer>,
}

pub struct Grouped {
    engine: Arc<dyn Engine>,
    queue: Option<SyncSender<Waiting>>,
    writer: Option<JoinHandle<()>>,
}

impl Grouped {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        let (queue, waiting) = sync_channel(QUEUE);
        let writes = engine.clone();
        let thread = thread::spawn(move || write(&*writes, &waiting));
        Self { engine, queue: Some(queue), writer: Some(thread) }
    }
}

impl Drop for Grouped {
    fn drop(&mut self) {
        // The writer ends when nobody can send any more.
        self.queue.take();
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

fn write(engine: &dyn Engine, waiting: &Receiver<Waiting>) {
    while let Ok(first) = waiting.recv() {
        let group = iter::once(first).chain(waiting.try_iter().take(BATCH - 1));
        let (commands, callers): (Vec<_>, Vec<_>) = group.map(|one| (one.command, one.done)).unzip();
        for (done, answer) in callers.iter().zip(engine.transact(&commands)) {
            // Nobody waits any more if the benchmark is failing.
            let _ = done.send(answer);
        }
    }
}

struct GroupedCaller<'e> {
    reader: Box<dyn Reader + 'e>,
    queue: SyncSender<Waiting>,
    done: SyncSender<Answer>,
    is_done: Receiver<Answer>,
}

impl System for Grouped {
    fn caller(&self) -> Box<dyn Caller + '_> {
        let queue = self.queue.clone().expect("the writer runs until the drop");
        let (done, is_done) = sync_channel(1);
        Box::new(GroupedCaller { reader: self.engine.reader(), queue, done, is_done })
    }

    fn io(&self) -> Io {
        io(&*self.engine)
    }
}

impl GroupedCaller<'_> {
    fn run(&self, id: &str, step: Step) -> Answer {
        let command = Command { id: id.to_owned(), step };
        self.queue.send(Waiting { command, done: self.done.clone() }).expect("the writer runs");
        // Longer than any commit takes, so that a writer that panicked does not leave everybody waiting.
        self.is_done.recv_timeout(PATIENCE).expect("the writer answers")
    }
}

impl Caller for GroupedCaller<'_> {
    fn begin(&mut self, id: &str, request: &Request) -> Answer {
        let known = self.reader.answer(id, request);
        known.unwrap_or_else(|| self.run(id, Step::Begin(*request)))
    }

    fn complete(&mut self, id: &str, payload: &[u8]) {
        assert_eq!(self.run(id, Step::Complete(payload.to_vec())), Answer::Done);
    }
}
