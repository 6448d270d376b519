//! The unix socket.

use crate::{
    client::Client,
    program::{Place, begin, run},
};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn the_socket_is_for_its_owner_only_and_serves_the_same_api() {
    let place = Place::new();
    let socket = place.path("s");
    let program = place.serve(&["--unix", socket.to_str().unwrap()]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::unix(&socket).unwrap();
    client.post("/v1/begin", begin("a").to_string()).unwrap().check(201);
    assert_eq!(program.post_json("/v1/begin", &begin("a")).check(409).field("answer"), "in_flight");
    // No browser gets there, so any name will do.
    client.ask("GET", "/v1/stats", &[("host", "idemstore")], b"").unwrap().check(200);
    program.signal("TERM");
    assert_eq!(program.ended().0.code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn a_token_holds_for_the_socket_too() {
    let place = Place::new();
    let (socket, file) = (place.path("s"), place.path("token"));
    fs::write(&file, "s3cret").unwrap();
    let _program = place.serve(&["--unix", socket.to_str().unwrap(), "--token-file", file.to_str().unwrap()]);
    let mut client = Client::unix(&socket).unwrap();
    client.get("/v1/stats").unwrap().check_problem(401, "unauthorized");
    client.ask("GET", "/v1/stats", &[("authorization", "Bearer s3cret")], b"").unwrap().check(200);
}

#[test]
fn what_a_killed_process_left_is_replaced_and_what_is_in_use_or_no_socket_is_not() {
    let place = Place::new();
    let socket = place.path("s");
    let arguments = ["--unix", socket.to_str().unwrap()];
    place.serve(&arguments).kill();
    assert!(socket.exists(), "the kill left it");
    let program = place.serve(&arguments);
    Client::unix(&socket).unwrap().get("/health").unwrap().check(200);

    let other = Place::new();
    let refused = run(&other.db(), &arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use"));
    Client::unix(&socket).unwrap().get("/health").unwrap().check(200);
    drop(program);

    let file = other.path("precious");
    fs::write(&file, "data").unwrap();
    let refused = run(&other.db(), &["--unix", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(fs::read(&file).unwrap(), b"data");
}
