//! How often an answer reads the file, counted: a read is what a lookup mostly costs.

use crate::support::*;
use idemstore::Store;

const RECORDS: u32 = 10_000;
const ASKED: u32 = 1_000;
/// Six times as much is stored.
const CACHE_BYTES: usize = 1 << 20;

/// Ids in no order, as clients choose them.
fn id(number: u32) -> String {
    format!("pay_{:08x}", number.wrapping_mul(0x9e37_79b1))
}

/// A store that has ended records, all of them in runs and none in memory.
fn filled() -> Store {
    let lab = Lab::with(|options| options.cache_bytes(CACHE_BYTES).journal_bytes(2 << 20));
    let store = lab.create();
    for number in 0..RECORDS {
        fresh(&store, &id(number)).complete([7; 352]).unwrap();
    }
    store.close().unwrap();
    lab.open()
}

fn reads(store: &Store) -> u64 {
    store.stats().unwrap().io.reads
}

#[test]
fn a_replay_reads_one_chunk_and_a_new_key_nothing() {
    let store = filled();
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
