//! A slice of time in which callers work at once.

use crate::{
    figures::percentile,
    load::{self, Dice, REQUEST, Recent},
    system::{Answer, Caller},
};
use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// What was done.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub done: u64,
    pub took: Duration,
    pub p50: Duration,
    pub p99: Duration,
}

impl Slice {
    /// Adds up the callers.
    pub fn of(latencies: impl IntoIterator<Item = Vec<Duration>>, took: Duration) -> Self {
        let mut all: Vec<Duration> = latencies.into_iter().flatten().collect();
        all.sort_unstable();
        Self { done: all.len() as u64, took, p50: percentile(&all, 50), p99: percentile(&all, 99) }
    }

    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }
}

/// Times one caller's work, each piece and until the slice is over.
pub struct Stopwatch {
    started: Instant,
    slice: Duration,
    latencies: Vec<Duration>,
}

impl Stopwatch {
    pub fn start(slice: Duration) -> Self {
        Self { started: Instant::now(), slice, latencies: Vec::new() }
    }

    /// At least once, so that a slow system has a figure.
    pub fn is_running(&self) -> bool {
        self.latencies.is_empty() || self.elapsed() < self.slice
    }

    pub fn time(&mut self, work: impl FnOnce()) {
        let started = Instant::now();
        work();
        self.latencies.push(started.elapsed());
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn into_latencies(self) -> Vec<Duration> {
        self.latencies
    }
}

/// Lets all callers work, over and over until the slice is over.
pub fn run<'s>(
    callers: &mut [Box<dyn Caller + 's>],
    slice: Duration,
    work: impl Fn(&mut (dyn Caller + 's), &mut Dice) + Sync,
) -> Slice {
    let start = Barrier::new(callers.len() + 1);
    let seed = load::new_number();
    let one = |caller: &mut (dyn Caller + 's), number: u64| {
        let mut dice = Dice::new(seed.wrapping_add(number << 20));
        start.wait();
        let mut watch = Stopwatch::start(slice);
        while watch.is_running() {
            watch.time(|| work(caller, &mut dice));
        }
        watch.into_latencies()
    };
    thread::scope(|scope| {
        let one = &one;
        let threads: Vec<_> =
            callers.iter_mut().zip(0..).map(|(caller, number)| scope.spawn(move || one(&mut **caller, number))).collect();
        start.wait();
        let started = Instant::now();
        let latencies: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        Slice::of(latencies, started.elapsed())
    })
}

/// One payment under a new key.
pub fn pay(caller: &mut dyn Caller, recent: &Recent) {
    let number = load::new_number();
    let id = load::id(number);
    assert_eq!(caller.begin(&id, &REQUEST), Answer::Fresh);
    caller.complete(&id, &load::payload(number));
    recent.push(number);
}

/// One request for a payment that was made before.
pub fn replay(caller: &mut dyn Caller, recent: &Recent, dice: &mut Dice) {
    let number = recent.pick(dice);
    match caller.begin(&load::id(number), &REQUEST) {
        Answer::Replay(payload) => assert_eq!(payload, load::payload(number)),
        other => panic!("a completed payment is replayed, not {other:?}"),
    }
}
