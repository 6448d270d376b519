//! What a reader was told stays true: a record that a killed process had written and not synced is made durable before it is
//! answered.

use super::{
    super::{
        ledger::{fingerprint, key},
        power_cut::Cuts,
        rng::{Rng, seed},
        sim::{Frozen, Lie, Operation, SimDisk, Unsynced},
    },
    Desk, SEGMENTS, Shown, check_disk, file, open, payload, same_computer,
};
use idemstore::Begin;
use std::sync::{Arc, Mutex};

const CUTS: u64 = 20;

/// The store was killed between the write of a batch and its sync.
struct Killed {
    frozen: Frozen,
    /// The key of that batch and what it shows if the batch is seen.
    number: usize,
    after: Shown,
}

fn killed(already: usize, is_begin: bool) -> (Desk, Killed) {
    let mut desk = Desk::new();
    (0..already).for_each(|_| desk.pay(40));
    let number = if is_begin { desk.next } else { desk.begin() };
    let killed = killed_in_the_next_batch(&mut desk, number, is_begin);
    (desk, killed)
}

/// Begins or completes a key. The desk's book does not have that.
fn killed_in_the_next_batch(desk: &mut Desk, number: usize, is_begin: bool) -> Killed {
    let slot = Arc::new(Mutex::new(None));
    let kept = slot.clone();
    desk.disk.tap(move |operation, now| {
        let is_frame = |change: &Unsynced| matches!(change, Unsynced::Write(at, _) if *at > 0);
        if operation == Operation::Sync && SEGMENTS.iter().any(|name| file(now, name).unwrap().unsynced.iter().any(is_frame)) {
            *kept.lock().unwrap() = Some(now.clone());
        }
    });
    let mut book = desk.book.clone();
    if is_begin {
        assert_eq!(desk.begin(), number);
    } else {
        desk.complete(number, 90);
    }
    desk.disk.untap();
    std::mem::swap(&mut book, &mut desk.book);
    let frozen = slot.lock().unwrap().take().expect("a batch was synced");
    let after = if is_begin { Shown::InFlight } else { Shown::Ended(payload(number, 90)) };
    Killed { frozen, number, after }
}

/// Starts the process again on the same computer, asks for the key, and cuts the power after the answer.
fn reveal(desk: &Desk, killed: &Killed, lie: Lie, rng: &mut Rng) -> Result<(), String> {
    let disk: SimDisk = same_computer(&killed.frozen);
    disk.lie(lie);
    let store = open(&disk).map_err(|error| format!("the store does not open: {error}"))?;
    let frozen_by_get = {
        let record = store.get(&key(killed.number)).unwrap();
        assert!(record.is_some(), "the page cache shows the record");
        disk.freeze()
    };
    let begun = store.begin(&key(killed.number), fingerprint(killed.number)).unwrap();
    let reveals = match (&killed.after, &begun) {
        (Shown::Ended(payload), Begin::Replay(outcome)) => outcome.payload() == payload,
        (Shown::InFlight, Begin::Takeover(lease)) => lease.attempt() == 2,
        _ => false,
    };
    assert!(reveals, "{begun:?} where {:?} was seen", killed.after);
    let mut book = desk.book.clone();
    book.insert(killed.number, killed.after.clone());
    for frozen in [frozen_by_get, disk.freeze()] {
        for _ in 0..CUTS {
            check_disk(&frozen.cut(rng, &mut Cuts::default()), &book)?;
        }
    }
    Ok(())
}

#[test]
fn a_record_that_was_only_in_the_page_cache_is_durable_before_it_is_answered() {
    let (mut rng, mut cuts) = (Rng::new(seed()), 0);
    for already in [0, 1, 5, 17] {
        for is_begin in [false, true] {
            let (desk, killed) = killed(already, is_begin);
            reveal(&desk, &killed, Lie::None, &mut rng).unwrap_or_else(|what| panic!("{already} before, {is_begin}: {what}"));
            cuts += 2 * CUTS;
        }
    }
    assert_eq!(cuts, 2 * CUTS * 8);
}

#[test]
fn of_two_segments_the_last_record_is_durable_before_it_is_answered() {
    let mut desk = Desk::new();
    desk.pay_until_checkpoints(1);
    let mut held = (0..30).map(|_| desk.begin()).collect::<Vec<_>>().into_iter();
    // There is no space for a checkpoint.
    desk.disk.set_free_pages(0);
    while !desk.is_two_behind() {
        desk.complete(held.next().unwrap(), 300);
    }
    let killed = killed_in_the_next_batch(&mut desk, held.next().unwrap(), false);
    reveal(&desk, &killed, Lie::None, &mut Rng::new(seed())).unwrap();
}

#[test]
fn a_computer_that_loses_what_it_answered_is_noticed() {
    let (desk, killed) = killed(5, false);
    let noticed = reveal(&desk, &killed, Lie::Files(1), &mut Rng::new(seed()));
    assert!(noticed.is_err(), "nothing that was answered was lost, although no sync did anything");
}

/// The disk while the header of a new generation is in the page cache only.
fn killed_while_recycling() -> (Desk, Frozen) {
    let mut desk = Desk::new();
    let slot = Arc::new(Mutex::new(None));
    let kept = slot.clone();
    desk.pay_until_checkpoints(1);
    desk.disk.tap(move |operation, now| {
        let is_header = |change: &Unsynced| matches!(change, Unsynced::Write(0, _));
        if operation == Operation::Sync && SEGMENTS.iter().any(|name| file(now, name).unwrap().unsynced.iter().any(is_header)) {
            *kept.lock().unwrap() = Some(now.clone());
        }
    });
    let mut acknowledged = desk.book.clone();
    while slot.lock().unwrap().is_none() {
        acknowledged = desk.book.clone();
        let number = desk.begin();
        if slot.lock().unwrap().is_none() {
            acknowledged = desk.book.clone();
            desk.complete(number, 40);
        }
    }
    desk.disk.untap();
    desk.book = acknowledged;
    let frozen = slot.lock().unwrap().take().unwrap();
    (desk, frozen)
}

/// The process was killed before that sync, or because it failed: then the kernel counts the pages as clean.
#[test]
fn a_header_that_was_only_in_the_page_cache_is_durable_before_anything_relies_on_it() {
    let (mut rng, mut images) = (Rng::new(seed()), 0);
    for has_failed in [false, true] {
        let (desk, mut frozen) = killed_while_recycling();
        if has_failed {
            let inodes: Vec<u64> = SEGMENTS.iter().map(|name| frozen.names[*name]).collect();
            for inode in &inodes {
                frozen.files.get_mut(inode).unwrap().unsynced.clear();
            }
        }
        let disk = same_computer(&frozen);
        let store = open(&disk).unwrap();
        let mut desk = Desk { disk: disk.clone(), store, next: desk.next + 1, ..desk };
        while desk.checkpoints() < 2 {
            desk.pay(40);
            for _ in 0..4 {
                let after = disk.freeze().cut(&mut rng, &mut Cuts::default());
                check_disk(&after, &desk.book).unwrap_or_else(|what| panic!("failed: {has_failed}: {what}"));
                images += 1;
            }
        }
    }
    println!("{images} images");
    assert!(images > 100, "{images}");
}
