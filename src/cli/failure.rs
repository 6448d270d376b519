use crate::Error;
use std::{fmt, io, process::ExitCode};

/// Why a command could not do what was asked for.
#[derive(Debug)]
pub(super) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// It could not be done: exit code 1.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), code: 1 }
    }

    /// It was asked for in a wrong way: exit code 2, as clap has for arguments that it refuses.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), code: 2 }
    }

    /// Tells the person, and returns the exit code.
    pub(super) fn report(&self) -> ExitCode {
        eprintln!("idemstore: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}
