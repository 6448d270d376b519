//! Crate docs to be written.

mod begin;
mod error;
mod fingerprint;
mod keep_alive;
mod key;
mod lease;
pub mod limits;
mod list;
mod maintain;
#[cfg(feature = "ndjson")]
mod ndjson;
mod options;
mod outcome;
mod plan;
mod poison;
mod queue;
mod record;
mod shared;
mod stats;
mod storage;
mod store;
mod sweep;
mod sync;
mod ticket;
mod time;
mod timer;
mod transition;
mod waiters;
mod writer;

pub use begin::{Begin, BeginFuture, BeginOptions};
pub use error::{Error, ErrorKind, Result};
pub use fingerprint::Fingerprint;
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
pub use storage::{AuditRow, IoCounts, disk};
pub use store::Store;
pub use sweep::SweepReport;
pub use ticket::Ticket;
pub use time::{Clock, ManualClock, Signal, SystemClock, Timestamp};
pub use transition::Ended;
