//! The conformance suite passes what keeps the protocol, and catches what does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod embedded;
mod engine;
mod negative;
