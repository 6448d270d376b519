//! What the operator of a proxy has, and nobody else.

use super::{exchange, payment, shop};
use crate::{
    crash::killed_in_between,
    message::{Message, PATIENCE},
    program::Proxy,
};
use std::{fs, net::SocketAddr, time::Instant};

const ADMIN: &[&str] = &["--admin-listen", "127.0.0.1:0"];

fn get(from: SocketAddr, path: &str) -> Message {
    exchange(from, &format!("GET {path} HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n"))
}

fn post(to: SocketAddr, path: &str, body: &str) -> Message {
    let len = body.len();
    exchange(to, &format!("POST {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n{body}"))
}

#[test]
fn what_an_operator_asks_for_is_there_and_what_holders_do_is_not() {
    let (upstream, mut proxy) = shop(ADMIN);
    let admin = proxy.admin();
    exchange(proxy.address, &payment("pay_1", "100"));
    for path in ["/", "/health", "/metrics", "/v1/stats", "/v1/records", "/v1/audit"] {
        for prefix in ["", "/_idemstore"] {
            assert_eq!(get(admin, &format!("{prefix}{path}")).status(), 200, "{prefix}{path}");
        }
    }
    assert!(get(admin, "/v1/records").text().contains(r#""key":"pay_1""#));
    assert!(get(admin, "/v1/stats").text().contains(r#""proxy":{"count":1"#), "{}", get(admin, "/v1/stats").text());
    for path in ["/v1/begin", "/v1/complete", "/v1/release", "/_idemstore/v1/begin", "/payments"] {
        assert!(post(admin, path, "{}").is_problem(404, "unknown_route"), "{path}");
    }
    assert_eq!(upstream.count(), 1, "nothing of it went to the upstream");
}

/// Says what became of the payment.
fn resolve(proxy: &mut Proxy, said: &str) -> Message {
    let body = format!(r#"{{"scope":"everybody POST /payments","key":"pay_1",{said},"reason":"asked the provider"}}"#);
    let (admin, deadline) = (proxy.admin(), Instant::now() + PATIENCE);
    loop {
        let answer = post(admin, "/_idemstore/v1/resolve", &body);
        // A retry has just asked: for a moment it is the one that holds the key.
        if answer.status() != 409 || Instant::now() > deadline {
            return answer;
        }
    }
}

#[test]
fn a_retry_gets_the_response_that_the_operator_found_out() {
    let (upstream, mut proxy) = killed_in_between(ADMIN);
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), 503);
    let said = r#""outcome":"completed","payload":{"status":201,"headers":{"x-charge":"1"},"body":"charge 1"}"#;
    assert_eq!(resolve(&mut proxy, said).status(), 200);
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((retry.status(), retry.text().as_str(), retry.header("x-charge").as_deref()), (201, "charge 1", Some("1")));
    assert_eq!((retry.header("idempotent-replayed").as_deref(), upstream.count()), (Some("true"), 1));
}

#[test]
fn a_retry_is_told_that_it_ended_where_no_more_is_known() {
    for said in [r#""outcome":"completed""#, r#""outcome":"failed","payload":{"declined":true}"#] {
        let (upstream, mut proxy) = killed_in_between(ADMIN);
        assert_eq!(resolve(&mut proxy, said).status(), 200);
        assert!(exchange(proxy.address, &payment("pay_1", "100")).is_problem(410, "idempotency_response_unknown"));
        assert_eq!(upstream.count(), 1);
    }
}

#[test]
fn a_retry_runs_where_nothing_had_happened() {
    let (upstream, mut proxy) = killed_in_between(ADMIN);
    assert_eq!(resolve(&mut proxy, r#""outcome":"released""#).status(), 200);
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).text(), "charge 2");
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).text(), "charge 2");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn with_a_token_only_health_is_told_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "s3cret\n").unwrap();
    let (_upstream, mut proxy) = shop(&[ADMIN, &["--token-file", file.to_str().unwrap()]].concat());
    let admin = proxy.admin();
    assert_eq!(get(admin, "/_idemstore/health").status(), 200);
    for path in ["/_idemstore/v1/stats", "/_idemstore/metrics", "/v1/records", "/v1/begin"] {
        assert!(get(admin, path).is_problem(401, "unauthorized"), "{path}");
    }
    let bearer = format!("GET /v1/stats HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer s3cret\r\nConnection: close\r\n\r\n");
    assert_eq!(exchange(admin, &bearer).status(), 200);
    // It is for the operator: the proxy's clients have none.
    assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).status(), 201);
}
