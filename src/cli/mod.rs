//! The commands of the program `idemstore`. Feature `cli`.

mod args;
mod proxy;
mod values;

use args::{Args, Command};
use clap::{CommandFactory as _, Parser, error::ErrorKind};
use proxy::Failure;
use std::process::ExitCode;

/// Runs the program with the arguments of the process.
///
/// The exit code is 0 when what was asked for is done, 1 when it could not be done, and 2 when the arguments were wrong.
pub fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Serve(_) => Err(Failure::Failed("not yet".to_owned())),
        Command::Proxy(args) => proxy::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => Args::command().error(ErrorKind::ValueValidation, message).exit(),
        Err(Failure::Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
