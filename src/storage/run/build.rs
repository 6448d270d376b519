//! Makes a run out of entries in key order.

use super::{
    Info,
    chunk::{ChunkBuilder, Entry, NewChunk},
    filter::Filter,
};
use crate::{
    record::State,
    storage::{frame::CheckKey, keys::scope_of},
};
use std::collections::BTreeMap;

/// Where chunks go: where each starts, and its bytes.
pub(crate) type OnChunk<'c, E> = &'c mut dyn FnMut(Vec<u8>, Vec<u8>) -> Result<(), E>;

/// A run in the making.
#[derive(Debug)]
pub(crate) struct RunBuilder {
    hashes_of: CheckKey,
    chunk: ChunkBuilder,
    hashes: Vec<u64>,
    expiries: Vec<u64>,
    fences: Vec<u8>,
    info: Info,
    scopes: BTreeMap<Vec<u8>, u64>,
}

/// What belongs to a run beside its chunks.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) info: Info,
    pub(crate) filter: Filter,
    /// Of each chunk: the number of its entries (u16), how much of its first key is where it starts (u16), the length of that key
    /// (u16), that key. They tell what is lost with a chunk that cannot be read, and where the next one is.
    pub(crate) fences: Vec<u8>,
    /// How many records of each scope there are.
    pub(crate) scopes: BTreeMap<Vec<u8>, u64>,
}

impl RunBuilder {
    pub(crate) fn new(hashes_of: CheckKey, info: Info) -> Self {
        let (chunk, hashes, expiries, fences, scopes) = Default::default();
        Self { hashes_of, chunk, hashes, expiries, fences, info, scopes }
    }

    /// Adds the next entry in key order.
    pub(crate) fn push<E>(&mut self, entry: &Entry<'_>, on_chunk: OnChunk<'_, E>) -> Result<(), E> {
        if !self.chunk.has_room(entry) {
            self.flush(on_chunk)?;
        }
        self.chunk.push(entry);
        self.hashes.push(self.hashes_of.hash(entry.storage_key));
        self.expiries.push(entry.expires_ms);
        self.info.entries += 1;
        if let Some(state) = entry.state {
            self.info.add(state, entry.bytes());
            let scope = scope_of(entry.storage_key);
            match self.scopes.get_mut(scope) {
                Some(records) => *records += 1,
                None => drop(self.scopes.insert(scope.to_vec(), 1)),
            }
        }
        Ok(())
    }

    fn flush<E>(&mut self, on_chunk: OnChunk<'_, E>) -> Result<(), E> {
        self.info.chunks += 1;
        let NewChunk { len, mut first, start_len, bytes } = self.chunk.finish();
        let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_le_bytes();
        self.fences.extend_from_slice(&len.to_le_bytes());
        self.fences.extend_from_slice(&length(start_len));
        self.fences.extend_from_slice(&length(first.len()));
        self.fences.extend_from_slice(&first);
        first.truncate(start_len);
        on_chunk(first, bytes)
    }

    /// Takes the scopes that are complete: all but the last, because keys come in the order of their scopes.
    pub(crate) fn take_passed_scopes(&mut self) -> BTreeMap<Vec<u8>, u64> {
        let last = self.scopes.pop_last();
        std::mem::replace(&mut self.scopes, last.into_iter().collect())
    }

    /// Ends the run. Returns `None` if it has no entries.
    pub(crate) fn finish<E>(&mut self, on_chunk: OnChunk<'_, E>) -> Result<Option<Built>, E> {
        if self.info.entries == 0 {
            return Ok(None);
        }
        if self.chunk.len() > 0 {
            self.flush(on_chunk)?;
        }
        let middle = self.expiries.len() / 2;
        self.info.expires_half_ms = *self.expiries.select_nth_unstable(middle).1;
        self.info.expires_first_ms = self.expiries.iter().copied().min().unwrap_or_default();
        self.info.expires_last_ms = self.expiries.iter().copied().max().unwrap_or_default();
        let filter = Filter::of(std::mem::take(&mut self.hashes));
        let (fences, scopes) = (std::mem::take(&mut self.fences), std::mem::take(&mut self.scopes));
        Ok(Some(Built { info: self.info, filter, fences, scopes }))
    }
}

impl Info {
    fn add(&mut self, state: State, bytes: u64) {
        match state {
            State::Failed => self.failed += 1,
            State::Completed | State::InFlight => self.completed += 1,
        }
        self.bytes += bytes;
    }
}

/// What is known of a chunk without it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fence<'f> {
    pub(crate) entries: u16,
    pub(crate) start: &'f [u8],
    pub(crate) first: &'f [u8],
}

/// Reads fences.
pub(crate) fn fences(bytes: &[u8]) -> impl Iterator<Item = Fence<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let mut number = || {
            let (number, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(u16::from_le_bytes(*number))
        };
        let (entries, start_len, first_len) = (number()?, number()?, number()?);
        let (first, behind) = rest.split_at_checked(first_len.into())?;
        rest = behind;
        Some(Fence { entries, start: first.get(..start_len.into())?, first })
    })
}
