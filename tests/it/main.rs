//! The promises of the public interface, one file for each guarantee.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]
// Noise in tests: the arithmetic is on constants, and names follow the vocabulary.
#![allow(clippy::unchecked_time_subtraction, clippy::similar_names, clippy::type_complexity, clippy::unit_arg)]

mod async_api;
mod backup;
mod begin_answers;
mod clock;
mod close;
mod compact;
mod fencing;
mod golden;
mod hooked;
#[cfg(feature = "json")]
mod json;
mod keep_alive;
mod limits;
mod linearizable;
mod list;
mod model;
#[cfg(feature = "ndjson")]
mod ndjson;
mod panic_poison;
mod reads;
mod recovery;
mod remote_holders;
mod resolve;
mod resolve_attempt;
mod retention;
mod scopes;
mod stats;
mod support;
mod sweep;
mod verify;
mod waiting;
mod writes;
#[cfg(feature = "x402")]
mod x402;
#[cfg(feature = "x402")]
mod x402_fingerprint;
#[cfg(feature = "x402")]
mod x402_headers;
#[cfg(feature = "x402")]
mod x402_settlement;
