//! Runs that become one, read part by part, so that each part is made durable by a short commit of its own.
//!
//! The inputs do not change meanwhile, so each part is read afresh, from behind the last key on. Nothing is held open in between.

use super::{Built, Info, MergedRuns, OnChunk, Run, RunBuilder};
use crate::{
    Timestamp,
    storage::{
        error::StorageError,
        meta::CountsDelta,
        table::{CHUNKS, RUN_SCOPES, Table, guarded},
    },
};
use redb::{ReadTransaction, ReadableDatabase};
use std::{cell::Cell, collections::BTreeMap, mem, ops::Bound};

/// Runs that are becoming one, their output.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) inputs: Vec<Run>,
    /// What has expired by then is left out.
    now: Timestamp,
    /// Of the output, once the first part of it is durable.
    pub(crate) id: Option<u64>,
    builder: RunBuilder,
    /// The last key that was read.
    after: Option<Vec<u8>>,
    /// By how much the records of a scope change.
    scopes: BTreeMap<Vec<u8>, i64>,
}

/// What one commit adds to a run.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The first key of each chunk, and the chunk.
    pub(crate) chunks: Vec<(Vec<u8>, Vec<u8>)>,
    /// Scopes of which the run has no further records, and how many it has.
    pub(crate) scopes: BTreeMap<Vec<u8>, u64>,
    /// What belongs to the run beside these, if they are the last.
    pub(crate) end: Option<End>,
}

/// The end of a rewrite.
#[derive(Debug)]
pub(crate) struct End {
    /// `None` if nothing is left of the inputs.
    pub(crate) built: Option<Built>,
    /// By how much the records of a scope change.
    pub(crate) scopes: BTreeMap<Vec<u8>, i64>,
    pub(crate) counts: CountsDelta,
}

/// Why a run could not be read, and which, if that is known.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) run: Option<u64>,
    pub(crate) cause: StorageError,
}

impl Rewrite {
    pub(crate) fn new(table: &Table, inputs: Vec<Run>, level: u8, now: Timestamp) -> Self {
        let order = inputs.iter().map(|run| run.info.order).max().unwrap_or_default();
        let builder = RunBuilder::new(table.hashes, Info { order, level, ..Info::default() });
        Self { inputs, now, id: None, builder, after: None, scopes: BTreeMap::new() }
    }

    /// Reads the next part: what about so many bytes of the inputs become. After an error the rewrite is of no use any more.
    pub(crate) fn read(&mut self, table: &Table, bytes_max: usize) -> Result<Part, Unread> {
        let at = Cell::new(None);
        let read = guarded(|| self.read_from(&table.db()?.begin_read()?, bytes_max, &at));
        read.map_err(|cause| Unread { run: at.get(), cause })
    }

    fn read_from(&mut self, read: &ReadTransaction, bytes_max: usize, at: &Cell<Option<u64>>) -> Result<Part, redb::Error> {
        let from = self.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        // Also those of which all has expired: a run that cannot be read stays, as a sign that its keys were used.
        let newest_first = self.inputs.iter().map(|run| run.id);
        let mut merged = MergedRuns::new(&read.open_table(CHUNKS)?, newest_first, from, at)?;
        let mut part = Part::default();
        let on_chunk: OnChunk<'_, redb::Error> = &mut |first, chunk| {
            part.chunks.push((first, chunk));
            Ok(())
        };
        let (mut bytes, mut passed) = (0, Vec::new());
        while let Some(entry) = merged.entry()? {
            if bytes >= bytes_max {
                self.after = Some(passed);
                part.scopes = self.builder.take_passed_scopes();
                self.count_scopes(&part.scopes);
                return Ok(part);
            }
            bytes += entry.storage_key.len() + entry.frame.len();
            if entry.expires_ms > self.now.as_millis() {
                self.builder.push(&entry, on_chunk)?;
            }
            passed.clear();
            passed.extend_from_slice(entry.storage_key);
            merged.pass(&passed)?;
        }
        let mut built = self.builder.finish(on_chunk)?;
        part.scopes = built.as_mut().map(|built| mem::take(&mut built.scopes)).unwrap_or_default();
        self.count_scopes(&part.scopes);
        part.end = Some(self.end(built, read, at)?);
        Ok(part)
    }

    fn count_scopes(&mut self, scopes: &BTreeMap<Vec<u8>, u64>) {
        for (prefix, records) in scopes {
            *self.scopes.entry(prefix.clone()).or_default() += i64::try_from(*records).unwrap_or(i64::MAX);
        }
    }

    fn end(&mut self, built: Option<Built>, read: &ReadTransaction, at: &Cell<Option<u64>>) -> Result<End, redb::Error> {
        let mut counts = built.as_ref().map_or_else(CountsDelta::default, |built| built.info.counted(1));
        let of_runs = read.open_table(RUN_SCOPES)?;
        let mut scopes = mem::take(&mut self.scopes);
        for run in &self.inputs {
            at.set(Some(run.id));
            counts += run.info.counted(-1);
            let (from, to) = (run.id.to_be_bytes(), run.id.saturating_add(1).to_be_bytes());
            for row in of_runs.range::<&[u8]>(&from[..]..&to[..])? {
                let (key, records) = row?;
                let records = records.value().first_chunk().map_or(0, |records| u64::from_le_bytes(*records));
                let prefix = key.value().get(from.len()..).unwrap_or_default().to_vec();
                *scopes.entry(prefix).or_default() -= i64::try_from(records).unwrap_or(i64::MAX);
            }
        }
        scopes.retain(|_, delta| *delta != 0);
        Ok(End { built, scopes, counts })
    }
}

impl Part {
    /// Returns whether there is nothing to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.scopes.is_empty() && self.end.is_none()
    }
}

impl Info {
    /// What the run's records count for.
    pub(crate) fn counted(&self, sign: i64) -> CountsDelta {
        let signed = |count: u64| sign * i64::try_from(count).unwrap_or(i64::MAX);
        CountsDelta { in_flight: 0, completed: signed(self.completed), failed: signed(self.failed), bytes: signed(self.bytes) }
    }
}
