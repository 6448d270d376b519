//! The server is killed; its clients' attempts are taken over.

use crate::program::{Place, begin};
use serde_json::json;
use std::os::unix::process::ExitStatusExt;

#[test]
fn an_attempt_of_a_killed_server_is_taken_over_at_once_with_its_checkpoint() {
    let place = Place::new();
    let program = place.serve(&["--lease", "24h"]);
    let token = program.granted("marked");
    let mark = json!({"scope": "shop", "key": "marked", "token": token, "data": {"charge": "ch_7", "n": [1, null]}});
    program.post_json("/v1/checkpoint", &mark).check(200);
    program.granted("plain");
    program.completed("done", &json!("receipt 7"));
    assert_eq!(program.kill().signal(), Some(9));

    let program = place.serve(&[]);
    let takeover = program.post_json("/v1/begin", &begin("marked")).check(201).json();
    assert_eq!(
        (&takeover["answer"], &takeover["attempt"], &takeover["checkpoint"]),
        (&json!("takeover"), &json!(2), &mark["data"])
    );
    assert!(takeover["token"].as_u64() > Some(token));
    let plain = program.post_json("/v1/begin", &begin("plain")).check(201).json();
    assert_eq!((&plain["answer"], &plain["checkpoint"]), (&json!("takeover"), &json!(null)));
    assert_eq!(program.post_json("/v1/begin", &begin("done")).check(200).field("payload"), "receipt 7");
    // The holder from before the crash has been replaced.
    let late = json!({"scope": "shop", "key": "marked", "token": token, "payload": 1});
    program.post_json("/v1/complete", &late).check_problem(409, "lease_lost");
}

#[test]
fn a_holder_that_outlived_the_server_may_still_end_what_nobody_took_over() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    program.kill();
    let program = place.serve(&[]);
    let end = json!({"scope": "shop", "key": "a", "token": token, "payload": "receipt 7"});
    program.post_json("/v1/complete", &end).check(200);
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(200).field("payload"), "receipt 7");
}
