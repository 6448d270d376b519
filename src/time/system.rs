use super::{Clock, Signal, Timestamp, millis};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clocks of the operating system.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Makes a clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        // A clock before 1970 reads as 1970; the guard then holds time at its high-water mark.
        Timestamp::from_millis(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wait(&self, signal: &Signal, until: Option<Duration>) {
        match until {
            None => signal.wait(),
            Some(until) => signal.wait_for(until.saturating_sub(self.monotonic())),
        }
    }
}
