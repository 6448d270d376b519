//! A client process of the load test: this test binary, started again with a job in its environment.

use crate::{client::Client, program::begin};
use serde_json::{Value, json};
use std::{
    env,
    io::Write,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
};

/// What the worker is called as a test.
const TEST: &str = "load_worker::works_when_it_is_told_to";
const ADDRESS: &str = "IDEMSTORE_LOAD_ADDRESS";
const SEED: &str = "IDEMSTORE_LOAD_SEED";
/// What lines of its journal start with; the harness of the tests writes others.
pub(crate) const MARK: &str = "@ ";
const THREADS: u64 = 3;
const LEASE_MS: u64 = 1_000;

/// How many keys the workers meet at.
pub(crate) const KEYS: u64 = 400;

/// Starts a worker.
pub(crate) fn start(address: SocketAddr, seed: u64) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([TEST, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ADDRESS, address.to_string()).env(SEED, seed.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn works_when_it_is_told_to() {
    let (Ok(address), Ok(seed)) = (env::var(ADDRESS), env::var(SEED)) else { return };
    let (address, seed): (SocketAddr, u64) = (address.parse().unwrap(), seed.parse().unwrap());
    // The harness has begun a line.
    println!();
    let threads: Vec<_> = (0..THREADS).map(|n| thread::spawn(move || drop(work(address, seed * THREADS + n)))).collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Works until the server is gone. A line is written only of what the server has acknowledged.
fn work(address: SocketAddr, seed: u64) -> std::io::Result<()> {
    let mut client = Client::tcp(address)?;
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    loop {
        // Xorshift: chance enough to meet others.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = format!("k{}", random % KEYS);
        let mut wanted = begin(&key);
        // Short, so that what died with its client is taken over within the test.
        wanted["lease_ms"] = json!(LEASE_MS);
        let answer = client.post("/v1/begin", wanted.to_string())?;
        let body = answer.json();
        match answer.status {
            201 => {
                let token = body["token"].as_u64().unwrap();
                note(&json!({"granted": key, "token": token, "answer": body["answer"], "attempt": body["attempt"]}));
                end(&mut client, &key, token, random >> 32)?;
            }
            200 => note(&json!({"replayed": key, "payload": body["payload"]})),
            409 => (),
            status => note(&json!({"unexpected": status, "body": body})),
        }
    }
}

/// Mostly completes; now and then leaves the attempt as a client that dies would.
fn end(client: &mut Client, key: &str, token: u64, chance: u64) -> std::io::Result<()> {
    let named = json!({"scope": "shop", "key": key, "token": token});
    let with = |name: &str, value: Value| {
        let mut body = named.clone();
        body[name] = value;
        body.to_string()
    };
    if chance.is_multiple_of(3) {
        let answer = client.post("/v1/checkpoint", with("data", json!({"by": token})))?;
        match answer.status {
            200 => note(&json!({"marked": key, "token": token})),
            // On a slow machine the lease may be over.
            409 if answer.json()["kind"] == "lease_lost" => return Ok(()),
            status => note(&json!({"unexpected": status, "body": answer.json()})),
        }
    }
    if chance.is_multiple_of(4) {
        return Ok(());
    }
    let payload = json!({"receipt": format!("{key} by {token}"), "pad": "x".repeat((chance % 2000) as usize)});
    let answer = client.post("/v1/complete", with("payload", payload.clone()))?;
    match answer.status {
        200 => note(&json!({"completed": key, "token": token, "payload": payload})),
        409 if answer.json()["kind"] == "lease_lost" => (),
        status => note(&json!({"unexpected": status, "body": answer.json()})),
    }
    Ok(())
}

/// One write, so that a line is whole or not there.
fn note(line: &Value) {
    let line = format!("{MARK}{line}\n");
    let mut out = std::io::stdout().lock();
    // Nobody listens any more: the test is over.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
