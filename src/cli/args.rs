//! The arguments, as clap reads them.

use super::{
    commands::{Audit, Backup, Compact, Completions, Export, Import, List, Release, Resolve, Show, Stats, Stuck, Sweep, Verify},
    demo::{Demo, DemoShop},
    proxy::Proxy,
    serve::Serve,
};
use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes: 0 done; 1 could not be done, or `verify` found damage; 2 wrong arguments.";

/// A crash-safe idempotency store for any server: a payment runs at most once, and its outcome is replayed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Serve(Serve),
    Proxy(Box<Proxy>),
    List(List),
    Show(Show),
    Stuck(Stuck),
    Resolve(Resolve),
    Release(Release),
    Audit(Audit),
    Stats(Stats),
    Sweep(Sweep),
    Verify(Verify),
    Backup(Backup),
    Compact(Compact),
    Export(Export),
    Import(Import),
    Completions(Completions),
    Demo(Demo),
    #[command(hide = true)]
    DemoShop(DemoShop),
}
