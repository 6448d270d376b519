//! Clients that are slow, or that do not do their part: each is cut off, and others are served meanwhile.

use crate::{
    client::{Client, PATIENCE, request},
    in_process::Server,
    program::begin,
};
use idemstore::server::Limits;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(20);

/// Long enough that whatever does not set a limit itself does not run into one.
fn patient(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::new();
    for wait in [&mut limits.head_wait, &mut limits.body_wait, &mut limits.idle_wait, &mut limits.write_wait] {
        *wait = 2 * PATIENCE;
    }
    limits.stop_wait = SHORT;
    change(&mut limits);
    limits
}

/// Sends a byte every now and then until the server has had enough; returns what it said, and how many bytes it took.
fn dribble(client: &mut Client, bytes: &mut dyn Iterator<Item = u8>) -> (Vec<u8>, usize) {
    let mut said = Vec::new();
    for (sent, byte) in bytes.enumerate() {
        if client.send([byte]).is_err() {
            return (said, sent);
        }
        // Reading is what paces it.
        match client.hear(STEP) {
            Ok(0) => return (said, sent),
            Ok(_) => said.extend(client.rest().unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(_) => return (said, sent),
        }
    }
    panic!("the server took it all");
}

#[test]
fn a_head_that_dribbles_in_is_cut_off() {
    let server = Server::of_api(patient(|limits| limits.head_wait = SHORT));
    let mut slow = server.connect();
    let mut head = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ".iter().copied().chain(std::iter::repeat(b'x')).take(10_000);
    let (said, sent) = dribble(&mut slow, &mut head);
    assert!(said.is_empty() && sent > 1, "{sent} {said:?}");
    // A control: the same server, in fewer pieces than the time has steps.
    let mut steady = server.connect();
    for piece in [&b"GET /heal"[..], b"th HTTP/1.1\r\nhost: 127.", b"0.0.1\r\n\r\n"] {
        steady.send(piece).unwrap();
    }
    steady.answer(false).unwrap().check(200);
}

#[test]
fn a_second_head_is_bounded_like_the_first() {
    let server = Server::of_api(patient(|limits| limits.head_wait = SHORT));
    let mut slow = server.connect();
    slow.get("/health").unwrap().check(200);
    let (_, sent) = dribble(&mut slow, &mut std::iter::repeat_n(b'G', 10_000));
    assert!(sent > 1);
}

#[test]
fn a_body_that_dribbles_in_is_answered_with_408() {
    let server = Server::of_api(patient(|limits| limits.body_wait = SHORT));
    for head in [("content-length", "1000000"), ("transfer-encoding", "chunked")] {
        let mut slow = server.connect();
        slow.send(request("POST", "/v1/begin", &[head], b"")).unwrap();
        let mut bytes: Box<dyn Iterator<Item = u8>> = match head.0 {
            "content-length" => Box::new(std::iter::repeat_n(b' ', 10_000)),
            _ => Box::new(b"1\r\n \r\n".iter().copied().cycle().take(10_000)),
        };
        let (said, sent) = dribble(&mut slow, &mut bytes);
        let said = String::from_utf8_lossy(&said);
        assert!(
            sent > 1 && said.contains("408") && said.contains("application/problem+json") && said.contains("timeout"),
            "{said}"
        );
    }
    let mut other = server.connect();
    other.post("/v1/begin", begin("a").to_string()).unwrap().check(201);
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = Server::of_api(patient(|limits| limits.idle_wait = SHORT));
    for is_used in [false, true] {
        let mut idle = server.connect();
        if is_used {
            idle.get("/health").unwrap().check(200);
        }
        assert_eq!(idle.rest().unwrap(), b"");
    }
    // A control: a client that waits for its answer is not idle, however long that takes.
    let mut holder = server.connect();
    let mut body = begin("a");
    body["lease_ms"] = serde_json::json!(4 * SHORT.as_millis());
    holder.post("/v1/begin", body.to_string()).unwrap().check(201);
    body["wait_ms"] = serde_json::json!(60_000);
    let mut waiter = server.connect();
    assert_eq!(waiter.post("/v1/begin", body.to_string()).unwrap().check(201).field("answer"), "takeover");
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    const BYTES: usize = 64 * 1024 * 1024;
    let server = Server::of_bytes(patient(|limits| (limits.write_wait, limits.connections_max) = (10 * SHORT, 1)), BYTES);
    let mut deaf = server.connect();
    deaf.send(request("GET", "/", &[], b"")).unwrap();
    // There is one place only: whoever is served next has it from the one that was cut off.
    let mut other = server.connect();
    assert_eq!(other.get("/").unwrap().body.len(), BYTES);
    let heard = deaf.rest().map_or(0, |heard| heard.len());
    assert!(heard < BYTES, "{heard}");
}

#[test]
fn whoever_has_been_idle_for_longest_makes_room() {
    let server = Server::of_api(patient(|limits| limits.connections_max = 3));
    let mut idle: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut idle {
        client.get("/health").unwrap().check(200);
    }
    let mut busy = idle.remove(2);
    busy.send("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n").unwrap();
    for _ in 0..10 {
        let mut newcomer = server.connect();
        newcomer.get("/health").unwrap().check(200);
        idle.push(newcomer);
    }
    let mut is_closed = idle.into_iter().map(|mut client| client.get("/health").is_err());
    assert_eq!(is_closed.by_ref().take(2).collect::<Vec<_>>(), [true, true], "the first are gone");
    // The one whose request had begun to come was left alone.
    busy.send("\r\n").unwrap();
    busy.answer(false).unwrap().check(200);
}

#[test]
fn a_stop_cuts_off_who_does_not_end() {
    let mut server = Server::of_bytes(patient(|_| ()), 64 * 1024 * 1024);
    let mut deaf = server.connect();
    deaf.send(request("GET", "/", &[], b"")).unwrap();
    deaf.hear(PATIENCE).unwrap();
    // Returns: the client's own limits are longer than anybody's patience.
    server.stop();
}
