//! The commands of the program `idemstore`. Feature `cli`.

mod args;
mod values;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// Runs the program with the arguments of the process.
///
/// The exit code is 0 when what was asked for is done, 1 when it could not be done, and 2 when the arguments were wrong.
pub fn main() -> ExitCode {
    match Args::parse().command {
        Command::Serve(_) | Command::Proxy(_) => ExitCode::FAILURE,
    }
}
