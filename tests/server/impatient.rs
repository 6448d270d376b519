//! Whoever asks the program to stop once more gets his way at once.

use crate::{
    client::{Client, PATIENCE},
    program::Place,
};
use std::{thread, time::Instant};

#[test]
fn a_second_signal_ends_what_a_slow_client_would_hold_up() {
    let place = Place::new();
    let program = place.serve(&[]);
    // Has half a body to send, and the server waits for the rest.
    let mut slow = program.connect();
    slow.send("POST /v1/begin HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{").unwrap();
    program.get("/health").check(200);
    program.signal("INT");
    // It has begun to stop when it accepts nobody any more.
    let started = Instant::now();
    while Client::tcp(program.address).is_ok() {
        assert!(started.elapsed() < PATIENCE, "it never stopped");
        thread::yield_now();
    }
    program.signal("TERM");
    let (status, _) = program.ended();
    assert_eq!(status.code(), Some(1));
    let program = place.serve(&[]);
    program.get("/health").check(200);
}
