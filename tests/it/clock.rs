//! P3: a wall clock that steps, in either direction, makes no seen key unseen before its published expiry.

use crate::support::*;
use idemstore::{Store, Timestamp};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn with_outcome(lab: &Lab) -> (Store, Timestamp) {
    let store = lab.create();
    let ended = fresh(&store, "pay").complete("receipt").unwrap();
    (store, ended.expires_at)
}

#[test]
fn a_backward_step_keeps_outcomes_and_reopens_no_swept_key() {
    let lab = Lab::new();
    let (store, expires_at) = with_outcome(&lab);
    lab.clock.advance(DAY - MS);
    fresh(&store, "later").complete("second").unwrap();
    lab.clock.set_wall(Timestamp::from_millis(START.as_millis() - 10 * 86_400_000));
    replay(&store, "pay");
    // The store's time stands still until the wall clock is back, so nothing expires early and nothing twice.
    let published = fresh(&store, "during").complete("third").unwrap().expires_at;
    assert_eq!(published.as_millis(), expires_at.as_millis() - 1 + 86_400_000);
    lab.clock.advance(DAY);
    assert_eq!(store.sweep().unwrap().removed, 0);
    for id in ["pay", "later", "during"] {
        replay(&store, id);
    }
}

#[test]
fn leases_do_not_follow_the_wall_clock() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay");
    for wall in [START.as_millis() - 1_000_000, START.as_millis() + 100_000_000_000] {
        lab.clock.set_wall(Timestamp::from_millis(wall));
        assert_eq!(in_flight(&store, "pay"), LEASE);
    }
    lab.clock.advance(LEASE);
    takeover(&store, "pay");
}

#[test]
fn a_forward_leap_is_doubted_and_nothing_expires_by_it() {
    let lab = Lab::new();
    let (store, expires_at) = with_outcome(&lab);
    lab.clock.set_wall(expires_at.saturating_add(DAY));
    assert_eq!(store.stats().unwrap().clock_doubted, Some(DAY * 2));
    let swept = store.sweep().unwrap();
    assert!(swept.paused && swept.removed == 0, "{swept:?}");
    assert_eq!(replay(&store, "pay").payload(), b"receipt");
    lab.clock.set_wall(START);
    assert_eq!(store.stats().unwrap().clock_doubted, None);
    assert!(!store.sweep().unwrap().paused);
    replay(&store, "pay");
}

#[test]
fn a_leap_that_settles_is_believed() {
    let lab = Lab::with(|options| options.clock_settle(Some(HOUR)));
    let (store, expires_at) = with_outcome(&lab);
    lab.clock.set_wall(expires_at);
    replay(&store, "pay");
    lab.clock.advance(HOUR - MS);
    replay(&store, "pay");
    assert!(store.sweep().unwrap().paused);
    lab.clock.advance(MS);
    assert_eq!(store.sweep().unwrap().removed, 1);
    fresh(&store, "pay");
}

#[test]
fn without_a_settling_time_only_a_person_makes_a_leap_believed() {
    let lab = Lab::with(|options| options.clock_settle(None).clock_jump_max(Duration::from_secs(1)));
    let (store, expires_at) = with_outcome(&lab);
    lab.clock.set_wall(expires_at);
    for _ in 0..10 {
        lab.clock.advance(HOUR);
        replay(&store, "pay");
    }
    assert!(store.stats().unwrap().clock_doubted.is_some());
    assert_eq!(store.accept_clock().unwrap(), expires_at.saturating_add(HOUR * 10));
    assert_eq!(store.stats().unwrap().clock_doubted, None);
    fresh(&store, "pay");
}

#[test]
fn a_small_step_ahead_is_followed() {
    let lab = Lab::with(|options| options.clock_jump_max(HOUR));
    let (store, expires_at) = with_outcome(&lab);
    lab.clock.advance(DAY - HOUR);
    replay(&store, "pay");
    lab.clock.set_wall(expires_at);
    assert_eq!(store.sweep().unwrap().removed, 1);
}

#[test]
fn a_clock_set_back_while_the_store_was_closed_does_not_move_it() {
    let lab = Lab::new();
    let (store, _) = with_outcome(&lab);
    lab.clock.advance(HOUR);
    let latest = fresh(&store, "latest").complete("second").unwrap().expires_at;
    store.close().unwrap();
    lab.clock.set_wall(Timestamp::from_millis(1_000));
    let store = lab.open();
    assert_eq!(fresh(&store, "now").complete("third").unwrap().expires_at, latest);
    lab.clock.advance(DAY * 3);
    assert_eq!(store.sweep().unwrap().removed, 0);
    replay(&store, "pay");
}

#[test]
fn a_clock_years_ahead_at_open_is_doubted() {
    let lab = Lab::with(|options| options.downtime_max(DAY * 7));
    let (store, _) = with_outcome(&lab);
    store.close().unwrap();
    lab.clock.set_wall(START.saturating_add(DAY * 8));
    let store = lab.open();
    assert_eq!(store.stats().unwrap().clock_doubted, Some(DAY * 8));
    assert!(store.sweep().unwrap().paused);
    replay(&store, "pay");
    store.accept_clock().unwrap();
    fresh(&store, "pay");
}
