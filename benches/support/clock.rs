//! The system's clock, with a wall clock that can be put forward: records expire when the benchmark says so, while threads
//! wait in real time.

use idemstore::{Clock, Signal, SystemClock, Timestamp};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

#[derive(Clone, Debug)]
pub struct LeapClock {
    system: Arc<SystemClock>,
    ahead_ms: Arc<AtomicU64>,
}

impl LeapClock {
    pub fn new() -> Self {
        Self { system: Arc::new(SystemClock::new()), ahead_ms: Arc::default() }
    }

    pub fn leap(&self, by: Duration) {
        self.ahead_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for LeapClock {
    fn wall(&self) -> Timestamp {
        self.system.wall().saturating_add(Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed)))
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }

    fn wait(&self, signal: &Signal, until: Option<Duration>) {
        self.system.wait(signal, until);
    }
}
