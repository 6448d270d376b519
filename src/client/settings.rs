use super::{key_source::KeySource, policy::RetryPolicy};
use crate::{Clock, SystemClock, Timestamp};
use std::{fmt, sync::Arc, time::Duration};

type Jitter = dyn Fn() -> u64 + Send + Sync;

/// Everything that is set but the timer.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) keys: KeySource,
    pub(super) policy: RetryPolicy,
    pub(super) body_bytes_max: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) jitter: Option<Arc<Jitter>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: KeySource::default(),
            policy: RetryPolicy::default(),
            body_bytes_max: super::BODY_BYTES_DEFAULT,
            clock: Arc::new(SystemClock::new()),
            jitter: None,
        }
    }
}

impl Settings {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Returns a random number for the next wait. Without randomness the wait is the longest: patience harms nobody.
    pub(super) fn random(&self) -> u64 {
        match &self.jitter {
            Some(jitter) => jitter(),
            None => getrandom::u64().unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, policy, body_bytes_max, clock, jitter: _ } = self;
        let mut debug = f.debug_struct("Settings");
        debug.field("keys", keys).field("policy", policy).field("body_bytes_max", body_bytes_max).field("clock", clock);
        debug.finish()
    }
}
