//! What is left after the kill: how long it takes to open, what a new key reads, and replays of records that no cache has,
//! beside plain gets of a redb file with the same records.

use super::{Task, id};
use crate::{
    figures::{Spread, ratio},
    load::{Dice, REQUEST, new_number, payload},
    process::wait_until_quiet,
};
use idemstore::{Begin, Fingerprint, Key, Options, Store};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const RECORDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("records");
/// The default of the store's options, for both.
const CACHE_BYTES: usize = 64 << 20;
const SLICE: Duration = Duration::from_secs(1);
const ROUNDS: usize = 7;
/// Keys whose reads are counted at a time.
const NEW_KEYS: u64 = 2000;

pub(super) fn run(task: &Task, directory: &Path, path: &Path) {
    let started = Instant::now();
    let store = Options::new().cache_bytes(CACHE_BYTES).open(path).unwrap();
    let (took, stats) = (started.elapsed(), store.stats().unwrap());
    println!("\nopen after SIGKILL at full load: {took:.1?}, {} reads, {} records", stats.io.reads, stats.completed);
    assert!(stats.completed >= task.records);
    count_reads(&store);
    let redb = fill_redb(&directory.join("bare.redb"), task.records);
    replays(task, &store, &redb);
}

/// Reads per new key, where no checkpoint and no merge reads at the same time.
fn count_reads(store: &Store) {
    loop {
        wait_until_quiet();
        let before = store.stats().unwrap();
        for _ in 0..NEW_KEYS {
            let key = Key::new("payments", id(new_number() | 1 << 50)).unwrap();
            match store.begin(&key, Fingerprint::from_bytes(REQUEST)).unwrap() {
                Begin::Fresh(lease) => lease.complete("").unwrap(),
                other => panic!("a new key is fresh, not {other:?}"),
            };
        }
        let after = store.stats().unwrap();
        if after.journal.checkpoints == before.journal.checkpoints {
            let (reads, syncs) = (after.io.reads - before.io.reads, after.io.syncs - before.io.syncs);
            println!("{NEW_KEYS} new keys, begun and completed one by one: {reads} reads of files, {syncs} syncs");
            return;
        }
    }
}

/// In the order of the keys, which is how redb fills fastest.
fn fill_redb(path: &Path, records: u64) -> Database {
    let database = Database::builder().set_cache_size(CACHE_BYTES * 8).create(path).unwrap();
    let mut ids: Vec<(String, u64)> = (0..records).map(|number| (id(number), number)).collect();
    ids.sort_unstable();
    for piece in ids.chunks(200_000) {
        let transaction = database.begin_write().unwrap();
        let mut table = transaction.open_table(RECORDS).unwrap();
        for (id, number) in piece {
            let value = [&REQUEST[..], &payload(*number)].concat();
            table.insert(id.as_str(), &*value).unwrap();
        }
        drop(table);
        transaction.commit().unwrap();
    }
    drop(database);
    Database::builder().set_cache_size(CACHE_BYTES).open(path).unwrap()
}

/// In turns, of records anywhere.
fn replays(task: &Task, store: &Store, redb: &Database) {
    let mut dice = Dice::new(new_number());
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..=ROUNDS {
        let replay = |number: u64| {
            let key = Key::new("payments", id(number)).unwrap();
            match store.begin(&key, Fingerprint::from_bytes(REQUEST)).unwrap() {
                Begin::Replay(outcome) => assert_eq!(outcome.payload(), payload(number)),
                other => panic!("a completed payment is replayed, not {other:?}"),
            }
        };
        let get = |number: u64| {
            let table = redb.begin_read().unwrap().open_table(RECORDS).unwrap();
            let value = table.get(id(number).as_str()).unwrap().map(|value| value.value().to_vec());
            assert_eq!(&value.unwrap()[REQUEST.len()..], payload(number));
        };
        rates[0].push(rate(|| replay(dice.below(task.records))));
        rates[1].push(rate(|| get(dice.below(task.records))));
    }
    // The first round warmed both up.
    let [replays, gets] = rates.map(|rates| rates[1..].to_vec());
    let show = |name: &str, rates: &[f64]| {
        let Some(spread) = Spread::of(rates.iter().copied()) else { return };
        println!("{name}: {:.0}/s ({:.0}..{:.0})", spread.median, spread.min, spread.max);
    };
    show("replays of records anywhere, one thread", &replays);
    show("redb gets of the same, one thread", &gets);
    println!("ratio: {:.2}x", ratio(&replays, &gets).unwrap_or(f64::NAN));
}

fn rate(mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut done = 0_u32;
    while started.elapsed() < SLICE {
        work();
        done += 1;
    }
    f64::from(done) / started.elapsed().as_secs_f64()
}
