//! What is too large is refused before it is stored, and what just fits is taken.

use crate::{
    client::request,
    program::{Place, begin},
};
use serde_json::json;

#[test]
fn payloads_and_checkpoints_have_a_longest_length() {
    let place = Place::new();
    let program = place.serve(&["--max-payload", "1KiB"]);
    let token = program.granted("a");
    // A string of n bytes has two quotation marks.
    let of = |len: usize| "x".repeat(len - 2);
    let end = |verb: &str, len: usize| {
        program.post_json(&format!("/v1/{verb}"), &json!({"scope": "shop", "key": "a", "token": token, "payload": of(len)}))
    };
    end("complete", 1025).check_problem(413, "too_large");
    end("fail", 1025).check_problem(413, "too_large");
    let resolve = json!({"scope": "shop", "key": "a", "outcome": "completed", "reason": "r", "payload": of(1025)});
    program.post_json("/v1/resolve", &resolve).check_problem(413, "too_large");
    let mark =
        |len: usize| program.post_json("/v1/checkpoint", &json!({"scope": "shop", "key": "a", "token": token, "data": of(len)}));
    mark(4097).check_problem(413, "too_large");
    assert_eq!(program.get("/v1/record?scope=shop&key=a").field("has_checkpoint"), false);
    mark(4096).check(200);
    end("complete", 1024).check(200);
}

#[test]
fn bodies_have_a_longest_length_whether_or_not_they_declare_it() {
    let place = Place::new();
    let program = place.serve(&["--max-body", "2KiB"]);
    let padded = |len: usize| {
        let body = begin("a").to_string();
        format!("{body}{}", " ".repeat(len - body.len()))
    };
    program.post("/v1/begin", padded(2049)).check_problem(413, "too_large");
    let chunked = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = [("transfer-encoding", "chunked")];
    let answer = program.connect().ask("POST", "/v1/begin", &head, chunked(&padded(2049)).as_bytes()).unwrap();
    answer.check_problem(413, "too_large");
    // The answer comes before the body does.
    let mut client = program.connect();
    client.send(request("POST", "/v1/begin", &[("content-length", "1073741824")], b"")).unwrap();
    client.answer(false).unwrap().check_problem(413, "too_large");
    program.get("/v1/record?scope=shop&key=a").check_problem(404, "not_found");
    program.post("/v1/begin", padded(2048)).check(201);
}

#[test]
fn the_default_body_has_room_for_the_longest_payload() {
    let place = Place::new();
    let program = place.serve(&["--max-payload", "16MiB"]);
    let token = program.granted("a");
    let payload = "x".repeat(16 * 1024 * 1024 - 2);
    let end = json!({"scope": "shop", "key": "a", "token": token, "payload": payload});
    program.post_json("/v1/complete", &end).check(200);
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(200).field("payload"), payload);
}
