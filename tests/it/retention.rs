//! How long an outcome answers, and how long an attempt without an end is remembered.

use crate::support::*;
use idemstore::ErrorKind;
use std::time::Duration;

#[test]
fn an_outcome_answers_until_the_last_millisecond_of_its_retention() {
    let lab = Lab::new();
    let store = lab.create();
    let ended = fresh(&store, "pay").complete("receipt").unwrap();
    assert_eq!(ended.expires_at, START.saturating_add(DAY));
    lab.clock.advance(DAY - MS);
    assert_eq!(replay(&store, "pay").expires_at(), ended.expires_at);
    lab.clock.advance(MS);
    assert_eq!(store.get(&key("pay")).unwrap(), None);
    assert_eq!(fresh(&store, "pay").attempt(), 1);
}

#[test]
fn failures_have_a_retention_of_their_own_and_a_call_can_set_one() {
    let lab = Lab::with(|options| options.failed_retention(Duration::from_secs(60)));
    let store = lab.create();
    let minutes = |n: u64| START.saturating_add(Duration::from_secs(60 * n));
    assert_eq!(fresh(&store, "failed").fail("").unwrap().expires_at, minutes(1));
    assert_eq!(fresh(&store, "longer").fail_for("", Duration::from_secs(300)).unwrap().expires_at, minutes(5));
    assert_eq!(fresh(&store, "short").complete_for("", Duration::from_secs(120)).unwrap().expires_at, minutes(2));
    lab.clock.advance(Duration::from_secs(119));
    fresh(&store, "failed");
    replay(&store, "short");
    replay(&store, "longer");
}

#[test]
fn records_keep_their_expiry_under_other_options() {
    let mut lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay").complete("receipt").unwrap();
    store.close().unwrap();
    lab.options = lab.options.clone().retention(Duration::from_secs(1));
    let store = lab.open();
    lab.clock.advance(DAY - MS);
    assert_eq!(store.sweep().unwrap().removed, 0);
    replay(&store, "pay");
}

#[test]
fn an_attempt_without_a_checkpoint_is_remembered_for_the_retention_after_its_lease() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay");
    lab.clock.advance(LEASE + DAY - MS);
    assert_eq!(store.sweep().unwrap().removed, 0);
    lab.clock.advance(MS);
    assert_eq!(store.sweep().unwrap().removed, 1);
    fresh(&store, "pay");
}

#[test]
fn an_attempt_with_a_checkpoint_is_remembered_until_somebody_ends_it() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    lease.checkpoint("charge requested").unwrap();
    for _ in 0..100 {
        lab.clock.advance(DAY * 4);
        assert_eq!(store.sweep().unwrap().removed, 0);
    }
    let second = takeover(&store, "pay");
    assert_eq!(second.earlier_checkpoint(), Some(&b"charge requested"[..]));
    second.complete("receipt").unwrap();
    lab.clock.advance(DAY);
    assert_eq!(store.sweep().unwrap().removed, 1);
}

#[test]
fn a_renewal_never_makes_a_held_key_expire() {
    let lab = Lab::with(|options| options.retention(Duration::from_secs(1)));
    let store = lab.create();
    let lease = fresh(&store, "pay");
    for _ in 0..20 {
        lab.clock.advance(LEASE / 2);
        lease.renew(LEASE).unwrap();
        assert_eq!(store.sweep().unwrap().removed, 0);
        in_flight(&store, "pay");
    }
}

#[test]
fn a_retention_out_of_range_is_refused_and_the_attempt_stays_in_flight() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    refused(lease.complete_for("", Duration::from_millis(999)), ErrorKind::InvalidInput);
    refused(lease.fail_for("", DAY * 4000), ErrorKind::InvalidInput);
    in_flight(&store, "pay");
    lease.complete_for("", Duration::from_secs(1)).unwrap();
}
