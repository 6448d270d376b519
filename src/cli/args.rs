//! The arguments, as clap reads them.

use super::{proxy::Proxy, serve::Serve};
use clap::{Parser, Subcommand};

/// A crash-safe idempotency store for any server: a payment runs at most once, and its outcome is replayed.
#[derive(Debug, Parser)]
#[command(version)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the HTTP/JSON API.
    Serve(Serve),
    Proxy(Box<Proxy>),
}
