//! A slice of time in which callers work at once.

use crate::{
    figures::percentile,
    load::{self, Dice, REQUEST, Recent},
    system::{Answer, Awaited, Caller},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
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
        Self::started(Instant::now(), slice)
    }

    fn started(started: Instant, slice: Duration) -> Self {
        Self { started, slice, latencies: Vec::new() }
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

    pub async fn time_awaiting(&mut self, work: impl Future<Output = ()>) {
        let started = Instant::now();
        work.await;
        self.latencies.push(started.elapsed());
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn into_latencies(self) -> Vec<Duration> {
        self.latencies
    }
}

/// Has this thread do the same over and over until the slice is over.
pub fn run_one(slice: Duration, mut work: impl FnMut()) -> Slice {
    let mut watch = Stopwatch::start(slice);
    while watch.is_running() {
        watch.time(&mut work);
    }
    let took = watch.elapsed();
    Slice::of([watch.into_latencies()], took)
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

/// As [`run`], with callers that are tasks of this thread.
pub fn run_tasks(system: &dyn Awaited, count: usize, slice: Duration, work: &impl AsyncFn(&mut Dice)) -> Slice {
    let seed = load::new_number();
    // One clock for all: where nothing has to be waited for, a task does not let go of the thread before the slice is over.
    let started = Instant::now();
    let one = async |number: usize| {
        let mut dice = Dice::new(seed.wrapping_add((number as u64) << 20));
        let mut watch = Stopwatch::started(started, slice);
        while watch.is_running() {
            watch.time_awaiting(work(&mut dice)).await;
        }
        watch.into_latencies()
    };
    let tasks: FuturesUnordered<_> = (0..count).map(&one).collect();
    let mut latencies: Vec<_> = Vec::new();
    system.block_on(pin!(async { latencies = tasks.collect().await }));
    Slice::of(latencies, started.elapsed())
}

/// Runs a future on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// As [`pay`], awaited.
pub async fn pay_awaiting(system: &dyn Awaited, recent: &Recent) {
    let number = load::new_number();
    system.pay(&load::id(number), &REQUEST, &load::payload(number)).await;
    recent.push(number);
}

/// As [`replay`], awaited.
pub async fn replay_awaiting(system: &dyn Awaited, recent: &Recent, dice: &mut Dice) {
    let number = recent.pick(dice);
    check_replay(number, system.begin(&load::id(number), &REQUEST).await);
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
    check_replay(number, caller.begin(&load::id(number), &REQUEST));
}

fn check_replay(number: u64, answer: Answer) {
    match answer {
        Answer::Replay(payload) => assert_eq!(payload, load::payload(number)),
        other => panic!("a completed payment is replayed, not {other:?}"),
    }
}
