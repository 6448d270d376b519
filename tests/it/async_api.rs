//! The async verbs are the blocking ones, on any executor.

use crate::support::*;
use idemstore::{Begin, BeginOptions, ErrorKind};
use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Waker},
};

#[test]
fn every_verb_can_be_awaited() {
    let store = Lab::new().create();
    block_on(async {
        let Begin::Fresh(lease) = store.begin_async(&key("pay"), request("pay")).await.unwrap() else { panic!() };
        lease.renew_async(LEASE).await.unwrap();
        lease.checkpoint_async("mark").await.unwrap();
        lease.release_async().await.unwrap();
        let Begin::Fresh(lease) = store.begin_async(&key("pay"), request("pay")).await.unwrap() else { panic!() };
        lease.complete_async("receipt").await.unwrap();
        assert_eq!(lease.fail_async("late").await.unwrap_err().kind(), ErrorKind::LeaseLost);
        let Begin::Replay(outcome) = store.begin_async(&key("pay"), request("pay")).await.unwrap() else { panic!() };
        assert_eq!(outcome.payload(), b"receipt");
    });
}

#[test]
fn futures_can_move_between_threads() {
    fn is_send<T: Send + 'static>(_: &T) {}
    let store = Lab::new().create();
    let future = store.begin_async(&key("pay"), request("pay"));
    is_send(&future);
    let Begin::Fresh(lease) = std::thread::spawn(|| block_on(future)).join().unwrap().unwrap() else { panic!() };
    let ticket = lease.complete_async("receipt");
    is_send(&ticket);
    std::thread::spawn(|| block_on(ticket)).join().unwrap().unwrap();
}

#[test]
fn a_begin_that_is_never_polled_does_nothing() {
    let store = Lab::new().create();
    drop(store.begin_async(&key("pay"), request("pay")));
    assert_eq!(store.get(&key("pay")).unwrap(), None);
    assert_eq!(store.stats().unwrap().commits.count, 0);
}

#[test]
fn a_begin_that_is_dropped_half_way_frees_the_key_it_was_granted() {
    let store = Lab::new().create();
    for round in 0..200 {
        let mut future = store.begin_async(&key("pay"), request("pay"));
        let mut context = Context::from_waker(Waker::noop());
        // Ready at once if the writer was quick; then a lease comes out, and the caller has it.
        if let std::task::Poll::Ready(answer) = Pin::new(&mut future).poll(&mut context) {
            let Begin::Fresh(lease) = answer.unwrap() else { panic!("round {round}") };
            lease.release().unwrap();
        }
        drop(future);
        // What is queued is done in order: the grant before the first of these, its release before the second.
        store.sweep().unwrap();
        store.sweep().unwrap();
        assert_eq!(store.get(&key("pay")).unwrap(), None, "round {round}");
    }
    fresh(&store, "pay");
}

#[test]
fn a_dropped_ticket_gives_up_the_answer_and_not_the_operation() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    drop(lease.complete_async("receipt"));
    let answer = store.begin_with(&key("pay"), request("pay"), BeginOptions::new().wait(LEASE)).unwrap();
    assert!(matches!(answer, Begin::Replay(_)));
}

#[test]
fn a_future_or_ticket_that_was_spent_is_an_error_and_no_panic() {
    let store = Lab::new().create();
    let mut future = store.begin_async(&key("pay"), request("pay"));
    assert!(matches!(block_on(&mut future).unwrap(), Begin::Fresh(_)));
    refused(block_on(&mut future), ErrorKind::Closed);
    let mut ticket = store.release_async(&key("pay"), idemstore::FencingToken::new(1));
    block_on(&mut ticket).unwrap();
    refused(block_on(&mut ticket), ErrorKind::Closed);
}

#[test]
fn settings_out_of_range_are_answered_through_the_future() {
    let store = Lab::new().create();
    let options = BeginOptions::new().wait(DAY);
    refused(block_on(store.begin_with_async(&key("pay"), request("pay"), options)), ErrorKind::InvalidInput);
}
