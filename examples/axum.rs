//! An axum server with idempotency, and a client that sends everything twice.
//! `cargo run --example axum --features tower`

use axum::{Router, http::StatusCode, routing::post};
use idemstore::{
    Store,
    tower::{IdempotencyLayer, Spawn},
};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{net::TcpListener, runtime};

#[path = "support/client.rs"]
mod client;

fn main() -> Result<(), Box<dyn Error>> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let store = Store::in_memory()?; // A real one: Options::new().create_if_missing(true).open("payments.idem")?
    // The principal is whoever was authenticated further out; everybody is the same one here.
    let idempotency = IdempotencyLayer::new(store, Spawn::new(|task| drop(tokio::spawn(task))), |_| Some("everybody".to_owned()));

    let charges = Arc::new(AtomicU64::new(0));
    let charge = move |amount: String| async move {
        let charge = charges.fetch_add(1, Relaxed) + 1;
        (StatusCode::CREATED, format!("receipt {charge} for {amount}"))
    };
    let shop = Router::new().route("/payments", post(charge)).layer(idempotency.require_key());

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, shop).await });
    tokio::task::spawn_blocking(move || client::story(address)).await??;
    Ok(())
}
