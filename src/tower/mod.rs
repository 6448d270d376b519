//! A [`tower`](https://docs.rs/tower) layer that gives any HTTP service idempotency: a request with a key runs at most once, and a
//! retry gets the recorded response.
//!
//! It works with whatever is built on `tower` and `http`: axum, tonic, hyper. It needs no runtime: what has to be spawned goes
//! through the [`Spawn`] that it is given. Feature `tower`.
//!
//! ```
//! use axum::{Router, http::StatusCode, routing::post};
//! use idemstore::{Store, tower::{Attempt, IdempotencyLayer, Spawn}};
//!
//! async fn charge(attempt: Option<axum::Extension<Attempt>>, amount: String) -> Result<(StatusCode, String), StatusCode> {
//!     if let Some(axum::Extension(attempt)) = attempt {
//!         // Durable before the charge: from here on a crash is not "nothing happened".
//!         attempt.checkpoint("charge requested").await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
//!     }
//!     Ok((StatusCode::CREATED, format!("charged {amount}")))
//! }
//!
//! #[derive(Clone)]
//! struct Tenant(String); // what the authentication, further out, puts into the extensions
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! # let store = Store::in_memory()?;
//! let idempotency = IdempotencyLayer::new(store, Spawn::new(|task| drop(tokio::spawn(task))), |request| {
//!     request.extensions.get::<Tenant>().map(|tenant| tenant.0.clone())
//! });
//! let shop: Router = Router::new().route("/payments", post(charge)).layer(idempotency.require_key());
//! # use tower::ServiceExt as _;
//! # for is_replay in [false, true] {
//! #     let request = http::Request::post("/payments").header("idempotency-key", "pay_1").extension(Tenant("tenant-7".to_owned()));
//! #     let response = shop.clone().oneshot(request.body(axum::body::Body::from("100")).unwrap()).await?;
//! #     assert_eq!((response.status(), response.headers().contains_key("idempotent-replayed")), (StatusCode::CREATED, is_replay));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Put it inside the authentication, which says whose request this is, and outside of whatever takes the money: what is recorded is
//! the response that leaves the layer.
//!
//! # What can be decided
//!
//! | question | unless set | set with |
//! |---|---|---|
//! | whose request is it? | has to be said | [`IdempotencyLayer::new`] |
//! | which contract? | the IETF's | [`profile`](IdempotencyLayer::profile), [`answers`](IdempotencyLayer::answers) |
//! | which requests? | POST and PATCH | [`methods`](IdempotencyLayer::methods), [`all_methods`](IdempotencyLayer::all_methods) |
//! | where is the key? | `Idempotency-Key` | [`key_header`](IdempotencyLayer::key_header), [`key_by`](IdempotencyLayer::key_by) |
//! | and without one? | passes through unprotected | [`require_key`](IdempotencyLayer::require_key), [`derive_key`](IdempotencyLayer::derive_key) |
//! | what is the endpoint? | method and path | [`route_by`](IdempotencyLayer::route_by) |
//! | what must a retry have the same? | method, path, query, body | [`fingerprint_headers`](IdempotencyLayer::fingerprint_headers), [`fingerprint_without_body`](IdempotencyLayer::fingerprint_without_body), [`fingerprint_by`](IdempotencyLayer::fingerprint_by) |
//! | which responses are stored? | all, errors included | [`recording`](IdempotencyLayer::recording), and the handler by a [`Conclusion`] |
//! | for how long? | as the store says | [`retention`](IdempotencyLayer::retention) |
//! | an attempt that never ended? | refused: its effect is unknown | [`takeover`](IdempotencyLayer::takeover) |
//! | a handler that fails or panics? | its effect is unknown | [`on_handler_failure`](IdempotencyLayer::on_handler_failure) |
//! | a store that cannot answer? | refused | [`on_store_failure`](IdempotencyLayer::on_store_failure) |
//! | a duplicate while the first runs? | is told at once | [`wait`](IdempotencyLayer::wait), [`stop_waiting`](IdempotencyLayer::stop_waiting) |
//! | how much memory? | 1 MiB a request, 192 KiB a response, 256 MiB in all | [`request_bytes_max`](IdempotencyLayer::request_bytes_max), [`response_bytes_max`](IdempotencyLayer::response_bytes_max), [`budget`](IdempotencyLayer::budget) |
//!
//! # How a request is handled
//!
//! 1. A request that the layer does not cover, or that has no key, goes straight to the service; nothing is read or boxed.
//! 2. Its body is read, up to the limit, and digested for the fingerprint as it comes. Nothing has happened yet: a client may go away.
//! 3. The store is asked. A retry is answered from what it holds: [the recorded response](#a-replay), or a [`Refusal`].
//! 4. Granted, the service runs in a task of its own, to its end, whether or not the client is still there. Its lease is renewed all
//!    the while. It finds its [`Attempt`] in the request's extensions.
//! 5. Its response is read up to the limit, recorded durably, and only then given to the client. If it cannot be recorded the
//!    client gets it all the same, since it is the truth; [`Hooks::on_unrecorded`] is told, and a retry finds the outcome unknown.
//!
//! # A replay
//!
//! It has the status, the headers in their order, the body and the trailers of the first response, and the contract's mark. It lacks
//! what was for the first client or connection only: [`NEVER_RECORDED`] is the table, and `Date` is in it, because a date says when
//! *this* message was made. Bodies come back in one piece, and header names in lower case.
//!
//! A response longer than the limit goes to its client as it comes, and what is recorded is that the request ended. A duplicate is
//! then answered with 410 and `idempotency_response_not_stored`, and never run again. Whether a response is too long is found
//! out by reading it; so one that is streamed slowly reaches its client only when it has ended or exceeded the limit. Keep routes that
//! stream for long out of the layer.
//!
//! # An outcome that is unknown
//!
//! A crash, a panic, an `Err` of the service, a response that breaks off: the money may have moved. The key stays in flight, its lease
//! is let lapse at once, and a retry is answered with 503 and `idempotency_outcome_unknown` until
//! somebody finds out: [`Takeover::Reconcile`], or [`Store::resolve`](crate::Store::resolve) by hand. With an empty payload that
//! says that the request ended: a retry is answered with 410 and `idempotency_response_unknown`. With the feature `json` the payload
//! may also be the response that a retry is to get: `{"status":201,"headers":{"etag":"1"},"body":{"charge":"ch_1"}}`. Each such retry counts as an attempt, up to
//! [`Options::attempts_max`](crate::Options::attempts_max); after that the answer is the same, and only `resolve` helps.
//!
//! # Metrics and logs
//!
//! With the feature `metrics` (of the crate of that name), never with a key in a label:
//!
//! | counter | label | counts |
//! |---|---|---|
//! | `idemstore_layer_requests_total` | `answer`: `fresh`, `takeover`, `replay`, `not_stored`, `in_flight`, `mismatch` | requests with a key, by what the store said |
//! | `idemstore_layer_refusals_total` | `code`, as [`Refusal::code`] | answers that the layer gave instead of the service |
//! | `idemstore_layer_unrecorded_total` | | handlers that ran and whose end could not be stored |
//!
//! With the feature `tracing` takeovers, mismatches, refusals and failures of the store are events; a key is shown as its `Display`
//! does, never as a whole.

mod admit;
mod attempt;
mod body;
mod budget;
mod catch;
mod collect;
mod future;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod held;
mod hooks;
mod identify;
mod layer;
pub mod limits;
mod observe;
mod policy;
mod profile;
mod refusal;
mod replay;
mod resolved;
mod response;
mod rules;
mod scope;
mod service;
mod settings;
mod spawn;
mod until;
mod work;

pub use attempt::Attempt;
pub use body::{RequestBody, ResponseBody};
pub use budget::Budget;
#[cfg(feature = "server")]
pub(crate) use budget::Permit;
pub use future::ResponseFuture;
pub use header::{IDEMPOTENCY_KEY, KeyError, parse_idempotency_key};
pub use hooks::{Duplicate, Hooks};
pub use layer::IdempotencyLayer;
pub use policy::{Answered, Conclusion, Reconcile, Reconciled, Recording, StoreFailure, Takeover, Unresolved};
pub use profile::Profile;
pub use refusal::Refusal;
pub use replay::Replayed;
pub use rules::NEVER_RECORDED;
pub use service::Idempotency;
pub use spawn::{Spawn, Task};
