//! After a power cut at any instant, everything acknowledged is in effect, and nothing else but what was under way.

use super::{
    checker::{Tally, check_cut, is_change},
    ledger::Ledger,
    rng::{Rng, from_env, seed},
    sim::{Frozen, Lie, Operation, SimDisk},
    workload::Workload,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

const STEPS: usize = 40;
const CUTS_PER_INSTANT: usize = 1;
const THREADS: usize = 2;

/// A disk at one instant, and what had been acknowledged by then.
type Instant = (Frozen, Ledger);

/// Lets a store work and remembers the disk before every sync, and now and then in between.
fn instants(seed: u64, lie: Lie) -> (Vec<Instant>, Workload) {
    let disk = SimDisk::default();
    let mut work = Workload::new(&disk, seed);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (keep, ledger, mut rng) = (kept.clone(), work.ledger.clone(), Rng::new(!seed));
    disk.tap(move |operation, now| {
        let is_sync = matches!(operation, Operation::Sync | Operation::DirSync);
        if is_sync || (is_change(operation) && rng.chance(1, 6)) {
            keep.lock().unwrap().push((now.clone(), ledger.lock().unwrap().clone()));
        }
    });
    disk.lie(lie);
    assert!(work.create(), "seed {seed}: the store is not created");
    work.run(STEPS);
    work.close();
    disk.untap();
    let last = (disk.freeze(), work.ledger().clone());
    let mut kept = std::mem::take(&mut *kept.lock().unwrap());
    kept.push(last);
    (kept, work)
}

/// Works with one seed and checks every instant; stops at the first violation.
fn check_seed(seed: u64, lie: Lie, tally: &mut Tally) -> Result<BTreeMap<&'static str, u64>, String> {
    let (instants, work) = instants(seed, lie);
    if let Some(violation) = work.violations.first() {
        return Err(violation.clone());
    }
    let mut rng = Rng::new(seed ^ 0xC0FF_EE00);
    for (frozen, ledger) in &instants {
        for _ in 0..CUTS_PER_INSTANT {
            check_cut(frozen, ledger, &mut rng, tally)?;
        }
    }
    Ok(BTreeMap::from([("instants", instants.len() as u64), ("commands in a batch", work.batch_max)]))
}

#[test]
fn acknowledged_transitions_survive_every_power_cut() {
    let wanted = from_env("IDEMSTORE_CRASH_IMAGES", 20_000);
    let (first, next, images) = (seed(), AtomicU64::new(0), AtomicU64::new(0));
    let total = Mutex::new((Tally::default(), 0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while images.load(Ordering::Relaxed) < wanted {
                    let seed = first + next.fetch_add(1, Ordering::Relaxed);
                    let mut tally = Tally::default();
                    let figures = check_seed(seed, Lie::None, &mut tally)
                        .unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, image {}: {violation}", tally.images));
                    images.fetch_add(tally.images, Ordering::Relaxed);
                    let mut total = total.lock().unwrap();
                    total.0 += tally;
                    total.1 = total.1.max(figures["commands in a batch"]);
                }
            });
        }
    });
    let (tally, batch_max) = total.into_inner().unwrap();
    println!("{tally:?}, up to {batch_max} commands in a batch, {} runs", next.into_inner());
    assert!(tally.images >= wanted);
    for (what, count) in [
        ("dropped writes", tally.cuts.dropped_writes),
        ("torn writes", tally.cuts.torn_writes),
        ("dropped lengths", tally.cuts.dropped_lengths),
        ("dropped names", tally.cuts.dropped_names),
        ("cuts during recovery", tally.second_cuts),
        ("cuts after recovery", tally.cuts_after_recovery),
        ("cuts before there was a file", tally.without_file),
        ("operations under way that took effect", tally.took_effect),
        ("operations under way that did not", tally.did_not_take_effect),
        ("takeovers", tally.takeovers),
        ("replays", tally.replays),
    ] {
        assert!(count >= wanted.min(10_000) / 1000, "{what}: {count}");
    }
    assert!(batch_max >= 2, "no two commands shared a commit");
}

/// The checker has to notice a disk that lies.
fn assert_noticed(lie: Lie) {
    let mut tally = Tally::default();
    let noticed = (0..50).find_map(|offset| check_seed(seed() + offset, lie, &mut tally).err());
    let violation = noticed.unwrap_or_else(|| panic!("{lie:?} went unnoticed in {} images", tally.images));
    println!("{lie:?}: noticed after {} images: {violation}", tally.images);
    assert!(tally.images < 5000, "{lie:?} was noticed only after {} images", tally.images);
}

#[test]
fn a_disk_that_never_syncs_is_noticed() {
    assert_noticed(Lie::Files(1));
}

#[test]
fn a_disk_that_drops_every_third_sync_is_noticed() {
    assert_noticed(Lie::Files(3));
}

#[test]
fn a_disk_that_drops_every_fiftieth_sync_is_noticed() {
    assert_noticed(Lie::Files(50));
}

#[test]
fn a_directory_that_is_never_synced_is_noticed() {
    assert_noticed(Lie::Directory);
}
