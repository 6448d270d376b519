//! Clients that wait for an attempt in flight.

use crate::{
    client::request,
    program::{Place, Program, begin},
};
use serde_json::{Value, json};
use std::thread::{self, JoinHandle};

fn waiting_begin(key: &str, wait_ms: u64) -> Value {
    let mut body = begin(key);
    body["wait_ms"] = json!(wait_ms);
    body
}

/// Waits until as many wait as should.
fn wait_for_waiters(program: &Program, count: u64) {
    while program.get("/v1/stats").field("waiting").as_u64() != Some(count) {}
}

fn waiters(program: &Program, key: &str, count: usize) -> Vec<JoinHandle<Value>> {
    let start = || {
        let (mut client, body) = (program.connect(), waiting_begin(key, 3_600_000).to_string());
        thread::spawn(move || client.post("/v1/begin", body).unwrap().json())
    };
    let waiters = (0..count).map(|_| start()).collect();
    wait_for_waiters(program, count as u64);
    waiters
}

#[test]
fn the_end_of_an_attempt_wakes_all_who_wait_with_its_outcome() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let waiters = waiters(&program, "a", 5);
    let end = json!({"scope": "shop", "key": "a", "token": token, "payload": "receipt 7"});
    program.post_json("/v1/complete", &end).check(200);
    for waiter in waiters {
        let answer = waiter.join().unwrap();
        assert_eq!((&answer["answer"], &answer["payload"]), (&json!("replay"), &json!("receipt 7")));
    }
}

#[test]
fn a_release_grants_the_key_to_one_of_those_who_wait() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let waiters = waiters(&program, "a", 3);
    program.post_json("/v1/release", &json!({"scope": "shop", "key": "a", "token": token})).check(200);
    wait_for_waiters(&program, 2);
    let token = program.get("/v1/record?scope=shop&key=a").field("token");
    let end = json!({"scope": "shop", "key": "a", "token": token, "payload": 1});
    program.post_json("/v1/complete", &end).check(200);
    let answers: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()["answer"].clone()).collect();
    let count = |answer: &str| answers.iter().filter(|given| *given == answer).count();
    assert_eq!((count("fresh"), count("replay")), (1, 2), "{answers:?}");
}

#[test]
fn a_wait_that_ends_in_vain_says_when_to_come_back() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.granted("a");
    let answer = program.post_json("/v1/begin", &waiting_begin("a", 10)).check(409);
    assert_eq!(answer.field("answer"), "in_flight");
    assert!(answer.header("retry-after").is_some());
}

#[test]
fn a_client_that_goes_away_while_it_waits_is_granted_nothing() {
    let place = Place::new();
    let program = place.serve(&[]);
    let token = program.granted("a");
    let mut clients: Vec<_> = (0..3).map(|_| program.connect()).collect();
    for client in &mut clients {
        client.send(request("POST", "/v1/begin", &[], waiting_begin("a", 3_600_000).to_string().as_bytes())).unwrap();
    }
    wait_for_waiters(&program, 3);
    drop(clients);
    wait_for_waiters(&program, 0);
    program.post_json("/v1/release", &json!({"scope": "shop", "key": "a", "token": token})).check(200);
    program.get("/v1/record?scope=shop&key=a").check_problem(404, "not_found");
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(201).field("answer"), "fresh");
}
