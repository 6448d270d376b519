//! The payment server: the part to copy. Every payment goes through [`pay`]; the rest is set-up.

use crate::http::{self, Message};
use idemstore::{Begin, BeginOptions, Fingerprint, Key, Lease, Options, Store};
use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process, thread,
    time::Duration,
};

/// Who asks, and for what. A real server takes the first part from what it has authenticated.
const SCOPE: &str = "shop-7/POST /payments";
/// How long a duplicate waits for the first one to end before it is told to come back.
const WAIT: Duration = Duration::from_secs(5);

/// Serves until the process that started this one goes away; says on standard output where.
pub(crate) fn run(store: &Path, provider: SocketAddr) -> Result<(), Box<dyn Error>> {
    let store = Options::new().create_if_missing(true).open(store)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    thread::spawn(|| {
        // Standard input ends when the parent does.
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    http::serve(&listener, move |request| {
        pay(&store, provider, &request).unwrap_or_else(|error| {
            // Whether the customer was charged may be unknown here. The store knows how far the attempt had got, and it will
            // not let a retry charge again unasked.
            Message::response(503, format!("{error}")).with("retry-after", "1")
        })
    });
    Ok(())
}

/// Answers one payment request.
fn pay(store: &Store, provider: SocketAddr, request: &Message) -> Result<Message, Box<dyn Error>> {
    let Some(id) = request.header("idempotency-key") else {
        return Ok(Message::response(400, "an idempotency-key header is required"));
    };
    let key = Key::new(SCOPE, id)?;
    // What must be the same on a retry. Another body under the same key is another payment, or a mistake.
    let fingerprint = Fingerprint::of(&[b"POST", b"/payments", request.body.as_bytes()]);
    let response = match store.begin_with(&key, fingerprint, BeginOptions::new().wait(WAIT))? {
        // Nobody has run this payment. From here on nobody else can, even if this process dies at the next line.
        Begin::Fresh(lease) => charge(&lease, provider, request)?.with("outcome", "charged"),
        // An attempt died. Whether it charged the customer is UNKNOWN, so find out before anything else.
        Begin::Takeover(lease) => reconcile(&lease, provider, request)?,
        // It was done before: the same answer, without doing it again.
        Begin::Replay(outcome) => {
            let body = String::from_utf8_lossy(outcome.payload());
            Message::response(if outcome.is_completed() { 201 } else { 402 }, body).with("outcome", "replayed")
        }
        Begin::InFlight { retry_after, .. } => {
            let seconds = (retry_after.as_secs() + 1).to_string();
            Message::response(409, "still being paid").with("retry-after", &seconds).with("outcome", "busy")
        }
        Begin::Mismatch => Message::response(422, "key was used for another request").with("outcome", "refused"),
    };
    Ok(response)
}

/// Charges the customer and records the outcome.
fn charge(lease: &Lease, provider: SocketAddr, request: &Message) -> Result<Message, Box<dyn Error>> {
    // Says, durably, "from here on the customer may have been charged". A retry after a crash sees it.
    lease.checkpoint("charge requested")?;
    let order = Message::request("POST", "/charges", request.body.clone()).with("payment-key", lease.key().id());
    // If this fails, nobody knows whether the charge was made: the attempt stays open, and the next one reconciles.
    let answer = http::send(provider, &order)?;
    record(lease, &answer)
}

/// Takes over from an attempt that died.
fn reconcile(lease: &Lease, provider: SocketAddr, request: &Message) -> Result<Message, Box<dyn Error>> {
    if lease.earlier_checkpoint().is_none() {
        // It died before it asked for the charge.
        return Ok(charge(lease, provider, request)?.with("outcome", "charged"));
    }
    let question = Message::request("GET", "/charges", "").with("payment-key", lease.key().id());
    let answer = http::send(provider, &question)?;
    match answer.status() {
        "200" => Ok(record(lease, &answer)?.with("outcome", "recovered")),
        // It never booked it, so this attempt may. With a provider that can book late, wait until it cannot any more.
        "404" => Ok(charge(lease, provider, request)?.with("outcome", "charged")),
        other => Err(format!("the provider answered {other}").into()),
    }
}

/// Makes the outcome durable, and only then tells the client.
fn record(lease: &Lease, answer: &Message) -> Result<Message, Box<dyn Error>> {
    match answer.status() {
        "200" | "201" => {
            let body = format!("paid, charge {}", answer.body);
            lease.complete(&body)?;
            Ok(Message::response(201, body))
        }
        // A definite no. A retry gets the same answer.
        "402" => {
            lease.fail(&answer.body)?;
            Ok(Message::response(402, answer.body.clone()))
        }
        other => Err(format!("the provider answered {other}").into()),
    }
}
