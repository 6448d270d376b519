//! A payload comes back as the very text that was sent.

use crate::program::{Place, begin};

const ODD: &[&str] = &[
    "null",
    "true",
    "0",
    "-0",
    "1.0",
    "1e400",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827021181583404541015625",
    r#""""#,
    r#""\u00fc\n\"\\ \ud83d\ude00 \ud800""#,
    "\"ü 日本語 😀\"",
    r#"{"a":1,"a":2}"#,
    "[ 1 ,\t{ } ]",
    r#"{"payload": {"token": 1, "scope": "other"}}"#,
    "[]",
    "{}",
];

/// The text of a member, which is the last before `tail`.
fn member<'a>(text: &'a str, name: &str, tail: &str) -> &'a str {
    let start = text.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    &text[start..start + text[start..].rfind(tail).unwrap()]
}

#[test]
fn every_value_comes_back_byte_for_byte_from_every_route() {
    let place = Place::new();
    let program = place.serve(&[]);
    for (n, text) in ODD.iter().enumerate() {
        let (key, verb) = (format!("k{n}"), ["complete", "fail"][n % 2]);
        let token = program.granted(&key);
        let body = format!(r#"{{"scope":"shop","key":"{key}","token":{token},"payload": {text}  }}"#);
        program.post(&format!("/v1/{verb}"), body).check(200);
        let replay = program.post_json("/v1/begin", &begin(&key)).check(200);
        assert_eq!(member(replay.text(), "payload", ",\"ended_at\""), *text);
        let record = program.get(&format!("/v1/record?scope=shop&key={key}&payload=true")).check(200);
        assert_eq!(member(record.text(), "payload", "}"), *text);
    }
}

#[test]
fn a_checkpoint_comes_back_byte_for_byte() {
    let place = Place::new();
    let program = place.serve(&[]);
    for (n, text) in ODD.iter().enumerate() {
        let key = format!("k{n}");
        let token = program.granted(&key);
        program.post("/v1/checkpoint", format!(r#"{{"scope":"shop","key":"{key}","token":{token},"data":{text}}}"#)).check(200);
        let record = program.get(&format!("/v1/record?scope=shop&key={key}")).check(200);
        assert_eq!(member(record.text(), "checkpoint", "}"), *text);
    }
}

#[test]
fn a_deep_payload_harms_nobody() {
    let place = Place::new();
    let program = place.serve(&[]);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let token = program.granted("a");
    program.post("/v1/complete", format!(r#"{{"scope":"shop","key":"a","token":{token},"payload":{deep}}}"#)).check(200);
    let replay = program.post_json("/v1/begin", &begin("a")).check(200);
    assert_eq!(member(replay.text(), "payload", ",\"ended_at\""), deep);
    // A request that is fingerprinted is read as far as it can be.
    let request = format!(r#"{{"scope":"shop","key":"b","request":{deep}}}"#);
    program.post("/v1/begin", request).check_problem(400, "invalid_input");
}
