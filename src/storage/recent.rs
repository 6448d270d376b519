//! The records of the journal, in memory: what the table does not have yet, and what it has had for a short while.
//!
//! Three generations, newest first. *Active*: in the segment that is being written. *Frozen*: in the segment that a checkpoint
//! brings into the table. *Settled*: the table has them; kept until the next checkpoint, because a key is mostly asked for
//! soon after it was used. The first that knows a key decides; only a key that none of them knows has to be looked up in the
//! table.

use super::{
    Before,
    keys::{Class, Place, storage_key},
};
use crate::{
    Key, Timestamp,
    keyed::KeyMap,
    record::{Record, State},
    sync::RwLock,
};
use std::{
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
    pub(crate) key: Key,
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
pub(crate) type Slots = KeyMap<Slot>;

/// The keys of all three generations.
#[derive(Debug)]
pub(crate) struct Recent {
    shards: [RwLock<Shard>; SHARDS],
    /// How often anything was frozen.
    generation: AtomicU64,
}

/// What a key's record was when somebody looked.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    generation: u64,
    pub(crate) record: Option<Box<Record>>,
}

/// What the records in memory say of a key: its record, or that it has none.
#[derive(Debug)]
pub(crate) struct Known(pub(crate) Option<Record>);

#[derive(Debug, Default)]
struct Shard {
    active: Slots,
    frozen: Arc<Slots>,
    settled: Arc<Slots>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::new(Shard::default())), generation: AtomicU64::new(0) }
    }
}

impl Recent {
    /// Returns what is known of a key; `None` if it has to be looked up.
    pub(crate) fn get(&self, key: &Key) -> Option<Known> {
        let shard = self.shard(key).read();
        let slot = shard.unsettled(key).or_else(|| shard.settled.get(key));
        slot.map(|slot| Known(slot.record.clone()))
    }

    /// Starts a look at a key. What it finds, here or in the table, holds until something here knows better.
    pub(crate) fn look<E>(&self, key: &Key, look_up: impl FnOnce() -> Result<Option<Record>, E>) -> Result<Seen, E> {
        // First: what is applied after this is in this generation or a later one.
        let generation = self.generation.load(Ordering::Acquire);
        let record = self.get(key).map_or_else(look_up, |Known(record)| Ok(record))?;
        Ok(Seen { generation, record: record.map(Box::new) })
    }

    /// Counts how often anything was frozen.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns whether everything that was applied since somebody looked is still here: the active generation and the one before
    /// it always are.
    pub(crate) fn remembers_since(&self, seen: &Seen) -> bool {
        self.generation.load(Ordering::Acquire) <= seen.generation + 1
    }

    /// As [`get`](Self::get), of what the table does not have yet.
    pub(crate) fn get_unsettled(&self, key: &Key) -> Option<Known> {
        self.shard(key).read().unsettled(key).map(|slot| Known(slot.record.clone()))
    }

    /// Returns what the table holds of a key whose record was `before`, once everything frozen is in it.
    pub(crate) fn base(&self, key: &Key, before: &Before) -> Base {
        let shard = self.shard(key).read();
        if let Some(slot) = shard.active.get(key) {
            return slot.base;
        }
        let stored = match (shard.frozen.get(key), before) {
            (Some(slot), _) => slot.record.as_ref(),
            (None, Before::Present(record)) => Some(record),
            (None, Before::Absent) => None,
            (None, Before::Damaged) => return Base::Damaged,
        };
        stored.map_or(Base::Absent, |record| Base::At(Place::of(record)))
    }

    /// Returns whether the active generation has a key: what it says is gone when the key changes again.
    pub(crate) fn is_active(&self, key: &Key) -> bool {
        self.shard(key).read().active.contains_key(key)
    }

    /// Takes in what has become durable in the active segment.
    pub(crate) fn apply(&self, changes: Vec<Change>) {
        for Change { key, base, after, .. } in changes {
            let mut shard = self.shard(&key).write();
            // What the table holds does not change within a generation.
            let slot = shard.active.entry(key).or_insert(Slot { base, record: None });
            slot.record = after;
        }
    }

    /// Takes anew what the table holds of each active key, where `base_of` can tell.
    pub(crate) fn rebase(&self, base_of: impl Fn(&Key) -> Option<Base>) {
        for shard in &self.shards {
            for (key, slot) in &mut shard.write().active {
                slot.base = base_of(key).unwrap_or(slot.base);
            }
        }
    }

    /// What was active is frozen from here on. Nothing may be frozen before.
    pub(crate) fn freeze(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
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
                let storage_key = storage_key(key);
                let Some(position) = place(&storage_key, slot.record.as_ref()) else { continue };
                if least.len() == limit {
                    has_more = true;
                    if least.peek().is_none_or(|greatest| greatest.position <= position) {
                        continue;
                    }
                    least.pop();
                }
                least.push(RecentRow { position, storage_key, record: slot.record.clone() });
            }
        }
        (least.into_sorted_vec(), has_more)
    }

    /// Looks at what is frozen and has ended, and whose key the active generation has as well.
    pub(crate) fn each_shadowed(&self, mut each: impl FnMut(&Key, &Record)) {
        for shard in &self.shards {
            let shard = shard.read();
            let shadowed = shard.frozen.iter().filter(|(key, _)| shard.active.contains_key(*key));
            for (key, record) in shadowed.filter_map(|(key, slot)| Some((key, slot.record.as_ref()?))) {
                if record.state != State::InFlight {
                    each(key, record);
                }
            }
        }
    }

    /// Returns whether anything that has ended and is not in the table has expired.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        let is_expired = |slot: &Slot| {
            let place = slot.record.as_ref().map(Place::of);
            place.is_some_and(|place| place.class == Class::Terminal && place.time <= now)
        };
        self.shards.iter().any(|shard| {
            let shard = shard.read();
            shard.active.values().chain(shard.frozen.values()).any(is_expired)
        })
    }

    /// Forgets what the table has, so that the table is asked.
    #[cfg(test)]
    pub(crate) fn forget_settled(&self) {
        for shard in &self.shards {
            shard.write().settled = Arc::default();
        }
    }

    fn shard(&self, key: &Key) -> &RwLock<Shard> {
        // Other bits than those by which a map finds its place.
        let shard = usize::try_from(key.hash() >> 32).unwrap_or_default() % SHARDS;
        &self.shards[shard]
    }
}

impl Shard {
    fn unsettled(&self, key: &Key) -> Option<&Slot> {
        self.active.get(key).or_else(|| self.frozen.get(key))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{
        OpenMode, Storage, StorageError,
        checkpoint::tests::{key, open, put},
        disk::MemoryDisk,
    };

    /// Uses a key, and brings that into the table.
    fn settle(storage: &Storage, id: &str) {
        put(storage, id, State::Completed, b"receipt");
        storage.settle_all().unwrap();
    }

    #[test]
    fn what_was_seen_does_not_hide_what_was_applied_since() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        let seen = storage.look(&key("a")).unwrap();
        for id in ["a", "b", "c"] {
            settle(&storage, id);
            assert!(storage.get_since(&key("a"), Some(&seen)).unwrap().is_some(), "after the checkpoint of {id}");
        }
    }

    #[test]
    fn what_a_slow_look_has_seen_does_not_hide_what_was_applied_meanwhile() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        let look_up = || {
            settle(&storage, "a");
            settle(&storage, "b");
            Ok::<_, StorageError>(None)
        };
        let seen = storage.recent.look(&key("a"), look_up).unwrap();
        assert!(storage.get_since(&key("a"), Some(&seen)).unwrap().is_some());
    }
}
