//! A run is dropped when all of it has expired, and not before.

use super::{
    ledger::{fingerprint, key},
    sim::SimDisk,
    workload::{NAME, options},
};
use idemstore::{Begin, ManualClock, Store, Timestamp};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn is_replayed(store: &Store, number: usize) -> bool {
    matches!(store.begin(&key(number), fingerprint(number)).unwrap(), Begin::Replay(outcome) if outcome.payload() == b"done")
}

/// Keys that end together and expire one hour after the other, all in one run.
fn one_run(disk: &SimDisk, clock: &ManualClock, keys: usize) -> Store {
    let store = options(clock).journal_bytes(1 << 20).create_on(disk.clone(), NAME).unwrap();
    for number in 0..keys {
        let Begin::Fresh(lease) = store.begin(&key(number), fingerprint(number)).unwrap() else { panic!("key {number}") };
        let hours = u32::try_from(number + 1).unwrap();
        lease.complete_for("done", HOUR * hours).unwrap();
    }
    store.close().unwrap();
    options(clock).open_on(disk.clone(), NAME).unwrap()
}

#[test]
fn a_sweep_keeps_of_a_run_what_has_not_expired() {
    const KEYS: usize = 6;
    let (disk, clock) = (SimDisk::default(), ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let store = one_run(&disk, &clock, KEYS);
    assert_eq!(store.stats().unwrap().journal.records, 0, "everything is in the table");
    for expired in 1..=KEYS {
        clock.advance(HOUR);
        assert_eq!(store.sweep().unwrap().removed, 1);
        assert!((expired..KEYS).all(|number| is_replayed(&store, number)), "{expired} have expired");
        assert_eq!(store.stats().unwrap().completed, (KEYS - expired) as u64);
    }
}
