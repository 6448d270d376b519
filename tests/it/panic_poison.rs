//! A panic in a background thread stops the store visibly: nobody is told that nothing happened, and nobody hangs.

use crate::{
    hooked::{Event, Hook, HookedClock, HookedDisk},
    support::*,
};
use idemstore::{Begin, BeginOptions, ErrorKind, ManualClock, Store};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Panics on one thread, once it is told to.
#[derive(Clone, Debug)]
struct Trap {
    thread: &'static str,
    armed: Arc<AtomicBool>,
    sprung: Arc<AtomicUsize>,
}

impl Trap {
    fn on(thread: &'static str) -> Self {
        Self { thread, armed: Arc::default(), sprung: Arc::default() }
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    fn spring(&self) {
        if thread::current().name() == Some(self.thread) && self.armed.load(Ordering::SeqCst) {
            self.sprung.fetch_add(1, Ordering::SeqCst);
            // Without the noise of the panic's message.
            std::panic::resume_unwind(Box::new("a fault from outside"));
        }
    }

    /// A disk whose every write springs it.
    fn below(&self, lab: &Lab) -> HookedDisk {
        let trap = self.clone();
        let on_write = move |event, _: &str| {
            if event == Event::Write {
                trap.spring();
            }
        };
        HookedDisk(lab.disk.clone(), Hook::new(on_write))
    }

    fn count(&self) -> usize {
        self.sprung.load(Ordering::SeqCst)
    }
}

fn trapped(thread: &'static str) -> (Store, ManualClock, Trap) {
    let (lab, trap) = (Lab::new(), Trap::on(thread));
    let sprung = trap.clone();
    let hook = Hook::new(move |event, _| {
        if event != Event::Monotonic {
            sprung.spring();
        }
    });
    let options = lab.options.clone().clock(HookedClock(lab.clock.clone(), hook));
    (options.create_on(lab.disk, NAME).unwrap(), lab.clock, trap)
}

fn is_poisoned(store: &Store) {
    assert!(store.stats().unwrap().is_poisoned);
    refused(begin(store, "new"), ErrorKind::Poisoned);
    refused(store.sweep(), ErrorKind::Poisoned);
    assert!(store.get(&key("known")).unwrap().is_some(), "reads go on");
    let message = refused(store.close(), ErrorKind::Poisoned);
    assert!(message.contains("panicked"), "{message}");
    refused(begin(store, "new"), ErrorKind::Closed);
}

#[test]
fn a_panic_of_the_writer_is_indeterminate_for_its_batch_and_poisons_the_store() {
    for _ in 0..15 {
        let (store, _, trap) = trapped("idemstore-writer");
        fresh(&store, "known").complete("").unwrap();
        trap.arm();
        let kinds: Vec<ErrorKind> = thread::scope(|scope| {
            let store = &store;
            let begin = |n: i32| block_on(store.begin_async(&key(&n.to_string()), request(""))).unwrap_err().kind();
            let callers: Vec<_> = (0..3).map(|n| scope.spawn(move || begin(n))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        assert_eq!(trap.count(), 1);
        // Whoever came after the panic knows that nothing happened.
        assert!(kinds.iter().all(|kind| [ErrorKind::Indeterminate, ErrorKind::Poisoned].contains(kind)), "{kinds:?}");
        assert!(kinds.contains(&ErrorKind::Indeterminate), "{kinds:?}");
        is_poisoned(&store);
    }
}

#[test]
fn a_panic_of_the_writer_wakes_waiters_and_tells_those_who_keep_a_lease_alive() {
    let (store, _clock, trap) = trapped("idemstore-writer");
    let lease = fresh(&store, "known");
    let guard = lease.keep_alive();
    let lost = guard.lost();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| store.begin_with(&key("known"), request("known"), BeginOptions::new().wait(LEASE / 2)));
        until(|| store.stats().unwrap().answers.in_flight == 1);
        trap.arm();
        refused(lease.complete_async("").wait(), ErrorKind::Indeterminate);
        let kind = waiter.join().unwrap().unwrap_err().kind();
        assert!([ErrorKind::Indeterminate, ErrorKind::Poisoned].contains(&kind), "{kind:?}");
    });
    assert!(lost.wait() && guard.is_lost(), "nobody renews the lease any more");
    is_poisoned(&store);
}

/// A caller that is alone writes on its own thread; what is left to others must be as if the writer thread had panicked.
#[test]
fn a_panic_in_a_write_of_the_callers_own_is_indeterminate_and_poisons_the_store() {
    let (lab, trap) = (Lab::new(), Trap::on("caller"));
    let store = lab.options.create_on(trap.below(&lab), NAME).unwrap();
    let lease = fresh(&store, "known");
    let guard = lease.keep_alive();
    trap.arm();
    let caller = thread::Builder::new().name("caller".into()).spawn(move || lease.complete("")).unwrap();
    refused(caller.join().unwrap(), ErrorKind::Indeterminate);
    assert_eq!(trap.count(), 1);
    assert!(guard.lost().wait() && guard.is_lost(), "nobody renews the lease any more");
    is_poisoned(&store);
}

#[test]
fn a_panic_anywhere_in_a_write_of_the_callers_own_poisons_the_store() {
    let mut panics = 0;
    for nth in 1.. {
        let (lab, looks) = (Lab::new(), Arc::new(AtomicUsize::new(0)));
        let left = looks.clone();
        let hook = Hook::new(move |event, _| {
            let is_meant = event == Event::Monotonic && thread::current().name() == Some("caller");
            if is_meant && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                std::panic::resume_unwind(Box::new("a fault from outside"));
            }
        });
        let options = lab.options.clone().clock(HookedClock(lab.clock.clone(), hook));
        let store = options.create_on(lab.disk, NAME).unwrap();
        let lease = fresh(&store, "known");
        looks.store(nth, Ordering::SeqCst);
        let caller = thread::Builder::new().name("caller".into()).spawn(move || lease.complete("")).unwrap();
        let ended = caller.join().unwrap();
        if looks.load(Ordering::SeqCst) > 0 && looks.load(Ordering::SeqCst) <= nth {
            ended.unwrap();
            break;
        }
        refused(ended, ErrorKind::Indeterminate);
        is_poisoned(&store);
        panics += 1;
    }
    assert!(panics >= 3, "{panics}");
}

/// A destructor that frees its key while its thread unwinds is no panic of the store's.
#[test]
fn a_caller_that_unwinds_may_still_write() {
    struct Holder(idemstore::Lease);
    impl Drop for Holder {
        fn drop(&mut self) {
            self.0.release().unwrap();
        }
    }
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    let panicked = thread::scope(|scope| {
        let unwinding = scope.spawn(|| {
            let _holder = Holder(lease);
            std::panic::resume_unwind(Box::new("a fault of the caller's"));
        });
        unwinding.join().is_err()
    });
    assert!(panicked);
    fresh(&store, "pay").complete("").unwrap();
}

#[test]
fn a_panic_of_the_timer_poisons_the_store_and_lets_nobody_wait_for_ever() {
    let (store, clock, trap) = trapped("idemstore-timer");
    let lease = fresh(&store, "known");
    let guard = lease.keep_alive();
    let lost = guard.lost();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| store.begin_with(&key("known"), request("known"), BeginOptions::new().wait(LEASE / 2)));
        until(|| store.stats().unwrap().answers.in_flight == 1);
        trap.arm();
        // The timer looks at its clock again.
        clock.advance(MS);
        let kind = waiter.join().unwrap().unwrap_err().kind();
        assert!([ErrorKind::Indeterminate, ErrorKind::Poisoned].contains(&kind), "{kind:?}");
    });
    assert_eq!(trap.count(), 1);
    assert!(lost.wait() && guard.is_lost());
    is_poisoned(&store);
}

#[test]
fn a_panic_below_the_storage_engine_is_no_acknowledgement() {
    let (lab, trap) = (Lab::new(), Trap::on("idemstore-writer"));
    let store = lab.options.create_on(trap.below(&lab), NAME).unwrap();
    fresh(&store, "known").complete("receipt").unwrap();
    trap.arm();
    let kind = block_on(store.begin_async(&key("new"), request("new"))).unwrap_err().kind();
    assert!(trap.count() > 0);
    assert!([ErrorKind::Io, ErrorKind::Indeterminate].contains(&kind), "{kind:?}");
    assert_eq!(store.stats().unwrap().is_poisoned, kind == ErrorKind::Indeterminate);
    let image = crash_image(&lab.disk);
    drop(store);
    let store = lab.options.open_on(image, NAME).unwrap();
    assert_eq!(replay(&store, "known").payload(), b"receipt");
    match begin(&store, "new").unwrap() {
        Begin::Fresh(_) => (),
        Begin::Takeover(_) => assert_eq!(kind, ErrorKind::Indeterminate, "an error that means not done"),
        other => panic!("{other:?}"),
    }
}
