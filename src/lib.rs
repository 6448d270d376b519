//! An embedded, crash-safe, on-disk idempotency store: an operation with an idempotency key runs at most once, and its
//! outcome is replayed.
//!
//! A server that takes money asks the store before it acts, "may I run this?", and gets one of five answers. Kill the
//! process, pull the power, fill the disk, step the clock: no acknowledged answer is lost, and nobody is charged twice
//! without somebody being told that the first effect is unknown.
//!
//! ```
//! use idemstore::{Begin, Fingerprint, Key, Store};
//! # fn charge(_: &idemstore::Lease) -> Result<&'static str, idemstore::Error> { Ok("receipt 7") }
//! # fn ask_the_provider(_: &idemstore::Lease) -> Result<&'static str, idemstore::Error> { Ok("receipt 7") }
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("payments.idem");
//! # Store::create(&path)?.close()?;
//! let store = Store::open(&path)?; // made once with Store::create
//! let key = Key::new("tenant-7/POST /payments", "pay_7d5d747be160e280504c099d984bcfe0")?;
//! let request = Fingerprint::of(&[b"POST", b"/payments", br#"{"amount":100}"#]);
//!
//! let answer = match store.begin(&key, request)? {
//!     Begin::Fresh(lease) => {
//!         let receipt = charge(&lease)?;
//!         lease.complete(receipt)?; // durable from here on
//!         receipt.to_owned()
//!     }
//!     Begin::Takeover(lease) => {
//!         let receipt = ask_the_provider(&lease)?; // an earlier attempt died: its effect is unknown
//!         lease.complete(receipt)?;
//!         receipt.to_owned()
//!     }
//!     Begin::Replay(outcome) => String::from_utf8_lossy(outcome.payload()).into_owned(),
//!     Begin::InFlight { retry_after, .. } => format!("409, come back in {retry_after:?}"),
//!     Begin::Mismatch => "422, this key was used for another request".to_owned(),
//! };
//! assert_eq!(answer, "receipt 7");
//! # Ok::<(), idemstore::Error>(())
//! ```
//!
//! # Guarantees
//!
//! | | promise | proved in |
//! |---|---|---|
//! | P1 | An acknowledged transition (begin, complete, fail, release, checkpoint) survives `kill -9`, a crash of the operating system and power loss. | `tests/crash/power_loss.rs`, `tests/process/sigkill.rs`, `tests/power_cut/run.py` |
//! | P2 | A key has at most one holder at a time; a stale token never changes a record. | `tests/it/fencing.rs`, `tests/it/linearizable.rs`, `tests/process/sigkill.rs` |
//! | P3 | A key never goes from *seen* to *unseen* before its published expiry, whatever the clock, the disk or the process does. | `tests/it/clock.rs`, `tests/it/model.rs`, `tests/crash/power_loss.rs` |
//! | P4 | A record is returned only if its bytes verify: damage is an error for that key, never a guess, never "new". | `tests/crash/bit_flips.rs`, `fuzz/fuzz_targets/file.rs` |
//! | P5 | Every storage error is one of three answers: done, not done, indeterminate. | `tests/crash/fail_nth.rs`, `tests/crash/failed_sync.rs` |
//! | P6 | Memory, disk and time are bounded for any input; a full store refuses new keys and still finishes old ones. | `tests/it/limits.rs`, `tests/crash/disk_full.rs` |
//! | P7 | No scope can observe, block or replay another scope's key. | `tests/it/scopes.rs` |
//! | P8 | Every test failure reproduces from a printed seed. | `tests/it/model.rs`, `tests/crash/power_loss.rs` |
//!
//! They hold on a disk that keeps what it has confirmed and writes a 512-byte sector whole, for one process at a time, as long
//! as the program unwinds on panic (`panic = "abort"` ends the process instead, which is safe as well).
//! [`docs::design`] says how each is kept. P4 is about reading: if a page is damaged that every checkpoint has to change, all
//! writes are refused once the journal is full, until the store file is replaced; nothing acknowledged is lost.
//!
//! # Limits
//!
//! All are named in [`limits`] and refused with an error that says so: scope 512 bytes, id 255 bytes, payload 256 KiB (settable
//! to 16 MiB), checkpoint 4 KiB, 4096 queued commands, 10,000 waiting callers. Records and bytes are limited by
//! [`Options`], and so is the journal; a full store refuses new keys and evicts nothing. Unix only: positions, modes and locks of files are POSIX's.
//!
//! # What it is not
//!
//! - **Not exactly-once.** No store can make an effect elsewhere happen exactly once. It makes a second run impossible without
//!   the caller being told [`Takeover`](Begin::Takeover), and gives it what it needs to find out: a token, an attempt number,
//!   a checkpoint.
//! - **Not a cache.** Nothing is evicted; a key lives until its retention is over.
//! - **Not distributed.** One process owns the files. Several processes share it through one that owns it.
//! - **Not a lock service.** A lease ends by time; whatever must not see a stale holder has to compare tokens.
//!
//! # Features
//!
//! | | |
//! |---|---|
//! | `tower` | a layer that gives any HTTP service idempotency: `idemstore::tower` |
//! | `server` | the HTTP API and the reverse proxy, as services on hyper: `idemstore::server` |
//! | `cli` | the program `idemstore` |
//! | `client` | a layer for clients that keeps one key over all retries of a request: `idemstore::client` |
//! | `x402` | the payment-identifier extension of x402: `idemstore::x402`; with `tower`, the layer's profile for it |
//! | `conformance` | proofs that an implementation of [`IdempotencyStore`] keeps the protocol |
//! | `json`, `ndjson` | fingerprints of JSON values; export and import |
//! | `metrics`, `tracing` | the layer's counters and events |
//!
//! # Where to go on
//!
//! [`docs::operations`] for running it, [`docs::cli`] for the commands of the program, [`docs::faq`] for the questions that come up, [`docs::format`] for every byte of the
//! files.

#[cfg(not(unix))]
compile_error!("idemstore relies on POSIX file locks, modes and positioned writes: it builds on Unix systems only");

mod begin;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod fingerprint;
mod histogram;
mod interface;
#[cfg(feature = "json")]
pub mod json;
mod keep_alive;
mod key;
mod keyed;
mod lease;
pub mod limits;
mod list;
mod maintain;
#[cfg(feature = "ndjson")]
mod ndjson;
mod options;
mod outcome;
mod pen;
mod plan;
mod poison;
mod queue;
#[cfg(any(feature = "client", feature = "x402"))]
mod random;
mod record;
#[cfg(feature = "server")]
pub mod server;
mod shared;
mod stats;
mod storage;
mod store;
mod sweep;
mod sync;
mod ticket;
mod time;
mod timer;
#[cfg(feature = "tower")]
pub mod tower;
mod transition;
mod waiters;
mod writer;
#[cfg(feature = "x402")]
pub mod x402;

pub use begin::{Begin, BeginFuture, BeginOptions};
pub use error::{Error, ErrorKind, Result};
pub use fingerprint::{Fingerprint, FingerprintOfPieces};
pub use interface::{IdempotencyStore, Renewing};
pub use keep_alive::{KeepAlive, LeaseLost};
pub use key::{Key, Scope};
pub use lease::Lease;
pub use list::{Cursor, ListFilter, Page, RecordInfo};
pub use maintain::{Progress, Resolution, VerifyReport};
#[cfg(feature = "ndjson")]
pub use ndjson::{ExportReport, ImportReport};
pub use options::Options;
pub use outcome::{Outcome, OutcomeKind};
pub use record::{FencingToken, Record, State};
pub use stats::{AnswerCounts, CommitStats, Stats};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use storage::fuzzing;
pub use storage::{AuditRow, IoCounts, JournalStats, disk, hide_caught_panics};
pub use store::Store;
pub use sweep::SweepReport;
pub use ticket::Ticket;
pub use time::{Clock, ManualClock, Signal, SystemClock, Timestamp};
pub use transition::{Ended, Grant};

/// The long texts.
pub mod docs {
    #[doc = include_str!("docs/cli.md")]
    pub mod cli {}
    #[doc = include_str!("docs/design.md")]
    pub mod design {}
    #[doc = include_str!("docs/faq.md")]
    pub mod faq {}
    #[doc = include_str!("docs/format.md")]
    pub mod format {}
    #[doc = include_str!("docs/operations.md")]
    pub mod operations {}
}

// Its examples are those of all features.
#[cfg(all(doctest, feature = "tower", feature = "x402"))]
#[doc = include_str!("../README.md")]
struct Readme;
