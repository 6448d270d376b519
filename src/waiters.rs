//! Callers that wait for an attempt in flight to end.

use crate::{
    Error, ErrorKind, Key, Result,
    keyed::KeyMap,
    limits::WAITERS_MAX,
    sync::{
        Mutex,
        promise::{Fulfil, Promise, promise},
    },
};
use std::{collections::BTreeMap, fmt};

/// Who waits for which key. A caller joins *before* it asks for the key's state, so an end between its question and its
/// wait is not missed.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    by_key: KeyMap<BTreeMap<u64, Fulfil<()>>>,
    count: usize,
    next_id: u64,
}

impl Waiters {
    /// Joins those who wait for a key.
    pub(crate) fn join(&self, key: &Key) -> Result<(u64, Promise<()>)> {
        let mut waiting = self.0.lock();
        if waiting.count >= WAITERS_MAX {
            return Err(Error::new(ErrorKind::Busy, format!("{WAITERS_MAX} callers wait already: retry later")));
        }
        let id = waiting.next_id;
        waiting.next_id += 1;
        waiting.count += 1;
        let (fulfil, promise) = promise();
        waiting.by_key.entry(key.clone()).or_default().insert(id, fulfil);
        Ok((id, promise))
    }

    /// Wakes all who wait for a key.
    pub(crate) fn wake_all(&self, key: &Key) {
        let woken = {
            let mut waiting = self.0.lock();
            let woken = waiting.by_key.remove(key).unwrap_or_default();
            waiting.count -= woken.len();
            woken
        };
        for fulfil in woken.into_values() {
            // Whoever no longer waits needs no waking.
            let _ = fulfil.send(());
        }
    }

    /// Wakes one, because its time is up or because it left.
    pub(crate) fn wake(&self, key: &Key, id: u64) {
        let fulfil = {
            let mut waiting = self.0.lock();
            let Some(of_key) = waiting.by_key.get_mut(key) else { return };
            let Some(fulfil) = of_key.remove(&id) else { return };
            if of_key.is_empty() {
                waiting.by_key.remove(key);
            }
            waiting.count -= 1;
            fulfil
        };
        let _ = fulfil.send(());
    }

    /// Sends everybody away, because the store closes.
    pub(crate) fn clear(&self) {
        let waiting = std::mem::take(&mut *self.0.lock());
        drop(waiting);
    }

    /// Returns how many wait.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().count
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Waiters({})", self.count())
    }
}
