//! A power cut at every single disk operation around checkpoints.

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

const GENERATIONS: u64 = 4;

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

type Instant = (Frozen, Ledger);

/// Works for some generations; returns the disk before each operation of all that time but the creation.
fn instants(seed: u64) -> Vec<Instant> {
    let disk = SimDisk::default();
    let mut work = Workload::new(&disk, seed);
    assert!(work.create());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (keep, ledger) = (kept.clone(), work.ledger.clone());
    disk.tap(move |operation, now| {
        if is_change(operation) {
            keep.lock().unwrap().push((now.clone(), ledger.lock().unwrap().clone()));
        }
    });
    while SEGMENTS.iter().all(|name| Segment::of(&disk, name).generation < GENERATIONS) {
        work.run(1);
    }
    disk.untap();
    assert!(work.violations.is_empty(), "IDEMSTORE_SEED={seed}: {:?}", work.violations);
    std::mem::take(&mut *kept.lock().unwrap())
}

#[test]
fn a_cut_at_any_operation_of_a_checkpoint_loses_nothing() {
    let variants = from_env("IDEMSTORE_CUT_VARIANTS", 6);
    let (mut moments, mut tally) = (Moments::default(), Tally::default());
    for seed in seed()..seed() + 2 {
        let mut rng = Rng::new(!seed);
        for (number, (frozen, ledger)) in instants(seed).iter().enumerate() {
            moments.saw(frozen);
            for _ in 0..variants {
                check_cut(frozen, ledger, &mut rng, &mut tally)
                    .unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, operation {number}: {violation}"));
            }
        }
    }
    println!("{moments:?}, {tally:?}");
    assert!(tally.images >= moments.all * variants);
    assert!(moments.in_a_commit > 50 && moments.in_a_recycling >= GENERATIONS, "{moments:?}");
    assert!(tally.cuts.dropped_writes > 100 && tally.took_effect > 0 && tally.did_not_take_effect > 0, "{tally:?}");
}
