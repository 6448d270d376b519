//! Every line of the contract's table, when all goes well.

use crate::program::{Place, begin};
use serde_json::{Value, json};

fn attempt(key: &str, token: u64) -> Value {
    json!({"scope": "shop", "key": key, "token": token})
}

fn with(mut fields: Value, name: &str, value: Value) -> Value {
    fields[name] = value;
    fields
}

#[test]
fn a_new_key_is_fresh_and_its_end_is_replayed() {
    let place = Place::new();
    let program = place.serve(&[]);
    let fresh = program.post_json("/v1/begin", &begin("a")).check(201).json();
    let token = fresh["token"].as_u64().unwrap();
    assert_eq!((fresh["answer"].as_str(), fresh["attempt"].as_u64()), (Some("fresh"), Some(1)));
    assert!(fresh["lease_expires_at"].is_u64() && fresh.as_object().unwrap().len() == 4);

    let payload = json!({"receipt": 7});
    let ended = program.post_json("/v1/complete", &with(attempt("a", token), "payload", payload.clone())).check(200).json();
    assert_eq!(ended["state"], "completed");

    let replay = program.post_json("/v1/begin", &begin("a")).check(200).json();
    assert_eq!((replay["answer"].as_str(), replay["state"].as_str()), (Some("replay"), Some("completed")));
    assert_eq!((&replay["payload"], &replay["expires_at"]), (&payload, &ended["expires_at"]));
    assert!(replay["ended_at"].is_u64() && replay.as_object().unwrap().len() == 5);
}

#[test]
fn a_failure_is_replayed_as_one() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let ended = program.post_json("/v1/fail", &with(attempt("a", token), "payload", json!("card refused"))).check(200);
    assert_eq!(ended.field("state"), "failed");
    let replay = program.post_json("/v1/begin", &begin("a")).check(200).json();
    assert_eq!((replay["state"].as_str(), replay["payload"].as_str()), (Some("failed"), Some("card refused")));
}

#[test]
fn a_key_in_flight_says_when_to_come_back_and_another_request_is_a_mismatch() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.granted("a");
    let busy = program.post_json("/v1/begin", &begin("a")).check(409);
    assert_eq!(busy.field("answer"), "in_flight");
    let (wait, until) = (busy.field("retry_after_ms").as_u64().unwrap(), busy.field("lease_expires_at"));
    assert!((1..=30_000).contains(&wait) && until.is_u64());
    let header: u64 = busy.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(header, wait.div_ceil(1000));
    let other = json!({"scope": "shop", "key": "a", "request": {"amount": 999}});
    assert_eq!(program.post_json("/v1/begin", &other).check(422).json(), json!({"answer": "mismatch"}));
}

#[test]
fn leases_are_renewed_marked_and_released_by_their_token() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let before = program.get("/v1/record?scope=shop&key=a").check(200).field("lease_expires_at").as_u64();
    let renewed = program.post_json("/v1/renew", &with(attempt("a", token), "lease_ms", json!(600_000))).check(200);
    assert!(renewed.field("lease_expires_at").as_u64() > before.map(|at| at + 500_000));
    let renewed = program.post_json("/v1/renew", &attempt("a", token)).check(200).field("lease_expires_at").as_u64();
    assert!(renewed < before.map(|at| at + 500_000), "as long as the store's lease, when no length is given");

    let mark = with(attempt("a", token), "data", json!({"step": "charge requested"}));
    assert_eq!(program.post_json("/v1/checkpoint", &mark).check(200).json(), json!({}));
    let record = program.get("/v1/record?scope=shop&key=a").check(200).json();
    assert_eq!((&record["checkpoint"], &record["has_checkpoint"]), (&mark["data"], &json!(true)));

    assert_eq!(program.post_json("/v1/release", &attempt("a", token)).check(200).json(), json!({}));
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(201).field("answer"), "fresh");
}

#[test]
fn a_record_has_its_payload_only_if_asked_for() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.completed("a b/ü", &json!([1, 2]));
    let target = "/v1/record?scope=shop&key=a+b%2F%C3%BC";
    let record = program.get(target).check(200).json();
    for (field, value) in [
        ("scope", json!("shop")),
        ("key", json!("a b/ü")),
        ("state", json!("completed")),
        ("attempt", json!(1)),
        ("has_checkpoint", json!(false)),
        ("checkpoint", Value::Null),
        ("payload_bytes", json!(5)),
    ] {
        assert_eq!(record[field], value, "{field}: {record}");
    }
    for field in ["token", "first_seen_at", "started_at", "ended_at", "lease_expires_at", "expires_at"] {
        assert!(record[field].is_u64(), "{field}: {record}");
    }
    assert_eq!(record["fingerprint"].as_str().map(str::len), Some(64));
    assert!(record.get("payload").is_none());
    assert_eq!(program.get(&format!("{target}&payload=true")).check(200).field("payload"), json!([1, 2]));
    assert!(program.get(&format!("{target}&payload=false")).check(200).json().get("payload").is_none());
    program.get("/v1/record?scope=shop&key=none").check_problem(404, "not_found");
}

#[test]
fn the_store_tells_how_it_is() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.completed("a", &json!(1));
    program.granted("b");
    let stats = program.get("/v1/stats").check(200).json();
    assert_eq!((stats["completed"].as_u64(), stats["in_flight"].as_u64(), stats["failed"].as_u64()), (Some(1), Some(1), Some(0)));
    assert_eq!((stats["answers"]["fresh"].as_u64(), stats["latencies"]["begin"]["count"].as_u64()), (Some(2), Some(2)));
    for pointer in [
        "/now",
        "/started_at",
        "/record_bytes",
        "/file_bytes",
        "/sweep_lag_ms",
        "/oldest_in_flight_at",
        "/oldest_in_flight_ms",
        "/commits/p99_us",
        "/io/syncs",
        "/journal/records",
        "/rates/window_ms",
        "/latencies/complete/p50_us",
    ] {
        assert!(stats.pointer(pointer).is_some_and(Value::is_u64), "{pointer}: {stats}");
    }
    for rate in ["begin_per_s", "replay_per_s", "end_per_s"] {
        assert!(stats["rates"][rate].is_number(), "{rate}: {stats}");
    }
    assert_eq!(program.get("/health").check(200).json(), json!({"status": "ok"}));
    let metrics = program.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(program.get("/").status, 200);
    for target in ["/v1/stats", "/health", "/"] {
        let head = program.connect().ask("HEAD", target, &[], b"").unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "{target}");
    }
}

#[test]
fn a_sweep_removes_what_has_expired() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let body = with(with(attempt("a", token), "payload", Value::Null), "retention_ms", json!(1000));
    let expires_at = program.post_json("/v1/complete", &body).check(200).field("expires_at").as_u64().unwrap();
    // The condition is the store's own clock.
    while program.get("/v1/stats").field("now").as_u64().unwrap() <= expires_at {
        std::thread::yield_now();
    }
    let mut removed = 0;
    for body in ["", "{}", " "] {
        let report = program.post("/v1/sweep", body).check(200).json();
        assert!(report["examined"].is_u64() && report["paused"] == json!(false), "{report}");
        removed += report["removed"].as_u64().unwrap();
    }
    let swept = program.get("/v1/stats").field("swept").as_u64().unwrap();
    assert!(removed <= 1 && swept == 1, "by the sweep that was asked for, or by the background's before it: {removed} {swept}");
    program.get("/v1/record?scope=shop&key=a").check_problem(404, "not_found");
}
