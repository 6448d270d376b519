//! Walks through runs in key order.

use super::{Chunk, Entry};
use crate::storage::{
    row_key::RowKey,
    table::{Bytes, Reading},
};
use redb::{Range, ReadableTable};
use std::{cell::Cell, ops::Bound};

/// Where a chunk is in its table: the run, then where the chunk starts.
pub(crate) fn chunk_key(run: u64, start: &[u8]) -> Vec<u8> {
    [&run.to_be_bytes()[..], start].concat()
}

/// Returns the run that a row belongs to.
pub(crate) fn run_of(key: &[u8]) -> Option<u64> {
    key.first_chunk().map(|run| u64::from_be_bytes(*run))
}

/// A place in a run.
pub(crate) struct RunCursor {
    rows: Range<'static, RowKey, Bytes>,
    chunk: Vec<u8>,
    next: usize,
    len: usize,
}

fn no_chunk() -> redb::Error {
    redb::Error::Corrupted("a chunk does not decode".into())
}

/// Returns the chunk of a run that has a key, if any has it.
pub(crate) fn find<T>(
    chunks: &Reading,
    run: u64,
    storage_key: &[u8],
    read: impl FnOnce(Entry<'_>) -> T,
) -> Result<Option<T>, redb::Error> {
    let place = chunk_key(run, storage_key);
    let Some((key, value)) = chunks.upper_bound(Bound::Included(&place[..]))?.prev()? else { return Ok(None) };
    if !key.value().starts_with(&run.to_be_bytes()) {
        return Ok(None);
    }
    let chunk = Chunk::new(value.value()).ok_or_else(no_chunk)?;
    let position = chunk.position(storage_key).ok_or_else(no_chunk)?;
    if position == chunk.len() {
        return Ok(None);
    }
    let entry = chunk.entry(position).ok_or_else(no_chunk)?;
    Ok((entry.storage_key == storage_key).then(|| read(entry)))
}

impl RunCursor {
    /// Starts at or behind a key.
    pub(crate) fn new(chunks: &Reading, run: u64, from: Bound<&[u8]>) -> Result<Self, redb::Error> {
        let key = match from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let place = chunk_key(run, key);
        // What is before the first chunk of a run is of another run, and may be damaged.
        let before = match from {
            Bound::Unbounded => None,
            _ => chunks.range::<&[u8]>(&run.to_be_bytes()[..]..=&place[..])?.next_back(),
        };
        let before = before.transpose()?.map(|(found, _)| found.value().to_vec());
        let start = before.unwrap_or(place);
        let rows = match run.checked_add(1).map(u64::to_be_bytes) {
            Some(end) => chunks.range::<&[u8]>(&start[..]..&end[..])?,
            None => chunks.range::<&[u8]>(&start[..]..)?,
        };
        let mut cursor = Self { rows, chunk: Vec::new(), next: 0, len: 0 };
        cursor.load()?;
        let chunk = cursor.current();
        cursor.next = match (chunk, from) {
            (None, _) | (_, Bound::Unbounded) => 0,
            (Some(chunk), _) => chunk.position(key).ok_or_else(no_chunk)?,
        };
        cursor.skip_ends()?;
        if matches!(from, Bound::Excluded(_)) && cursor.entry()?.is_some_and(|entry| entry.storage_key == key) {
            cursor.advance()?;
        }
        Ok(cursor)
    }

    fn current(&self) -> Option<Chunk<'_>> {
        (self.len > 0).then(|| Chunk::new(&self.chunk)).flatten()
    }

    fn load(&mut self) -> Result<(), redb::Error> {
        (self.next, self.len) = (0, 0);
        if let Some(row) = self.rows.next() {
            self.chunk.clear();
            self.chunk.extend_from_slice(row?.1.value());
            self.len = Chunk::new(&self.chunk).ok_or_else(no_chunk)?.len();
        }
        Ok(())
    }

    /// Goes to the next chunk at the end of one.
    fn skip_ends(&mut self) -> Result<(), redb::Error> {
        if self.len > 0 && self.next == self.len {
            self.load()?;
        }
        Ok(())
    }

    /// Returns the entry at this place; `None` at the end.
    pub(crate) fn entry(&self) -> Result<Option<Entry<'_>>, redb::Error> {
        self.current().map(|chunk| chunk.entry(self.next).ok_or_else(no_chunk)).transpose()
    }

    pub(crate) fn advance(&mut self) -> Result<(), redb::Error> {
        self.next += 1;
        self.skip_ends()
    }
}

/// Walks through several runs at once: every key once, as the newest of them has it.
pub(crate) struct MergedRuns<'a> {
    /// Newest first.
    cursors: Vec<(u64, RunCursor)>,
    /// The run that was touched last: the damaged one, if something fails.
    at: &'a Cell<Option<u64>>,
}

impl<'a> MergedRuns<'a> {
    pub(crate) fn new(
        chunks: &Reading,
        newest_first: impl IntoIterator<Item = u64>,
        from: Bound<&[u8]>,
        at: &'a Cell<Option<u64>>,
    ) -> Result<Self, redb::Error> {
        let cursors = newest_first.into_iter().map(|run| {
            at.set(Some(run));
            Ok((run, RunCursor::new(chunks, run, from)?))
        });
        Ok(Self { cursors: cursors.collect::<Result<_, redb::Error>>()?, at })
    }

    /// Returns the entry at this place; `None` at the end.
    pub(crate) fn entry(&self) -> Result<Option<Entry<'_>>, redb::Error> {
        let mut least: Option<Entry<'_>> = None;
        for (run, cursor) in &self.cursors {
            self.at.set(Some(*run));
            if let Some(entry) = cursor.entry()?
                && least.is_none_or(|least| entry.storage_key < least.storage_key)
            {
                least = Some(entry);
            }
        }
        Ok(least)
    }

    /// Goes behind a key.
    pub(crate) fn pass(&mut self, storage_key: &[u8]) -> Result<(), redb::Error> {
        for (run, cursor) in &mut self.cursors {
            self.at.set(Some(*run));
            if cursor.entry()?.is_some_and(|entry| entry.storage_key == storage_key) {
                cursor.advance()?;
            }
        }
        Ok(())
    }
}
