//! Every limit of the store, with its unit. Values outside are refused with an error that names the limit.

use std::{ops::RangeInclusive, time::Duration};

/// Bytes of a [`Scope`](crate::Scope).
pub const SCOPE_BYTES_MAX: usize = 512;
/// Bytes of a key's client-supplied id, as Stripe's `Idempotency-Key` allows.
pub const KEY_ID_BYTES_MAX: usize = 255;
/// Bytes of a checkpoint.
pub const CHECKPOINT_BYTES_MAX: usize = 4096;
/// Bytes of a payload unless [`Options::payload_bytes_max`](crate::Options::payload_bytes_max) says otherwise.
pub const PAYLOAD_BYTES_DEFAULT: usize = 256 * 1024;
/// The highest payload limit that can be set, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of the reason that [`Store::resolve`](crate::Store::resolve) records.
pub const REASON_BYTES_MAX: usize = 1024;
/// Audit rows kept; the oldest make room.
pub const AUDIT_ROWS_MAX: u64 = 100_000;
/// The highest fencing token: 2^53 - 1, which every JSON reader represents exactly (RFC 8259, section 6).
pub const TOKEN_MAX: u64 = (1 << 53) - 1;
/// The latest time of an imported record, in milliseconds since the epoch: the year 275760, which is as far as JavaScript's dates go.
pub const IMPORT_TIME_MAX: u64 = 8_640_000_000_000_000;
/// Records in one page of [`Store::list`](crate::Store::list).
pub const LIST_RECORDS_MAX: usize = 1000;
/// Records that one page of a filtered list may look at, matching or not.
pub const LIST_EXAMINED_MAX: usize = 10_000;
/// Commands that wait for the writer thread.
pub const QUEUE_COMMANDS_MAX: usize = 4096;
/// Payload bytes that wait for the writer thread.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Commands that share one commit.
pub const BATCH_COMMANDS_MAX: usize = 1024;
/// Payload bytes that share one commit.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Callers that wait for an attempt in flight to end.
pub const WAITERS_MAX: usize = 10_000;
/// Bytes of one line that [`Store::import`](crate::Store::import) reads: a payload in base64 and everything around it.
pub const IMPORT_LINE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX / 3 * 4 + 64 * 1024;
/// In-flight records that [`Store::stats`](crate::Store::stats) looks at to find the oldest.
pub const OLDEST_EXAMINED_MAX: usize = 100_000;
/// Damaged keys that a [`VerifyReport`](crate::VerifyReport) names; all are counted.
pub const DAMAGE_NAMED_MAX: usize = 1000;
/// Levels of arrays and objects in a value of JSON, which is as deep as `serde_json` reads.
pub const JSON_DEPTH_MAX: usize = 127;
/// Bytes of an x402 header, in base64. Servers of HTTP commonly stop at 8 or 16 KiB of headers.
pub const X402_HEADER_BYTES_MAX: usize = 64 * 1024;

/// A lease's length.
pub const LEASE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
/// A retention's length.
pub const RETENTION: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 366 * 24 * 3600);
/// How long a duplicate may wait.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);
