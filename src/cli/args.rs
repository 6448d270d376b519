//! The arguments, as clap reads them.

use super::serve::Serve;
use clap::{Args as ArgsOf, Parser, Subcommand};
use std::path::PathBuf;

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
    /// Put idempotency in front of any HTTP server.
    Proxy(Proxy),
}

#[derive(Debug, ArgsOf)]
pub(super) struct Proxy {
    /// The store file; made if there is none.
    #[arg(long, value_name = "PATH")]
    pub(super) db: PathBuf,
}
