//! Memory is bounded, whatever is sent and whoever does not read.

use crate::{
    client::request,
    program::{Place, Program, begin},
};
use serde_json::json;
use std::thread;

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
    const LONGEST: usize = 16 * PIECE;
    let place = Place::new();
    let program = place.serve(&["--max-body", "16MiB"]);
    let body = begin("a").to_string();
    let padded = format!("{body}{}", " ".repeat(LONGEST - body.len()));
    // Sixteen bodies of 16 MiB, but for their last bytes: all that there may be.
    let declared = LONGEST.to_string();
    let mut hanging: Vec<_> = (0..16).map(|_| program.connect()).collect();
    for client in &mut hanging {
        client.send(request("POST", "/v1/begin", &[("content-length", &declared)], &padded.as_bytes()[..LONGEST - 1])).unwrap();
    }
    // They are read beside this: at some point there is no room for one more.
    let mut refused = program.post("/v1/begin", &padded);
    while refused.status != 503 {
        refused = program.post("/v1/begin", &padded);
    }
    refused.check_problem(503, "busy");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(program.get("/health").status, 200);
    drop(hanging);
    let mut answer = program.post("/v1/begin", &padded);
    while answer.status == 503 {
        answer = program.post("/v1/begin", &padded);
    }
    assert!([201, 409].contains(&answer.status), "{}", answer.text());
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
