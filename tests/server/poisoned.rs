//! A store that has stopped writing says so everywhere, and still tells what it knows.

use crate::program::{Place, begin};
use serde_json::json;
use std::fs;

#[test]
fn a_store_whose_file_is_gone_is_told_as_poisoned_and_never_as_new() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.completed("done", &json!("receipt 7"));
    let token = program.granted("held");
    fs::remove_file(place.db()).unwrap();
    // Whether the file is there is looked at now and then: some answers more may be right.
    let mut answer = program.post_json("/v1/begin", &begin("k"));
    for n in 0.. {
        if answer.status == 503 {
            break;
        }
        answer = program.post_json("/v1/begin", &begin(&format!("k{n}")));
    }
    answer.check_problem(503, "indeterminate");
    let end = json!({"scope": "shop", "key": "held", "token": token, "payload": 1});
    for answer in [
        program.post_json("/v1/begin", &begin("new")),
        program.post_json("/v1/begin", &begin("done")),
        program.post_json("/v1/complete", &end),
        program.post("/v1/sweep", ""),
        program.get("/health"),
    ] {
        answer.check_problem(503, "poisoned");
        assert!(answer.header("retry-after").is_some() || answer.text().contains("/v1/stats"));
    }
    assert!(!program.get("/health").text().contains(place.db().to_str().unwrap()), "nobody without a token learns the path");
    assert_eq!(program.get("/v1/stats").check(200).field("is_poisoned"), true);
    assert_eq!(program.get("/v1/record?scope=shop&key=done&payload=true").check(200).field("payload"), "receipt 7");
    program.signal("TERM");
    assert_eq!(program.ended().0.code(), Some(1));
}
