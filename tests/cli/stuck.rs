//! An attempt whose process died is found, explained, ended by a person, and replayed from then on.

use crate::support::*;
use serde_json::{Value, json};

const REASON: &str = "the provider's dashboard shows charge 7";

#[test]
fn a_stuck_attempt_is_resolved_and_replayed_while_the_server_runs() {
    let place = Place::new();
    let server = place.serve();
    assert_eq!(server.begin("pay_1").0, 201);
    // Somebody runs it: it is not stuck, and nobody may end it.
    assert_eq!(place.run(&["stuck", "--json"]).lines().len(), 0);
    let resolve =
        ["resolve", "pay_1", "--scope", SCOPE, "--completed", r#"{"receipt":  7}"#, "--reason", REASON, "--yes", "--json"];
    assert!(place.run(&resolve).failed(1).contains("live lease"));
    assert_eq!(place.run(&["stuck", "--older", "0s", "--json"]).lines().len(), 1);
    server.kill();

    let server = place.serve();
    let stuck = place.run(&["stuck", "--json"]).lines();
    assert_eq!((stuck.len(), &stuck[0]["key"], &stuck[0]["is_lapsed"]), (1, &json!("pay_1"), &json!(true)));
    assert_eq!(place.run(&["show", "pay_1", "--json"]).json()["is_lapsed"], json!(true));
    assert_eq!(place.run(&resolve).json(), json!({ "state": "completed" }));
    assert_eq!(place.run(&["stuck"]).done(), "");

    let (status, answer) = server.begin("pay_1");
    assert_eq!((status, &answer["answer"], &answer["payload"]), (200, &json!("replay"), &json!({ "receipt": 7 })));
    let audit = place.run(&["audit", "--key", "pay_1", "--json"]).lines();
    assert_eq!((audit.len(), &audit[0]["reason"], &audit[0]["outcome"]), (1, &json!(REASON), &json!("completed")));
    assert!(place.run(&["audit"]).done().contains(REASON));
    assert_eq!(place.run(&["audit", "--scope", "elsewhere"]).done(), "");
    // What has ended stays as it is.
    assert!(place.run(&resolve).failed(1).contains("ended already"));
}

#[test]
fn each_outcome_is_what_clients_are_told_next() {
    let place = Place::filled();
    let begun = |outcome: &[&str], id: &str| -> Ran {
        place.run_with(&[&["resolve", id, "--scope", SCOPE, "--reason", REASON, "--yes"], outcome].concat(), "[1, 2]")
    };
    assert!(begun(&["--failed", "@-"], "started").done().contains("failed"));
    assert!(place.run(&["release", "running", "--scope", SCOPE, "--reason", REASON, "--yes"]).done().contains("released"));
    assert!(place.run(&["show", "running"]).failed(1).contains("no scope"));
    let shown = place.run(&["show", "started", "--payload", "--json"]).json();
    assert_eq!((&shown["state"], &shown["payload"]), (&json!("failed"), &json!([1, 2])));
    let server = place.serve();
    assert_eq!(server.begin("running").1["answer"], "fresh");
    assert_eq!(server.begin("started").1["state"], "failed");
    let reasons = place.run(&["audit", "--json"]).lines();
    let outcomes: Vec<&Value> = reasons.iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, [&json!("failed"), &json!("released")]);
}

#[test]
fn an_answer_given_to_a_closed_file_is_kept_for_as_long_as_the_person_says() {
    let place = Place::filled();
    let kept = |id: &str| {
        let record = place.run(&["show", id, "--json"]).json();
        record["expires_at"].as_u64().unwrap() - record["ended_at"].as_u64().unwrap()
    };
    let resolve = |id: &str, more: &[&str]| {
        place.run(&[&["resolve", id, "--scope", SCOPE, "--reason", REASON, "--yes", "--completed", "1"], more].concat())
    };
    resolve("started", &["--retention", "7d"]).done();
    assert_eq!(kept("started"), 7 * 86_400_000);
    resolve("running", &[]).done();
    assert_eq!(kept("running"), 86_400_000);
    // One who serves has said so already.
    let server = place.serve();
    assert!(resolve("running", &["--retention", "7d"]).failed(2).contains("leave --retention out"));
    server.stop();
}

#[test]
fn a_payload_is_read_from_a_file() {
    let place = Place::filled();
    std::fs::write(place.path("receipt.json"), r#"{"receipt": 7}"#).unwrap();
    let file = format!("@{}", place.path("receipt.json").display());
    place.run(&["resolve", "started", "--scope", SCOPE, "--completed", &file, "--reason", REASON, "--yes"]).done();
    assert_eq!(place.run(&["show", "started", "--payload", "--json"]).json()["payload"], json!({ "receipt": 7 }));
}
