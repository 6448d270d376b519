//! Time as the store sees it: a wall clock that may lie, and a monotonic one that may not.

mod guard;
mod manual;
mod signal;
mod system;

pub(crate) use guard::{ClockGuard, ClockPolicy};
pub use manual::ManualClock;
pub use signal::Signal;
pub use system::SystemClock;

use std::{fmt, time::Duration};

/// A point in wall time: milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use idemstore::Timestamp;
/// use std::time::Duration;
///
/// let noon = Timestamp::from_millis(1_000);
/// assert_eq!(noon.saturating_add(Duration::from_secs(2)).as_millis(), 3_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes a timestamp of milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the time `duration` later, or the end of time.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Returns how long after `earlier` this is, or zero.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Writes the milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the store takes its time from: [`SystemClock`], or [`ManualClock`] in tests.
///
/// Leases run on the monotonic clock, expiry on the wall clock. The wall clock may step in both directions: the store
/// guards against that itself.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the wall time.
    fn wall(&self) -> Timestamp;

    /// Returns the time since some fixed point; it never decreases while the process lives.
    fn monotonic(&self) -> Duration;

    /// Blocks until `signal` is set, or until [`monotonic`](Clock::monotonic) reaches `until`; may return early.
    fn wait(&self, signal: &Signal, until: Option<Duration>);
}

/// Returns whole milliseconds; longer than 500 million years counts as that.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
