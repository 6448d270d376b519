//! A payment id is bound to one exact payment and one exact request: any other has another fingerprint.

use crate::x402::vectors;
use idemstore::{
    ErrorKind, Fingerprint, json,
    x402::{decode_header, encode_header, payment_fingerprint},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn of(payload: &Value) -> Fingerprint {
    payment_fingerprint(payload, "POST", "/paid", Some("a=1"), b"{}").unwrap()
}

/// Every path to a value inside, as a JSON pointer.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, &format!("{at}/{}", escape(name)), found);
            }
        }
        Value::Array(items) => {
            for (n, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{n}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

#[test]
fn a_retry_with_a_new_nonce_has_another_fingerprint() {
    let recorded = &vectors()["retry"];
    assert_ne!(recorded["payload"]["payload"], recorded["new_nonce"]["payload"]);
    assert_ne!(of(&recorded["payload"]), of(&recorded["new_nonce"]));
}

#[test]
fn a_retry_of_the_same_payment_has_the_same_fingerprint() {
    let payload = &vectors()["retry"]["payload"];
    assert_eq!(of(payload), of(&decode_header(encode_header(payload).unwrap()).unwrap()));
}

#[test]
fn a_change_of_any_value_of_the_payload_changes_the_fingerprint() {
    let payload = vectors()["retry"]["payload"].clone();
    let mut places = Vec::new();
    pointers(&payload, "", &mut places);
    assert!(places.len() > 25, "{places:?}");
    let mut seen = BTreeSet::from([of(&payload).to_string()]);
    for place in &places {
        let changes = [json!(null), json!("changed"), json!([payload.pointer(place).unwrap()])];
        for change in changes {
            let mut other = payload.clone();
            *other.pointer_mut(place).unwrap() = change;
            assert!(seen.insert(of(&other).to_string()), "{place}");
        }
    }
    let mut more = payload.clone();
    more["added"] = json!(null);
    assert!(seen.insert(of(&more).to_string()));
}

#[test]
fn a_change_of_the_request_changes_the_fingerprint() {
    let payload = json!({"x402Version": 2});
    let requests: &[(&str, &str, Option<&str>, &[u8])] = &[
        ("POST", "/paid", None, b""),
        ("PUT", "/paid", None, b""),
        ("post", "/paid", None, b""),
        ("POST", "/paid/", None, b""),
        ("POST", "/paid", Some(""), b""),
        ("POST", "/paid", Some("a=1"), b""),
        ("POST", "/paid?a=1", None, b""),
        ("POST", "/paid", None, b"?a=1"),
        ("POST", "/paid", Some("a"), b"=1"),
        ("POST", "/paid", None, b"{}"),
        ("POST/paid", "", None, b""),
    ];
    let of = |&(method, path, query, body): &_| payment_fingerprint(&payload, method, path, query, body).unwrap();
    let fingerprints: BTreeSet<_> = requests.iter().map(|request| of(request).to_string()).collect();
    assert_eq!(fingerprints.len(), requests.len());
}

#[test]
fn a_payment_never_has_the_fingerprint_of_a_plain_request() {
    let payload = json!({"x402Version": 2});
    let form = json::canonical(&payload).unwrap();
    let payment = payment_fingerprint(&payload, "POST", "/", None, b"").unwrap();
    for parts in [&[&form[..], b"POST", b"/", b"", b""][..], &[b"POST", b"/", b"", &form], &[&form]] {
        assert_ne!(Fingerprint::of(parts), payment);
    }
}

#[test]
fn the_fingerprint_of_a_payment_never_changes() {
    // Stored records hold it: a change would turn every retry of a paid request into a mismatch.
    let payload = json!({"x402Version": 2, "payload": {"nonce": "0x1"}});
    let fingerprint = payment_fingerprint(&payload, "POST", "/paid", Some("a=1"), b"{}").unwrap();
    assert_eq!(fingerprint.to_string(), "5a29d0678caac7c73bd9de92e90229edaeb8ab58ca231127cd2796350cb04d69");
}

#[test]
fn a_payload_whose_numbers_would_be_rounded_has_no_fingerprint() {
    for value in [(1_u64 << 53) + 1, u64::MAX] {
        let error = payment_fingerprint(&json!({ "value": value }), "POST", "/", None, b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
