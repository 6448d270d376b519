//! A reverse proxy that gives the server behind it idempotency, without a change to that server.
//!
//! It is [`IdempotencyLayer`](crate::tower::IdempotencyLayer) around an [`Upstream`]: the answers are those of the layer, and
//! what the upstream does decides what becomes of the key.
//!
//! | the upstream | the client gets | the key |
//! |---|---|---|
//! | answers | its response, once it is recorded | as the layer's [`Recording`](crate::tower::Recording) says |
//! | cannot be reached, nothing was sent | 502 `upstream_unreachable` | is free: a retry runs |
//! | was sent the request, and then fails, closes, or is silent for too long | 504 `upstream_failed` | unknown: a retry is a takeover |
//! | answers longer than the limit | the response, as it comes | ended, without its payload |
//!
//! A response that says neither its length nor that it is chunked ends where its connection does, as those of HTTP/1.0 do. That it is
//! whole cannot be known then, only that it was not reset; it is taken for whole, and recorded. Were it taken for broken off, every
//! answer of such a server would leave its key unknown. Where a cut receipt would matter, have the server say a length.
//!
//! # Which connection a request takes
//!
//! A server may close an idle connection just when a request is sent on it, and then nobody can say whether it was read. So a request
//! that can have an effect has a connection of its own, as nginx does it too unless told otherwise: when that breaks, it is
//! news about this request and nothing else. Requests with a safe method that nothing is recorded of share idle connections for a
//! moment. None is ever sent twice.
//!
//! # What passes, and what does not
//!
//! Requests that nothing is recorded of are streamed both ways. `Host` stays as the client sent it. Hop-by-hop fields end here (RFC
//! 9110, section 7.6.1), and a `Connection` that claims a field of another kind is refused; a connection cannot be upgraded; a request whose `Host` is none, or whose target has a user's name, is refused. `Via` and `X-Forwarded-For`, `-Proto` and `-Host` are added to.
//! `CONNECT` and `TRACE` are refused. The layer decides over the very fields that the upstream gets.

mod admin;
mod buffer;
mod client_body;
mod failure;
mod hop;
mod progress;
mod request;
mod scope;
mod service;
mod target;
mod upstream;

pub use admin::Admin;
pub use failure::UpstreamFailure;
pub use scope::principal_of_headers;
pub use service::Proxy;
pub use upstream::{Upstream, UpstreamError};
