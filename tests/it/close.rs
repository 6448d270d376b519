//! A closed store says so, has finished what was queued, and lets the next one open the file.

use crate::{
    hooked::{Event, Hook, HookedClock, HookedDisk},
    support::*,
};
use idemstore::{BeginOptions, ErrorKind, FencingToken, ListFilter, Resolution, Store};
use std::{
    future::Future as _,
    sync::{Arc, Condvar, Mutex, mpsc},
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
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

/// How far a caller and a close have got.
#[derive(Default)]
struct Stage(Mutex<u8>, Condvar);

impl Stage {
    /// The waker runs on the writer thread, and the caller may come.
    const WOKEN: u8 = 1;
    /// The caller decides its command.
    const WRITES: u8 = 2;
    /// The close is in the middle of the commit after which the journal is not needed any more.
    const COMMITS: u8 = 3;
    /// The caller was answered.
    const ANSWERED: u8 = 4;

    /// For what has to come.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// For what must not come.
    const GLANCE: Duration = Duration::from_millis(100);

    fn is_at(&self, stage: u8) -> bool {
        *self.0.lock().unwrap() == stage
    }

    fn reach(&self, stage: u8) {
        let mut at = self.0.lock().unwrap();
        *at = stage.max(*at);
        self.1.notify_all();
    }

    fn await_for(&self, stage: u8, at_most: Duration) -> bool {
        let at = self.0.lock().unwrap();
        !self.1.wait_timeout_while(at, at_most, |at| *at < stage).unwrap().1.timed_out()
    }
}

/// Closes a store where it is woken, as soon as the caller writes.
struct Closer {
    store: Store,
    stage: Arc<Stage>,
    closed: mpsc::Sender<()>,
}

impl Wake for Closer {
    fn wake(self: Arc<Self>) {
        self.stage.reach(Stage::WOKEN);
        assert!(self.stage.await_for(Stage::WRITES, Stage::PATIENCE), "the caller writes on its own thread");
        self.store.close().unwrap();
        self.closed.send(()).unwrap();
    }
}

/// On the writer thread a close cannot wait for that thread to end. It still has to wait for whoever writes.
#[test]
fn a_close_in_a_waker_waits_for_a_caller_that_writes() {
    let (lab, stage) = (Lab::new(), Arc::new(Stage::default()));
    let (on_clock, on_disk) = (stage.clone(), stage.clone());
    let is_on = |name: &str| thread::current().name() == Some(name);
    let clock = HookedClock(
        lab.clock.clone(),
        Hook::new(move |event, _| {
            if event == Event::Monotonic && is_on("caller") && on_clock.is_at(Stage::WOKEN) {
                on_clock.reach(Stage::WRITES);
                on_clock.await_for(Stage::COMMITS, Stage::GLANCE);
            }
        }),
    );
    let disk = HookedDisk(
        lab.disk.clone(),
        Hook::new(move |event, file| {
            // The store file was made under another name.
            let is_store = file == NAME || file.ends_with("unfinished");
            if event == Event::Sync && is_store && on_disk.is_at(Stage::WRITES) {
                on_disk.reach(Stage::COMMITS);
                on_disk.await_for(Stage::ANSWERED, Stage::GLANCE);
            }
        }),
    );
    let store = lab.options.clone().clock(clock).create_on(disk, NAME).unwrap();
    let token = fresh(&store, "pay").token();
    store.sweep().unwrap();
    let (closed, is_closed) = mpsc::channel();
    let waker = Waker::from(Arc::new(Closer { store: store.clone(), stage: stage.clone(), closed }));
    let caller = thread::Builder::new().name("caller".into()).spawn({
        let (store, stage) = (store.clone(), stage.clone());
        move || {
            assert!(stage.await_for(Stage::WOKEN, Stage::PATIENCE));
            let ended = store.complete(&key("pay"), token, "receipt");
            stage.reach(Stage::ANSWERED);
            ended
        }
    });
    let stale = loop {
        let mut stale = Box::pin(store.complete_async(&key("pay"), FencingToken::new(999), "stale"));
        // Otherwise it was answered before it could be waited for.
        if stale.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break stale;
        }
    };
    let ended = caller.unwrap().join().unwrap();
    is_closed.recv().unwrap();
    drop((stale, waker, store));
    let store = lab.open();
    match ended {
        Ok(_) => drop(replay(&store, "pay")),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Closed);
            takeover(&store, "pay");
        }
    }
}
