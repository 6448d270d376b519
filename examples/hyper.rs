//! A plain hyper server with idempotency, and a client that sends everything twice.
//! `cargo run --example hyper --features tower`

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use idemstore::{
    Store,
    tower::{Attempt, IdempotencyLayer, RequestBody, Spawn},
};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::{net::TcpListener, runtime};
use tower::{Layer as _, service_fn};

#[path = "support/client.rs"]
mod client;

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), BoxError> {
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn charge(charges: Arc<AtomicU64>, request: Request<RequestBody<Incoming>>) -> Result<Response<Full<Bytes>>, BoxError> {
    if let Some(attempt) = request.extensions().get::<Attempt>() {
        attempt.checkpoint("charge requested").await?; // Durable before the charge: a crash from here on is a takeover.
    }
    let amount = request.into_body().collect().await?.to_bytes();
    let charge = charges.fetch_add(1, Relaxed) + 1;
    let receipt = format!("receipt {charge} for {}", String::from_utf8_lossy(&amount));
    let mut response = Response::new(Full::from(receipt));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

async fn serve() -> Result<(), BoxError> {
    let store = Store::in_memory()?; // A real one: Options::new().create_if_missing(true).open("payments.idem")?
    // The principal is whoever was authenticated further out; everybody is the same one here.
    let idempotency = IdempotencyLayer::new(store, Spawn::new(|task| drop(tokio::spawn(task))), |_| Some("everybody".to_owned()));
    let charges = Arc::new(AtomicU64::new(0));
    let shop = idempotency.layer(service_fn(move |request| charge(charges.clone(), request)));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let shop = TowerToHyperService::new(shop.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), shop));
        }
    });
    tokio::task::spawn_blocking(move || client::story(address)).await??;
    Ok(())
}
