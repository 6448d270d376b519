//! Contenders that take turns. The speed of a disk drifts by a factor of fifty within minutes, so only figures from the
//! same minute compare: each contender works for a slice of time, then the next one does, and medians over the rounds count.

use super::Spread;
use idemstore::Store;
use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// What was done in a slice.
#[derive(Clone, Copy)]
pub struct Slice {
    pub payments: u64,
    pub took: Duration,
    /// Syncs and bytes written, and commands that shared a commit, where they are known.
    pub io: Option<Io>,
}

#[derive(Clone, Copy)]
pub struct Io {
    pub syncs: u64,
    pub bytes: u64,
    pub commits: u64,
}

impl Slice {
    fn per_second(&self) -> f64 {
        self.payments as f64 / self.took.as_secs_f64()
    }
}

type Work<'w> = Box<dyn FnMut(Duration) -> Slice + 'w>;

/// One of those who take turns.
pub struct Contender<'w> {
    name: String,
    work: Work<'w>,
    slices: Vec<Slice>,
}

impl<'w> Contender<'w> {
    pub fn new(name: impl Into<String>, work: impl FnMut(Duration) -> Slice + 'w) -> Self {
        Self { name: name.into(), work: Box::new(work), slices: Vec::new() }
    }

    fn rate(&self) -> Spread {
        Spread::of(self.slices.iter().map(Slice::per_second))
    }
}

/// Lets everybody work in turn (and once before, unmeasured), then prints a table. The first contender is the yardstick.
pub fn run(title: &str, rounds: usize, slice: Duration, mut contenders: Vec<Contender<'_>>) {
    for contender in &mut contenders {
        (contender.work)(slice / 4);
    }
    for _ in 0..rounds {
        for contender in &mut contenders {
            let slice = (contender.work)(slice);
            contender.slices.push(slice);
        }
    }
    println!("\n{title} ({rounds} alternating slices of {slice:?})");
    println!(
        "{:<34} {:>10} {:>17} {:>7} {:>8} {:>10} {:>9}",
        "", "payments/s", "least..most", "ratio", "syncs/p", "bytes/p", "p/commit"
    );
    for contender in &contenders {
        print_row(contender, &contenders[0]);
    }
}

fn print_row(contender: &Contender<'_>, yardstick: &Contender<'_>) {
    let rate = contender.rate();
    // Round by round: neighbours in time.
    let ratios = contender.slices.iter().zip(&yardstick.slices).map(|(own, other)| own.per_second() / other.per_second());
    let ratio = Spread::of(ratios).median;
    let payments: u64 = contender.slices.iter().map(|slice| slice.payments).sum();
    let total = |of: fn(&Io) -> u64| {
        let each: Option<Vec<u64>> = contender.slices.iter().map(|slice| slice.io.as_ref().map(of)).collect();
        each.map(|each| each.iter().sum::<u64>() as f64)
    };
    let per_payment = |of: fn(&Io) -> u64, digits: usize| {
        total(of).map_or_else(|| "-".to_owned(), |sum| format!("{:.digits$}", sum / payments as f64))
    };
    let per_commit = match total(|io| io.commits) {
        Some(commits) if commits > 0.0 => format!("{:.1}", payments as f64 / commits),
        _ => "-".to_owned(),
    };
    println!(
        "{:<34} {:>10.0} {:>17} {ratio:>6.2}x {:>8} {:>10} {per_commit:>9}",
        contender.name,
        rate.median,
        format!("{:.0}..{:.0}", rate.min, rate.max),
        per_payment(|io| io.syncs, 3),
        per_payment(|io| io.bytes, 0),
    );
}

/// Runs `work` over and over on `callers` threads at once, for a slice of time; returns how often it ran and how long it took.
pub fn callers(callers: usize, slice: Duration, work: impl Fn() + Sync) -> (u64, Duration) {
    let start = Barrier::new(callers + 1);
    thread::scope(|scope| {
        let one = || {
            start.wait();
            let deadline = Instant::now() + slice;
            let mut done = 0;
            while Instant::now() < deadline {
                work();
                done += 1;
            }
            done
        };
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(one)).collect();
        start.wait();
        let started = Instant::now();
        let done = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        (done, started.elapsed())
    })
}

/// A slice of payments through a store.
pub fn store_slice(store: &Store, count: usize, slice: Duration) -> Slice {
    let (request, payload) = (super::load::request(), super::load::payload());
    let before = store.stats().unwrap();
    let (payments, took) = callers(count, slice, || super::load::pay(store, request, &payload));
    let after = store.stats().unwrap();
    let io = Io {
        syncs: after.io.syncs - before.io.syncs,
        bytes: after.io.bytes_written - before.io.bytes_written,
        commits: after.commits.count - before.commits.count,
    };
    Slice { payments, took, io: Some(io) }
}
