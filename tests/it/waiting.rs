//! A duplicate that waits is woken when the attempt ends; it does not poll, and it does not wait for ever.

use crate::support::*;
use idemstore::{Begin, BeginOptions, ErrorKind, Result, Store};
use std::{
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

const WAIT: Duration = Duration::from_secs(10);

/// Blocking and async callers have to be answered alike.
const WAYS: [fn(&Store, &str, Duration) -> Result<Begin>; 2] = [
    |store, id, wait| store.begin_with(&key(id), request(id), BeginOptions::new().wait(wait)),
    |store, id, wait| block_on(store.begin_with_async(&key(id), request(id), BeginOptions::new().wait(wait))),
];

/// Starts callers, and returns when each has asked and waits.
fn waiting<'s>(
    scope: &'s thread::Scope<'s, '_>,
    store: &'s Store,
    callers: usize,
    ask: impl Fn(&Store) -> Result<Begin> + Copy + Send + 's,
) -> Vec<ScopedJoinHandle<'s, Result<Begin>>> {
    let asked = store.stats().unwrap().answers.in_flight;
    let callers: Vec<_> = (0..callers).map(|_| scope.spawn(move || ask(store))).collect();
    until(|| store.stats().unwrap().answers.in_flight == asked + callers.len() as u64);
    assert_eq!(store.stats().unwrap().waiting, callers.len());
    callers
}

#[test]
fn an_end_wakes_everybody_with_the_outcome() {
    for way in WAYS {
        let store = Lab::new().create();
        let lease = fresh(&store, "pay");
        thread::scope(|scope| {
            let callers = waiting(scope, &store, 4, |store| way(store, "pay", WAIT));
            lease.complete("receipt").unwrap();
            for caller in callers {
                let Ok(Begin::Replay(outcome)) = caller.join().unwrap() else { panic!("a replay") };
                assert_eq!(outcome.payload(), b"receipt");
            }
        });
        let stats = store.stats().unwrap();
        // Each asked once before the end and once after it.
        assert_eq!((stats.answers.in_flight, stats.answers.replay, stats.waiting), (4, 4, 0));
    }
}

#[test]
fn a_waiter_asks_only_when_it_is_woken() {
    for way in WAYS {
        let lab = Lab::new();
        let store = lab.create();
        let lease = fresh(&store, "pay");
        fresh(&store, "other");
        thread::scope(|scope| {
            let caller = waiting(scope, &store, 1, |store| way(store, "pay", WAIT)).remove(0);
            for _ in 0..9 {
                lab.clock.advance(WAIT / 10);
                lease.renew(LEASE).unwrap();
                lease.checkpoint("still at it").unwrap();
                store.release(&key("other"), fresh_token(&store, "other")).unwrap();
                fresh(&store, "other");
            }
            lease.complete("receipt").unwrap();
            assert!(matches!(caller.join().unwrap(), Ok(Begin::Replay(_))));
        });
        assert_eq!(store.stats().unwrap().answers.in_flight, 1);
    }
}

fn fresh_token(store: &Store, id: &str) -> idemstore::FencingToken {
    store.get(&key(id)).unwrap().unwrap().token()
}

#[test]
fn a_release_lets_exactly_one_waiter_run() {
    for way in WAYS {
        let store = Lab::new().create();
        let lease = fresh(&store, "pay");
        thread::scope(|scope| {
            let callers = waiting(scope, &store, 3, |store| way(store, "pay", WAIT));
            lease.release().unwrap();
            // Two of them wait again, for the one that runs.
            until(|| store.stats().unwrap().answers.in_flight == 3 + 2);
            let token = fresh_token(&store, "pay");
            store.complete(&key("pay"), token, "receipt").unwrap();
            let answers: Vec<Begin> = callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect();
            let count = |is: fn(&Begin) -> bool| answers.iter().filter(|answer| is(answer)).count();
            assert_eq!(count(|answer| matches!(answer, Begin::Fresh(_))), 1);
            assert_eq!(count(|answer| matches!(answer, Begin::Replay(_))), 2);
        });
    }
}

#[test]
fn a_lapsed_lease_ends_the_wait_with_a_takeover() {
    for way in WAYS {
        let lab = Lab::new();
        let store = lab.create();
        fresh(&store, "pay");
        thread::scope(|scope| {
            let caller = waiting(scope, &store, 1, |store| way(store, "pay", LEASE * 10)).remove(0);
            lab.clock.advance(LEASE + MS);
            let Ok(Begin::Takeover(lease)) = caller.join().unwrap() else { panic!("a takeover") };
            assert_eq!(lease.attempt(), 2);
        });
    }
}

#[test]
fn a_lease_that_its_holder_cuts_short_ends_the_wait_when_it_lapses() {
    for way in WAYS {
        let lab = Lab::new();
        let store = lab.create();
        let lease = fresh(&store, "pay");
        thread::scope(|scope| {
            let caller = waiting(scope, &store, 1, |store| way(store, "pay", LEASE * 10)).remove(0);
            lease.renew(LEASE / 10).unwrap();
            until(|| store.stats().unwrap().answers.in_flight == 2);
            lab.clock.advance(LEASE / 10 + MS);
            let Ok(Begin::Takeover(lease)) = caller.join().unwrap() else { panic!("a takeover") };
            assert_eq!(lease.attempt(), 2);
        });
    }
}

#[test]
fn a_renewed_lease_goes_on_holding_the_waiter() {
    for way in WAYS {
        let lab = Lab::new();
        let store = lab.create();
        let lease = fresh(&store, "pay");
        thread::scope(|scope| {
            let caller = waiting(scope, &store, 1, |store| way(store, "pay", LEASE * 10)).remove(0);
            lab.clock.advance(LEASE - MS);
            lease.renew(LEASE).unwrap();
            lab.clock.advance(MS * 2);
            until(|| store.stats().unwrap().answers.in_flight == 2);
            lease.complete("receipt").unwrap();
            assert!(matches!(caller.join().unwrap(), Ok(Begin::Replay(_))));
        });
    }
}

#[test]
fn a_wait_ends_with_in_flight_when_its_time_is_up() {
    for way in WAYS {
        let lab = Lab::new();
        let store = lab.create();
        fresh(&store, "pay");
        thread::scope(|scope| {
            let caller = waiting(scope, &store, 1, |store| way(store, "pay", WAIT)).remove(0);
            lab.clock.advance(WAIT);
            let Ok(Begin::InFlight { retry_after, .. }) = caller.join().unwrap() else { panic!("in flight") };
            assert_eq!(retry_after, LEASE - WAIT);
        });
        assert_eq!(store.stats().unwrap().waiting, 0);
    }
}

#[test]
fn a_wait_that_is_given_up_leaves_nothing_behind() {
    let store = Lab::new().create();
    fresh(&store, "pay");
    let mut future = Box::pin(store.begin_with_async(&key("pay"), request("pay"), BeginOptions::new().wait(WAIT)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut context).is_pending());
    assert_eq!(store.stats().unwrap().waiting, 1);
    drop(future);
    assert_eq!(store.stats().unwrap().waiting, 0);
}

use std::future::Future as _;

#[test]
fn closing_the_store_sends_waiters_away() {
    for way in WAYS {
        let store = Lab::new().create();
        fresh(&store, "pay");
        thread::scope(|scope| {
            let callers = waiting(scope, &store, 3, |store| way(store, "pay", WAIT));
            store.close().unwrap();
            for caller in callers {
                refused(caller.join().unwrap(), ErrorKind::Closed);
            }
        });
    }
}

#[test]
fn a_resolution_wakes_waiters() {
    for way in WAYS {
        let lab = Lab::new();
        let store = lab.create();
        fresh(&store, "pay");
        lab.clock.advance(LEASE - MS);
        thread::scope(|scope| {
            let caller = waiting(scope, &store, 1, |store| way(store, "pay", WAIT)).remove(0);
            refused(store.resolve(&key("pay"), idemstore::Resolution::Released, "early"), ErrorKind::InFlight);
            // The lease has lapsed for the operator a millisecond before the waiter's alarm.
            lab.clock.advance(MS);
            store.resolve(&key("pay"), idemstore::Resolution::Completed(b"by hand"), "asked the provider").unwrap();
            let Ok(Begin::Replay(outcome)) = caller.join().unwrap() else { panic!("a replay") };
            assert_eq!(outcome.payload(), b"by hand");
        });
    }
}
