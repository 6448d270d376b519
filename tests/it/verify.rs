//! P4: what does not verify is reported and refused for its key alone, never guessed at, never taken for new.

use crate::support::*;
use idemstore::{
    ErrorKind, Resolution, Store,
    disk::{Disk as _, MemoryDisk},
};
use std::ops::ControlFlow;

fn contents(disk: &MemoryDisk) -> Vec<u8> {
    let file = disk.open(NAME).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Flips one bit in each copy of the bytes; returns in how many.
fn damage(disk: &MemoryDisk, wanted: &[u8]) -> usize {
    let found = |(at, bytes): (usize, &[u8])| (bytes == wanted).then_some(at as u64);
    let places: Vec<u64> = contents(disk).windows(wanted.len()).enumerate().filter_map(found).collect();
    for &at in &places {
        disk.open(NAME).unwrap().write_at(at, &[wanted[0] ^ 4]).unwrap();
    }
    places.len()
}

/// Three large records, each in blocks of its own, the middle one damaged; opened afresh.
fn damaged() -> (Lab, Store) {
    let lab = Lab::new();
    let store = lab.create();
    for id in ["a", "b", "c"] {
        let payload = id.repeat(40_000).replace("bbbbbbbbbb", "b-receipt-");
        fresh(&store, id).complete(payload).unwrap();
    }
    store.close().unwrap();
    assert!(damage(&lab.disk, b"b-receipt-") > 0);
    let store = lab.open();
    (lab, store)
}

#[test]
fn a_sound_store_is_found_sound() {
    let lab = Lab::new();
    let store = lab.create();
    let leases = begin_all(&store, (0..1100).map(|n| n.to_string()));
    leases[7].complete("receipt").unwrap();
    leases[8].checkpoint("mark").unwrap();
    let mut seen = Vec::new();
    let report = store.verify(|progress| ControlFlow::Continue(seen.push((progress.records, progress.total)))).unwrap();
    assert!(report.is_sound());
    assert_eq!((report.records, report.damaged, report.unindexed, report.astray), (1100, 0, 0, 0));
    assert_eq!((report.bytes, report.counts_match), (store.stats().unwrap().record_bytes, Some(true)));
    assert!(seen.is_sorted() && seen.len() >= 3 && seen.iter().all(|&(_, total)| total == 1100), "{seen:?}");
    assert!(seen.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 512) && seen.last() == Some(&(1100, 1100)), "{seen:?}");
}

#[test]
fn a_damaged_record_is_refused_and_the_rest_works() {
    let (_lab, store) = damaged();
    refused(begin(&store, "b"), ErrorKind::Corrupted);
    refused(store.get(&key("b")), ErrorKind::Corrupted);
    refused(store.resolve(&key("b"), Resolution::Completed(b""), "guess"), ErrorKind::Corrupted);
    replay(&store, "a");
    replay(&store, "c");
    fresh(&store, "d").complete("").unwrap();
    assert!(store.stats().unwrap().io.damaged_reads > 0 && !store.stats().unwrap().is_poisoned);
}

#[test]
fn damage_is_never_verified_as_sound() {
    let (_lab, store) = damaged();
    match store.verify(go_on) {
        Ok(report) => assert!(!report.is_sound() && report.damaged > 0, "{report:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupted),
    }
}

#[test]
fn verification_names_a_damaged_key_and_passes_it() {
    let (_lab, store) = damaged();
    let report = store.verify(go_on).unwrap();
    assert_eq!((report.records, report.damaged, &report.damaged_keys[..]), (3, 1, &[Some(key("b"))][..]));
    refused(store.list(&idemstore::ListFilter::new(), None), ErrorKind::Corrupted);
}

#[test]
fn a_damaged_record_outlives_every_sweep() {
    let (lab, store) = damaged();
    lab.clock.advance(DAY);
    store.sweep().unwrap();
    refused(begin(&store, "b"), ErrorKind::Corrupted);
}

#[test]
fn a_damaged_run_is_tried_once_in_an_open() {
    let (lab, store) = damaged();
    lab.clock.advance(DAY);
    store.sweep().unwrap();
    let before = store.stats().unwrap();
    assert!(before.upkeep_failures > 0 && before.io.damaged_reads > 0, "{before:?}");
    store.sweep().unwrap();
    let after = store.stats().unwrap();
    // Damage that is met costs no commit either.
    assert_eq!((after.upkeep_failures, after.io.syncs), (before.upkeep_failures, before.io.syncs));
}

#[test]
fn a_key_on_an_unreadable_page_cannot_be_freed() {
    let (_lab, store) = damaged();
    refused(store.resolve(&key("b"), Resolution::Released, "damaged, nothing was charged"), ErrorKind::Corrupted);
    refused(begin(&store, "b"), ErrorKind::Corrupted);
    assert_eq!(store.audit(0, 10).unwrap().len(), 0);
    replay(&store, "a");
}

#[test]
fn a_verification_can_be_stopped() {
    let store = Lab::new().create();
    fresh(&store, "pay");
    refused(store.verify(|_| ControlFlow::Break(())), ErrorKind::Stopped);
}
