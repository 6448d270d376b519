//! Input that is wrong is refused with a problem, and nothing happens.

use crate::program::{Place, Program, begin};
use serde_json::json;

/// Nothing was stored by what was refused.
#[track_caller]
fn check_untouched(program: &Program) {
    assert_eq!(program.get("/v1/records").check(200).field("records"), json!([]));
}

#[test]
fn text_that_is_not_what_a_body_has_to_be() {
    let place = Place::new();
    let program = place.serve(&[]);
    let routes = ["begin", "complete", "fail", "renew", "checkpoint", "release", "resolve"];
    let deep = "[".repeat(100_000);
    let bodies: Vec<&[u8]> = vec![
        b"",
        b" ",
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b"\"text\"",
        b"{\"scope\":\"shop\",}",
        b"{\"scope\":\"shop\" \"key\":\"a\"}",
        b"{'scope':'shop'}",
        b"{\"scope\":\"shop\",\"key\":\"a\",\"request\":1} {}",
        b"{\"scope\":\"\xff\",\"key\":\"a\",\"request\":1}",
        b"{\"scope\":\"shop\",\"key\":\"a\",\"request\":\"\xc3\x28\"}",
        b"{\"scope\":\"shop\",\"key\":\"\\ud800\",\"request\":1}",
        b"{\"scope\":\"shop\",\"key\":\"a\",\"key\":\"b\",\"request\":1}",
        b"\xef\xbb\xbf{\"scope\":\"shop\",\"key\":\"a\",\"request\":1}",
        b"scope=shop&key=a&request=1",
        b"\0",
        deep.as_bytes(),
    ];
    for route in routes {
        for body in &bodies {
            let answer = program.post(&format!("/v1/{route}"), body);
            answer.check_problem(400, "invalid_input");
        }
    }
    program.post("/v1/sweep", "{\"x\":1}").check_problem(400, "invalid_input");
    program.post("/v1/sweep", "null").check_problem(400, "invalid_input");
    check_untouched(&program);
}

#[test]
fn a_begin_has_either_a_fingerprint_or_a_request() {
    let place = Place::new();
    let program = place.serve(&[]);
    let fingerprint = "0".repeat(64);
    for extra in [
        json!({}),
        json!({"fingerprint": fingerprint, "request": 1}),
        json!({"fingerprint": fingerprint, "request": null}),
        json!({"fingerprint": ""}),
        json!({"fingerprint": &fingerprint[1..]}),
        json!({"fingerprint": "g".repeat(64)}),
        json!({"fingerprint": 1}),
    ] {
        let mut body = json!({"scope": "shop", "key": "a"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        program.post_json("/v1/begin", &body).check_problem(400, "invalid_input");
    }
    // Two readings of one request must not get one fingerprint.
    for request in [r#"{"a":1,"a":2}"#, "9007199254740993", "1e400", r#""\ud800""#] {
        let body = format!(r#"{{"scope":"shop","key":"a","request":{request}}}"#);
        program.post("/v1/begin", body).check_problem(400, "invalid_input");
    }
    check_untouched(&program);
}

#[test]
fn values_outside_their_range_are_refused() {
    let place = Place::new();
    let program = place.serve(&[]);
    for (field, values) in [
        ("scope", vec![json!(""), json!("s".repeat(513))]),
        ("key", vec![json!(""), json!("k".repeat(256)), json!("ü".repeat(128))]),
        ("lease_ms", vec![json!(0), json!(9), json!(86_400_001), json!(u64::MAX)]),
        ("wait_ms", vec![json!(3_600_001), json!(u64::MAX)]),
    ] {
        for value in values {
            let mut body = begin("a");
            body[field] = value;
            program.post_json("/v1/begin", &body).check_problem(400, "invalid_input");
        }
    }
    check_untouched(&program);
    let token = program.granted("a");
    for retention in [0, 999, u64::MAX] {
        let body = json!({"scope": "shop", "key": "a", "token": token, "payload": 1, "retention_ms": retention});
        program.post_json("/v1/complete", &body).check_problem(400, "invalid_input");
    }
    assert_eq!(program.get("/v1/record?scope=shop&key=a").field("state"), "in_flight");
    // What is just within is taken.
    for (field, value) in [("scope", json!("s".repeat(512))), ("key", json!("k".repeat(255))), ("lease_ms", json!(10))] {
        let mut body = begin("b");
        body[field] = value;
        program.post_json("/v1/begin", &body).check(201);
    }
}

#[test]
fn queries_are_read_strictly() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.granted("a");
    for target in [
        "/v1/record",
        "/v1/record?scope=shop",
        "/v1/record?key=a",
        "/v1/record?scope=shop&key=",
        "/v1/record?scope=shop&key=%FF",
        "/v1/record?scope=shop&key=a&key=a",
        "/v1/record?scope=shop&key=a&payload=yes",
        "/v1/record?scope=shop&key=a&payload",
        "/v1/record?scope=shop&key=a&x=1",
        "/v1/records?state=lapsed",
        "/v1/records?state=",
        "/v1/records?scope=",
        "/v1/records?older_ms=-1",
        "/v1/records?older_ms=1.5",
        "/v1/records?older_ms=99999999999999999999",
        "/v1/records?limit=0",
        "/v1/records?limit=1001",
        "/v1/records?limit=x",
        "/v1/records?after=xyz",
        "/v1/records?after=0",
        "/v1/records?Limit=1",
        "/v1/audit?from=x",
        "/v1/audit?limit=0",
        "/v1/audit?limit=1001",
        "/v1/audit?key=a&limit=0",
        "/v1/stats?x=1",
    ] {
        program.get(target).check_problem(400, "invalid_input");
    }
    // A cursor that no list has returned starts somewhere; it is no key to anything else.
    for after in ["", "00", "ff", &"ab".repeat(2000)] {
        let answer = program.get(&format!("/v1/records?after={after}"));
        assert!([200, 400].contains(&answer.status), "{after}: {}", answer.text());
    }
    program.post("/v1/begin?scope=shop", begin("b").to_string()).check_problem(400, "invalid_input");
}
