//! Which keys of the table are in flight, in memory: together with the filters of the runs this tells that a key is new without
//! a read.

use crate::sync::RwLock;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

/// The keys in flight, by hash, and how many have it.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    counts: RwLock<HashMap<u64, u32>>,
    /// Not all of them could be read: any key may be among them.
    is_unknown: AtomicBool,
}

impl InFlight {
    /// Returns false only if no key in flight has this hash.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.is_unknown.load(Ordering::Acquire) || self.counts.read().contains_key(&hash)
    }

    /// From here on any key may be there.
    pub(crate) fn give_up(&self) {
        self.is_unknown.store(true, Ordering::Release);
    }

    pub(crate) fn add(&self, hashes: impl IntoIterator<Item = u64>) {
        let mut counts = self.counts.write();
        for hash in hashes {
            *counts.entry(hash).or_default() += 1;
        }
    }

    pub(crate) fn remove(&self, hashes: impl IntoIterator<Item = u64>) {
        let mut counts = self.counts.write();
        for hash in hashes {
            if let Some(count) = counts.get_mut(&hash) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&hash);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_known_until_the_last_key_that_has_it_goes() {
        let keys = InFlight::default();
        keys.add([7, 7, 8]);
        keys.remove([7, 9]);
        assert_eq!([7, 8, 9].map(|hash| keys.may_have(hash)), [true, true, false]);
        keys.remove([7]);
        assert!(!keys.may_have(7));
        keys.give_up();
        assert!(keys.may_have(7));
    }
}
