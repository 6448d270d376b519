//! Where idempotency goes in: around the paid routes, as one layer. What a payment id has bought is kept and handed out again;
//! nothing is verified, run or settled twice.

use axum::Router;
use idemstore::{
    Store,
    tower::{IdempotencyLayer, Profile, Spawn},
};
use std::time::Duration;

/// Who sells. A server of many merchants takes it from what it has authenticated.
const SELLER: &str = "shop-7";
/// How long a duplicate waits for the first one to end before it is told to come back.
const WAIT: Duration = Duration::from_secs(1);

/// Gives routes that are paid for with x402 idempotency.
pub(crate) fn with_store(routes: Router, store: Store) -> Router {
    let spawn = Spawn::new(|task| drop(tokio::spawn(task)));
    let layer = IdempotencyLayer::new(store, spawn, |_| Some(SELLER.to_owned()));
    routes.layer(layer.profile(Profile::X402).require_key().wait(WAIT))
}
