//! A sync that fails drops what it should have written, while readers go on seeing it. The store stops; nothing that was
//! acknowledged before is lost, neither by the power cut nor by working on after a new open.

use super::{
    checker::{Tally, check_cut},
    ledger::{fingerprint, key},
    rng::{Rng, seed},
    sim::{EIO, Fault, Operation, SimDisk},
    workload::{KEYS, NAME, SYNCED, Workload, options},
};
use idemstore::{Begin, ErrorKind, FencingToken, ManualClock, Store, Timestamp};
use std::collections::BTreeMap;

const STEPS: usize = 30;
const STEPS_AFTER: usize = 12;
const SEEDS: u64 = 8;

#[derive(Debug, Default)]
struct Figures {
    failed: u64,
    /// By the file whose sync failed.
    poisoned: BTreeMap<&'static str, u64>,
    shared_batches: u64,
    tally: Tally,
}

/// Lets one sync fail; returns false when there are fewer syncs than that.
fn fail_sync(seed: u64, number: u64, figures: &mut Figures) -> bool {
    let disk = SimDisk::default();
    let mut work = Workload::new(&disk, seed);
    assert!(work.create());
    let hits = |operation| operation == Operation::Sync;
    disk.inject(Fault { at: number, lasting: false, code: EIO, hits });
    for _ in 0..STEPS {
        if disk.faults() > 0 {
            break;
        }
        work.step_if_open();
    }
    if disk.faults() == 0 {
        return false;
    }
    figures.failed += 1;
    // Otherwise it was another file: a note, a copy that never took the store's place, or one that was closed.
    if work.store.as_ref().is_some_and(|store| store.stats().unwrap().is_poisoned) {
        let failed: Vec<_> = SYNCED.into_iter().filter(|file| disk.sync_failed(file)).collect();
        assert_eq!(failed.len(), 1, "poisoned, although no sync of the store's own files failed");
        *figures.poisoned.entry(failed[0]).or_default() += 1;
        assert_stopped(&disk, failed[0], &mut work, figures);
    }
    let frozen = disk.freeze();
    let mut rng = Rng::new(seed ^ number);
    for _ in 0..2 {
        let checked = check_cut(&frozen, &work.ledger(), &mut rng, &mut figures.tally);
        checked.unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, sync {number}: after a power cut: {violation}"));
    }
    work_on(&disk, &mut work);
    assert!(work.violations.is_empty(), "IDEMSTORE_SEED={seed}, sync {number}: {:?}", work.violations);
    for _ in 0..2 {
        let checked = check_cut(&disk.freeze(), &work.ledger(), &mut rng, &mut figures.tally);
        checked.unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, sync {number}: after working on: {violation}"));
    }
    true
}

fn assert_stopped(disk: &SimDisk, file: &str, work: &mut Workload, figures: &mut Figures) {
    let indeterminate = work.ends.get(&Some("Indeterminate")).copied().unwrap_or_default();
    assert!(indeterminate > 0, "a sync failed and no caller was told: {:?}", work.ends);
    figures.shared_batches += u64::from(indeterminate > 1);
    let (store, syncs) = (work.store.clone().unwrap(), disk.syncs(file));
    for number in 0..KEYS {
        let begun = store.begin(&key(number), fingerprint(number)).unwrap_err();
        let ended = store.complete(&key(number), FencingToken::new(1), b"late").unwrap_err();
        assert_eq!((begun.kind(), ended.kind()), (ErrorKind::Poisoned, ErrorKind::Poisoned));
    }
    assert_eq!(store.sweep().unwrap_err().kind(), ErrorKind::Poisoned);
    work.close();
    assert_eq!(disk.syncs(file), syncs, "a file whose sync failed was synced again");
}

/// The process starts again, the computer does not: the page cache still shows what the disk has lost.
fn work_on(disk: &SimDisk, work: &mut Workload) {
    disk.heal();
    work.reopen();
    work.run(STEPS_AFTER);
}

#[test]
fn a_failed_sync_stops_the_store_and_loses_nothing_acknowledged() {
    let mut figures = Figures::default();
    for seed in seed()..seed() + SEEDS {
        let mut number = 0;
        while fail_sync(seed, number, &mut figures) {
            number += 1;
        }
    }
    println!("{figures:?}");
    assert!(figures.failed > 150, "{figures:?}");
    assert!(figures.poisoned.values().sum::<u64>() > 100, "{figures:?}");
    assert!(SYNCED.iter().all(|file| figures.poisoned.get(file).is_some_and(|&times| times > 10)), "{figures:?}");
    assert!(figures.shared_batches > 3, "{figures:?}");
    assert!(figures.tally.took_effect > 0 && figures.tally.did_not_take_effect > 0, "{figures:?}");
}

/// The file that the failed sync was for may be used much later, when the other one is full.
#[test]
fn a_failed_sync_of_an_empty_segment_loses_nothing_after_the_next_open() {
    const BEFORE: usize = 160;
    const AFTER: usize = 66;
    let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
    let mut poisoned = 0;
    for at in 0..3 * BEFORE as u64 {
        let disk = SimDisk::default();
        let store = options(&clock).create_on(disk.clone(), NAME).unwrap();
        disk.inject(Fault { at, lasting: false, code: EIO, hits: |operation| operation == Operation::Sync });
        let begun = |store: &Store, number| matches!(store.begin(&key(number), fingerprint(number)), Ok(Begin::Fresh(_)));
        let mut told: Vec<_> = (0..BEFORE).filter(|&number| begun(&store, number)).collect();
        poisoned += u64::from(store.stats().unwrap().is_poisoned);
        drop(store);
        if disk.heal() == 0 {
            break;
        }
        let store = options(&clock).open_on(disk.clone(), NAME).unwrap();
        told.extend((BEFORE..BEFORE + AFTER).filter(|&number| begun(&store, number)));
        let cut = disk.freeze().cut(&mut Rng::new(at), &mut super::power_cut::Cuts::default());
        let store = options(&clock).open_on(cut, NAME).unwrap_or_else(|error| panic!("sync {at}: {error}"));
        for number in told {
            let taken = store.begin(&key(number), fingerprint(number));
            assert!(matches!(taken, Ok(Begin::Takeover(_))), "sync {at}, key {number}: {taken:?}");
        }
    }
    assert!(poisoned > BEFORE as u64, "only {poisoned} stores were poisoned");
}
