//! Promises that only real processes, real files and real file systems can prove.
//!
//! A test starts this same binary again as a child that does a *job* (`jobs.rs`), reads the child's journal of intents and
//! acknowledgments from a pipe, and keeps what must be true (`history.rs`) outside the process that is killed.
//! `tests/power_cut/run.py` uses the same jobs on a file system whose power is cut.
//!
//! `IDEMSTORE_KILLS` says how often a child is killed, `IDEMSTORE_SEED` repeats the choices of a run. A test that the machine
//! does not allow says "skipped" on standard error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod child;
mod file_modes;
mod full_disk;
mod history;
mod injected_faults;
mod jobs;
mod journal;
mod lying_disk;
mod random;
mod second_opener;
mod sigkill;
mod system_calls;

use idemstore::{Key, Options};
use std::time::Duration;

const JOURNAL_BYTES: u64 = 24 << 10;

/// The settings of every store here. The retention is so long that nothing expires, and the journal so short that checkpoints
/// run in the background all the time.
fn options() -> Options {
    Options::new()
        .create_if_missing(true)
        .retention(Duration::from_secs(30 * 86_400))
        .failed_retention(Duration::from_secs(30 * 86_400))
        .attempts_max(1_000_000)
        .sweep_interval(None)
        .cache_bytes(1 << 20)
        .reserve_bytes(0)
        .journal_bytes(JOURNAL_BYTES)
}

fn key(id: &str) -> Key {
    Key::new("process-tests", id).unwrap()
}

/// Returns a count that an environment variable may change.
fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect(variable))
}
