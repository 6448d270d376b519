//! The contracts that the proxy can speak.

use super::{exchange, payment, shop};
use base64::{Engine as _, prelude::BASE64_STANDARD};

#[test]
fn each_profile_answers_as_its_contract_says() {
    for (profile, replay, conflict) in
        [("ietf", "idempotent-replayed", 422), ("stripe", "idempotent-replayed", 400), ("lift", "x-idempotent-replay", 422)]
    {
        let (upstream, proxy) = shop(&["--profile", profile]);
        let first = exchange(proxy.address, &payment("pay_1", "100"));
        let retry = exchange(proxy.address, &payment("\"pay_1\"", "100"));
        assert_eq!((retry.essence(), retry.header(replay).as_deref()), (first.essence(), Some("true")), "{profile}");
        assert_eq!(exchange(proxy.address, &payment("pay_1", "200")).status(), conflict, "{profile}");
        assert_eq!(upstream.count(), 1, "{profile}");
    }
}

#[test]
fn the_profile_of_x402_takes_the_payments_id_and_covers_all_methods() {
    let (upstream, proxy) = shop(&["--profile", "x402", "--require-key"]);
    let pay = |nonce: &str| {
        let id = "pay_7d5d747be160e280504c099d984bcfe0";
        let payment = format!(
            r#"{{"x402Version":2,"payload":{{"nonce":"{nonce}"}},"extensions":{{"payment-identifier":{{"info":{{"id":"{id}"}}}}}}}}"#
        );
        let payment = BASE64_STANDARD.encode(payment);
        exchange(proxy.address, &format!("GET /report HTTP/1.1\r\nHost: h\r\nPAYMENT-SIGNATURE: {payment}\r\n\r\n"))
    };
    let first = pay("1");
    assert_eq!((first.text().as_str(), pay("1").essence()), ("charge 1", first.essence()));
    let conflict = pay("2");
    assert_eq!(conflict.status(), 409);
    assert!(conflict.text().contains("payment identifier already used with different payload"));
    // Without a payment it is the paygate's to answer.
    assert_eq!(exchange(proxy.address, "GET /report HTTP/1.1\r\nHost: h\r\n\r\n").text(), "charge 2");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_key_can_be_required() {
    let (upstream, proxy) = shop(&["--require-key"]);
    assert!(exchange(proxy.address, &payment("", "100")).is_problem(400, "idempotency_key_required"));
    assert!(exchange(proxy.address, &payment("a b", "100")).is_problem(400, "idempotency_key_invalid"));
    assert_eq!(upstream.count(), 0);
    assert_eq!(exchange(proxy.address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").status(), 201);
}

#[test]
fn the_methods_and_the_header_of_the_key_are_as_told() {
    let (upstream, proxy) = shop(&["--methods", "put,DELETE", "--key-header", "X-Request-Key"]);
    let ask = |method: &str, header: &str| {
        exchange(proxy.address, &format!("{method} /a HTTP/1.1\r\nHost: h\r\n{header}: 1\r\nContent-Length: 0\r\n\r\n")).text()
    };
    assert_eq!([ask("PUT", "X-Request-Key"), ask("PUT", "X-Request-Key")], ["charge 1", "charge 1"]);
    assert_eq!([ask("POST", "X-Request-Key"), ask("POST", "X-Request-Key")], ["charge 2", "charge 3"]);
    assert_eq!([ask("PUT", "Idempotency-Key"), ask("PUT", "Idempotency-Key")], ["charge 4", "charge 5"]);
    assert_eq!(upstream.count(), 5);
}
