//! Whatever a server does with its connections, no request is sent twice, and none that may have an effect suffers from another's.

use super::{After, Upstream, charged, exchange, payment};
use crate::program::Proxy;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

/// Far more than it takes to meet a connection that is about to be closed.
const TRIES_MAX: usize = 300;

#[test]
fn what_may_have_an_effect_has_a_connection_of_its_own() {
    // It would keep each for ever.
    let upstream = Upstream::start(|request| {
        request.write(charged(request.number));
        After::Keep
    });
    let proxy = Proxy::start(&upstream.url(), &["--profile", "ietf"]);
    for number in 0..3 {
        exchange(proxy.address, &payment(&format!("pay_{number}"), "100"));
        exchange(proxy.address, &payment("", "100"));
        exchange(proxy.address, "DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    assert_eq!((upstream.count(), upstream.connections()), (9, 9));
    assert!(upstream.seen().iter().all(|request| request.header("connection").as_deref() == Some("close")));
}

#[test]
fn a_connection_that_closes_under_a_request_has_it_sent_no_second_time() {
    // Each connection takes one request, and closes on the next one when it has come.
    let connections = Arc::new(Mutex::new(HashSet::new()));
    let upstream = Upstream::start(move |request| {
        let from = request.connection.peer_addr().unwrap();
        let is_second = !connections.lock().unwrap().insert(from);
        if is_second { After::Close } else { request.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") }
    });
    let proxy = Proxy::start(&upstream.url(), &[]);
    let (mut sent, mut failed) = (0, 0);
    while failed < 5 {
        sent += 1;
        assert!(sent < TRIES_MAX, "connections are never used twice");
        let answer = exchange(proxy.address, &format!("GET /{sent} HTTP/1.1\r\nHost: h\r\n\r\n"));
        failed += usize::from(answer.is_problem(504, "upstream_failed"));
        assert!(matches!(answer.status(), 200 | 504), "{answer:?}");
        // A payment meanwhile has nothing to do with it.
        if sent % 3 == 0 {
            assert_eq!(exchange(proxy.address, &payment(&format!("pay_{sent}"), "100")).status(), 200);
        }
    }
    let mut counts = HashMap::new();
    for request in upstream.seen() {
        *counts.entry(format!("{} {:?}", request.start, request.header("idempotency-key"))).or_insert(0) += 1;
    }
    assert_eq!(counts.values().max(), Some(&1));
}

#[test]
fn a_server_that_closes_without_a_word_after_each_answer_is_borne() {
    let upstream = Upstream::start(|request| {
        request.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        After::Close
    });
    let proxy = Proxy::start(&upstream.url(), &[]);
    let paths: Vec<_> = (0..100).map(|number| format!("GET /{number} HTTP/1.1")).collect();
    for path in &paths {
        let answer = exchange(proxy.address, &format!("{path}\r\nHost: h\r\n\r\n"));
        assert!(matches!(answer.status(), 200 | 504), "{answer:?}");
    }
    for path in &paths {
        assert!(upstream.seen().iter().filter(|request| request.start == *path).count() <= 1, "{path}");
    }
    for number in 0..20 {
        assert_eq!(exchange(proxy.address, &payment(&format!("pay_{number}"), "100")).status(), 200);
    }
}
