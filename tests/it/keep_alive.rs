//! A lease that is kept alive lasts as long as the work, and its loss is told.

use crate::support::*;
use idemstore::{Begin, BeginOptions, ErrorKind, Resolution};
use std::{thread, time::Duration};

#[test]
fn renewals_hold_the_key_far_beyond_one_lease() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    let guard = lease.keep_alive();
    for renewals in 1..=12 {
        lab.clock.advance(LEASE / 3);
        until(|| store.stats().unwrap().answers.renewed == renewals);
        assert_eq!(in_flight(&store, "pay"), LEASE);
        assert!(!guard.is_lost());
    }
    lease.complete("receipt").unwrap();
}

#[test]
fn a_lease_that_is_shorter_or_nearly_over_is_renewed_in_time() {
    for (lease, late) in [(LEASE / 30, Duration::ZERO), (LEASE, LEASE / 6 * 5)] {
        let lab = Lab::new();
        let store = lab.create();
        let options = BeginOptions::new().lease(lease);
        let Begin::Fresh(held) = store.begin_with(&key("pay"), request("pay"), options).unwrap() else { panic!("a new key") };
        lab.clock.advance(late);
        let guard = held.keep_alive();
        lab.clock.advance((lease - late) / 3);
        until(|| store.stats().unwrap().answers.renewed == 1);
        assert_eq!(in_flight(&store, "pay"), LEASE);
        assert!(!guard.is_lost());
    }
}

#[test]
fn a_dropped_guard_renews_no_more() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    drop(lease.keep_alive());
    lab.clock.advance(LEASE);
    takeover(&store, "pay");
    assert_eq!(store.stats().unwrap().answers.renewed, 0);
}

#[test]
fn a_lost_lease_is_told_to_those_who_block_and_those_who_await() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    let guard = lease.keep_alive();
    let (blocking, awaiting) = (guard.lost(), guard.lost());
    // The timer thread may be late; what counts is that the zombie learns of it.
    lab.clock.advance(LEASE / 3);
    until(|| store.stats().unwrap().answers.renewed == 1);
    let before = store.stats().unwrap().answers.lease_lost;
    store.release(&key("pay"), lease.token()).unwrap();
    let usurper = fresh(&store, "pay");
    thread::scope(|scope| {
        let blocked = scope.spawn(|| blocking.wait());
        lab.clock.advance(LEASE / 3);
        assert!(blocked.join().unwrap());
    });
    assert!(block_on(awaiting) && guard.is_lost());
    assert!(block_on(guard.lost()), "also for those who ask afterwards");
    assert_eq!(store.stats().unwrap().answers.lease_lost, before + 1);
    usurper.complete("receipt").unwrap();
}

#[test]
fn an_attempt_that_ended_is_not_a_lost_lease() {
    let lab = Lab::new();
    let store = lab.create();
    for end in ["complete", "fail"] {
        let lease = fresh(&store, end);
        let guard = lease.keep_alive();
        let lost = guard.lost();
        match end {
            "complete" => lease.complete("receipt").unwrap(),
            _ => lease.fail("declined").unwrap(),
        };
        thread::scope(|scope| {
            let blocked = scope.spawn(|| lost.wait());
            lab.clock.advance(LEASE / 3);
            assert!(!blocked.join().unwrap(), "{end}: the holder ended it itself");
        });
        assert!(!guard.is_lost(), "{end}");
    }
}

#[test]
fn dropping_the_guard_answers_its_listeners() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    let guard = lease.keep_alive();
    let lost = guard.lost();
    drop(guard);
    assert!(!lost.wait());
}

#[test]
fn closing_the_store_answers_the_listeners() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    let guard = lease.keep_alive();
    let lost = guard.lost();
    store.close().unwrap();
    assert!(!lost.wait());
    assert!(!guard.lost().wait(), "also for those who ask afterwards");
}

#[test]
fn an_operator_cannot_resolve_what_is_kept_alive() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    let _guard = lease.keep_alive();
    lab.clock.advance(LEASE / 3);
    until(|| store.stats().unwrap().answers.renewed == 1);
    lab.clock.advance(LEASE / 3);
    refused(store.resolve(&key("pay"), Resolution::Released, "impatient"), ErrorKind::InFlight);
}

#[test]
fn a_length_of_ones_own_is_checked() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    refused(lease.keep_alive_by(Duration::from_millis(9)), ErrorKind::InvalidInput);
    drop(lease.keep_alive_by(Duration::from_millis(10)).unwrap());
}
