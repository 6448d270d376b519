//! Clients that the proxy is told to tell apart.

use super::{exchange, payment, shop};
use crate::message::Message;
use std::fs;

const SECRET: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

fn with(header: &str, request: &str) -> String {
    request.replacen("\r\n", &format!("\r\n{header}\r\n"), 1)
}

#[test]
fn two_tenants_with_one_key_are_two() {
    let (upstream, proxy) = shop(&["--scope-header", "X-Tenant", "--scope-header", "Authorization"]);
    let pay = |tenant: &str, token: &str, body: &str| -> Message {
        let request = with(&format!("X-Tenant: {tenant}"), &payment("pay_1", body));
        exchange(proxy.address, &with(&format!("Authorization: {token}"), &request))
    };
    assert_eq!(pay("7", "a", "100").text(), "charge 1");
    assert_eq!(pay("8", "a", "999").text(), "charge 2");
    assert_eq!(pay("7", "b", "100").text(), "charge 3");
    assert_eq!(pay("7", "a", "100").text(), "charge 1");
    assert_eq!(pay("8", "a", "999").text(), "charge 2");
    assert_eq!(upstream.count(), 3);
}

#[test]
fn who_does_not_say_who_it_is_has_no_key() {
    let (upstream, proxy) = shop(&["--scope-header", "X-Tenant"]);
    assert!(exchange(proxy.address, &payment("pay_1", "100")).is_problem(403, "idempotency_principal_unknown"));
    assert_eq!(upstream.count(), 0);
    assert_eq!(exchange(proxy.address, &payment("", "100")).text(), "charge 1");
}

#[test]
fn what_tells_clients_apart_is_not_stored() {
    let (_upstream, mut proxy) = shop(&["--scope-header", "Authorization"]);
    let request = with(&format!("Authorization: Bearer {SECRET}"), &payment("pay_1", "100"));
    assert_eq!(exchange(proxy.address, &request).status(), 201);
    proxy.terminate("-TERM");
    proxy.wait();
    let mut stored = Vec::new();
    for file in fs::read_dir(proxy.db().parent().unwrap()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            stored.extend(fs::read(file.path()).unwrap());
        }
    }
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds(SECRET));
    assert!(holds("POST /payments") && holds("charge 1"), "what is stored is seen");
}

#[test]
fn what_says_whose_request_it_is_cannot_be_made_to_vanish() {
    let (upstream, proxy) = shop(&["--scope-header", "X-Tenant", "--key-header", "X-Key"]);
    let request = with("X-Tenant: 7", &payment("pay_1", "100")).replace("Idempotency-Key", "X-Key");
    for name in
        ["Host", "Content-Length", "Authorization", "idempotency-key", "X-PAYMENT", "PAYMENT-SIGNATURE", "x-tenant", "x-key"]
    {
        let refused = exchange(proxy.address, &with(&format!("Connection: keep-alive, {name}"), &request));
        assert!(refused.is_problem(400, "invalid_input"), "{name}: {refused:?}");
    }
    assert_eq!(upstream.count(), 0);
    assert_eq!(exchange(proxy.address, &with("Connection: X-Hop", &request)).text(), "charge 1");
}

#[test]
fn the_same_key_at_another_host_is_refused_and_neither_run_nor_answered() {
    let (upstream, proxy) = shop(&[]);
    let at = |host: &str| exchange(proxy.address, &payment("pay_1", "100").replace("shop.example", host));
    assert_eq!(at("shop.example").text(), "charge 1");
    assert!(at("other.example").is_problem(422, "idempotency_conflict"));
    // By whatever port, and however it is written, it is the same server.
    for same in ["shop.example:81", "Shop.EXAMPLE:80"] {
        assert_eq!(at(same).text(), "charge 1");
    }
    assert_eq!(upstream.count(), 1);
}

#[test]
fn hosts_that_are_tenants_are_kept_apart_by_naming_the_header() {
    let (upstream, proxy) = shop(&["--scope-header", "Host"]);
    let at = |host: &str| exchange(proxy.address, &payment("pay_1", "100").replace("shop.example", host)).text();
    assert_eq!([at("shop.example"), at("other.example"), at("shop.example")], ["charge 1", "charge 2", "charge 1"]);
    assert_eq!(upstream.count(), 2);
}

#[test]
fn the_same_key_for_another_route_is_another_key() {
    let (upstream, proxy) = shop(&[]);
    let refund = payment("pay_1", "100").replace("/payments", "/refunds");
    let texts = [&payment("pay_1", "100"), &refund, &refund].map(|request| exchange(proxy.address, request).text());
    assert_eq!((texts, upstream.count()), (["charge 1", "charge 2", "charge 2"].map(str::to_owned), 2));
}
