//! Every operation of the disk fails once, and then for good: each caller is told the truth.

use super::{
    checker::{Tally, check_cut},
    rng::{Rng, seed},
    sim::{EIO, ENOSPC, Fault, Operation, SimDisk},
    workload::{NAME, Workload},
};
use idemstore::disk::Disk;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

const STEPS: usize = 10;
const STEPS_AFTER: usize = 3;

#[derive(Debug, Default)]
struct Figures {
    runs: u64,
    faults: u64,
    ends: BTreeMap<Option<&'static str>, u64>,
    tally: Tally,
}

fn takes_space(operation: Operation) -> bool {
    use Operation::{Create, DirSync, Rename, SetLen, Sync, Write};
    matches!(operation, Write | SetLen | Sync | Create | Rename | DirSync)
}

/// The same work every time: everything from the creation to the close.
fn work(fault: Fault, seed: u64) -> (SimDisk, Workload) {
    let disk = SimDisk::default();
    let mut work = Workload::new(&disk, seed);
    disk.inject(fault);
    if !work.create() && disk.id(NAME).is_ok() {
        work.open();
    }
    for number in 0..3 {
        if work.store.is_some() {
            work.begin(number);
        }
    }
    for _ in 0..STEPS {
        work.step_if_open();
    }
    if work.store.is_some() {
        work.compact();
        work.batch();
    }
    work.close();
    (disk, work)
}

/// Checks what everybody was told, first on the healed disk, then after a power cut.
fn check(disk: &SimDisk, mut work: Workload, seed: u64, figures: &mut Figures) -> Result<(), String> {
    figures.faults += disk.heal();
    let exists = work.ledger().exists || disk.id(NAME).is_ok();
    let opened = if exists { work.open() } else { work.create() };
    if !opened {
        return Err(format!("the healed store does not open (exists: {exists}): {:?}", work.ends));
    }
    work.reconcile();
    work.run(STEPS_AFTER);
    let frozen = disk.freeze();
    if let Some(violation) = work.violations.first() {
        return Err(violation.clone());
    }
    for (end, count) in &work.ends {
        *figures.ends.entry(*end).or_default() += count;
    }
    check_cut(&frozen, &work.ledger(), &mut Rng::new(seed), &mut figures.tally)
}

fn fail_every(code: i32, lasting: bool, hits: fn(Operation) -> bool) {
    let seed = seed();
    let never = Fault { at: u64::MAX, lasting, code, hits };
    let (disk, _) = work(never, seed);
    let operations = disk.admitted();
    let mut figures = Figures::default();
    for at in 0..operations {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let (disk, work) = work(Fault { at, ..never }, seed);
            check(&disk, work, seed ^ at, &mut figures)
        }));
        let outcome = outcome.unwrap_or_else(|_| Err("a panic escaped".into()));
        outcome.unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, operation {at} of {operations}: {violation}"));
        figures.runs += 1;
    }
    println!("{operations} operations: {figures:?}");
    assert!(figures.runs > 200, "{figures:?}");
    assert!(figures.faults >= figures.runs * 9 / 10, "{figures:?}");
    assert!(figures.ends.keys().filter(|end| end.is_some()).count() >= 2, "{figures:?}");
}

#[test]
fn an_error_of_any_single_operation_is_told_truly() {
    fail_every(EIO, false, |_| true);
}

#[test]
fn a_disk_that_fails_for_good_at_any_operation_is_told_truly() {
    fail_every(EIO, true, |_| true);
}

#[test]
fn a_single_lack_of_space_at_any_operation_is_told_truly() {
    fail_every(ENOSPC, false, takes_space);
}

#[test]
fn a_disk_full_for_good_at_any_operation_is_told_truly() {
    fail_every(ENOSPC, true, takes_space);
}
