//! A paid route in axum, behind an idempotency store, with a facilitator that verifies and settles.
//!
//! `cargo run --example x402_paygate --features tower,x402 -- --facilitator http://127.0.0.1:4021 --db paygate.idem` serves
//! `GET /report` and `POST /report` for money, says on standard output where it listens, and runs until it is killed.
//! `--listen 127.0.0.1:4020` chooses the address, `--bare` leaves the store out, to see what it is good for. `GET /runs` says how
//! often the handler has run in this process.
//!
//! `protect.rs` is where idempotency goes in; `paygate.rs` knows nothing of it.

mod facilitator;
mod paygate;
mod protect;

use axum::{Router, extract::State, http::header::CONTENT_TYPE, middleware, response::IntoResponse, routing::get};
use facilitator::Facilitator;
use idemstore::Options;
use paygate::Paygate;
use serde_json::{Value, json};
use std::{
    env,
    error::Error,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::net::TcpListener;

const USAGE: &str = "usage: x402_paygate --facilitator URL (--db FILE | --bare) [--listen ADDRESS:PORT]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(env::args().skip(1)).ok_or(USAGE)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let paygate = Paygate::new(Facilitator::new(&arguments.facilitator));
    let runs = Arc::new(AtomicU64::new(0));
    let paid = Router::new().route("/report", get(report).post(report)).with_state(runs.clone());
    let paid = paid.layer(middleware::from_fn_with_state(Arc::new(paygate), paygate::demand));
    // Outside the paygate: the response that is kept is the one with the receipt, and a retry is answered before it is verified.
    let paid = match &arguments.db {
        Some(db) => protect::with_store(paid, Options::new().create_if_missing(true).open(db)?),
        None => paid,
    };
    let free = Router::new().route("/runs", get(count)).with_state(runs);

    let listener = TcpListener::bind(&arguments.listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    io::stdout().flush()?;
    axum::serve(listener, paid.merge(free)).await?;
    Ok(())
}

/// What is sold.
async fn report(State(runs): State<Arc<AtomicU64>>) -> impl IntoResponse {
    json_response(&json!({"report": runs.fetch_add(1, Ordering::SeqCst) + 1}))
}

async fn count(State(runs): State<Arc<AtomicU64>>) -> impl IntoResponse {
    json_response(&json!({"runs": runs.load(Ordering::SeqCst)}))
}

fn json_response(value: &Value) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], value.to_string())
}

struct Arguments {
    listen: String,
    facilitator: String,
    /// None leaves the store out.
    db: Option<String>,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let (mut listen, mut facilitator, mut db, mut is_bare) = ("127.0.0.1:0".to_owned(), None, None, false);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--listen" => listen = words.next()?,
                "--facilitator" => facilitator = Some(words.next()?),
                "--db" => db = Some(words.next()?),
                "--bare" => is_bare = true,
                _ => return None,
            }
        }
        (is_bare != db.is_some()).then_some(Self { listen, facilitator: facilitator?, db })
    }
}
