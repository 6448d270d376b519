//! A person at a terminal confirms the attempt that was shown, and no other.

use crate::support::*;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

const QUESTION: &str = "Type yes:";

/// The program at a terminal, which util-linux's `script` makes; killed when this goes.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
}

impl Terminal {
    /// Starts a command and waits for its question.
    fn asked(place: &Place, arguments: &str) -> Self {
        let line = format!("{} {arguments} --db {}", env!("CARGO_BIN_EXE_idemstore"), place.db.display());
        let mut command = std::process::Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("`script` of util-linux is there");
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut terminal = Self { child, keys, screen };
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains(QUESTION) {
            let mut byte = [0];
            terminal.screen.read_exact(&mut byte).unwrap_or_else(|_| panic!("no question: {}", String::from_utf8_lossy(&shown)));
            shown.extend(byte);
        }
        terminal
    }

    /// Answers yes; returns the exit code, and what is said then.
    fn yes(mut self) -> (Option<i32>, String) {
        self.keys.write_all(b"yes\n").unwrap();
        let mut said = String::new();
        self.screen.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn release() -> String {
    format!("release pay_1 --scope '{SCOPE}' --reason 'there is no charge'")
}

/// Whoever runs it dies, and its lease lapses.
fn dies(place: &Place, server: &Server, granted: &Value) {
    let lease = json!({ "scope": SCOPE, "key": "pay_1", "token": granted["token"], "lease_ms": 10 });
    assert_eq!(server.post("/v1/renew", &lease).0, 200);
    until("the lease has lapsed", || place.run(&["show", "pay_1", "--json"]).json()["is_lapsed"] == json!(true));
}

fn lapsed() -> (Place, Server) {
    let place = Place::new();
    let server = place.serve();
    let (status, granted) = server.begin("pay_1");
    assert_eq!(status, 201);
    dies(&place, &server, &granted);
    (place, server)
}

#[test]
fn what_is_confirmed_of_one_attempt_is_not_taken_for_the_next() {
    let (place, server) = lapsed();
    let terminal = Terminal::asked(&place, &release());
    let (_, granted) = server.begin("pay_1");
    assert_eq!(granted["answer"], "takeover");
    // Nobody holds the key now: without the token the answer would free it.
    dies(&place, &server, &granted);
    let (code, said) = terminal.yes();
    assert_ne!(code, Some(0), "{said}");
    drop(server);
    assert_eq!(place.run(&["show", "pay_1", "--json"]).json()["attempt"], 2, "{said}");
}

#[test]
fn a_takeover_while_the_person_thinks_is_told() {
    let (place, server) = lapsed();
    let terminal = Terminal::asked(&place, &release());
    assert_eq!(server.begin("pay_1").1["answer"], "takeover");
    let (code, said) = terminal.yes();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another attempt"), "{said}");
}

#[test]
fn what_is_confirmed_of_the_attempt_that_is_there_is_done() {
    let (place, _server) = lapsed();
    let (code, said) = Terminal::asked(&place, &release()).yes();
    assert_eq!(code, Some(0), "{said}");
    assert!(place.run(&["show", "pay_1"]).failed(1).contains("no scope"));
}

#[test]
fn a_script_names_the_attempt_that_it_has_looked_at() {
    let (place, _server) = lapsed();
    let token = place.run(&["show", "pay_1", "--json"]).json()["token"].as_u64().unwrap();
    let release = |token: u64| {
        let token = token.to_string();
        place.run(&["release", "pay_1", "--scope", SCOPE, "--reason", "there is no charge", "--yes", "--token", &token])
    };
    assert!(release(token + 1).failed(1).contains("another attempt"));
    release(token).done();
}
