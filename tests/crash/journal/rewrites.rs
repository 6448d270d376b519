//! Runs are rewritten in many commits. Wherever a crash or a full disk falls into them, every key answers as before, and in
//! the end nothing is left of what was being written or removed.

use super::{
    super::{
        checker::{assert_nothing_left_over, is_change},
        power_cut::Cuts,
        rng::{Rng, from_env, seed},
        sim::{ENOSPC, Fault, Frozen, Operation, SimDisk},
    },
    Book, Desk, NAME, Shown, check, file, options,
};
use idemstore::{ManualClock, OutcomeKind, Store};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// A chunk has room for a few of these, and a step of a rewrite for one chunk: the journal is that short.
const PAYLOAD_BYTES: usize = 600;
const HOUR: Duration = Duration::from_secs(3600);
/// More than a checkpoint has, which is one commit of two syncs.
const SYNCS_OF_A_REWRITE: u64 = 12;

/// A store just before something that rewrites runs.
struct Scene {
    desk: Desk,
    /// Does it, and leaves out of the book what it changes.
    act: fn(&mut Desk),
}

/// Syncs of the store file in an act: two for each commit.
fn syncs_of(desk: &mut Desk, act: fn(&mut Desk)) -> u64 {
    let before = desk.disk.syncs(NAME);
    act(desk);
    desk.disk.syncs(NAME) - before
}

/// A payment of which nobody waits for the end. It may come with a checkpoint and a merge.
fn pay(desk: &mut Desk) {
    let Ok(number) = desk.try_begin() else { return };
    let _ = desk.try_complete(number, PAYLOAD_BYTES);
    desk.book.remove(&number);
}

/// After how many payments the next one comes with a merge.
fn payments_before_a_merge() -> usize {
    let mut desk = Desk::new();
    (0..1000).find(|_| syncs_of(&mut desk, |desk| desk.pay(PAYLOAD_BYTES)) >= SYNCS_OF_A_REWRITE).unwrap()
}

fn merge(payments: usize) -> Scene {
    let mut desk = Desk::new();
    (0..payments).for_each(|_| desk.pay(PAYLOAD_BYTES));
    Scene { desk, act: pay }
}

#[test]
fn a_merge_waits_while_there_is_no_space_for_it() {
    let payments = payments_before_a_merge();
    let merges_with = |free: u64| {
        let mut desk = Desk::new();
        desk.disk.say_free(free);
        (0..payments).for_each(|_| desk.pay(PAYLOAD_BYTES));
        let merges = syncs_of(&mut desk, |desk| desk.pay(PAYLOAD_BYTES)) >= SYNCS_OF_A_REWRITE;
        assert_eq!(desk.store.stats().unwrap().upkeep_failures, 0);
        (desk, merges)
    };
    assert!(merges_with(1 << 20).1);
    // Less than what the runs hold.
    let (mut desk, merges) = merges_with(payments as u64 * PAYLOAD_BYTES as u64 / 2);
    assert!(!merges, "it would have filled the disk");
    desk.disk.say_free(1 << 20);
    let later = syncs_of(&mut desk, |desk| desk.pay_until_checkpoints(1));
    assert!(later >= SYNCS_OF_A_REWRITE, "{later} syncs, with space again");
}

/// A sweep of some runs of which all has expired, and of some of which a part has.
fn sweep() -> Scene {
    let mut desk = Desk::new();
    for number in 0..40 {
        let (begun, payload) = (desk.begin(), super::payload(number, PAYLOAD_BYTES));
        let retention = if number % 3 == 0 && number > 12 { HOUR * 9 } else { HOUR };
        desk.store.end(&super::key(begun), desk.tokens[&begun], OutcomeKind::Completed, &payload, Some(retention)).unwrap();
        desk.book.insert(begun, if retention > HOUR { Shown::Ended(payload) } else { Shown::Unseen });
    }
    desk.clock.advance(HOUR);
    Scene { desk, act: |desk| drop(desk.store.sweep()) }
}

fn open_at(disk: &SimDisk, clock: &ManualClock) -> Result<Store, String> {
    options(clock).open_on(disk.clone(), NAME).map_err(|error| format!("the store does not open: {error}"))
}

fn check_cut(frozen: &Frozen, clock: &ManualClock, book: &Book, rng: &mut Rng, cuts: &mut Cuts) -> Result<(), String> {
    let store = open_at(&frozen.cut(rng, cuts), clock)?;
    // First what is there, and what has expired with it, before the check begins those keys again.
    assert_nothing_left_over(&store);
    check(&store, book)
}

/// Cuts the power before each change of the disk in an act; returns in how many cases a commit was not durable.
fn cut_everywhere(scene: Scene) -> usize {
    let Scene { mut desk, act } = scene;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    desk.disk.tap(move |operation, now| {
        if is_change(operation) {
            keep.lock().unwrap().push(now.clone());
        }
    });
    let syncs = syncs_of(&mut desk, act);
    desk.disk.untap();
    assert!(syncs >= SYNCS_OF_A_REWRITE, "{syncs} syncs");
    let mut instants = std::mem::take(&mut *kept.lock().unwrap());
    instants.push(desk.disk.freeze());
    let (seed, variants) = (seed(), from_env("IDEMSTORE_CUT_VARIANTS", 6).div_ceil(3));
    let (mut rng, mut cuts) = (Rng::new(seed), Cuts::default());
    for (number, frozen) in instants.iter().enumerate() {
        for _ in 0..variants {
            check_cut(frozen, &desk.clock, &desk.book, &mut rng, &mut cuts)
                .unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}, operation {number}: {violation}"));
        }
    }
    println!("{} instants, {syncs} syncs, {cuts:?}", instants.len());
    assert!(cuts.dropped_writes > 100 && cuts.torn_writes > 10, "{cuts:?}");
    instants.iter().filter(|frozen| file(frozen, NAME).is_some_and(|file| !file.unsynced.is_empty())).count()
}

#[test]
fn a_cut_at_any_operation_of_a_merge_loses_nothing_and_leaves_nothing() {
    assert!(cut_everywhere(merge(payments_before_a_merge())) > 50);
}

#[test]
fn a_cut_at_any_operation_of_a_sweep_loses_nothing_and_leaves_nothing() {
    assert!(cut_everywhere(sweep()) > 50);
}

/// What is acknowledged while there is no space, and after it, is there; and what was begun has been tidied up.
fn check_after_a_full_disk(mut desk: Desk) {
    // Each second the store looks whether there is space again.
    for _ in 0..3 {
        desk.clock.advance(Duration::from_secs(1));
        pay(&mut desk);
    }
    (0..3).for_each(|_| desk.pay(PAYLOAD_BYTES));
    assert!(!desk.store.stats().unwrap().is_poisoned);
    assert_nothing_left_over(&desk.store);
    super::check_sound(&desk.store).unwrap();
    let Desk { disk, clock, store, book, .. } = desk;
    drop(store);
    check(&open_at(&disk, &clock).unwrap(), &book).unwrap();
}

/// Lets each write of an act in turn find the disk full.
fn fill_everywhere(scene: impl Fn() -> Scene) {
    for at in 0.. {
        let Scene { mut desk, act } = scene();
        desk.disk.inject(Fault { at, lasting: false, code: ENOSPC, hits: |operation| operation == Operation::Write });
        act(&mut desk);
        if desk.disk.heal() == 0 {
            assert!(at > 50, "only {at} writes");
            return;
        }
        check_after_a_full_disk(desk);
    }
}

#[test]
fn a_disk_that_is_full_at_any_write_of_a_merge_loses_nothing_and_leaves_nothing() {
    let payments = payments_before_a_merge();
    fill_everywhere(|| merge(payments));
}

#[test]
fn a_disk_that_is_full_at_any_write_of_a_sweep_loses_nothing_and_leaves_nothing() {
    fill_everywhere(sweep);
}
