//! What an operator may do about an attempt that never ended, and what not.

use crate::program::{Place, begin};
use serde_json::{Value, json};

fn resolve(outcome: &str, payload: Option<Value>) -> Value {
    let mut body = json!({"scope": "shop", "key": "a", "outcome": outcome, "reason": "the provider shows charge 7"});
    if let Some(payload) = payload {
        body["payload"] = payload;
    }
    body
}

#[test]
fn a_live_lease_is_not_resolved_and_a_lapsed_one_is() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    program.post_json("/v1/resolve", &resolve("completed", Some(json!(7)))).check_problem(409, "in_flight");
    let renew = json!({"scope": "shop", "key": "a", "token": token, "lease_ms": 10});
    program.post_json("/v1/renew", &renew).check(200);
    let mut answer = program.post_json("/v1/resolve", &resolve("completed", Some(json!(7))));
    while answer.status == 409 {
        answer = program.post_json("/v1/resolve", &resolve("completed", Some(json!(7))));
    }
    assert_eq!(answer.check(200).field("state"), "completed");
    let replay = program.post_json("/v1/begin", &begin("a")).check(200).json();
    assert_eq!((&replay["payload"], &replay["state"]), (&json!(7), &json!("completed")));
    let late = json!({"scope": "shop", "key": "a", "token": token, "payload": 8});
    program.post_json("/v1/complete", &late).check_problem(409, "lease_lost");
    program.post_json("/v1/resolve", &resolve("failed", None)).check_problem(400, "invalid_input");
    let rows = program.get("/v1/audit?scope=shop&key=a").field("rows");
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["reason"]), (1, &json!("the provider shows charge 7")));
}

#[test]
fn each_outcome_is_what_the_next_caller_finds() {
    let place = Place::new();
    for (outcome, payload, status, found) in [
        ("completed", None, 200, json!({"state": "completed", "payload": null})),
        ("failed", Some(json!("no")), 200, json!({"state": "failed", "payload": "no"})),
        ("released", None, 201, json!({"answer": "fresh", "attempt": 1})),
    ] {
        let program = place.serve(&[]);
        let first = program.post_json("/v1/begin", &json!({"scope": outcome, "key": "a", "request": 1})).check(201);
        assert_eq!(first.field("answer"), "fresh");
        // The holder is gone, and so is its lease a moment later.
        let renew = json!({"scope": outcome, "key": "a", "token": first.field("token"), "lease_ms": 10});
        program.post_json("/v1/renew", &renew).check(200);
        let mut body = resolve(outcome, payload);
        body["scope"] = json!(outcome);
        let mut answer = program.post_json("/v1/resolve", &body);
        while answer.status == 409 {
            answer = program.post_json("/v1/resolve", &body);
        }
        assert_eq!(answer.check(200).field("state"), outcome);
        let next = program.post_json("/v1/begin", &json!({"scope": outcome, "key": "a", "request": 1})).check(status).json();
        for (field, value) in found.as_object().unwrap() {
            assert_eq!(&next[field], value, "{next}");
        }
    }
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_refused() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.post_json("/v1/resolve", &resolve("completed", None)).check_problem(404, "not_found");
    program.post_json("/v1/resolve", &resolve("released", Some(json!(1)))).check_problem(400, "invalid_input");
    let mut body = resolve("completed", None);
    for reason in [String::new(), "x".repeat(1025)] {
        body["reason"] = json!(reason);
        program.post_json("/v1/resolve", &body).check_problem(400, "invalid_input");
    }
}
