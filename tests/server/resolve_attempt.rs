//! An operator may say which attempt was looked at, and then no other is resolved.

use crate::program::{Place, begin};
use serde_json::json;

#[test]
fn what_is_said_of_one_attempt_is_not_taken_for_the_next() {
    let place = Place::new();
    let program = place.serve(&[]);
    // Whoever runs it dies, and its lease lapses a moment later.
    let dies = |token: u64| {
        let lease = json!({"scope": "shop", "key": "a", "token": token, "lease_ms": 10});
        program.post_json("/v1/renew", &lease).check(200);
        while program.get("/v1/record?scope=shop&key=a").check(200).field("is_lapsed") != true {}
    };
    let looked_at = program.granted("a");
    dies(looked_at);
    let taken_over = program.post_json("/v1/begin", &begin("a")).check(201);
    assert_eq!(taken_over.field("answer"), "takeover");
    dies(taken_over.field("token").as_u64().unwrap());
    let resolve = |token: u64| {
        let reason = "there is no charge";
        program.post_json(
            "/v1/resolve",
            &json!({"scope": "shop", "key": "a", "outcome": "released", "reason": reason, "token": token}),
        )
    };
    resolve(looked_at).check_problem(409, "attempt_changed");
    assert_eq!(program.get("/v1/record?scope=shop&key=a").check(200).field("token"), taken_over.field("token"));
    resolve(taken_over.field("token").as_u64().unwrap()).check(200);
    program.get("/v1/record?scope=shop&key=a").check_problem(404, "not_found");
}
