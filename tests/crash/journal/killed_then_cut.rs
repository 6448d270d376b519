//! The process is killed in the middle of a creation, starts again on the same computer, and the power fails during or after that open.
//! What the first open left and the second one found was only seen, not durable.

use super::{
    super::{
        checker::{Tally, check_cut, is_change},
        rng::{Rng, seed},
        sim::{Frozen, SimDisk},
        workload::{NAME, options},
    },
    every_cut::{create, instants},
};
use idemstore::{ManualClock, Timestamp};
use std::sync::{Arc, Mutex};

/// Returns the disk before each operation of an open, and after it if it succeeded.
fn moments(frozen: &Frozen, now: u64) -> (Vec<Frozen>, Option<Frozen>) {
    let disk = SimDisk::of(frozen.clone());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    disk.tap(move |operation, now| {
        if is_change(operation) {
            keep.lock().unwrap().push(now.clone());
        }
    });
    let clock = ManualClock::new(Timestamp::from_millis(now));
    let store = options(&clock).open_on(disk.clone(), NAME);
    disk.untap();
    let after = store.is_ok().then(|| disk.freeze());
    let during = std::mem::take(&mut *kept.lock().unwrap());
    (during, after)
}

#[test]
fn a_cut_at_any_operation_of_an_open_after_a_kill_leaves_a_store_or_none() {
    let (seed, mut tally, mut opened) = (seed(), Tally::default(), 0);
    let mut rng = Rng::new(!seed);
    let killed = instants(
        seed,
        |_| (),
        |work| {
            create(work);
            work.run(1);
        },
    );
    for (number, (frozen, ledger)) in killed.iter().enumerate() {
        let (during, after) = moments(frozen, ledger.now);
        opened += u64::from(after.is_some());
        let mut acknowledged = ledger.clone();
        acknowledged.exists |= after.is_some();
        let during = during.iter().map(|moment| (moment, ledger));
        let moments = during.chain(after.iter().map(|moment| (moment, &acknowledged)));
        for (nth, (moment, ledger)) in moments.enumerate() {
            check_cut(moment, ledger, &mut rng, &mut tally).unwrap_or_else(|violation| {
                panic!("IDEMSTORE_SEED={seed}, killed before operation {number}, cut before {nth} of the open: {violation}")
            });
        }
    }
    assert!(tally.images > 1000 && tally.without_file > 0 && tally.cuts.dropped_names > 20 && opened > 20, "{opened}, {tally:?}");
}
