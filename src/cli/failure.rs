//! How a command fails, and the exit code that says so.

use super::output::{escaped, note};
use crate::{Error, ErrorKind};
use std::{fmt, io, process::ExitCode};

/// Could not be done.
const FAILED: u8 = 1;
/// The arguments were wrong; clap uses the same.
const USAGE: u8 = 2;

/// Why a command was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments do not fit together, or lack something.
    Usage(String),
    /// It could not be done.
    Failed(String),
    /// The store refused: `kind` of the problem and its detail.
    Refused { kind: String, detail: String },
    /// It was done, and what it found is bad; that has been told.
    Found,
    /// Whoever read the output has had enough.
    ReaderGone,
}

impl Failure {
    /// It could not be done: exit code 1.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// It was asked for in a wrong way: exit code 2.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// Makes a failure of an I/O error, with its context.
    pub(super) fn io(context: impl fmt::Display, error: &io::Error) -> Self {
        Self::Failed(format!("{context}: {error}"))
    }

    /// Whether the store refused with this kind.
    pub(super) fn is_kind(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }

    /// Tells the person, and returns the exit code.
    pub(super) fn report(&self) -> ExitCode {
        let (code, message) = match self {
            Self::Usage(message) => (USAGE, message),
            Self::Failed(message) => (FAILED, message),
            Self::Refused { kind, detail } if kind == "corrupted" => {
                (FAILED, &format!("{detail}. `idemstore verify` says how much is damaged, and `idemstore export` saves the rest"))
            }
            Self::Refused { detail, .. } => (FAILED, detail),
            Self::Found => return FAILED.into(),
            // `idemstore list | head` has done what was asked.
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        note(format_args!("idemstore: {}", escaped(message)));
        code.into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let told = error.to_string();
        Self::Failed(match error.kind() {
            // The store speaks to whoever writes a program.
            ErrorKind::Restored => told.replace("open it once with Options::accept_restored(true)", "add --accept-restored once"),
            ErrorKind::Locked => format!(
                "{told}, and nobody answers on a socket beside the file: an application that embeds the store, another command, or a \
                 server that is just starting. Stop it, wait for it, or have the application call the methods of `Store` itself"
            ),
            _ => told,
        })
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(error)
    }
}
