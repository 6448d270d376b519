//! The commands of the program `idemstore`. Feature `cli`.

mod args;
mod failure;
mod serve;
mod store_args;
mod token;
mod values;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// Runs the program with the arguments of the process.
///
/// The exit code is 0 when what was asked for is done, 1 when it could not be done, and 2 when the arguments were wrong.
pub fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Proxy(_) => return ExitCode::FAILURE,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
