//! A closed store says so, has finished what was queued, and lets the next one open the file.

use crate::support::*;
use idemstore::{BeginOptions, ErrorKind, ListFilter, Resolution, Store};
use std::{
    future::Future as _,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
};

#[test]
fn every_call_on_a_closed_store_is_refused_as_closed() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    fresh(&store, "done").complete("").unwrap();
    store.clone().close().unwrap();
    let closed = ErrorKind::Closed;
    refused(begin(&store, "pay"), closed);
    refused(store.begin_with(&key("pay"), request("pay"), BeginOptions::new().wait(LEASE)), closed);
    refused(block_on(store.begin_async(&key("pay"), request("pay"))), closed);
    refused(lease.complete(""), closed);
    refused(lease.complete_async("").wait(), closed);
    refused(lease.fail(""), closed);
    refused(lease.release(), closed);
    refused(lease.renew(LEASE), closed);
    refused(lease.checkpoint(""), closed);
    refused(store.get(&key("done")), closed);
    refused(store.list(&ListFilter::new(), None), closed);
    refused(store.audit(0, 1), closed);
    refused(store.stats(), closed);
    refused(store.sweep(), closed);
    refused(store.verify(go_on), closed);
    refused(store.compact(go_on), closed);
    refused(store.backup("never-written.idem", go_on), closed);
    refused(store.accept_clock(), closed);
    refused(store.resolve(&key("pay"), Resolution::Released, "r"), closed);
    assert!(!lease.keep_alive().lost().wait());
    store.close().unwrap();
    assert!(!std::path::Path::new("never-written.idem").exists());
}

#[test]
fn what_was_queued_before_the_close_is_done() {
    let lab = Lab::new();
    let store = lab.create();
    let leases: Vec<_> = (0..50).map(|n| fresh(&store, &n.to_string())).collect();
    let tickets: Vec<_> = leases.iter().map(|lease| lease.complete_async("receipt")).collect();
    store.close().unwrap();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    let store = lab.open();
    (0..50).for_each(|n| drop(replay(&store, &n.to_string())));
}

#[test]
fn dropping_the_last_handle_closes_and_dropping_another_does_not() {
    let lab = Lab::new();
    let store = lab.create();
    let lease = fresh(&store, "pay");
    drop(store.clone());
    let locked = lab.options.open_on(lab.disk.clone(), NAME);
    assert!(refused(locked, ErrorKind::Locked).contains("this process"));
    drop(store);
    refused(lab.options.open_on(lab.disk.clone(), NAME), ErrorKind::Locked);
    lease.complete("a lease keeps the store open").unwrap();
    drop(lease);
    replay(&lab.open(), "pay");
}

#[test]
fn every_call_that_races_with_a_close_returns_and_tells_the_truth() {
    for round in 0..30 {
        let lab = Lab::new();
        let store = lab.create();
        let leases: Vec<_> = (0..4).map(|n| fresh(&store, &n.to_string())).collect();
        let outcomes: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = leases.iter().map(|lease| scope.spawn(|| lease.complete("receipt"))).collect();
            (0..round).for_each(|_| thread::yield_now());
            store.close().unwrap();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        drop((store, leases));
        let store: Store = lab.open();
        for (n, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(_) => drop(replay(&store, &n.to_string())),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Closed);
                    takeover(&store, &n.to_string());
                }
            }
        }
    }
}

/// Has the last handle of a store, and drops it where it is woken.
struct LastHandle {
    store: Mutex<Option<Store>>,
    dropped: mpsc::Sender<()>,
}

impl Wake for LastHandle {
    fn wake(self: Arc<Self>) {
        drop(self.store.lock().unwrap().take());
        self.dropped.send(()).unwrap();
    }
}

#[test]
fn a_waker_that_drops_the_last_handle_closes_the_store() {
    let lab = Lab::with(|options| options.background_checkpoints(true));
    let mut store = lab.create();
    let (dropped, is_dropped) = mpsc::channel();
    for n in 0.. {
        let id = n.to_string();
        let token = fresh(&store, &id).token();
        let mut completed = Box::pin(store.complete_async(&key(&id), token, "receipt"));
        let last = Arc::new(LastHandle { store: Mutex::new(Some(store)), dropped: dropped.clone() });
        let waker = Waker::from(last.clone());
        if completed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            // On the writer's thread.
            is_dropped.recv().unwrap();
            drop(replay(&lab.open(), &id));
            return;
        }
        // It was answered before it could be waited for.
        store = last.store.lock().unwrap().take().unwrap();
    }
}
