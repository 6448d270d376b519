//! The proxy is killed between the charge and the answer.

use super::{Upstream, charged, exchange, payment};
use crate::{
    message::{Message, try_exchange},
    program::Proxy,
    upstream::Gate,
};
use idemstore::{Begin, Fingerprint, Key, Store};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Sends a payment, and kills the proxy when the upstream has charged and before it answers.
pub(crate) fn killed_in_between(options: &[&str]) -> (Upstream, Proxy) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request| {
        if request.number == 1 {
            held.wait();
        }
        request.answer(charged(request.number))
    });
    let proxy = Proxy::start(&upstream.url(), options);
    let address = proxy.address;
    let client = thread::spawn(move || try_exchange(address, &payment("pay_1", "100")));
    upstream.wait_for(1);
    let proxy = proxy.kill_and_restart();
    assert_eq!(client.join().unwrap(), None, "the client saw its connection break");
    gate.open();
    (upstream, proxy)
}

#[test]
fn a_charge_whose_proxy_was_killed_is_not_repeated() {
    let (upstream, proxy) = killed_in_between(&[]);
    for _ in 0..3 {
        let retry = exchange(proxy.address, &payment("pay_1", "100"));
        assert!(retry.is_problem(503, "idempotency_outcome_unknown"), "{retry:?}");
    }
    assert!(exchange(proxy.address, &payment("pay_1", "200")).is_problem(422, "idempotency_conflict"));
    assert_eq!(upstream.count(), 1);
    assert_eq!(exchange(proxy.address, &payment("pay_2", "100")).text(), "charge 2");
}

#[test]
fn what_was_sent_is_known_to_have_been_sent() {
    let (upstream, proxy) = killed_in_between(&["--on-takeover", "rerun-unless-checkpointed"]);
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), 503);
    assert_eq!(upstream.count(), 1);
}

/// A process that died between its grant and the first byte to the upstream leaves no mark.
#[test]
fn what_was_never_sent_is_run_where_that_was_asked_for() {
    for (policy, status, runs) in [("rerun-unless-checkpointed", 201, 1), ("refuse", 503, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(directory.path().join("proxy.idem")).unwrap();
        let key = Key::new("everybody POST /payments", "pay_1").unwrap();
        let request = Fingerprint::of(&[b"http", b"POST", b"/payments", b"", b"host", b"shop.example", b"100"]);
        assert!(matches!(store.begin(&key, request).unwrap(), Begin::Fresh(_)));
        store.close().unwrap();
        let upstream = Upstream::start(|request| request.answer(charged(request.number)));
        let proxy = Proxy::start_on(directory, &upstream.url(), &["--on-takeover", policy]);
        assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), status, "{policy}");
        assert_eq!(upstream.count(), runs, "{policy}");
    }
}

/// The charge is there to be repeated: without the policy this is what a retry does.
#[test]
fn a_charge_is_repeated_where_that_was_asked_for() {
    let (upstream, proxy) = killed_in_between(&["--on-takeover", "rerun"]);
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((retry.text().as_str(), upstream.count()), ("charge 2", 2));
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).essence(), retry.essence());
}

const KILLS: usize = 8;
const CLIENTS: usize = 6;

/// Retries a payment as a client does, until it has an answer that is final or somebody has to find out.
fn insist(address: &Mutex<SocketAddr>, key: &str) -> Message {
    loop {
        let address = *address.lock().unwrap();
        match try_exchange(address, &payment(key, "100")).filter(|answer| answer.is_whole) {
            Some(answer) if !matches!(answer.status(), 409 | 502) => return answer,
            // It is being killed, or started.
            _ => thread::yield_now(),
        }
    }
}

#[test]
fn whenever_the_proxy_is_killed_nothing_is_charged_twice() {
    let upstream = Upstream::start(|request| request.answer(charged(request.number)));
    let mut proxy = Proxy::start(&upstream.url(), &[]);
    let (address, is_over) = (Mutex::new(proxy.address), AtomicBool::new(false));
    let (proxy, answers) = thread::scope(|scope| {
        let work = |client: usize| {
            let mut answers = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let key = format!("pay_{client}_{}", answers.len());
                answers.push((key.clone(), insist(&address, &key)));
            }
            answers
        };
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || work(client))).collect();
        for kill in 1..=KILLS {
            upstream.wait_for(kill * 25);
            proxy = proxy.kill_and_restart();
            *address.lock().unwrap() = proxy.address;
        }
        upstream.wait_for((KILLS + 1) * 25);
        is_over.store(true, Ordering::SeqCst);
        (proxy, clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>())
    });
    let mut charges = HashMap::new();
    for request in upstream.seen() {
        *charges.entry(request.header("idempotency-key").unwrap()).or_insert(0) += 1;
    }
    let unknown = answers.iter().filter(|(_, answer)| answer.status() == 503).count();
    assert!(unknown <= KILLS * CLIENTS, "{unknown} are unknown after {KILLS} kills");
    for (key, answer) in &answers {
        let count = charges.get(key).copied().unwrap_or(0);
        match answer.status() {
            201 => assert_eq!(count, 1, "{key}"),
            _ => assert!(answer.is_problem(503, "idempotency_outcome_unknown") && count <= 1, "{key}: {count}, {answer:?}"),
        }
        assert_eq!(exchange(proxy.address, &payment(key, "100")).essence(), answer.essence(), "{key}");
    }
}

#[test]
fn what_was_answered_is_answered_again_by_the_next_process() {
    let (upstream, proxy) = super::shop(&[]);
    let first = exchange(proxy.address, &payment("pay_1", "100"));
    let proxy = proxy.kill_and_restart();
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).essence(), first.essence());
    assert_eq!(upstream.count(), 1);
}
