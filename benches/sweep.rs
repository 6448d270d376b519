//! How fast expired records go, and what callers notice of it.
//!
//! `cargo bench --bench sweep [-- --quick] [-- background|by-hand]`. From the environment: `IDEMSTORE_BENCH_EXPIRED` (100,000),
//! `IDEMSTORE_BENCH_SWEEP_BATCH` (16).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, unreachable_pub)]

mod support;

use idemstore::{Options, Store};
use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use support::{Call, Spread, clock::LeapClock, env_or, load, percentile};

const CALLERS: usize = 8;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// A sweep may raise the 99th percentile of begins this much.
const P99_FACTOR_MAX: f64 = 3.0;

/// A sweep in the background that removes nothing for that long has done what it does by itself. It leaves a run alone of which
/// less than half has expired.
const DONE: Duration = Duration::from_millis(500);

/// Who sweeps.
#[derive(Clone, Copy, PartialEq)]
enum Sweeper {
    Background,
    ByHand,
}

fn main() {
    let call = Call::read();
    if !call.is_bench {
        return;
    }
    for (name, sweeper) in [("background", Sweeper::Background), ("by-hand", Sweeper::ByHand)] {
        if call.wants(name) {
            measure(name, sweeper, &call);
        }
    }
}

/// Quiet phases and phases with a sweep in turn. The expired records come in as many lots as there are rounds; each lot
/// expires when the wall clock leaps another hour.
fn measure(name: &str, sweeper: Sweeper, call: &Call) {
    let expired: u64 = env_or("IDEMSTORE_BENCH_EXPIRED", 100_000);
    let rounds = call.rounds(5) as u32;
    let (directory, clock) = (support::directory(), LeapClock::new());
    let path = directory.path().join("swept.idem");
    let options = Options::new().clock(clock.clone()).clock_jump_max(DAY).retention(30 * DAY).reserve_bytes(0);
    let started = Instant::now();
    // A cache for all of it, only to fill it faster.
    let filled = options.clone().cache_bytes(2 << 30).sweep_interval(None).create(&path).unwrap();
    for lot in 1..=rounds {
        load::fill(&filled, expired / u64::from(rounds), (lot * HOUR).saturating_sub(HOUR / 2));
    }
    filled.close().unwrap();
    drop(filled);
    println!("\nsweep, {name}: filled in {:.1?}", started.elapsed());
    let interval = (sweeper == Sweeper::Background).then_some(Duration::from_millis(10));
    let step = env_or("IDEMSTORE_BENCH_SWEEP_BATCH", 16);
    let store = options.sweep_interval(interval).sweep_batch(step).open(&path).unwrap();

    let (mut quiet, mut swept, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for lot in 1..=u64::from(rounds) {
        let last = rates.last().map_or(Duration::from_secs(1), |&(_, took): &(f64, Duration)| took);
        let length = last.clamp(Duration::from_millis(500), Duration::from_secs(5));
        quiet.push(begins_during(&store, || thread::sleep(length)));
        let goal = lot * (expired / u64::from(rounds));
        let started = Instant::now();
        swept.push(begins_during(&store, || {
            clock.leap(HOUR);
            sweep(&store, sweeper, goal);
        }));
        let took = started.elapsed();
        assert_eq!(store.stats().unwrap().swept, goal, "the sweep did not do its work");
        rates.push(((expired / u64::from(rounds)) as f64 / took.as_secs_f64(), took));
    }
    report(expired, &quiet, &swept, rates.iter().map(|&(rate, _)| rate).collect());
}

fn sweep(store: &Store, sweeper: Sweeper, goal: u64) {
    match sweeper {
        Sweeper::ByHand => drop(store.sweep().unwrap()),
        Sweeper::Background => {
            let (mut swept, mut progressed) = (0, Instant::now());
            while swept < goal && progressed.elapsed() < DONE {
                thread::sleep(Duration::from_millis(5));
                let now = store.stats().unwrap().swept;
                if now > swept {
                    (swept, progressed) = (now, Instant::now());
                }
            }
            let _rest = store.sweep().unwrap();
        }
    }
}

/// How long each begin of the callers took while `during` ran, sorted. They complete what they begin, unmeasured.
fn begins_during(store: &Store, during: impl FnOnce()) -> Vec<Duration> {
    let (request, payload) = (load::request(), load::payload());
    let (start, is_over) = (Barrier::new(CALLERS + 1), AtomicBool::new(false));
    let caller = || {
        start.wait();
        let mut took = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let key = load::new_key();
            let started = Instant::now();
            let lease = load::fresh(store.begin(&key, request).unwrap());
            took.push(started.elapsed());
            lease.complete(&payload).unwrap();
        }
        took
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        start.wait();
        during();
        is_over.store(true, Ordering::Relaxed);
        let mut all: Vec<Duration> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        all.sort();
        all
    })
}

fn report(expired: u64, quiet: &[Vec<Duration>], swept: &[Vec<Duration>], rates: Vec<f64>) {
    let rate = Spread::of(rates);
    println!("{expired} expired records, {} alternating phases, {CALLERS} callers", quiet.len());
    println!(
        "{:<10} {:.0} records/s ({:.0}..{:.0}) while the callers begin and complete",
        "rate", rate.median, rate.min, rate.max
    );
    for (title, phases) in [("quiet", quiet), ("sweeping", swept)] {
        let begins: usize = phases.iter().map(Vec::len).sum();
        let of = |percent| Spread::of(phases.iter().map(|phase| percentile(phase, percent).as_secs_f64() * 1e3));
        let (p50, p99) = (of(50), of(99));
        println!(
            "{title:<10} begins {begins:>7}   p50 {:>7.3} ms ({:.3}..{:.3})   p99 {:>7.3} ms ({:.3}..{:.3})",
            p50.median, p50.min, p50.max, p99.median, p99.min, p99.max
        );
    }
    let factor = |percent| {
        let pairs = quiet.iter().zip(swept);
        Spread::of(pairs.map(|(q, s)| percentile(s, percent).as_secs_f64() / percentile(q, percent).as_secs_f64()))
    };
    let (p50, p99) = (factor(50), factor(99));
    let verdict = if p99.median <= P99_FACTOR_MAX { "within" } else { "ABOVE" };
    println!(
        "sweeping / quiet: p50 {:.2}x, p99 {:.2}x ({:.2}..{:.2}): {verdict} the limit of {P99_FACTOR_MAX}x",
        p50.median, p99.median, p99.min, p99.max
    );
}
