//! Payments per second, beside what the disk could do and what redb alone does; answers from memory; opening after a crash.
//!
//! `cargo bench --bench store [-- --quick] [-- payments|answers|slow-disk|open]`. From the environment:
//! `IDEMSTORE_BENCH_RECORDS` (preloaded, 20,000), `IDEMSTORE_BENCH_OPEN_RECORDS` (100,000), `IDEMSTORE_BENCH_DIR`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::cast_precision_loss, clippy::needless_pass_by_value, unreachable_pub)]

mod support;

use criterion::{Criterion, Throughput};
use idemstore::{Begin, Fingerprint, Options, Store};
use std::{
    fs,
    hint::black_box,
    path::Path,
    thread,
    time::{Duration, Instant},
};
use support::{
    Call, Spread,
    alternate::{self, Contender, store_slice},
    env_or,
    floor::Floor,
    load, peers,
    slow_disk::SlowDisk,
};

const CALLERS: [usize; 4] = [1, 16, 64, 256];
const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn main() {
    let call = Call::read();
    if !call.is_bench {
        return;
    }
    if call.wants("payments") {
        payments(&call);
    }
    if call.wants("slow-disk") {
        slow_disk(&call);
    }
    if call.wants("open") {
        open_after_a_crash(&call);
    }
    if call.wants("answers") {
        answers();
    }
}

fn options() -> Options {
    Options::new().sweep_interval(None).reserve_bytes(0)
}

fn preloaded() -> u64 {
    env_or("IDEMSTORE_BENCH_RECORDS", 20_000)
}

/// begin and complete on a real file.
fn payments(call: &Call) {
    let directory = support::directory();
    let store = options().create(directory.path().join("payments.idem")).unwrap();
    load::fill(&store, preloaded(), WEEK);
    let one_by_one = peers::database(directory.path(), "one.redb", preloaded());
    let grouped = peers::database(directory.path(), "grouped.redb", preloaded());
    let mut floor = Floor::new(directory.path());
    let mut contenders = vec![Contender::new("floor: append, fdatasync, twice", move |slice| floor.slice(slice))];
    for count in CALLERS {
        let store = &store;
        contenders.push(Contender::new(format!("idemstore, {count} callers"), move |slice| store_slice(store, count, slice)));
    }
    contenders.push(Contender::new("redb, 64 callers, txn per op", |slice| peers::one_by_one(&one_by_one, 64, slice)));
    contenders.push(Contender::new("redb, 64 callers, group commit", |slice| peers::grouped(&grouped, 64, slice)));
    alternate::run(&format!("payments on a file with {} records", preloaded()), call.rounds(8), call.slice(), contenders);
    let commits = store.stats().unwrap().commits;
    println!("commits: p50 {:?}, p99 {:?}, most commands in one {}", commits.p50, commits.p99, commits.batch_max);
}

/// begin and complete where a sync takes exactly one millisecond.
fn slow_disk(call: &Call) {
    let disk = SlowDisk::new(Duration::from_millis(1));
    let store = options().create_on(disk, "slow.idem").unwrap();
    load::fill(&store, preloaded(), WEEK);
    let contender = |count| {
        let store = &store;
        Contender::new(format!("idemstore, {count} callers"), move |slice| store_slice(store, count, slice))
    };
    let title = format!("payments where a sync takes 1 ms, {} records", preloaded());
    alternate::run(&title, call.rounds(6), call.slice(), CALLERS.map(contender).into());
}

/// The first open of a file whose process died.
fn open_after_a_crash(call: &Call) {
    let records = env_or("IDEMSTORE_BENCH_OPEN_RECORDS", 100_000);
    let directory = support::directory();
    let live = directory.path().join("live");
    fs::create_dir(&live).unwrap();
    // A cache for all of it, only to fill it faster.
    let store = options().cache_bytes(2 << 30).create(live.join("crashed.idem")).unwrap();
    let started = Instant::now();
    load::fill(&store, records, WEEK);
    let filled = started.elapsed();
    let (mut took, mut reads) = (Vec::new(), 0);
    for round in 0..call.rounds(3) {
        // Copied while it is open: nothing marks the copy as cleanly closed.
        let crashed = directory.path().join(round.to_string());
        copy(&live, &crashed);
        let started = Instant::now();
        let reopened = options().open(crashed.join("crashed.idem")).unwrap();
        took.push(started.elapsed().as_secs_f64() * 1e3);
        let stats = reopened.stats().unwrap();
        assert_eq!(stats.completed, records);
        reads = stats.io.reads;
        drop(reopened);
        fs::remove_dir_all(crashed).unwrap();
    }
    let (took, bytes) = (Spread::of(took), store.stats().unwrap().file_bytes);
    println!("\nopen after a crash: {records} records, {} MiB, filled in {filled:.1?}", bytes >> 20);
    println!("{:.1} ms ({:.1}..{:.1}), {reads} reads of the file", took.median, took.min, took.max);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy).unwrap();
        // Or the first sync of the open would have to write all of it.
        fs::File::open(copy).unwrap().sync_all().unwrap();
    }
}

/// Answers that change nothing, from a warm cache.
fn answers() {
    let directory = support::directory();
    let store = options().create(directory.path().join("answers.idem")).unwrap();
    load::fill(&store, preloaded(), WEEK);
    let request = load::request();
    let (ended, running) = (load::new_key(), load::new_key());
    load::fresh(store.begin(&ended, request).unwrap()).complete(load::payload()).unwrap();
    let _running = load::fresh(store.begin(&running, request).unwrap());
    let other = Fingerprint::of(&[b"another request"]);

    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group("answers");
    group.throughput(Throughput::Elements(1));
    let replay = || assert!(matches!(black_box(store.begin(&ended, request)), Ok(Begin::Replay(_))));
    let mismatch = || assert!(matches!(black_box(store.begin(&ended, other)), Ok(Begin::Mismatch)));
    let in_flight = || assert!(matches!(black_box(store.begin(&running, request)), Ok(Begin::InFlight { .. })));
    group.bench_function("replay", |b| b.iter(replay));
    group.bench_function("mismatch", |b| b.iter(mismatch));
    group.bench_function("in flight", |b| b.iter(in_flight));
    group.bench_function("replay, 2 threads", |b| b.iter_custom(|times| on_two_threads(times, replay)));
    group.finish();
    check_alive(&store);
}

/// Runs `work` `times` times on each of two threads; returns the time for `times` of them, so that the rate is of both.
fn on_two_threads(times: u64, work: impl Fn() + Sync) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        let work = &work;
        for _ in 0..2 {
            scope.spawn(move || (0..times).for_each(|_| work()));
        }
    });
    started.elapsed() / 2
}

fn check_alive(store: &Store) {
    assert!(!store.stats().unwrap().is_poisoned);
}
