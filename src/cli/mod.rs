//! The commands of the program `idemstore`. Feature `cli`.
//!
//! Those that look into a store or change it ask the process which has the file open, through a socket beside the file, or open the
//! closed file themselves. [`docs::cli`](crate::docs::cli) describes them all.

mod args;
mod commands;
mod demo;
mod failure;
mod hosting;
mod offered;
mod output;
mod proxy;
mod run;
mod serve;
mod service;
mod signals;
mod store_args;
mod target;
mod token;
mod values;
mod whole_file;

use args::{Args, Command};
use clap::Parser;
use run::{ended, run};
use std::process::ExitCode;

/// Runs the program with the arguments of the process.
///
/// The exit code is 0 when what was asked for is done, 1 when it could not be done, and 2 when the arguments were wrong.
pub fn main() -> ExitCode {
    // Damage is told as an error, once.
    crate::hide_caught_panics();
    match Args::parse().command {
        Command::Serve(command) => ended(command.run()),
        Command::Proxy(command) => ended(command.run()),
        Command::List(command) => run(command.run()),
        Command::Show(command) => run(command.run()),
        Command::Stuck(command) => run(command.run()),
        Command::Resolve(command) => run(command.run()),
        Command::Release(command) => run(command.run()),
        Command::Audit(command) => run(command.run()),
        Command::Stats(command) => run(command.run()),
        Command::Sweep(command) => run(command.run()),
        Command::Verify(command) => run(command.run()),
        Command::Backup(command) => run(command.run()),
        Command::Compact(command) => run(command.run()),
        Command::Export(command) => run(command.run()),
        Command::Import(command) => run(command.run()),
        Command::Completions(command) => run(command.run()),
        Command::Demo(command) => run(command.run()),
        Command::DemoShop(command) => run(command.run()),
    }
}
