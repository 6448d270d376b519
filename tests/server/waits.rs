//! Those who wait for an attempt leave its holder what it needs to end it.

use crate::{
    client::{Client, PATIENCE, request},
    program::{Place, Program, begin},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Sends a begin that would wait for an hour, with a body of `len` bytes.
fn waiter(program: &Program, key: &str, len: usize) -> Client {
    let mut body = begin(key);
    body["wait_ms"] = json!(3_600_000);
    let mut body = body.to_string().into_bytes();
    body.resize(body.len().max(len), b' ');
    let mut client = program.connect();
    client.send(request("POST", "/v1/begin", &[], &body)).unwrap();
    client
}

#[track_caller]
fn wait_for_waiters(program: &Program, count: u64) {
    let started = Instant::now();
    while program.get("/v1/stats").field("waiting").as_u64() != Some(count) {
        assert!(started.elapsed() < PATIENCE, "there never were {count}");
    }
}

fn complete(program: &Program, key: &str, token: u64, payload: &Value) {
    program.post_json("/v1/complete", &json!({"scope": "shop", "key": key, "token": token, "payload": payload})).check(200);
}

#[test]
fn at_most_half_of_the_connections_wait_and_the_holder_comes_through() {
    let place = Place::new();
    let program = place.serve(&["--max-connections", "8"]);
    let token = program.granted("a");
    let mut waiting: Vec<_> = (0..4).map(|_| waiter(&program, "a", 0)).collect();
    wait_for_waiters(&program, 4);
    for _ in 0..20 {
        let answer = waiter(&program, "a", 0).answer(false).unwrap().check(409);
        assert_eq!(answer.field("answer"), "in_flight");
        assert!(answer.header("retry-after").is_some());
    }
    complete(&program, "a", token, &json!("receipt 7"));
    for client in &mut waiting {
        assert_eq!(client.answer(false).unwrap().check(200).field("payload"), "receipt 7");
    }
    // Their places are free again.
    program.granted("b");
    let mut client = waiter(&program, "b", 0);
    wait_for_waiters(&program, 1);
    assert_eq!(client.hear(Duration::from_millis(1)).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_place_that_a_client_has_left_is_free_for_the_next() {
    let place = Place::new();
    let program = place.serve(&["--max-connections", "2"]);
    program.granted("a");
    let gone = waiter(&program, "a", 0);
    wait_for_waiters(&program, 1);
    waiter(&program, "a", 0).answer(false).unwrap().check(409);
    drop(gone);
    wait_for_waiters(&program, 0);
    let _client = waiter(&program, "a", 0);
    wait_for_waiters(&program, 1);
}

#[test]
fn bodies_of_those_who_wait_are_let_go() {
    const MIB: usize = 1024 * 1024;
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    // More than all bodies together may have in memory.
    let waiting: Vec<_> = (0..300).map(|_| waiter(&program, "a", MIB)).collect();
    wait_for_waiters(&program, 300);
    let payload = json!("x".repeat(100_000));
    complete(&program, "a", token, &payload);
    for mut client in waiting {
        assert_eq!(client.answer(false).unwrap().check(200).field("payload"), payload);
    }
}

#[test]
fn a_flood_of_begins_leaves_room_for_the_bodies_of_holders() {
    const MIB: usize = 1024 * 1024;
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let piece = vec![b' '; MIB - 1];
    // Each sends all of its body but a byte. There is room for 128 of them.
    let flooding = || {
        let mut client = program.connect();
        // One that is refused may be closed before it has sent everything.
        drop(client.send(request("POST", "/v1/begin", &[("content-length", &MIB.to_string())], &piece)));
        client
    };
    let mut flood: Vec<_> = (0..140).map(|_| flooding()).collect();
    let started = Instant::now();
    let refusal = loop {
        assert!(started.elapsed() < PATIENCE, "there was room for all");
        if let Some(refused) = flood.iter_mut().position(|client| matches!(client.hear(Duration::from_millis(1)), Ok(1..))) {
            break flood[refused].answer(false).unwrap();
        }
    };
    refusal.check_problem(503, "busy");
    complete(&program, "a", token, &json!("x".repeat(100_000)));
}
