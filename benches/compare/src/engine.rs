//! Engines that live in this process, and the two ways to use one: a transaction for each step, or one for all steps that
//! wait (group commit).

mod direct;
mod grouped;

pub use direct::Direct;
pub use grouped::Grouped;

use crate::{
    load::{REQUEST, Request, id, payload},
    record::{Command, Record, Step},
    system::{Answer, Io},
};
use std::time::Instant;

/// Payments per transaction while an engine is filled.
const FILL: u64 = 50_000;

/// An embedded database.
pub trait Engine: Send + Sync {
    /// Does all steps in one transaction, which is durable when this returns.
    fn transact(&self, commands: &[Command]) -> Vec<Answer>;

    /// Returns a way to look keys up that one thread uses.
    fn reader(&self) -> Box<dyn Reader + '_>;

    /// Returns how many writes waited for the disk without a call that syncs, so far.
    fn synced_writes(&self) -> u64 {
        0
    }
}

/// Looks keys up.
pub trait Reader: Send {
    fn get(&mut self, id: &str) -> Option<Record>;

    /// The answer for a key that is known: no transaction that writes is needed to find it.
    fn answer(&mut self, id: &str, request: &Request) -> Option<Answer> {
        self.get(id).map(|record| record.answer(request))
    }
}

/// What an engine wrote so far.
fn io(engine: &dyn Engine) -> Io {
    let io = Io::of_this_process();
    Io { syncs: io.syncs.map(|syncs| syncs + engine.synced_writes()), ..io }
}

/// Makes `records` payments.
pub fn fill(engine: &dyn Engine, records: u64) {
    for first in (0..records).step_by(usize::try_from(FILL).expect("a small number")) {
        let numbers = || first..records.min(first + FILL);
        let begins = numbers().map(|number| Command { id: id(number), step: Step::Begin(REQUEST) });
        let ends = numbers().map(|number| Command { id: id(number), step: Step::Complete(payload(number).into()) });
        engine.transact(&begins.chain(ends).collect::<Vec<_>>());
    }
}

/// Says how long filling took.
pub fn timed<T>(name: &str, records: u64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    println!("{name}: {records} records loaded in {:.1?}", started.elapsed());
    result
}
