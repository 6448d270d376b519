//! A full disk refuses new keys, ends old ones, and forgets nothing.

use super::{
    ledger::{fingerprint, key},
    sim::{ENOSPC, Fault, Operation, SimDisk},
    workload::{NAME, options},
};
use idemstore::{Begin, ErrorKind, FencingToken, ManualClock, Options, Store, Timestamp};
use std::{collections::BTreeMap, time::Duration};

const RESERVE_BYTES: u64 = 1 << 20;
const HELD: usize = 40;

fn roomy(clock: &ManualClock) -> Options {
    options(clock).reserve_bytes(RESERVE_BYTES).lease(Duration::from_secs(3600))
}

fn begin_fresh(store: &Store, number: usize) -> Result<FencingToken, ErrorKind> {
    match store.begin(&key(number), fingerprint(number)) {
        Ok(Begin::Fresh(lease)) => Ok(lease.token()),
        Ok(other) => panic!("key {number}: {other:?}"),
        Err(error) => Err(error.kind()),
    }
}

/// Fills the disk with records until a new key is refused; returns what was acknowledged.
fn fill(store: &Store, first: usize) -> (BTreeMap<usize, FencingToken>, BTreeMap<usize, Vec<u8>>) {
    let (mut in_flight, mut ended) = (BTreeMap::new(), BTreeMap::new());
    for number in first.. {
        match begin_fresh(store, number) {
            Ok(token) => drop(in_flight.insert(number, token)),
            Err(kind) => {
                assert_eq!(kind, ErrorKind::Full);
                return (in_flight, ended);
            }
        }
        let payload = vec![number as u8; 5000];
        match store.complete(&key(number), in_flight[&number], &payload) {
            Ok(_) => {
                in_flight.remove(&number);
                ended.insert(number, payload);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full),
        }
        assert!(number < first + 5000, "the disk never fills");
    }
    (in_flight, ended)
}

fn assert_all_there(store: &Store, ended: &BTreeMap<usize, Vec<u8>>) {
    for (&number, payload) in ended {
        match store.begin(&key(number), fingerprint(number)).unwrap() {
            Begin::Replay(outcome) => assert_eq!(outcome.payload(), payload),
            other => panic!("key {number}: {other:?}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_new_keys_ends_old_ones_and_recovers() {
    let (disk, clock) = (SimDisk::default(), ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let store = roomy(&clock).create_on(disk.clone(), NAME).unwrap();
    assert_eq!(disk.bytes("payments.idem.reserve").len() as u64, RESERVE_BYTES);
    let held: Vec<_> = (0..HELD).map(|number| begin_fresh(&store, number).unwrap()).collect();
    disk.set_free_pages(100);
    let (mut in_flight, mut ended) = fill(&store, HELD);
    println!("full after {} records; {} left in flight", ended.len() + in_flight.len(), in_flight.len());
    assert!(!ended.is_empty());
    assert!(!store.stats().unwrap().is_poisoned);

    // What was granted before ends, thanks to the reserve; new keys are still refused.
    for (number, token) in held.into_iter().enumerate() {
        let payload = vec![number as u8; 2000];
        store.complete(&key(number), token, &payload).unwrap_or_else(|error| panic!("key {number}: {error}"));
        ended.insert(number, payload);
        assert_eq!(begin_fresh(&store, 1_000_000 + number), Err(ErrorKind::Full));
    }
    while let Some((number, token)) = in_flight.pop_first() {
        store.complete(&key(number), token, b"late").unwrap();
        ended.insert(number, b"late".to_vec());
    }
    assert_all_there(&store, &ended);

    // Space comes back; the store looks after a second, not at once.
    disk.set_free_pages(5000);
    assert_eq!(begin_fresh(&store, 2_000_000), Err(ErrorKind::Full));
    clock.advance(Duration::from_secs(1));
    begin_fresh(&store, 2_000_001).unwrap();
    assert_eq!(disk.bytes("payments.idem.reserve").len() as u64, RESERVE_BYTES, "the reserve is taken up again");
    assert!(!store.stats().unwrap().is_poisoned);
    store.close().unwrap();

    let after = disk.freeze().cut(&mut super::rng::Rng::new(1), &mut super::power_cut::Cuts::default());
    let store = roomy(&clock).open_on(after, NAME).unwrap();
    assert_all_there(&store, &ended);
    assert!(store.verify(|_| std::ops::ControlFlow::Continue(())).unwrap().is_sound());
}

#[test]
fn a_store_opened_on_a_full_disk_still_ends_what_is_in_flight() {
    let (disk, clock) = (SimDisk::default(), ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let store = options(&clock).create_on(disk.clone(), NAME).unwrap();
    begin_fresh(&store, 0).unwrap();
    store.close().unwrap();
    // Enough to work with, too little for the reserve.
    disk.set_free_pages(60);
    let store = roomy(&clock).open_on(disk.clone(), NAME).unwrap();
    assert_eq!(begin_fresh(&store, 1), Err(ErrorKind::Full));
    let Begin::Takeover(lease) = store.begin(&key(0), fingerprint(0)).unwrap() else { panic!("an orphan is a takeover") };
    lease.complete(b"done").unwrap();
    disk.set_free_pages(5000);
    clock.advance(Duration::from_secs(1));
    begin_fresh(&store, 1).unwrap();
}

#[test]
fn an_open_that_first_finds_the_disk_full_loses_nothing_of_what_follows() {
    let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
    let disk = SimDisk::default();
    let store = options(&clock).create_on(disk.clone(), NAME).unwrap();
    assert!((0..HELD).all(|number| begin_fresh(&store, number).is_ok()));
    store.close().unwrap();
    let (closed, mut opened) = (disk.freeze(), 0);
    for at in 0.. {
        let disk = SimDisk::of(closed.clone());
        disk.inject(Fault { at, lasting: false, code: ENOSPC, hits: |operation| operation == Operation::Write });
        let store = options(&clock).open_on(disk.clone(), NAME);
        if disk.heal() == 0 {
            break;
        }
        let Ok(store) = store else { continue };
        opened += 1;
        begin_fresh(&store, HELD).unwrap();
        // As after a kill: all that was written is there.
        let after =
            options(&clock).open_on(SimDisk::of(disk.freeze()), NAME).unwrap_or_else(|error| panic!("write {at}: {error}"));
        let taken = after.begin(&key(HELD), fingerprint(HELD));
        assert!(matches!(taken, Ok(Begin::Takeover(_))), "write {at}: {taken:?}");
        assert!(after.verify(|_| std::ops::ControlFlow::Continue(())).unwrap().is_sound(), "write {at}");
    }
    assert!(opened > 3, "only {opened} opens met a full disk and went on");
}
