//! What holds for every answer, and what a request must not be.

use crate::program::{Place, begin};
use serde_json::json;

#[test]
fn no_browser_may_take_an_answer_for_what_it_is_not() {
    let place = Place::new();
    let program = place.serve(&[]);
    for target in ["/", "/health", "/metrics", "/v1/stats", "/v1/records", "/v1/record?scope=a&key=b", "/nowhere"] {
        assert_eq!(program.get(target).header("x-content-type-options"), Some("nosniff"), "{target}");
    }
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(201).header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn a_probe_may_add_what_it_likes_to_the_target() {
    let place = Place::new();
    let program = place.serve(&[]);
    for target in ["/health?x=1", "/health?", "/health?%FF&a=1&a=1"] {
        program.get(target).check(200);
    }
    program.get("/v1/stats?x=1").check_problem(400, "invalid_input");
}

#[test]
fn values_without_their_names_are_refused() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.post_json("/v1/begin", &json!(["shop", "a", null, 1, null, null])).check_problem(400, "invalid_input");
    program.post("/v1/begin", " [\"shop\",\"a\",null,1]").check_problem(400, "invalid_input");
    program.get("/v1/record?scope=shop&key=a").check_problem(404, "not_found");
}
