//! The server is killed; its clients are not, and their leases last.

use crate::program::{Place, begin};
use serde_json::json;
use std::os::unix::process::ExitStatusExt;

#[test]
fn a_lease_lasts_over_the_death_of_the_server_and_then_is_taken_over_with_its_checkpoint() {
    let place = Place::new();
    let program = place.serve(&[]);
    let short = |key: &str| {
        let mut body = begin(key);
        body["lease_ms"] = json!(3_000);
        program.post_json("/v1/begin", &body).check(201).field("token").as_u64().unwrap()
    };
    let token = short("marked");
    let mark = json!({"scope": "shop", "key": "marked", "token": token, "data": {"charge": "ch_7", "n": [1, null]}});
    program.post_json("/v1/checkpoint", &mark).check(200);
    short("plain");
    program.granted("long");
    program.completed("done", &json!("receipt 7"));
    assert_eq!(program.kill().signal(), Some(9));

    let program = place.serve(&[]);
    let held = program.post_json("/v1/begin", &begin("long")).check(409);
    assert_eq!(held.field("answer"), "in_flight");
    let release = json!({"scope": "shop", "key": "long", "outcome": "released", "reason": "the server was restarted"});
    program.post_json("/v1/resolve", &release).check_problem(409, "in_flight");
    let over = |key: &str| {
        let mut body = begin(key);
        body["wait_ms"] = json!(60_000);
        program.post_json("/v1/begin", &body).check(201).json()
    };
    let takeover = over("marked");
    assert_eq!(
        (&takeover["answer"], &takeover["attempt"], &takeover["checkpoint"]),
        (&json!("takeover"), &json!(2), &mark["data"])
    );
    assert!(takeover["token"].as_u64() > Some(token));
    let plain = over("plain");
    assert_eq!((&plain["answer"], &plain["checkpoint"]), (&json!("takeover"), &json!(null)));
    assert_eq!(program.post_json("/v1/begin", &begin("done")).check(200).field("payload"), "receipt 7");
    // The holder from before the crash has been replaced.
    let late = json!({"scope": "shop", "key": "marked", "token": token, "payload": 1});
    program.post_json("/v1/complete", &late).check_problem(409, "lease_lost");
}

#[test]
fn a_holder_that_outlived_the_server_ends_what_it_began() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    program.kill();
    let program = place.serve(&[]);
    program.post_json("/v1/begin", &begin("a")).check(409);
    let end = json!({"scope": "shop", "key": "a", "token": token, "payload": "receipt 7"});
    program.post_json("/v1/complete", &end).check(200);
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(200).field("payload"), "receipt 7");
}
