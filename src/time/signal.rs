use crate::sync::{self, Condvar, Mutex};
use std::{fmt, sync::Arc, time::Duration};

/// A flag that one thread waits for and others set. Setting it before the wait is not lost; a wait takes the flag down.
#[derive(Clone, Default)]
pub struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    /// Makes a signal that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and wakes the waiting thread.
    pub fn set(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    /// Waits for the flag and takes it down.
    pub fn wait(&self) {
        let mut set = self.0.0.lock();
        while !*set {
            set = sync::wait(&self.0.1, set);
        }
        *set = false;
    }

    /// Waits for the flag at most this long, and takes it down; may return early.
    pub fn wait_for(&self, timeout: Duration) {
        let mut set = self.0.0.lock();
        if !*set && !timeout.is_zero() {
            set = sync::wait_for(&self.0.1, set, timeout);
        }
        *set = false;
    }

    /// Returns whether both are the same signal.
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signal")
    }
}
