//! What the upstream does, what the client gets for it, and what becomes of the key: the table of `idemstore::server::proxy`.

use super::{After, Upstream, charged, exchange, payment, shop};
use crate::{program::Proxy, upstream::Request};
use std::{
    net::{TcpListener, TcpStream},
    time::Duration,
};

#[test]
fn a_retry_gets_the_recorded_response() {
    let (upstream, proxy) = shop(&[]);
    let first = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((first.status(), first.text().as_str(), first.header("idempotent-replayed")), (201, "charge 1", None));
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!(retry.essence(), first.essence());
    assert_eq!(retry.header("idempotent-replayed").as_deref(), Some("true"));
    assert!(exchange(proxy.address, &payment("pay_1", "200")).is_problem(422, "idempotency_conflict"));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn the_answer_to_an_operation_that_failed_is_recorded_too() {
    let upstream = Upstream::start(|request| request.answer("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"));
    let proxy = Proxy::start(&upstream.url(), &[]);
    let first = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((first.status(), first.text().as_str()), (500, "oops"));
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((retry.essence().2, retry.status(), upstream.count()), ("oops".to_owned(), 500, 1));
}

#[test]
fn a_request_without_a_key_runs_each_time() {
    let (upstream, proxy) = shop(&[]);
    for number in 1..=3 {
        assert_eq!(exchange(proxy.address, &payment("", "100")).text(), format!("charge {number}"));
    }
    assert_eq!(upstream.count(), 3);
}

#[test]
fn an_upstream_that_cannot_be_reached_leaves_the_key_free() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let proxy = Proxy::start(&format!("http://{address}"), &[]);
    for _ in 0..2 {
        let refused = exchange(proxy.address, &payment("pay_1", "100"));
        assert!(refused.is_problem(502, "upstream_unreachable"), "{refused:?}");
        assert!(refused.header("retry-after").is_some());
    }
    let upstream = Upstream::on(TcpListener::bind(address).unwrap(), |request| request.answer(charged(request.number)));
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).text(), "charge 1");
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).text(), "charge 1");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn an_upstream_that_accepts_nobody_leaves_the_key_free_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Its queue is full when the kernel answers no more.
    let mut queued = Vec::new();
    while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queued.push(connection);
        assert!(queued.len() < 10_000, "the queue does not fill");
    }
    let proxy = Proxy::start(&format!("http://{address}"), &["--upstream-timeout", "500ms"]);
    let refused = exchange(proxy.address, &payment("pay_1", "100"));
    assert!(refused.is_problem(502, "upstream_unreachable"), "{refused:?}");
    drop((queued, listener));
    let upstream = Upstream::on(TcpListener::bind(address).unwrap(), |request| request.answer(charged(request.number)));
    assert_eq!((exchange(proxy.address, &payment("pay_1", "100")).text().as_str(), upstream.count()), ("charge 1", 1));
}

/// Ways to take the money and not say so.
const FAILURES: &[(&str, &str)] = &[
    ("closed", ""),
    ("half-a-head", "HTTP/1.1 201 Created\r\nContent-Le"),
    ("no-http", "no, this is not HTTP\r\n\r\n"),
    ("no-status", "HTTP/1.1 abc\r\n\r\n"),
    ("short", "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nchar"),
    ("no-last-chunk", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nchar\r\n"),
    ("bad-chunk", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nchar\r\n"),
    ("switched", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
];

fn fails(request: &mut Request<'_>) -> After {
    let key = request.message.header("idempotency-key").unwrap();
    request.write(FAILURES.iter().find(|(name, _)| *name == key).unwrap().1);
    After::Close
}

#[test]
fn an_upstream_that_fails_after_the_request_was_sent_leaves_the_outcome_unknown() {
    let upstream = Upstream::start(fails);
    let proxy = Proxy::start(&upstream.url(), &[]);
    for (at, (key, _)) in FAILURES.iter().enumerate() {
        let first = exchange(proxy.address, &payment(key, "100"));
        assert!(first.is_problem(504, "upstream_failed"), "{key}: {first:?}");
        for _ in 0..2 {
            let retry = exchange(proxy.address, &payment(key, "100"));
            assert!(retry.is_problem(503, "idempotency_outcome_unknown"), "{key}: {retry:?}");
            assert!(retry.header("retry-after").is_some());
        }
        assert_eq!(upstream.count(), at + 1, "{key}");
    }
}

#[test]
fn an_upstream_that_is_silent_for_too_long_leaves_the_outcome_unknown() {
    for head in ["", "HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\nchar"] {
        let gate = super::upstream::Gate::default();
        let held = gate.clone();
        let upstream = Upstream::start(move |request| {
            request.write(head);
            held.wait();
            After::Close
        });
        let proxy = Proxy::start(&upstream.url(), &["--upstream-timeout", "200ms"]);
        let first = exchange(proxy.address, &payment("pay_1", "100"));
        assert!(first.is_problem(504, "upstream_failed"), "{first:?}");
        let retry = exchange(proxy.address, &payment("pay_1", "100"));
        assert!(retry.is_problem(503, "idempotency_outcome_unknown"), "{retry:?}");
        assert_eq!(upstream.count(), 1);
        gate.open();
    }
}

#[test]
fn what_may_run_again_is_run_again_only_where_it_was_said() {
    for (policy, status, runs) in [("refuse", 503, 1), ("rerun", 504, 2), ("rerun-unless-checkpointed", 503, 1)] {
        let upstream = Upstream::start(|_| After::Close);
        let proxy = Proxy::start(&upstream.url(), &["--on-takeover", policy]);
        assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), 504, "{policy}");
        assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), status, "{policy}");
        assert_eq!(upstream.count(), runs, "{policy}");
    }
}

#[test]
fn a_response_that_is_too_long_is_passed_on_once_and_not_run_again() {
    let long = "x".repeat(5000);
    let response = format!("HTTP/1.1 201 Created\r\nContent-Length: 5000\r\n\r\n{long}");
    let upstream = Upstream::start(move |request| request.answer(&response));
    let proxy = Proxy::start(&upstream.url(), &["--max-response", "4KiB"]);
    let first = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((first.status(), first.text()), (201, long));
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert!(retry.is_problem(410, "idempotency_response_not_stored"), "{retry:?}");
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_response_beyond_the_stores_own_limit_is_stored_if_the_proxy_is_told_so() {
    let long = "x".repeat(3 << 20);
    let response = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{long}", long.len());
    let upstream = Upstream::start(move |request| request.answer(&response));
    let proxy = Proxy::start(&upstream.url(), &["--max-response", "3MiB"]);
    let first = exchange(proxy.address, &payment("pay_1", "100"));
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((first.body.len(), retry.essence(), upstream.count()), (3 << 20, first.essence(), 1));
}

#[test]
fn a_body_that_is_too_long_is_refused_before_anything_runs() {
    let (upstream, proxy) = shop(&["--max-body", "1KiB"]);
    let refused = exchange(proxy.address, &payment("pay_1", &"x".repeat(1025)));
    assert!(refused.is_problem(413, "idempotency_body_too_large"), "{refused:?}");
    assert_eq!(exchange(proxy.address, &payment("pay_1", &"x".repeat(1024))).text(), "charge 1");
    // Nothing is held back of a request without a key.
    assert_eq!(exchange(proxy.address, &payment("", &"x".repeat(1025))).text(), "charge 2");
    assert_eq!(upstream.count(), 2);
}
