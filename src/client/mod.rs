//! A [`tower`](https://docs.rs/tower) layer for clients: one key for a request and all its retries.
//!
//! A client that retries a payment with a new key pays twice, however well the server keeps keys. This layer puts an
//! `Idempotency-Key` into each request that needs one, retries where that can help, and never changes the key on the way. What is
//! left when it gives up names the key, so that the caller goes on with it later.
//!
//! It only helps with a server that honours the key: one behind a [`Store`](crate::Store), Stripe, an API that follows the IETF
//! draft `idempotency-key-header`, or x402 with payment identifiers. Do not put it in front of others.
//!
//! Feature `client`. No runtime is part of it: the caller gives a function that sleeps.
//!
//! ```
//! use http::{Request, Response};
//! use idemstore::client::{IdempotentClientLayer, SentKey};
//! use tower_layer::Layer;
//! # use tower_service::Service;
//! # use std::{convert::Infallible, future::{Future, Ready, poll_fn, ready}, pin::{Pin, pin}, task::{Context, Poll, Waker}};
//! # use std::time::Duration;
//! # mod tokio { pub mod time { pub fn sleep(_: std::time::Duration) -> std::future::Ready<()> { std::future::ready(()) } } }
//! # struct Body;
//! # impl http_body::Body for Body {
//! #     type Data = bytes::Bytes;
//! #     type Error = Infallible;
//! #     fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Infallible>>> {
//! #         Poll::Ready(None)
//! #     }
//! # }
//! # #[derive(Clone)]
//! # struct HttpClient { calls: std::sync::Arc<std::sync::atomic::AtomicU32> }
//! # impl<B> Service<Request<B>> for HttpClient {
//! #     type Response = Response<()>;
//! #     type Error = std::io::Error;
//! #     type Future = Ready<Result<Response<()>, std::io::Error>>;
//! #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> { Poll::Ready(Ok(())) }
//! #     fn call(&mut self, _: Request<B>) -> Self::Future {
//! #         let calls = self.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
//! #         ready(if calls == 0 { Err(std::io::ErrorKind::ConnectionReset.into()) } else { Ok(Response::new(())) })
//! #     }
//! # }
//! # async fn oneshot<S: Service<R>, R>(mut service: S, request: R) -> Result<S::Response, S::Error> {
//! #     poll_fn(|context| service.poll_ready(context)).await?;
//! #     service.call(request).await
//! # }
//! # let calls = std::sync::Arc::default();
//! # let http_client = HttpClient { calls: std::sync::Arc::clone(&calls) };
//!
//! # let run = async {
//! let layer = IdempotentClientLayer::new(tokio::time::sleep).retries_max(6);
//! let client = layer.layer(http_client); // or ServiceBuilder::new().layer(layer)
//!
//! let payment = Request::post("https://api.example/payments").body(Body)?;
//! match oneshot(client, payment).await { // of tower: client.oneshot(payment)
//!     Ok(response) if response.status().is_server_error() => {
//!         // Not over: keep the key with the payment, and try again with it in an hour.
//!         let key: Option<&SentKey> = response.extensions().get();
//!     }
//!     Ok(response) => println!("{}", response.status()),
//!     Err(error) => println!("{error}; go on with {:?}", error.key()),
//! }
//! # assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # };
//! # let Poll::Ready(result) = pin!(run).poll(&mut Context::from_waker(Waker::noop())) else { unreachable!("nothing waits here") };
//! # result?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which key
//!
//! The first of these that the request has:
//!
//! 1. the header, as the caller wrote it;
//! 2. a [`SentKey`] in its extensions, from an earlier request;
//! 3. with feature `x402`, a payment with a payment identifier: the id is in what is signed, and no header is added;
//! 4. a new one, if the method is one of POST and PATCH ([`methods`](IdempotentClientLayer::methods)): 128 random bits, or what
//!    [`make_key`](IdempotentClientLayer::make_key) returns.
//!
//! A request without any of them passes through: sent once, with its body as it is, and without a limit on its time.
//!
//! # What is retried
//!
//! | answer | retried | why |
//! |---|---|---|
//! | an error of the inner service | yes | the request may have run or not; that is what the key is for |
//! | 409 with `Retry-After` | yes | the key is in flight |
//! | 409 without it | no | the key was used for another request; time does not change that. [A setting](IdempotentClientLayer::retry_conflicts_without_retry_after) for servers that never send it |
//! | 429, 503 | yes | the server wants it later, or does not know yet how an earlier attempt ended |
//! | 502, 504 | yes | a connection error, as a proxy tells it |
//! | 400, 422 | never | the request or its key is refused |
//! | any that is marked `Idempotent-Replayed: true` or `X-Idempotent-Replay: true` | never | it is stored: every retry would get it |
//! | all others | no | it is the outcome |
//!
//! An unreadable `Retry-After` counts as none. A status inside of a response, such as gRPC's, is not looked at.
//!
//! # How long it waits
//!
//! As long as `Retry-After` says, seconds or a date, at most 30 s, and a random time more, up to 200 ms, doubled with each retry up to
//! 10 s; if it does not say, the random time alone. After 4 retries, or when the wait would not end within 2 minutes of the beginning, the last answer is the
//! result. All of these are settings.
//!
//! # Bodies
//!
//! The body is read into memory before the first send, up to 1 MiB, and each send gets the same bytes and trailers. A
//! longer body is passed on as it comes: **sent once, with its key, and not retried**. A dialogue, in which the client writes
//! what depends on the answer so far, cannot work like that: keep it out of the layer. The inner service takes
//! [`ClientBody`]; for one with a body type of its own, put a `MapRequest` of tower between them:
//! `.map_request(|request: Request<ClientBody<_>>| request.map(tonic::body::Body::new))`.
//!
//! A timeout for each send is not part of this: put a layer below, and its error is retried like any other.

mod backoff;
mod body;
mod error;
mod exchange;
mod future;
mod key;
mod key_source;
mod layer;
mod policy;
mod retry_after;
mod service;
mod settings;

pub use body::ClientBody;
pub use error::{ClientError, ClientErrorKind};
pub use future::ResponseFuture;
pub use key::SentKey;
pub use key_source::KeyFormat;
pub use layer::IdempotentClientLayer;
pub use service::IdempotentClient;

/// Bytes of a request's body that are kept to be sent again, unless
/// [`body_bytes_max`](IdempotentClientLayer::body_bytes_max) says otherwise.
pub const BODY_BYTES_DEFAULT: usize = 1024 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
