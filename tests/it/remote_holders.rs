//! A lease that another process holds outlives the store that granted it; one of this process ends with it.

use crate::support::*;
use idemstore::{Begin, BeginOptions, ErrorKind, FencingToken, ListFilter, ManualClock, Options, Resolution, Store};

fn remote(options: Options) -> Options {
    options.remote_holders(true)
}

/// Grants a key, as to a client.
fn grant(store: &Store, id: &str) -> FencingToken {
    fresh(store, id).token()
}

#[test]
fn a_remote_lease_lasts_over_a_close_and_a_crash() {
    let lab = Lab::with(remote);
    let store = lab.create();
    let token = grant(&store, "a");
    let image = crash_image(&lab.disk);
    store.close().unwrap();
    for disk in [lab.disk.clone(), image] {
        let clock = ManualClock::new(START);
        let store = lab.options.clone().clock(clock.clone()).open_on(disk, NAME).unwrap();
        clock.advance(LEASE - MS);
        let Begin::InFlight { retry_after, lease_expires_at } = begin(&store, "a").unwrap() else {
            panic!("its holder is at work")
        };
        assert_eq!((retry_after, lease_expires_at), (MS, START.saturating_add(LEASE)));
        let refused = store.resolve(&key("a"), Resolution::Released, "too early").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InFlight);
        assert!(!store.list(&ListFilter::new(), None).unwrap().records[0].is_lapsed);
        assert_eq!(store.sweep().unwrap().removed, 0);
        store.complete(&key("a"), token, "done").unwrap();
        assert_eq!(replay(&store, "a").payload(), b"done");
    }
}

#[test]
fn a_remote_lease_that_is_over_is_a_takeover() {
    let lab = Lab::with(remote);
    let store = lab.create();
    let token = grant(&store, "a");
    store.close().unwrap();
    let store = lab.open();
    lab.clock.advance(LEASE);
    let Begin::Takeover(lease) = begin(&store, "a").unwrap() else { panic!("its time is over") };
    assert_eq!(store.complete(&key("a"), token, "late").unwrap_err().kind(), ErrorKind::LeaseLost);
    lease.complete("done").unwrap();
}

#[test]
fn a_remote_lease_that_is_renewed_after_a_restart_lasts_from_then_on() {
    let lab = Lab::with(remote);
    let store = lab.create();
    let token = grant(&store, "a");
    store.close().unwrap();
    let store = lab.open();
    lab.clock.advance(LEASE / 2);
    store.renew(&key("a"), token, LEASE).unwrap();
    lab.clock.advance(LEASE - MS);
    assert!(matches!(begin(&store, "a").unwrap(), Begin::InFlight { .. }));
    lab.clock.advance(MS);
    assert!(matches!(begin(&store, "a").unwrap(), Begin::Takeover(_)));
}

#[test]
fn a_clock_that_is_behind_after_a_restart_makes_no_lease_longer_than_it_was() {
    let lab = Lab::with(remote);
    let store = lab.create();
    grant(&store, "a");
    lab.clock.advance(LEASE / 2);
    // The store has seen the later time.
    grant(&store, "b");
    store.close().unwrap();
    let clock = ManualClock::new(START);
    let store = lab.options.clone().clock(clock.clone()).open_on(lab.disk.clone(), NAME).unwrap();
    let Begin::InFlight { retry_after, .. } = begin(&store, "a").unwrap() else { panic!("its holder is at work") };
    assert_eq!(retry_after, LEASE / 2);
}

#[test]
fn who_waits_for_a_remote_lease_of_an_earlier_open_is_woken_when_it_is_over() {
    let lab = Lab::with(remote);
    let store = lab.create();
    grant(&store, "a");
    store.close().unwrap();
    let store = lab.open();
    let asked = BeginOptions::new().wait(LEASE * 2);
    let waiting = {
        let store = store.clone();
        std::thread::spawn(move || store.begin_with(&key("a"), request("a"), asked))
    };
    // It has been told how long the lease lasts, and looked at the clock for it.
    until(|| store.stats().unwrap().answers.in_flight == 1);
    lab.clock.advance(LEASE + MS);
    assert!(matches!(waiting.join().unwrap().unwrap(), Begin::Takeover(_)));
}

#[test]
fn a_grant_keeps_whose_it_is_whoever_opens_the_store_next() {
    let lab = Lab::new();
    let of_others = Lab::with(remote);
    let store = of_others.options.create_on(lab.disk.clone(), NAME).unwrap();
    grant(&store, "remote");
    store.close().unwrap();
    let store = lab.options.open_on(lab.disk.clone(), NAME).unwrap();
    grant(&store, "here");
    store.close().unwrap();
    let store = of_others.options.open_on(lab.disk.clone(), NAME).unwrap();
    assert!(matches!(begin(&store, "remote").unwrap(), Begin::InFlight { .. }));
    assert!(matches!(begin(&store, "here").unwrap(), Begin::Takeover(_)), "its process is gone");
}
