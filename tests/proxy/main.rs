//! `idemstore proxy` from the outside: the program as it is shipped, clients and upstreams that speak HTTP byte by byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod admin;
mod arguments;
mod connections;
mod crash;
mod demo;
mod duplicates;
mod forwarding;
mod message;
mod outcomes;
mod profiles;
mod program;
mod scopes;
mod stop;
mod streaming;
mod upstream;

use message::exchange;
use program::Proxy;
use upstream::{After, Gate, Upstream};

/// A payment, as a client sends it.
fn payment(key: &str, body: &str) -> String {
    let (key, len) = (if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") }, body.len());
    format!("POST /payments HTTP/1.1\r\nHost: shop.example\r\n{key}Content-Length: {len}\r\n\r\n{body}")
}

/// An answer of an upstream that charged, and that is another one each time.
fn charged(number: usize) -> String {
    let body = format!("charge {number}");
    format!("HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An upstream that charges for every request that it gets, and a proxy in front of it.
fn shop(options: &[&str]) -> (Upstream, Proxy) {
    let upstream = Upstream::start(|request| request.answer(charged(request.number)));
    let proxy = Proxy::start(&upstream.url(), options);
    (upstream, proxy)
}

/// The same, with an upstream that answers when the gate is open.
fn held_shop(options: &[&str]) -> (Upstream, Proxy, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request| {
        held.wait();
        request.answer(charged(request.number))
    });
    let proxy = Proxy::start(&upstream.url(), options);
    (upstream, proxy, gate)
}
