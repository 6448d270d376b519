//! Runs a command to its end, or to the signal that ends it.

use super::{
    failure::Failure,
    signals::{INTERRUPT, Signals},
};
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Runs a command that looks into a store or changes it.
pub(super) fn run(command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::io("starting", &error).report(),
    };
    let done = runtime.block_on(async {
        let mut interrupted = Signals::hear(INTERRUPT)?;
        tokio::select! {
            // Before the command does anything that has to be ended.
            biased;
            // Dropping the command ends its work at the next step.
            () = interrupted.next() => Err(Failure::new("stopped")),
            done = command => done,
        }
    });
    // Waits for work that is ending; then the store has been closed.
    drop(runtime);
    ended(done)
}

/// Returns the exit code of a command, after saying why it was not done.
pub(super) fn ended(done: Result<(), Failure>) -> ExitCode {
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}
