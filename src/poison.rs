//! The whole story of failures in the background: once the store cannot vouch for its writes, it takes none.

use crate::{Error, ErrorKind, Result, shared::Shared, sync::Mutex};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the store still writes. Once set, it stays set until the store is opened again.
#[derive(Debug, Default)]
pub(crate) struct Poison {
    poisoned: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Poison {
    /// Stops all further writes; the first reason counts.
    pub(crate) fn set(&self, reason: impl Into<String>) {
        self.reason.lock().get_or_insert_with(|| reason.into());
        self.poisoned.store(true, Ordering::Release);
    }

    /// Returns why, if so.
    pub(crate) fn reason(&self) -> Option<String> {
        self.poisoned.load(Ordering::Acquire).then(|| self.reason.lock().clone()).flatten()
    }

    /// Refuses an operation on a poisoned store.
    pub(crate) fn check(&self) -> Result<()> {
        match self.reason() {
            None => Ok(()),
            Some(reason) => {
                let message = format!("the store takes no writes since: {reason}; fix the cause and open it again");
                Err(Error::new(ErrorKind::Poisoned, message))
            }
        }
    }
}

/// Poisons the store if the thread that holds it panics. Whoever owns replies holds one as well: locals go before arguments,
/// so a reply that is dropped unanswered finds the reason set, and its caller is not told that nothing happened.
pub(crate) struct PoisonOnPanic<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) thread: &'static str,
}

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if crate::sync::panicking() {
            self.shared.poison.set(format!("the {} thread panicked", self.thread));
            // Nobody else would end these waits.
            self.shared.timer.close();
            self.shared.waiters.clear();
        }
    }
}
