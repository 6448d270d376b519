//! Records in key order, as many as fit a page: the unit in which a run is stored and read.
//!
//! Each chunk is a leaf of redb's tree. With chunks of two pages there would be half as many branches, which a cache then serves more
//! often; but each read would take a fifth longer, also in the many stores of which the cache has all branches anyway.
//!
//! A chunk starts with the number of its entries (u16) and where each of them starts (u32); an entry is the length of its key
//! (u16), its state (u8), its expiry (u64), the length of its frame (u32), the key, the frame.

use crate::{record::State, storage::codec};

/// A chunk and its key fill one page of the database this far, less what the database needs for itself.
const CHUNK_BYTES: usize = 4096 - 64;
const COUNT_BYTES: usize = 2;
const START_BYTES: usize = 4;
const ENTRY_HEAD_BYTES: usize = 2 + 1 + 8 + 4;
/// The state of an entry that says that older runs are not to be asked.
const HIDDEN: u8 = 0;

/// One key of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'c> {
    pub(crate) storage_key: &'c [u8],
    /// `None`: the key is free, whatever older runs say.
    pub(crate) state: Option<State>,
    /// When it may go.
    pub(crate) expires_ms: u64,
    /// As in the table of records; empty for a hidden key.
    pub(crate) frame: &'c [u8],
}

impl Entry<'_> {
    /// What the record counts for, as key and frame.
    pub(crate) fn bytes(&self) -> u64 {
        (self.storage_key.len() + self.frame.len()) as u64
    }
}

/// A chunk, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk<'c> {
    bytes: &'c [u8],
    len: usize,
}

impl<'c> Chunk<'c> {
    pub(crate) fn new(bytes: &'c [u8]) -> Option<Self> {
        let len = u16::from_le_bytes(*bytes.first_chunk()?).into();
        (bytes.len() >= COUNT_BYTES + len * START_BYTES).then_some(Self { bytes, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns the entry of that number, unless the bytes are not those of a chunk.
    pub(crate) fn entry(&self, number: usize) -> Option<Entry<'c>> {
        let start = self.bytes.get(COUNT_BYTES + number * START_BYTES..)?.first_chunk()?;
        let entry = self.bytes.get(usize::try_from(u32::from_le_bytes(*start)).ok()?..)?;
        let (head, rest) = entry.split_first_chunk::<ENTRY_HEAD_BYTES>()?;
        let key_len = u16::from_le_bytes(*head.first_chunk()?).into();
        let state = match head[2] {
            HIDDEN => None,
            state => Some(codec::state_from_byte(state)?),
        };
        let expires_ms = u64::from_le_bytes(*head[3..].first_chunk()?);
        let frame_len = usize::try_from(u32::from_le_bytes(*head[11..].first_chunk()?)).ok()?;
        let (storage_key, rest) = rest.split_at_checked(key_len)?;
        Some(Entry { storage_key, state, expires_ms, frame: rest.get(..frame_len)? })
    }

    /// Returns the number of the first entry that is not before `storage_key`; `None` if the bytes are not those of a chunk.
    pub(crate) fn position(&self, storage_key: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.entry(middle)?.storage_key < storage_key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }
}

/// A chunk in the making.
#[derive(Debug, Default)]
pub(crate) struct ChunkBuilder {
    first: Vec<u8>,
    start_len: usize,
    /// The latest key, also of the chunk before.
    last: Vec<u8>,
    starts: Vec<u32>,
    entries: Vec<u8>,
}

/// A chunk that is complete.
#[derive(Debug)]
pub(crate) struct NewChunk {
    pub(crate) len: u16,
    /// The key of its first entry.
    pub(crate) first: Vec<u8>,
    /// So many bytes of it tell it from all keys before: they are where the chunk starts.
    pub(crate) start_len: usize,
    pub(crate) bytes: Vec<u8>,
}

impl ChunkBuilder {
    /// Returns whether the entry has room; the first always has.
    pub(crate) fn has_room(&self, entry: &Entry<'_>) -> bool {
        let own = START_BYTES + ENTRY_HEAD_BYTES + entry.storage_key.len() + entry.frame.len();
        let all = COUNT_BYTES + self.starts.len() * START_BYTES + self.entries.len() + self.start_len;
        self.starts.is_empty() || (all + own <= CHUNK_BYTES && self.starts.len() < usize::from(u16::MAX))
    }

    /// Adds an entry behind all others. Its key and frame have their limits, which are far below these lengths.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) {
        if self.starts.is_empty() {
            self.first = entry.storage_key.to_vec();
            self.start_len = start_len(&self.last, entry.storage_key);
        }
        self.last.clear();
        self.last.extend_from_slice(entry.storage_key);
        self.starts.push(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let state = entry.state.map_or(HIDDEN, codec::state_to_byte);
        self.entries.extend_from_slice(&u16::try_from(entry.storage_key.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.entries.push(state);
        self.entries.extend_from_slice(&entry.expires_ms.to_le_bytes());
        self.entries.extend_from_slice(&u32::try_from(entry.frame.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.entries.extend_from_slice(entry.storage_key);
        self.entries.extend_from_slice(entry.frame);
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns the chunk, and starts the next one.
    pub(crate) fn finish(&mut self) -> NewChunk {
        let Self { first, start_len, starts, entries, last } = std::mem::take(self);
        self.last = last;
        let len = u16::try_from(starts.len()).unwrap_or(u16::MAX);
        let head = COUNT_BYTES + starts.len() * START_BYTES;
        let mut bytes = Vec::with_capacity(head + entries.len());
        bytes.extend_from_slice(&len.to_le_bytes());
        let head = u32::try_from(head).unwrap_or(u32::MAX);
        for start in starts {
            bytes.extend_from_slice(&head.saturating_add(start).to_le_bytes());
        }
        bytes.extend_from_slice(&entries);
        NewChunk { len, first, start_len, bytes }
    }
}

/// How much of a chunk's first key tells it from the key before. The first chunk starts where the run does, so that a look at the run
/// from its start does not touch the one before it.
fn start_len(before: &[u8], first: &[u8]) -> usize {
    if before.is_empty() {
        return 0;
    }
    let common = before.iter().zip(first).take_while(|(before, first)| before == first).count();
    first.len().min(common + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn build(keys: &std::collections::BTreeSet<Vec<u8>>) -> Vec<u8> {
        let mut builder = ChunkBuilder::default();
        for (number, key) in keys.iter().enumerate() {
            let state = [None, Some(State::Completed), Some(State::Failed)][number % 3];
            builder.push(&Entry { storage_key: key, state, expires_ms: number as u64, frame: &key[..key.len() / 2] });
        }
        builder.finish().bytes
    }

    proptest! {
        #[test]
        fn every_key_is_found_and_no_other(keys in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 1..9), 1..40)) {
            let bytes = build(&keys);
            let chunk = Chunk::new(&bytes).unwrap();
            prop_assert_eq!(chunk.len(), keys.len());
            for (number, key) in keys.iter().enumerate() {
                prop_assert_eq!(chunk.position(key), Some(number));
                let entry = chunk.entry(number).unwrap();
                prop_assert_eq!((entry.storage_key, entry.expires_ms), (&key[..], number as u64));
                prop_assert_eq!(entry.frame, &key[..key.len() / 2]);
                let behind = [&key[..], &[0]].concat();
                prop_assert_eq!(chunk.position(&behind), Some(number + 1));
            }
        }

        #[test]
        fn any_bytes_are_a_chunk_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), key in proptest::collection::vec(any::<u8>(), 0..5)) {
            if let Some(chunk) = Chunk::new(&bytes) {
                prop_assert!((0..chunk.len()).filter_map(|number| chunk.entry(number)).all(|entry| entry.frame.len() <= bytes.len()));
                let _ = chunk.position(&key);
            }
        }
    }
}
