//! A full store refuses new keys, and finishes old ones.

use crate::program::{Place, begin};
use serde_json::json;

#[test]
fn a_full_store_says_so_and_what_is_in_flight_can_end() {
    let place = Place::new();
    let program = place.serve(&["--max-records", "2"]);
    let (a, b) = (program.granted("a"), program.granted("b"));
    let full = program.post_json("/v1/begin", &begin("c"));
    full.check_problem(503, "full");
    assert!(full.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 1));
    let end = json!({"scope": "shop", "key": "a", "token": a, "payload": 1});
    program.post_json("/v1/complete", &end).check(200);
    program.post_json("/v1/begin", &begin("c")).check_problem(503, "full");
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(200).field("answer"), "replay");
    program.post_json("/v1/release", &json!({"scope": "shop", "key": "b", "token": b})).check(200);
    assert_eq!(program.post_json("/v1/begin", &begin("c")).check(201).field("answer"), "fresh");
    assert_eq!(program.get("/health").status, 200);
}

#[test]
fn bytes_are_limited_as_well() {
    let place = Place::new();
    let program = place.serve(&["--max-bytes", "4KiB"]);
    let status = |n: u32| program.post_json("/v1/begin", &begin(&format!("k{n}"))).status;
    let refused = (0..1000).map(status).find(|status| *status != 201);
    assert_eq!(refused, Some(503));
}
