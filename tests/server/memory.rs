//! Memory is bounded, whatever is sent and whoever does not read.

use crate::{
    client::{PATIENCE, request},
    in_process::Server,
    program::{Place, Program, begin},
};
use serde_json::json;
use std::{
    thread,
    time::{Duration, Instant},
};

const GIB: usize = 1024 * 1024 * 1024;
const PIECE: usize = 1024 * 1024;
/// Above what the store itself takes while it works.
const ROOM_KIB: u64 = 96 * 1024;

/// The most memory that there ever was, after some work.
fn warmed_up(program: &Program) -> u64 {
    for n in 0..200 {
        program.completed(&format!("warm{n}"), &json!("x".repeat(10_000)));
    }
    program.memory_kib("VmHWM")
}

/// Sends as much of a GiB as the server takes; returns how much that was, and its answer if it came through.
fn flood(program: &Program, head: (&str, &str)) -> (usize, Option<u16>) {
    let mut client = program.connect();
    client.send(request("POST", "/v1/begin", &[head], b"")).unwrap();
    let is_chunked = head.0 == "transfer-encoding";
    let piece = vec![b' '; PIECE];
    let mut sent = 0;
    while sent < GIB {
        let is_taken = (!is_chunked || client.send(format!("{PIECE:x}\r\n")).is_ok())
            && client.send(&piece).is_ok()
            && (!is_chunked || client.send("\r\n").is_ok());
        if !is_taken {
            break;
        }
        sent += PIECE;
    }
    (sent, client.answer(false).ok().map(|answer| answer.status))
}

#[test]
fn a_body_of_a_gibibyte_takes_no_more_than_the_limit() {
    let place = Place::new();
    let program = place.serve(&[]);
    let before = warmed_up(&program);
    let mut answers = Vec::new();
    for head in [("content-length", "1073741824"), ("transfer-encoding", "chunked")] {
        let (sent, answer) = flood(&program, head);
        assert!(sent > 0 && answer.is_none_or(|status| status == 413), "{sent} {answer:?}");
        answers.extend(answer);
        program.post_json("/v1/begin", &begin(head.0)).check(201);
    }
    let grown = program.memory_kib("VmHWM") - before;
    assert!(grown < ROOM_KIB, "{grown} KiB, {answers:?}");
}

#[test]
fn floods_from_many_clients_take_no_more_either() {
    let place = Place::new();
    let program = place.serve(&[]);
    let before = warmed_up(&program);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| flood(&program, ("transfer-encoding", "chunked")));
        }
        for n in 0..50 {
            program.post_json("/v1/begin", &begin(&format!("k{n}"))).check(201);
        }
    });
    let grown = program.memory_kib("VmHWM") - before;
    assert!(grown < ROOM_KIB, "{grown} KiB");
}

#[test]
fn a_client_that_asks_and_asks_and_never_reads_takes_no_more_either() {
    let place = Place::new();
    let program = place.serve(&[]);
    program.completed("a", &json!("x".repeat(200_000)));
    let before = warmed_up(&program);
    let asked = request("GET", "/v1/record?scope=shop&key=a&payload=true", &[], b"");
    let mut deaf: Vec<_> = (0..20).map(|_| program.connect()).collect();
    for client in &mut deaf {
        // Ten answers are 2 MB: more than the kernel holds for a client.
        client.send(asked.repeat(50)).unwrap();
    }
    for n in 0..100 {
        program.post_json("/v1/begin", &begin(&format!("k{n}"))).check(201);
    }
    let grown = program.memory_kib("VmHWM") - before;
    assert!(grown < ROOM_KIB, "{grown} KiB");
    // The control: the answers are there for a client that reads.
    assert_eq!(deaf[0].answer(false).unwrap().check(200).field("payload").as_str().map(str::len), Some(200_000));
}

#[test]
fn bodies_that_hang_share_one_budget_and_give_it_back() {
    // Room for two of the longest bodies, and a half.
    let server = Server::of_long_payloads(PIECE, 5 * PIECE / 2);
    let body = begin("a").to_string();
    let padded = format!("{body}{}", " ".repeat(PIECE - body.len()));
    let ask = || server.connect().post("/v1/begin", &padded).unwrap();
    // A control: bodies that come to their end give back what they took.
    ask().check(201);
    (0..4).for_each(|_| drop(ask().check(409)));
    let declared = PIECE.to_string();
    // Three do not fit, in whatever order they are read: one is told so, and nobody else can be answered.
    let mut hanging: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut hanging {
        let all_but_one = &padded.as_bytes()[..PIECE - 1];
        // The one that is refused may be so before it has sent everything.
        let _ = client.send(request("POST", "/v1/begin", &[("content-length", &declared)], all_but_one));
    }
    let started = Instant::now();
    let mut n = 0;
    while hanging[n].hear(Duration::from_millis(20)).is_err() {
        assert!(started.elapsed() < PATIENCE, "it is never too much");
        n = (n + 1) % hanging.len();
    }
    let refused = hanging[n].answer(false).unwrap();
    refused.check_problem(503, "busy");
    assert!(refused.header("retry-after").is_some());
    server.connect().post("/v1/begin", &body).unwrap().check(409);
    drop(hanging);
    while ask().status == 503 {
        assert!(started.elapsed() < 2 * PATIENCE, "it is never given back");
    }
}

#[test]
fn long_answers_that_nobody_reads_share_a_budget() {
    const LONGEST: usize = 16 * PIECE;
    // Room for two such answers, and a half.
    let server = Server::of_long_payloads(LONGEST, 40 * PIECE);
    let complete = |key: &str, payload: &str| {
        let begun = server.connect().post("/v1/begin", begin(key).to_string()).unwrap().check(201);
        let end = json!({"scope": "shop", "key": key, "token": begun.field("token"), "payload": payload});
        server.connect().post("/v1/complete", end.to_string()).unwrap().check(200);
    };
    complete("long", &"x".repeat(LONGEST - 2));
    complete("short", "x");
    let ask = |key: &str| server.connect().post("/v1/begin", begin(key).to_string()).unwrap();
    // A control: answers that are read give back what they took.
    for _ in 0..4 {
        assert!(ask("long").check(200).body.len() > LONGEST);
    }
    let mut deaf: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut deaf {
        client.send(request("POST", "/v1/begin", &[], begin("long").to_string().as_bytes())).unwrap();
        client.hear(PATIENCE).unwrap();
    }
    let refused = ask("long");
    refused.check_problem(503, "busy");
    assert!(refused.header("retry-after").is_some());
    ask("short").check(200);
    ask("new").check(201);
    for mut client in deaf {
        assert!(client.answer(false).unwrap().check(200).body.len() > LONGEST);
    }
    ask("long").check(200);
}

/// The bound would notice: a server that may take 512 MiB of a body does.
#[test]
fn a_server_without_a_bound_would_be_noticed() {
    let place = Place::new();
    let program = place.serve(&["--max-body", "512MiB"]);
    let before = warmed_up(&program);
    let (sent, _) = flood(&program, ("transfer-encoding", "chunked"));
    let grown = program.memory_kib("VmHWM") - before;
    assert!(sent > 256 * 1024 * 1024 && grown > 2 * ROOM_KIB, "{sent} {grown} KiB");
}
