//! An orderly stop.

use crate::{
    client::{Client, request},
    program::{Place, begin},
};
use serde_json::json;
use std::thread;

#[test]
fn either_signal_ends_it_with_0_and_loses_nothing() {
    let place = Place::new();
    for (n, name) in ["TERM", "INT"].into_iter().enumerate() {
        let program = place.serve(&[]);
        program.completed(&format!("k{n}"), &json!(n));
        let (address, mut idle) = (program.address, program.connect());
        idle.get("/health").unwrap().check(200);
        program.signal(name);
        let (status, _) = program.ended();
        assert_eq!(status.code(), Some(0), "{name}");
        assert!(Client::tcp(address).is_err());
        assert!(idle.get("/health").is_err(), "idle connections were closed");
    }
    let program = place.serve(&[]);
    for n in 0..2 {
        assert_eq!(program.post_json("/v1/begin", &begin(&format!("k{n}"))).check(200).field("payload"), json!(n));
    }
}

#[test]
fn who_waits_is_told_how_things_stand() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.granted("a");
    let mut body = begin("a");
    body["wait_ms"] = json!(3_600_000);
    let mut client = program.connect();
    client.send(request("POST", "/v1/begin", &[], body.to_string().as_bytes())).unwrap();
    while program.get("/v1/stats").field("waiting").as_u64() != Some(1) {}
    program.signal("TERM");
    assert_eq!(client.answer(false).unwrap().check(409).field("answer"), "in_flight");
    assert_eq!(program.ended().0.code(), Some(0));
}

#[test]
fn what_was_acknowledged_while_it_stopped_is_there_afterwards() {
    let place = Place::new();
    let program = place.serve(&[]);
    let address = program.address;
    let clients: Vec<_> = (0..4)
        .map(|client| {
            thread::spawn(move || {
                let mut connection = Client::tcp(address).unwrap();
                let keys = (0..).map(|n| format!("c{client}-{n}"));
                let begun = keys.take_while(|key| {
                    let answer = connection.post("/v1/begin", begin(key).to_string());
                    answer.is_ok_and(|answer| answer.status == 201)
                });
                begun.collect::<Vec<_>>()
            })
        })
        .collect();
    while program.get("/v1/stats").field("in_flight").as_u64() < Some(20) {}
    program.signal("TERM");
    assert_eq!(program.ended().0.code(), Some(0));
    let granted: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(granted.len() >= 20, "{}", granted.len());
    let program = place.serve(&[]);
    for key in granted {
        assert_eq!(program.get(&format!("/v1/record?scope=shop&key={key}")).check(200).field("attempt"), 1);
    }
}
