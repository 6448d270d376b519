//! A payment server that is killed in the middle of a payment and still charges every customer exactly once.
//!
//! `cargo run --example payments` plays the whole story. `server.rs` is the part to copy: it is the server, in a
//! process of its own. This file is the customers, and it hosts the payment provider, which outlives the server.

mod http;
mod provider;
mod server;

use http::Message;
use provider::Provider;
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The name of the first argument that makes this program the server.
const SERVE: &str = "--serve";
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let played = match arguments.as_slice() {
        [serve, store, provider] if serve == SERVE => {
            provider.parse().map_err(Into::into).and_then(|provider| server::run(Path::new(store), provider)).map(|()| true)
        }
        _ => play(),
    };
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("payments: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the story; returns whether every payment was charged exactly once and every caller was answered as it must be.
fn play() -> Result<bool> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("payments.idem");
    let provider = Provider::start()?;
    let mut story = Story::default();

    let server = Server::start(&file, &provider)?;
    println!("The payment server is process {}. It keeps its keys in {}.", server.child.id(), file.display());

    story.scene("Ada pays. Her phone loses the answer and sends the same request again.");
    story.tell(&ask(server.address, "pay-ada", "19.00 EUR"), "201 charged");
    story.tell(&ask(server.address, "pay-ada", "19.00 EUR"), "201 replayed");

    story.scene("Bob clicks twice. One request pays; the other waits for it and gets its answer.");
    let (first, second) = twice(&server, &provider, "pay-bob", "5.50 EUR")?;
    story.tell(&first, "201 charged");
    story.tell(&second, "201 replayed");

    story.scene("Ada's key comes back with another amount.");
    story.tell(&ask(server.address, "pay-ada", "1900.00 EUR"), "422 refused");

    story.scene("Cleo pays. The provider charges her, and the server is killed before it can note that down.");
    let (lost, ended) = killed(server, &provider, "pay-cleo", "42.00 EUR")?;
    story.tell(&lost, "no answer");
    println!("     the server ended with {ended}");

    let server = Server::start(&file, &provider)?;
    story.scene(&format!("The server starts again, as process {}. Cleo retries, twice.", server.child.id()));
    story.tell(&ask(server.address, "pay-cleo", "42.00 EUR"), "201 recovered");
    story.tell(&ask(server.address, "pay-cleo", "42.00 EUR"), "201 replayed");
    drop(server);

    Ok(audit(&provider, story.surprises))
}

/// Sends the same request twice, the second while the provider is at work on the first.
fn twice(server: &Server, provider: &Provider, key: &'static str, order: &'static str) -> Result<(Told, Told)> {
    let (booked, address) = (provider.watch(), server.address);
    let first = thread::spawn(move || ask(address, key, order));
    booked.recv_timeout(PATIENCE)?;
    let second = ask(address, key, order);
    Ok((first.join().map_err(|_| "a client panicked")?, second))
}

/// Kills the server when the provider has booked the charge and has not answered yet.
fn killed(mut server: Server, provider: &Provider, key: &'static str, order: &'static str) -> Result<(Told, String)> {
    let (booked, address) = (provider.watch(), server.address);
    let client = thread::spawn(move || ask(address, key, order));
    booked.recv_timeout(PATIENCE)?;
    server.child.kill()?;
    let ended = server.child.wait()?;
    Ok((client.join().map_err(|_| "a client panicked")?, ended.to_string()))
}

/// What one client asked and was told.
struct Told {
    request: String,
    /// Status and how it came about.
    verdict: String,
    body: String,
    took: Duration,
}

fn ask(server: SocketAddr, key: &str, order: &str) -> Told {
    let started = Instant::now();
    let answer = http::send(server, &Message::request("POST", "/payments", order).with("idempotency-key", key));
    let (verdict, body) = match answer {
        Ok(answer) => (format!("{} {}", answer.status(), answer.header("outcome").unwrap_or("error")), answer.body),
        Err(_) => ("no answer".to_owned(), "the connection broke".to_owned()),
    };
    Told { request: format!("{key:<9} {order:>11}"), verdict, body, took: started.elapsed() }
}

/// Prints what happens and counts what should not have.
#[derive(Default)]
struct Story {
    scenes: u32,
    surprises: u32,
}

impl Story {
    fn scene(&mut self, title: &str) {
        self.scenes += 1;
        println!("\n{}. {title}", self.scenes);
    }

    fn tell(&mut self, told: &Told, expected: &str) {
        let Told { request, verdict, body, took } = told;
        println!("     {request}  ->  {verdict:<14} {body:<34} {:>4} ms", took.as_millis());
        if verdict != expected {
            self.surprises += 1;
            println!("     !! expected: {expected}");
        }
    }
}

/// Prints the provider's ledger; returns whether it is as it must be.
fn audit(provider: &Provider, surprises: u32) -> bool {
    println!("\nThe provider's ledger:");
    let mut charges: BTreeMap<_, u32> = ["pay-ada", "pay-bob", "pay-cleo"].map(|key| (key.to_owned(), 0)).into();
    for charge in provider.ledger() {
        println!("     {}  {:<9} {:>11}", charge.id, charge.key, charge.order);
        *charges.entry(charge.key).or_default() += 1;
    }
    let is_right = surprises == 0 && charges.values().all(|&count| count == 1);
    let verdict = if is_right { "Every payment was charged exactly once." } else { "WRONG: that is not one charge per payment." };
    println!("\n{verdict}");
    is_right
}

/// The server in a process of its own; it ends with this value.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(store: &Path, provider: &Provider) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(SERVE).arg(store).arg(provider.address.to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let said = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line)).transpose();
        // From here on the child is cleaned up whatever happens.
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        said?;
        server.address = line.trim().parse().map_err(|_| "the server did not start")?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
