//! How often an answer reads the file, counted: a read is what a lookup mostly costs.

use crate::support::*;
use idemstore::{Begin, ErrorKind, Store, disk::Disk as _};

const RECORDS: u32 = 10_000;
const ASKED: u32 = 1_000;
/// Six times as much is stored.
const CACHE_BYTES: usize = 1 << 20;
/// The file takes a sixth of it.
const LARGE_CACHE_BYTES: usize = 256 << 20;

/// Ids in no order, as clients choose them.
fn id(number: u32) -> String {
    format!("pay_{:08x}", number.wrapping_mul(0x9e37_79b1))
}

/// A store that has ended records, all of them in runs and none in memory.
fn filled(cache_bytes: usize, payload: &[u8]) -> (Lab, Store) {
    let lab = Lab::with(|options| options.cache_bytes(cache_bytes).journal_bytes(2 << 20));
    let store = lab.create();
    for number in 0..RECORDS {
        fresh(&store, &id(number)).complete(payload).unwrap();
    }
    store.close().unwrap();
    let store = lab.open();
    (lab, store)
}

fn reads(store: &Store) -> u64 {
    store.stats().unwrap().io.reads
}

#[test]
fn a_replay_reads_one_chunk_and_a_new_key_nothing() {
    let (_lab, store) = filled(CACHE_BYTES, &[7; 352]);
    let asked = || (0..ASKED).map(|number| number * 7919 % RECORDS);
    // Brings the branches and the checks into the cache, which has room for these and not for the records.
    asked().for_each(|number| drop(replay(&store, &id(number))));
    let before = reads(&store);
    asked().for_each(|number| assert_eq!(replay(&store, &id(number + 1)).payload(), [7; 352]));
    let of_replays = reads(&store) - before;
    assert!((900..1100).contains(&of_replays), "{of_replays} reads for {ASKED} replays");
    let before = reads(&store);
    for number in RECORDS + 1..=RECORDS + ASKED {
        assert!(store.get(&key(&id(number))).unwrap().is_none());
    }
    let of_new_keys = reads(&store) - before;
    assert!(of_new_keys < 10, "{of_new_keys} reads for {ASKED} new keys");
}

#[test]
fn a_store_that_fits_into_a_large_cache_is_read_once() {
    let (_lab, store) = filled(LARGE_CACHE_BYTES, &[7; 3000]);
    let ask_all = || (0..RECORDS).for_each(|number| assert_eq!(replay(&store, &id(number)).payload(), [7; 3000]));
    let before = reads(&store);
    ask_all();
    let once = reads(&store);
    assert!(once - before > 5000, "{} reads: the file was in memory before", once - before);
    ask_all();
    assert_eq!(reads(&store), once);
}

/// The checks of the first blocks are all of a store of this size, and they are in memory.
#[test]
fn a_verification_looks_at_the_file_and_not_at_what_is_kept_of_it() {
    let (lab, store) = filled(CACHE_BYTES, &[7; 352]);
    assert!(store.verify(go_on).unwrap().is_sound());
    let file = lab.disk.open(NAME).unwrap();
    // A check is 8 bytes; that of block 0, the header of redb, is elsewhere.
    let mut checks = [0; 4096 - 8];
    file.read_at(4096 + 8, &mut checks).unwrap();
    file.write_at(4096 + 8, &checks.map(|byte| byte ^ 1)).unwrap();
    let (mut answered, mut damaged) = (0, 0);
    for number in 0..ASKED {
        match begin(&store, &id(number)) {
            Ok(Begin::Replay(_)) => answered += 1,
            other => damaged += u32::from(matches!(other, Err(error) if error.kind() == ErrorKind::Corrupted)),
        }
    }
    assert_eq!((answered, damaged), (ASKED, 0), "what is in memory was sound when it was read");
    let report = store.verify(go_on);
    assert!(report.is_err() || report.is_ok_and(|report| !report.is_sound()));
}
