//! The layer: one file for each guarantee, and stories of those who moved here from something else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod attempts;
mod disconnect;
mod failures;
mod hooks;
mod keys;
mod memory;
mod memory_held;
#[cfg(feature = "metrics")]
mod metrics;
mod panics;
mod profiles;
mod recording;
mod replay;
mod scopes;
mod stacked;
mod store_faults;
mod stories;
mod support;
mod takeover;
#[cfg(feature = "tracing")]
mod traces;
mod wire;
#[cfg(feature = "x402")]
mod x402;
