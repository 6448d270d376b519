//! A power cut at every single disk operation of what changes the store's files.

use super::{
    super::{
        checker::{Tally, check_cut, is_change},
        ledger::Ledger,
        rng::{Rng, from_env, seed},
        sim::{Frozen, SimDisk, Unsynced},
        workload::{NAME, Workload},
    },
    SEGMENTS, file,
    segment::Segment,
};
use std::sync::{Arc, Mutex};

/// What was going on when the power was cut.
#[derive(Debug, Default)]
struct Moments {
    all: u64,
    /// The table's commit was not durable yet.
    in_a_commit: u64,
    /// The header of the next generation was not durable yet.
    in_a_recycling: u64,
}

impl Moments {
    fn saw(&mut self, frozen: &Frozen) {
        let has = |name, is: &dyn Fn(&Unsynced) -> bool| file(frozen, name).is_some_and(|file| file.unsynced.iter().any(is));
        self.all += 1;
        self.in_a_commit += u64::from(has(NAME, &|_| true));
        let is_header = |change: &Unsynced| matches!(change, Unsynced::Write(0, _));
        self.in_a_recycling += u64::from(SEGMENTS.iter().any(|name| has(name, &is_header)));
    }
}

pub(super) type Instant = (Frozen, Ledger);

/// What is done while every operation is seen.
pub(super) type Act = fn(&mut Workload);

/// Returns the disk before each operation of an act, and after the last.
pub(super) fn instants(seed: u64, before: Act, act: Act) -> Vec<Instant> {
    let disk = SimDisk::default();
    let mut work = Workload::new(&disk, seed);
    before(&mut work);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (keep, ledger) = (kept.clone(), work.ledger.clone());
    disk.tap(move |operation, now| {
        if is_change(operation) {
            keep.lock().unwrap().push((now.clone(), ledger.lock().unwrap().clone()));
        }
    });
    act(&mut work);
    disk.untap();
    assert!(work.violations.is_empty(), "IDEMSTORE_SEED={seed}: {:?}", work.violations);
    let mut instants = std::mem::take(&mut *kept.lock().unwrap());
    instants.push((disk.freeze(), work.ledger().clone()));
    instants
}

pub(super) fn create(work: &mut Workload) {
    assert!(work.create());
}

fn generation(disk: &SimDisk) -> u64 {
    SEGMENTS.iter().map(|name| Segment::of(disk, name).generation).max().unwrap()
}

/// Works until so many more generations have begun.
fn work_on(work: &mut Workload, generations: u64) {
    let wanted = generation(&work.disk) + generations;
    while generation(&work.disk) < wanted {
        work.run(1);
    }
}

fn check(before: Act, act: Act) -> (Moments, Tally) {
    let variants = from_env("IDEMSTORE_CUT_VARIANTS", 6);
    let (mut moments, mut tally) = (Moments::default(), Tally::default());
    for seed in seed()..seed() + 2 {
        let mut rng = Rng::new(!seed);
        for (number, (frozen, ledger)) in instants(seed, before, act).iter().enumerate() {
            moments.saw(frozen);
            for _ in 0..variants {
                check_cut(frozen, ledger, &mut rng, &mut tally)
                    .unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, operation {number}: {violation}"));
            }
        }
    }
    println!("{moments:?}, {tally:?}");
    assert!(tally.images >= moments.all * variants);
    (moments, tally)
}

#[test]
fn a_cut_at_any_operation_of_a_checkpoint_loses_nothing() {
    let (moments, tally) = check(create, |work| work_on(work, 2));
    assert!(moments.in_a_commit > 50 && moments.in_a_recycling >= 4, "{moments:?}");
    assert!(tally.cuts.dropped_writes > 100 && tally.took_effect > 0 && tally.did_not_take_effect > 0, "{tally:?}");
}

#[test]
fn a_cut_at_any_operation_of_a_creation_leaves_a_store_or_none() {
    let (moments, tally) = check(
        |_| (),
        |work| {
            create(work);
            work.run(3);
        },
    );
    assert!(moments.all > 40 && tally.without_file > 20 && tally.cuts.dropped_names > 20, "{moments:?}, {tally:?}");
}

#[test]
fn a_cut_at_any_operation_of_a_compaction_and_after_it_loses_nothing() {
    let before = |work: &mut Workload| {
        create(work);
        work.run(20);
    };
    let (moments, tally) = check(before, |work| {
        work.compact();
        work_on(work, 1);
    });
    assert!(moments.all > 100 && tally.cuts.dropped_names > 20, "{moments:?}, {tally:?}");
}
