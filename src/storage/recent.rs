//! The records of the journal, in memory: what the table does not have yet, and what it has had for a short while.
//!
//! Three generations, newest first. *Active*: in the segment that is being written. *Frozen*: in the segment that a checkpoint
//! brings into the table. *Settled*: the table has them; kept until the next checkpoint, because a key is mostly asked for
//! soon after it was used. The first that knows a key decides; only a key that none of them knows has to be looked up in the
//! table.

use super::{Before, keys::Place};
use crate::{record::Record, sync::RwLock};
use std::{
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

/// Locks, so that readers are in each other's way as little as the writer in theirs.
const SHARDS: usize = 16;

/// What the table holds of a key, as far as its checkpoint has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Absent,
    /// A record that stands there in the index.
    At(Place),
    /// Something that does not verify.
    Damaged,
}

/// One key after a batch.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) storage_key: Box<[u8]>,
    pub(crate) base: Base,
    /// By how many the scope's records change.
    pub(crate) scope_delta: i8,
    /// `None`: removed.
    pub(crate) after: Option<Record>,
}

/// A key that the table is behind with.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) base: Base,
    pub(crate) record: Option<Record>,
}

/// The keys of one generation, or a part of them.
pub(crate) type Slots = HashMap<Box<[u8]>, Slot>;

/// The keys of all three generations.
#[derive(Debug)]
pub(crate) struct Recent {
    shards: [RwLock<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    active: Slots,
    frozen: Arc<Slots>,
    settled: Arc<Slots>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()) }
    }
}

impl Recent {
    /// Returns what is known of a key: `None` if it has to be looked up, `Some(None)` if it has no record.
    pub(crate) fn get(&self, storage_key: &[u8]) -> Option<Option<Record>> {
        let shard = self.shard(storage_key).read();
        let slot = shard.unsettled(storage_key).or_else(|| shard.settled.get(storage_key));
        slot.map(|slot| slot.record.clone())
    }

    /// As [`get`](Self::get), of what the table does not have yet.
    pub(crate) fn get_unsettled(&self, storage_key: &[u8]) -> Option<Option<Record>> {
        self.shard(storage_key).read().unsettled(storage_key).map(|slot| slot.record.clone())
    }

    /// Returns what the table holds of a key whose record was `before`, once everything frozen is in it.
    pub(crate) fn base(&self, storage_key: &[u8], before: &Before) -> Base {
        let shard = self.shard(storage_key).read();
        if let Some(slot) = shard.active.get(storage_key) {
            return slot.base;
        }
        let stored = match (shard.frozen.get(storage_key), before) {
            (Some(slot), _) => slot.record.as_ref(),
            (None, Before::Present(record)) => Some(record),
            (None, Before::Absent) => None,
            (None, Before::Damaged) => return Base::Damaged,
        };
        stored.map_or(Base::Absent, |record| Base::At(Place::of(record)))
    }

    /// Takes in what has become durable in the active segment.
    pub(crate) fn apply(&self, changes: Vec<Change>) {
        for Change { storage_key, base, after, .. } in changes {
            let mut shard = self.shard(&storage_key).write();
            // What the table holds does not change within a generation.
            let slot = shard.active.entry(storage_key).or_insert(Slot { base, record: None });
            slot.record = after;
        }
    }

    /// What was active is frozen from here on. Nothing may be frozen before.
    pub(crate) fn freeze(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.frozen = Arc::new(std::mem::take(&mut shard.active));
        }
    }

    /// The table has what was frozen.
    pub(crate) fn settle(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            let settled = std::mem::take(&mut shard.frozen);
            let gone = std::mem::replace(&mut shard.settled, settled);
            drop(shard);
            // Freeing many records takes its time.
            drop(gone);
        }
    }

    /// Returns what is frozen.
    pub(crate) fn frozen(&self) -> Vec<Arc<Slots>> {
        self.shards.iter().map(|shard| shard.read().frozen.clone()).collect()
    }

    /// Returns how many keys the table is behind with.
    pub(crate) fn unsettled(&self) -> usize {
        let count = |shard: &RwLock<Shard>| {
            let shard = shard.read();
            shard.active.len() + shard.frozen.len()
        };
        self.shards.iter().map(count).sum()
    }

    /// Looks at all keys that the table is behind with. Returns the least `limit` of the positions that `place` gives them,
    /// in order, and whether there are more.
    pub(crate) fn first(
        &self,
        limit: usize,
        place: impl Fn(&[u8], Option<&Record>) -> Option<Vec<u8>>,
    ) -> (Vec<RecentRow>, bool) {
        let mut least: BinaryHeap<RecentRow> = BinaryHeap::new();
        let mut has_more = false;
        for shard in &self.shards {
            let shard = shard.read();
            let frozen = shard.frozen.iter().filter(|(key, _)| !shard.active.contains_key(*key));
            for (key, slot) in shard.active.iter().chain(frozen) {
                let Some(position) = place(key, slot.record.as_ref()) else { continue };
                if least.len() == limit {
                    has_more = true;
                    if least.peek().is_none_or(|greatest| greatest.position <= position) {
                        continue;
                    }
                    least.pop();
                }
                least.push(RecentRow { position, storage_key: key.to_vec(), record: slot.record.clone() });
            }
        }
        (least.into_sorted_vec(), has_more)
    }

    /// Forgets what the table has, so that the table is asked.
    #[cfg(test)]
    pub(crate) fn forget_settled(&self) {
        for shard in &self.shards {
            shard.write().settled = Arc::default();
        }
    }

    fn shard(&self, storage_key: &[u8]) -> &RwLock<Shard> {
        // The end of an id varies most. Whoever makes all keys fall into one shard makes only the lock less effective.
        let tail = &storage_key[storage_key.len().saturating_sub(8)..];
        let mixed = tail.iter().fold(0usize, |mixed, &byte| mixed.wrapping_mul(31).wrapping_add(byte.into()));
        &self.shards[mixed % SHARDS]
    }
}

impl Shard {
    fn unsettled(&self, storage_key: &[u8]) -> Option<&Slot> {
        self.active.get(storage_key).or_else(|| self.frozen.get(storage_key))
    }
}

/// A key of [`Recent::first`].
#[derive(Debug)]
pub(crate) struct RecentRow {
    pub(crate) position: Vec<u8>,
    pub(crate) storage_key: Vec<u8>,
    pub(crate) record: Option<Record>,
}

impl PartialEq for RecentRow {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for RecentRow {}

impl PartialOrd for RecentRow {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RecentRow {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}
