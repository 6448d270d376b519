//! P2: a key has one holder at a time, and a stale token never changes a record.

use crate::support::*;
use idemstore::{Begin, ErrorKind, FencingToken, Lease, Store};
use std::{collections::BTreeSet, thread};

fn every_verb_is_refused(store: &Store, id: &str, token: FencingToken) {
    let before = store.get(&key(id)).unwrap();
    let key = key(id);
    refused(store.complete(&key, token, "zombie"), ErrorKind::LeaseLost);
    refused(store.fail(&key, token, "zombie"), ErrorKind::LeaseLost);
    refused(store.release(&key, token), ErrorKind::LeaseLost);
    refused(store.renew(&key, token, LEASE), ErrorKind::LeaseLost);
    refused(store.checkpoint(&key, token, "zombie"), ErrorKind::LeaseLost);
    assert_eq!(store.get(&key).unwrap(), before, "nothing changed");
}

#[test]
fn stale_token_cannot_change_a_record_in_any_state() {
    let lab = Lab::new();
    let store = lab.create();
    let zombie = fresh(&store, "pay");
    lab.clock.advance(LEASE);
    let holder = takeover(&store, "pay");
    every_verb_is_refused(&store, "pay", zombie.token());
    holder.complete("receipt").unwrap();
    every_verb_is_refused(&store, "pay", zombie.token());
    every_verb_is_refused(&store, "unknown", zombie.token());
    fresh(&store, "other");
    every_verb_is_refused(&store, "other", zombie.token());
}

#[test]
fn an_ended_attempt_takes_no_second_outcome() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    let first = lease.complete("receipt").unwrap();
    assert_eq!(lease.complete("receipt").unwrap(), first, "the repeat of a lost answer is harmless");
    refused(lease.complete("another"), ErrorKind::LeaseLost);
    refused(lease.fail("receipt"), ErrorKind::LeaseLost);
    refused(lease.release(), ErrorKind::LeaseLost);
    assert_eq!(replay(&store, "pay").payload(), b"receipt");
}

#[test]
fn a_holder_that_lapsed_but_was_not_replaced_may_still_finish() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    lab.clock.advance(LEASE * 10);
    lease.complete("late").unwrap();
    assert_eq!(replay(&store, "pay").payload(), b"late");
}

#[test]
fn a_renewal_keeps_the_key_and_the_token() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    lab.clock.advance(LEASE - MS);
    assert_eq!(lease.renew(LEASE * 2).unwrap(), lab_now(&lab).saturating_add(LEASE * 2));
    lab.clock.advance(LEASE);
    assert_eq!(in_flight(&store, "pay"), LEASE);
    lease.complete("receipt").unwrap();
}

fn lab_now(lab: &Lab) -> idemstore::Timestamp {
    idemstore::Clock::wall(&lab.clock)
}

#[test]
fn tokens_rise_over_keys_releases_and_opens() {
    let lab = Lab::new();
    let mut last = FencingToken::new(0);
    for open in 0..4 {
        let store = if open == 0 { lab.create() } else { lab.open() };
        for n in 0..5 {
            let lease = fresh(&store, &format!("{open} {n}"));
            assert!(lease.token() > last);
            last = lease.token();
            lease.release().unwrap();
        }
        store.close().unwrap();
    }
    assert_eq!(last.get(), 20);
}

#[test]
fn of_many_callers_at_once_one_is_granted() {
    let store = Lab::new().create();
    for round in 0..50 {
        let id = format!("pay {round}");
        let granted: Vec<Lease> = thread::scope(|scope| {
            let ask = || match begin(&store, &id).unwrap() {
                Begin::Fresh(lease) => Some(lease),
                Begin::InFlight { .. } => None,
                other => panic!("{other:?}"),
            };
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            callers.into_iter().filter_map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(granted.len(), 1, "{id}");
    }
    let page = store.list(&idemstore::ListFilter::new(), None).unwrap();
    let tokens: BTreeSet<_> = page.records.iter().map(|record| record.token).collect();
    assert_eq!(tokens.len(), 50);
}
