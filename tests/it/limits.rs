//! P6: every quantity has a limit that is named when it refuses, and a full store still finishes what it holds.

use crate::support::*;
use idemstore::{
    Begin, BeginOptions, ErrorKind, FencingToken, Key, Options, Resolution, Scope,
    disk::MemoryDisk,
    limits::{
        CHECKPOINT_BYTES_MAX, KEY_ID_BYTES_MAX, PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_COMMANDS_MAX,
        REASON_BYTES_MAX, SCOPE_BYTES_MAX, WAIT_MAX, WAITERS_MAX,
    },
};
use std::{ops::ControlFlow, sync::mpsc, task::Context, thread, time::Duration};

#[test]
fn names_have_limits_in_bytes() {
    Scope::new("s".repeat(SCOPE_BYTES_MAX)).unwrap();
    Key::new("s", "é".repeat(KEY_ID_BYTES_MAX / 2)).unwrap();
    for (scope, id) in [("", "i"), ("s", ""), (&*"s".repeat(SCOPE_BYTES_MAX + 1), "i"), ("s", &*"é".repeat(128))] {
        refused(Key::new(scope, id), ErrorKind::InvalidInput);
    }
    let store = Lab::new().create();
    let longest = Key::new("s".repeat(SCOPE_BYTES_MAX), "i".repeat(KEY_ID_BYTES_MAX)).unwrap();
    let Begin::Fresh(lease) = store.begin(&longest, request("")).unwrap() else { panic!("a new key") };
    lease.complete("receipt").unwrap();
    assert!(store.get(&longest).unwrap().is_some());
}

#[test]
fn bytes_of_callers_have_limits() {
    let store = Lab::new().create();
    let lease = fresh(&store, "pay");
    let message = refused(lease.complete(vec![0; PAYLOAD_BYTES_DEFAULT + 1]), ErrorKind::InvalidInput);
    assert!(message.contains("payload_bytes_max") && message.contains("262145"), "{message}");
    let message = refused(lease.checkpoint(vec![0; CHECKPOINT_BYTES_MAX + 1]), ErrorKind::InvalidInput);
    assert!(message.contains("4096"), "{message}");
    for reason in [String::new(), "r".repeat(REASON_BYTES_MAX + 1)] {
        let message = refused(store.resolve(&key("pay"), Resolution::Released, &reason), ErrorKind::InvalidInput);
        assert!(message.contains("reason"), "{message}");
    }
    lease.checkpoint(vec![7; CHECKPOINT_BYTES_MAX]).unwrap();
    lease.complete(vec![9; PAYLOAD_BYTES_DEFAULT]).unwrap();
    assert_eq!(replay(&store, "pay").payload(), vec![9; PAYLOAD_BYTES_DEFAULT]);
}

#[test]
fn the_largest_payload_of_all_can_be_stored() {
    let store = Lab::with(|options| options.payload_bytes_max(PAYLOAD_BYTES_MAX)).create();
    let payload = vec![5; PAYLOAD_BYTES_MAX];
    fresh(&store, "pay").complete(&payload).unwrap();
    assert!(replay(&store, "pay").payload() == payload);
}

#[test]
fn durations_have_limits() {
    let store = Lab::new().create();
    let begin = |options| store.begin_with(&key("pay"), request("pay"), options);
    for lease in [Duration::from_millis(9), DAY + MS] {
        let message = refused(begin(BeginOptions::new().lease(lease)), ErrorKind::InvalidInput);
        assert!(message.contains("lease"), "{message}");
    }
    let message = refused(begin(BeginOptions::new().wait(WAIT_MAX + MS)), ErrorKind::InvalidInput);
    assert!(message.contains("wait"), "{message}");
    refused(store.renew(&key("pay"), FencingToken::new(1), DAY + MS), ErrorKind::InvalidInput);
    assert_eq!(store.get(&key("pay")).unwrap(), None);
}

#[test]
fn an_option_out_of_range_is_refused_by_its_name() {
    let (zero, ages) = (Duration::ZERO, DAY * 10_000);
    let wrong: [(&str, Options); 23] = [
        ("lease", Options::new().lease(zero)),
        ("lease", Options::new().lease(DAY + MS)),
        ("retention", Options::new().retention(zero)),
        ("retention", Options::new().retention(ages)),
        ("failed_retention", Options::new().failed_retention(zero)),
        ("failed_retention", Options::new().failed_retention(ages)),
        ("attempts_max", Options::new().attempts_max(0)),
        ("payload_bytes_max", Options::new().payload_bytes_max(PAYLOAD_BYTES_MAX + 1)),
        ("records_max", Options::new().records_max(0)),
        ("bytes_max", Options::new().bytes_max(0)),
        ("scope_records_max", Options::new().scope_records_max(0)),
        ("sweep_interval", Options::new().sweep_interval(Some(zero))),
        ("sweep_interval", Options::new().sweep_interval(Some(ages))),
        ("sweep_batch", Options::new().sweep_batch(0)),
        ("sweep_batch", Options::new().sweep_batch(10_001)),
        ("queue_wait", Options::new().queue_wait(ages)),
        ("cache_bytes", Options::new().cache_bytes(0)),
        ("reserve_bytes", Options::new().reserve_bytes(u64::MAX)),
        ("clock_jump_max", Options::new().clock_jump_max(zero)),
        ("clock_jump_max", Options::new().clock_jump_max(ages)),
        ("clock_settle", Options::new().clock_settle(Some(zero))),
        ("downtime_max", Options::new().downtime_max(zero)),
        ("downtime_max", Options::new().downtime_max(ages)),
    ];
    for (name, options) in wrong {
        let message = refused(options.create_on(MemoryDisk::new(), NAME), ErrorKind::InvalidInput);
        assert!(message.starts_with(&format!("{name} is")), "{message}");
    }
}

#[test]
fn a_full_store_refuses_new_keys_and_finishes_what_it_holds() {
    let lab = Lab::with(|options| options.records_max(3));
    let store = lab.create();
    let leases: Vec<_> = ["a", "b", "c"].map(|id| fresh(&store, id)).into();
    let message = refused(begin(&store, "d"), ErrorKind::Full);
    assert!(message.contains("3 records"), "{message}");
    assert_eq!(store.get(&key("d")).unwrap(), None);
    leases[0].checkpoint("mark").unwrap();
    leases[0].complete(vec![1; 100_000]).unwrap();
    leases[1].fail("declined").unwrap();
    lab.clock.advance(LEASE);
    takeover(&store, "c").renew(LEASE).unwrap();
    replay(&store, "a");
    refused(begin(&store, "d"), ErrorKind::Full);
    assert_eq!(store.stats().unwrap().answers.full, 2);
    store.release(&key("c"), store.get(&key("c")).unwrap().unwrap().token()).unwrap();
    fresh(&store, "d");
    lab.clock.advance(DAY);
    assert_eq!(fresh(&store, "a").attempt(), 1, "an expired record makes room for itself");
}

#[test]
fn a_store_of_bounded_bytes_refuses_new_keys_and_finishes_what_it_holds() {
    let store = Lab::with(|options| options.bytes_max(10_000)).create();
    let held = fresh(&store, "held");
    fresh(&store, "large").complete(vec![1; 10_000]).unwrap();
    let message = refused(begin(&store, "new"), ErrorKind::Full);
    assert!(message.contains("10000"), "{message}");
    held.complete(vec![2; 100_000]).unwrap();
    assert_eq!(replay(&store, "held").payload().len(), 100_000);
}

#[test]
fn a_batch_of_new_keys_stops_at_the_limit() {
    let store = Lab::with(|options| options.records_max(10)).create();
    let begun: Vec<_> = thread::scope(|scope| {
        let store = &store;
        let callers: Vec<_> = (0..40).map(|n| scope.spawn(move || begin(store, &n.to_string()).map(drop))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 10);
    assert_eq!(store.stats().unwrap().in_flight, 10);
}

#[test]
fn the_queue_is_bounded_in_commands_and_in_bytes() {
    let store = Lab::with(|options| options.payload_bytes_max(PAYLOAD_BYTES_MAX).queue_wait(Duration::ZERO)).create();
    fresh(&store, "pay").complete("receipt").unwrap();
    let (nobody, stale) = (key("nobody"), FencingToken::new(99));
    let (paused, is_paused) = mpsc::channel();
    let (resume, resumed) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // A compaction holds the writer up.
        let compaction = scope.spawn({
            let store = &store;
            move || {
                store.compact(|_| {
                    paused.send(()).unwrap();
                    resumed.recv().map_or(ControlFlow::Break(()), ControlFlow::Continue)
                })
            }
        });
        is_paused.recv().unwrap();
        let large = vec![0; PAYLOAD_BYTES_MAX];
        let mut tickets: Vec<_> =
            (0..QUEUE_BYTES_MAX / PAYLOAD_BYTES_MAX).map(|_| store.complete_async(&nobody, stale, &large)).collect();
        let message = refused(store.complete_async(&nobody, stale, "x").wait(), ErrorKind::Busy);
        assert!(message.contains("payloads"), "{message}");
        tickets.extend((tickets.len()..QUEUE_COMMANDS_MAX).map(|_| store.complete_async(&nobody, stale, "")));
        let message = refused(store.release_async(&nobody, stale).wait(), ErrorKind::Busy);
        assert!(message.contains("commands"), "{message}");
        refused(store.release(&nobody, stale), ErrorKind::Busy);
        refused(block_on(store.begin_async(&nobody, request(""))), ErrorKind::Busy);
        resume.send(()).unwrap();
        compaction.join().unwrap().unwrap();
        for ticket in tickets {
            refused(ticket.wait(), ErrorKind::LeaseLost);
        }
    });
    fresh(&store, "afterwards");
}

#[test]
fn waiters_are_bounded() {
    let store = Lab::new().create();
    fresh(&store, "pay");
    let waiting = || Box::pin(store.begin_with_async(&key("pay"), request("pay"), BeginOptions::new().wait(LEASE)));
    let mut context = Context::from_waker(std::task::Waker::noop());
    let mut waiters: Vec<_> = (0..WAITERS_MAX).map(|_| waiting()).collect();
    for waiter in &mut waiters {
        assert!(std::future::Future::poll(waiter.as_mut(), &mut context).is_pending());
    }
    let message = refused(block_on(waiting()), ErrorKind::Busy);
    assert!(message.contains("10000"), "{message}");
    waiters.pop();
    assert!(std::future::Future::poll(waiting().as_mut(), &mut context).is_pending());
}
