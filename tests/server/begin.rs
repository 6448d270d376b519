//! What names a request, and who holds a key.

use crate::program::{Place, begin};
use serde_json::json;

#[test]
fn a_request_is_the_same_however_it_is_written_and_a_fingerprint_is_taken_as_it_is() {
    let place = Place::new();
    let program = place.serve(&[]);
    let of = |request: &str| program.post("/v1/begin", format!(r#"{{"scope":"s","key":"a","request":{request}}}"#));
    of(r#"{"amount": 100, "to": "ü"}"#).check(201);
    assert_eq!(of(r#"{"to":"\u00fc","amount":1e2}"#).check(409).field("answer"), "in_flight");
    assert_eq!(of(r#"{"to":"u","amount":100}"#).check(422).field("answer"), "mismatch");

    let fingerprint = program.get("/v1/record?scope=s&key=a").field("fingerprint");
    let by_fingerprint = json!({"scope": "s", "key": "a", "fingerprint": fingerprint});
    assert_eq!(program.post_json("/v1/begin", &by_fingerprint).check(409).field("answer"), "in_flight");
    let upper = json!({"scope": "s", "key": "b", "fingerprint": "AB".repeat(32)});
    program.post_json("/v1/begin", &upper).check(201);
    assert_eq!(program.get("/v1/record?scope=s&key=b").field("fingerprint"), json!("ab".repeat(32)));
    // A null is a request like any other.
    program.post("/v1/begin", r#"{"scope":"s","key":"c","request":null}"#).check(201);
}

#[test]
fn scopes_do_not_see_each_other() {
    let place = Place::new();
    let program = place.serve(&[]);
    for (scope, key) in [("ab", "c"), ("a", "bc")] {
        program.post_json("/v1/begin", &json!({"scope": scope, "key": key, "request": scope})).check(201);
    }
    program.get("/v1/record?scope=abc&key=c").check_problem(404, "not_found");
}

#[test]
fn only_the_current_token_ends_an_attempt_and_the_same_end_may_be_repeated() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let end = |verb: &str, token: u64, payload: &str| {
        program.post_json(&format!("/v1/{verb}"), &json!({"scope": "shop", "key": "a", "token": token, "payload": payload}))
    };
    for stale in [0, token + 1, u64::MAX] {
        end("complete", stale, "x").check_problem(409, "lease_lost");
    }
    let first = end("complete", token, "receipt 7").check(200);
    let again = end("complete", token, "receipt 7").check(200);
    assert_eq!(first.json(), again.json());
    end("complete", token, "receipt 8").check_problem(409, "lease_lost");
    end("fail", token, "receipt 7").check_problem(409, "lease_lost");
    for (verb, extra) in [("renew", json!({})), ("release", json!({})), ("checkpoint", json!({"data": 1}))] {
        let mut body = json!({"scope": "shop", "key": "a", "token": token});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        program.post_json(&format!("/v1/{verb}"), &body).check_problem(409, "lease_lost");
    }
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(200).field("payload"), "receipt 7");
    let none = json!({"scope": "shop", "key": "none", "token": 1, "payload": 1});
    program.post_json("/v1/complete", &none).check_problem(409, "lease_lost");
}

#[test]
fn a_lapsed_lease_is_taken_over_with_a_higher_token_and_the_first_holder_is_fenced() {
    let place = Place::new();
    let program = place.serve(&[]);
    let mut body = begin("a");
    body["lease_ms"] = json!(10);
    let first = program.post_json("/v1/begin", &body).check(201).field("token").as_u64().unwrap();
    // Waits for the lease to lapse, and is woken by that.
    body["wait_ms"] = json!(60_000);
    let taken = program.post_json("/v1/begin", &body).check(201).json();
    assert_eq!((taken["answer"].as_str(), taken["attempt"].as_u64()), (Some("takeover"), Some(2)));
    assert!(taken["checkpoint"].is_null() && taken["token"].as_u64() > Some(first), "{taken}");
    let late = json!({"scope": "shop", "key": "a", "token": first, "payload": 1});
    program.post_json("/v1/complete", &late).check_problem(409, "lease_lost");
}
