//! What begin answers, and when.

use crate::support::*;
use idemstore::{Begin, ErrorKind, OutcomeKind, State};

#[test]
fn a_new_key_is_fresh_and_its_repeat_is_in_flight() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    assert_eq!((lease.attempt(), lease.earlier_checkpoint()), (1, None));
    assert_eq!(lease.expires_at(), START.saturating_add(LEASE));
    assert_eq!(in_flight(&store, "pay"), LEASE);
    lab.clock.advance(LEASE - MS);
    assert_eq!(in_flight(&store, "pay"), MS);
}

#[test]
fn an_outcome_is_replayed_as_it_was_given() {
    let store = Lab::new().create();
    fresh(&store, "won").complete("receipt").unwrap();
    fresh(&store, "lost").fail("declined").unwrap();
    for _ in 0..3 {
        let (won, lost) = (replay(&store, "won"), replay(&store, "lost"));
        assert_eq!((won.kind(), won.payload(), won.ended_at()), (OutcomeKind::Completed, &b"receipt"[..], START));
        assert_eq!((lost.kind(), lost.payload(), lost.is_completed()), (OutcomeKind::Failed, &b"declined"[..], false));
    }
}

#[test]
fn another_request_under_the_same_key_is_a_mismatch_in_every_state() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    let mismatch = || matches!(store.begin(&key("pay"), request("another amount")).unwrap(), Begin::Mismatch);
    assert!(mismatch(), "in flight");
    lab.clock.advance(LEASE);
    assert!(mismatch(), "lapsed");
    lease.complete("receipt").unwrap();
    assert!(mismatch(), "completed");
    assert_eq!(replay(&store, "pay").payload(), b"receipt");
}

#[test]
fn a_lapsed_attempt_is_a_takeover_that_shows_the_earlier_checkpoint() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay").checkpoint("charge requested").unwrap();
    lab.clock.advance(LEASE);
    let second = takeover(&store, "pay");
    assert_eq!((second.attempt(), second.earlier_checkpoint()), (2, Some(&b"charge requested"[..])));
    lab.clock.advance(LEASE);
    let third = takeover(&store, "pay");
    assert_eq!((third.attempt(), third.earlier_checkpoint()), (3, Some(&b"charge requested"[..])));
}

#[test]
fn a_released_key_is_as_good_as_new() {
    let store = Lab::new().create();
    let first = fresh(&store, "pay");
    first.release().unwrap();
    assert_eq!(store.get(&key("pay")).unwrap(), None);
    let again = fresh(&store, "pay");
    assert!(again.attempt() == 1 && again.token() > first.token());
}

#[test]
fn a_key_that_kills_every_attempt_stops_being_granted() {
    let lab = Lab::with(|options| options.attempts_max(2));
    let store = lab.create();
    fresh(&store, "pay");
    lab.clock.advance(LEASE);
    let last = takeover(&store, "pay");
    lab.clock.advance(LEASE);
    refused(begin(&store, "pay"), ErrorKind::TooManyAttempts);
    last.complete("receipt").unwrap();
    assert_eq!(replay(&store, "pay").payload(), b"receipt");
}

#[test]
fn get_shows_the_record_and_no_more() {
    let store = Lab::new().create();
    assert_eq!(store.get(&key("pay")).unwrap(), None);
    let lease = fresh(&store, "pay");
    lease.checkpoint("mark").unwrap();
    let record = store.get(&key("pay")).unwrap().unwrap();
    assert_eq!((record.state(), record.token(), record.attempt()), (State::InFlight, lease.token(), 1));
    assert_eq!((record.checkpoint(), record.expires_at(), record.ended_at()), (Some(&b"mark"[..]), None, None));
    lease.complete("very secret").unwrap();
    let record = store.get(&key("pay")).unwrap().unwrap();
    assert_eq!(record.outcome().unwrap().payload(), b"very secret");
    assert!(!format!("{record:?} {:?}", record.outcome()).contains("secret"));
}
