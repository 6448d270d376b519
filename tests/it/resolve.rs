//! An operator ends a lapsed attempt without its token, and leaves a trace.

use crate::support::*;
use idemstore::{ErrorKind, OutcomeKind, Resolution, limits::REASON_BYTES_MAX};

#[test]
fn a_lapsed_attempt_gets_the_outcome_that_it_is_given() {
    let lab = Lab::new();
    let store = lab.create();
    for id in ["won", "lost", "nothing"] {
        fresh(&store, id).checkpoint("charge requested").unwrap();
    }
    lab.clock.advance(LEASE);
    store.resolve(&key("won"), Resolution::Completed(b"receipt"), "found at the provider").unwrap();
    store.resolve(&key("lost"), Resolution::Failed(b"declined"), "declined").unwrap();
    store.resolve(&key("nothing"), Resolution::Released, "never sent").unwrap();
    let won = replay(&store, "won");
    assert_eq!((won.kind(), won.payload()), (OutcomeKind::Completed, &b"receipt"[..]));
    assert_eq!(replay(&store, "lost").kind(), OutcomeKind::Failed);
    assert_eq!(fresh(&store, "nothing").earlier_checkpoint(), None);
}

#[test]
fn a_zombie_cannot_undo_a_resolution() {
    let lab = Lab::new();
    let store = lab.create();
    let zombie = fresh(&store, "pay");
    lab.clock.advance(LEASE);
    store.resolve(&key("pay"), Resolution::Failed(b"given up"), "timed out").unwrap();
    refused(zombie.complete("receipt"), ErrorKind::LeaseLost);
    refused(zombie.release(), ErrorKind::LeaseLost);
    assert_eq!(replay(&store, "pay").payload(), b"given up");
}

#[test]
fn what_is_live_ended_or_unknown_is_refused_and_leaves_no_trace() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "live");
    refused(store.resolve(&key("live"), Resolution::Released, "early"), ErrorKind::InFlight);
    lease.complete("receipt").unwrap();
    refused(store.resolve(&key("live"), Resolution::Failed(b""), "late"), ErrorKind::InvalidInput);
    refused(store.resolve(&key("unknown"), Resolution::Released, "typo"), ErrorKind::NotFound);
    lab.clock.advance(DAY);
    refused(store.resolve(&key("live"), Resolution::Released, "expired"), ErrorKind::NotFound);
    assert_eq!(store.audit(0, 10).unwrap(), []);
}

#[test]
fn an_orphan_can_be_resolved_at_once() {
    let lab = Lab::new();
    let store = lab.create();
    fresh(&store, "pay");
    store.close().unwrap();
    let store = lab.open();
    store.resolve(&key("pay"), Resolution::Completed(b"receipt"), "found").unwrap();
    replay(&store, "pay");
}

#[test]
fn the_audit_tells_who_was_ended_how_and_why_and_outlives_the_record() {
    let lab = Lab::new();
    let store = lab.create();
    let tokens = ["a", "b", "c"].map(|id| fresh(&store, id).token());
    lab.clock.advance(LEASE);
    let reason = "r".repeat(REASON_BYTES_MAX);
    store.resolve(&key("a"), Resolution::Completed(b"x"), &reason).unwrap();
    store.resolve(&key("b"), Resolution::Failed(b"x"), "second").unwrap();
    store.resolve(&key("c"), Resolution::Released, "third").unwrap();
    lab.clock.advance(DAY * 2);
    assert_eq!(store.sweep().unwrap().removed, 2);
    store.close().unwrap();
    let store = lab.open();
    let rows = store.audit(0, 10).unwrap();
    let expected = [
        (0, "a", Some(OutcomeKind::Completed), &reason[..]),
        (1, "b", Some(OutcomeKind::Failed), "second"),
        (2, "c", None, "third"),
    ];
    assert_eq!(rows.len(), expected.len());
    for ((row, (number, id, outcome, reason)), token) in rows.iter().zip(expected).zip(tokens) {
        assert_eq!((row.number, &row.key, row.outcome, &row.reason[..]), (number, &key(id), outcome, reason));
        assert_eq!((row.token, row.at), (Some(token), START.saturating_add(LEASE)));
    }
    assert_eq!(store.audit(1, 1).unwrap(), rows[1..2]);
    assert_eq!(store.audit(3, 10).unwrap(), []);
}
