//! The proxy is killed between the charge and the answer.

use super::{Upstream, charged, exchange, payment};
use crate::{message::try_exchange, program::Proxy, upstream::Gate};
use std::thread;

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

/// The charge is there to be repeated: without the policy this is what a retry does.
#[test]
fn a_charge_is_repeated_where_that_was_asked_for() {
    let (upstream, proxy) = killed_in_between(&["--on-takeover", "rerun"]);
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((retry.text().as_str(), upstream.count()), ("charge 2", 2));
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).essence(), retry.essence());
}

#[test]
fn what_was_answered_is_answered_again_by_the_next_process() {
    let (upstream, proxy) = super::shop(&[]);
    let first = exchange(proxy.address, &payment("pay_1", "100"));
    let proxy = proxy.kill_and_restart();
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).essence(), first.essence());
    assert_eq!(upstream.count(), 1);
}
