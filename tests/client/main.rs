//! The promises of the client's layer, one file for each. Time is virtual: nothing sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod backoff;
mod bodies;
mod cancel;
mod giving_up;
mod key_choice;
#[cfg(feature = "x402")]
mod payments;
mod retry_after;
mod same_key;
mod server;
mod statuses;
mod store;
mod time;
