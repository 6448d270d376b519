//! What is left after the kill: how long it takes to open, what a new key reads, and replays of records that no cache has,
//! beside plain gets of a redb file with the same records.

use super::{Task, id, memory};
use crate::{
    figures::{Spread, ratio},
    load::{Dice, REQUEST, new_number, payload},
    process::{self, wait_until_quiet},
    slice::{self, Slice},
};
use idemstore::{Begin, Fingerprint, Key, Options, Store};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use std::{
    fs::File,
    io,
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
    let records = store.stats().unwrap().completed;
    store.close().unwrap();
    let memory = memory::of_open_store(path) as f64;
    println!("memory of an open store but for its caches: {:.2} bytes for each of {records} records", memory / records as f64);
    let store = Options::new().cache_bytes(CACHE_BYTES).open(path).unwrap();
    let bare = directory.join("bare.redb");
    let redb = fill_redb(&bare, task.records);
    let compared = Compared { records: task.records, store: &store, redb: &redb, files: [path, &bare] };
    println!("replays of records anywhere and redb gets of the same, one thread, a cache of {} MiB each", CACHE_BYTES >> 20);
    // Each time anew: a system that wants the memory for something else takes parts of a file away.
    compared.show("files in the system's cache", read_through);
    compared.show("files on the disk alone", forget);
}

/// Brings a file into the system's cache.
fn read_through(path: &Path) {
    io::copy(&mut File::open(path).unwrap(), &mut io::sink()).unwrap();
}

/// Takes a file out of the system's cache.
fn forget(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
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

/// A store and a redb file with the same records.
struct Compared<'c> {
    records: u64,
    store: &'c Store,
    redb: &'c Database,
    files: [&'c Path; 2],
}

impl Compared<'_> {
    fn replay(&self, number: u64) {
        let key = Key::new("payments", id(number)).unwrap();
        match self.store.begin(&key, Fingerprint::from_bytes(REQUEST)).unwrap() {
            Begin::Replay(outcome) => assert_eq!(outcome.payload(), payload(number)),
            other => panic!("a completed payment is replayed, not {other:?}"),
        }
    }

    fn get(&self, number: u64) {
        let table = self.redb.begin_read().unwrap().open_table(RECORDS).unwrap();
        let value = table.get(id(number).as_str()).unwrap().map(|value| value.value().to_vec());
        assert_eq!(&value.unwrap()[REQUEST.len()..], payload(number));
    }

    /// In turns, of records anywhere.
    fn show(&self, medium: &str, before_slice: impl Fn(&Path)) {
        let mut dice = Dice::new(new_number());
        let (mut replays, mut gets, mut reads) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=ROUNDS {
            before_slice(self.files[0]);
            let before = self.store.stats().unwrap().io.reads;
            let turn = Turn::of(|| self.replay(dice.below(self.records)));
            reads.push((self.store.stats().unwrap().io.reads - before) as f64 / turn.slice.done as f64);
            replays.push(turn);
            before_slice(self.files[1]);
            gets.push(Turn::of(|| self.get(dice.below(self.records))));
        }
        // The first round warmed the caches up.
        let (replays, gets, reads) = (&replays[1..], &gets[1..], Spread::of(reads[1..].iter().copied()));
        let per_s = |turns: &[Turn]| turns.iter().map(|turn| turn.slice.per_second()).collect::<Vec<_>>();
        let ratio = ratio(&per_s(replays), &per_s(gets)).unwrap_or(f64::NAN);
        let reads = reads.map_or(f64::NAN, |spread| spread.median);
        println!("  {medium}: ratio {ratio:.2}x; reads of the file for a replay: {reads:.2}");
        println!("    replays {}\n    gets    {}", text(replays), text(gets));
    }
}

/// A slice, and what the disk was read for in it.
struct Turn {
    slice: Slice,
    disk_bytes: f64,
}

impl Turn {
    fn of(work: impl FnMut()) -> Self {
        let before = process::bytes_read_from_disk();
        let slice = slice::run_one(SLICE, work);
        let disk_bytes = process::bytes_read_from_disk().zip(before).map_or(f64::NAN, |(after, before)| (after - before) as f64);
        Self { slice, disk_bytes }
    }
}

fn text(turns: &[Turn]) -> String {
    let of = |figure: fn(&Turn) -> f64| Spread::of(turns.iter().map(figure));
    let (Some(per_s), Some(disk_bytes)) =
        (of(|turn| turn.slice.per_second()), of(|turn| turn.disk_bytes / turn.slice.done as f64))
    else {
        return String::new();
    };
    let (Spread { median, min, max }, disk_bytes) = (per_s, disk_bytes.median);
    format!("{median:.0}/s ({min:.0}..{max:.0}), {disk_bytes:.0} bytes from the disk each")
}
