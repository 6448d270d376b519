//! The sweep removes what has expired, all of it, nothing else, a bounded step at a time.

use crate::support::*;
use idemstore::{State, Store};
use std::{thread, time::Duration};

/// A quarter each completes, fails for longer, is held by a checkpoint, and is left.
fn begin_for_each_end(store: &Store, keys: usize) {
    for n in 0..keys {
        let lease = fresh(store, &n.to_string());
        match n % 4 {
            0 => drop(lease.complete("").unwrap()),
            1 => drop(lease.fail_for("", DAY * 3).unwrap()),
            2 => lease.checkpoint("held").unwrap(),
            _ => (),
        }
    }
}

#[test]
fn what_has_expired_goes_and_the_rest_stays() {
    let lab = Lab::with(|options| options.sweep_batch(3));
    let store = lab.create();
    begin_for_each_end(&store, 20);
    assert_eq!(store.sweep().unwrap().examined, 0);
    lab.clock.advance(DAY);
    assert_eq!(store.sweep().unwrap().removed, 5);
    lab.clock.advance(LEASE);
    assert_eq!(store.sweep().unwrap().removed, 5);
    lab.clock.advance(DAY * 2);
    assert_eq!(store.sweep().unwrap().removed, 5);
    let left = store.list(&idemstore::ListFilter::new(), None).unwrap().records;
    assert!(left.len() == 5 && left.iter().all(|record| record.has_checkpoint && record.state == State::InFlight));
    let stats = store.stats().unwrap();
    assert_eq!((stats.in_flight, stats.completed, stats.failed, stats.swept), (5, 0, 0, 15));
}

#[test]
fn a_key_begun_again_after_it_expired_is_not_swept() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay").complete("first").unwrap();
    lab.clock.advance(DAY);
    let lease = fresh(&store, "pay");
    assert_eq!(store.sweep().unwrap().removed, 0);
    lease.complete("second").unwrap();
    assert_eq!(store.sweep().unwrap().removed, 0);
    assert_eq!(replay(&store, "pay").payload(), b"second");
}

#[test]
fn a_sweep_among_begins_never_takes_what_was_granted() {
    let lab = Lab::with(|options| options.sweep_batch(1));
    let store = lab.create();
    for round in 0..20 {
        for n in 0..8 {
            fresh(&store, &n.to_string()).complete(format!("{round}")).unwrap();
        }
        lab.clock.advance(DAY);
        thread::scope(|scope| {
            let sweeper = scope.spawn(|| store.sweep().unwrap());
            for n in 0..8 {
                let lease = fresh(&store, &n.to_string());
                lease.complete("current").unwrap();
            }
            sweeper.join().unwrap();
        });
        for n in 0..8 {
            assert_eq!(replay(&store, &n.to_string()).payload(), b"current");
        }
        lab.clock.advance(DAY);
    }
}

#[test]
fn the_background_sweep_needs_no_call() {
    let lab = Lab::with(|options| options.sweep_interval(Some(Duration::from_secs(10))).sweep_batch(2));
    let store = lab.create();
    for n in 0..7 {
        fresh(&store, &n.to_string()).complete("").unwrap();
    }
    lab.clock.advance(DAY);
    // Each step of the sweep is planned for a millisecond later.
    until(|| {
        lab.clock.advance(MS);
        store.stats().unwrap().swept == 7
    });
    assert_eq!(store.stats().unwrap().completed, 0);
    fresh(&store, "later").complete("").unwrap();
    lab.clock.advance(DAY);
    until(|| {
        lab.clock.advance(Duration::from_secs(10));
        store.stats().unwrap().swept == 8
    });
}

#[test]
fn an_empty_store_is_swept_without_a_commit() {
    let store = Lab::new().create();
    assert_eq!(store.sweep().unwrap(), idemstore::SweepReport::default());
    assert_eq!(store.stats().unwrap().commits.count, 0);
}

#[test]
fn a_preview_counts_what_a_sweep_removes_and_removes_nothing() {
    let lab = Lab::with(|options| options.sweep_batch(3));
    let store = lab.create();
    begin_for_each_end(&store, 40);
    for (step, removed) in [(MS, 0), (DAY, 10), (LEASE, 10), (DAY * 3, 10)] {
        lab.clock.advance(step);
        let before = store.stats().unwrap();
        let preview = store.preview_sweep(go_on).unwrap();
        let after = store.stats().unwrap();
        assert_eq!((before.in_flight, before.completed, before.failed), (after.in_flight, after.completed, after.failed));
        assert_eq!((preview.removed, preview.paused), (removed, false));
        assert_eq!(store.sweep().unwrap().removed, preview.removed);
    }
    let error = store.preview_sweep(|_| std::ops::ControlFlow::Break(())).unwrap_err();
    assert_eq!(error.kind(), idemstore::ErrorKind::Stopped);
}
