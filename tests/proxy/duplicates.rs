//! The same payment from many clients at the same time.

use super::{exchange, held_shop, payment};
use std::{sync::Barrier, thread};

const CLIENTS: usize = 16;

#[test]
fn duplicates_that_wait_get_the_one_answer() {
    let (upstream, proxy, gate) = held_shop(&["--wait", "60s"]);
    let (address, together) = (proxy.address, Barrier::new(CLIENTS));
    thread::scope(|scope| {
        let ask = || {
            together.wait();
            exchange(address, &payment("pay_1", "100"))
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(ask)).collect();
        upstream.wait_for(1);
        gate.open();
        let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(answers.iter().all(|answer| answer.essence() == answers[0].essence()), "{answers:?}");
        let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_some()).count();
        assert_eq!((answers[0].text().as_str(), replayed), ("charge 1", CLIENTS - 1));
    });
    assert_eq!(upstream.count(), 1);
}

#[test]
fn duplicates_that_do_not_wait_are_told_to_come_back() {
    let (upstream, proxy, gate) = held_shop(&["--wait", "0s"]);
    let address = proxy.address;
    let first = thread::spawn(move || exchange(address, &payment("pay_1", "100")));
    upstream.wait_for(1);
    for _ in 0..3 {
        let duplicate = exchange(address, &payment("pay_1", "100"));
        assert!(duplicate.is_problem(409, "idempotency_in_flight"), "{duplicate:?}");
        assert!(duplicate.header("retry-after").is_some());
    }
    gate.open();
    let first = first.join().unwrap();
    assert_eq!(exchange(address, &payment("pay_1", "100")).essence(), first.essence());
    assert_eq!(upstream.count(), 1);
}

/// Nothing in the test itself keeps requests from running at the same time.
#[test]
fn other_payments_run_beside_it() {
    let (upstream, proxy, gate) = held_shop(&[]);
    let address = proxy.address;
    let clients: Vec<_> =
        (0..CLIENTS).map(|number| thread::spawn(move || exchange(address, &payment(&format!("pay_{number}"), "100")))).collect();
    upstream.wait_for(CLIENTS);
    gate.open();
    assert!(clients.into_iter().all(|client| client.join().unwrap().status() == 201));
}
