//! Many clients that do nothing, and some that do it slowly, with the program as it comes.

use crate::{
    client::Client,
    program::{Place, begin},
};
use std::time::Duration;

const IDLE: usize = 1000;

#[test]
fn a_thousand_idle_connections_hold_up_nobody() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.granted("first");
    let before = program.memory_kib("VmRSS");
    let mut idle: Vec<_> = (0..IDLE).map(|_| program.connect()).collect();
    // Some have never said a word, some have been answered, some are in the middle of their head.
    for client in idle.iter_mut().step_by(3) {
        client.get("/health").unwrap().check(200);
    }
    for client in idle.iter_mut().skip(1).step_by(3) {
        client.send("POST /v1/begin HTTP/1.1\r\nhost: ").unwrap();
    }
    for n in 0..100 {
        program.post_json("/v1/begin", &begin(&format!("k{n}"))).check(201);
    }
    let grown = program.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB for {IDLE} connections");
    // They are still there: nobody was sent away while there was room.
    for client in idle.iter_mut().step_by(3) {
        client.get("/health").unwrap().check(200);
    }
}

#[test]
fn more_connections_than_there_is_room_for_are_all_served() {
    let place = Place::new();
    let program = place.serve(&["--max-connections", "8"]);
    let mut open = Vec::new();
    for n in 0..50 {
        let mut client = program.connect();
        client.post("/v1/begin", begin(&format!("k{n}")).to_string()).unwrap().check(201);
        open.push(client);
    }
    assert!(open.iter_mut().take(10).all(|client| client.get("/health").is_err()), "the first made room");
}

#[test]
fn dribblers_are_cut_off_by_the_limits_that_the_program_has() {
    let place = Place::new();
    let program = place.serve(&[]);
    let mut slow: Vec<_> = (0..20).map(|_| program.connect()).collect();
    for client in &mut slow {
        client.send("GET /health HTTP/1.1\r\nx: ").unwrap();
    }
    let mut is_cut_off = |client: &mut Client| loop {
        program.get("/health").check(200);
        if client.send("x").is_err() {
            return true;
        }
        match client.hear(Duration::from_millis(200)) {
            Ok(0) => return true,
            Ok(_) => return false,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(_) => return true,
        }
    };
    assert!(slow.iter_mut().all(&mut is_cut_off));
}
