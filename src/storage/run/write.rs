//! Writes runs: a new one at each checkpoint, and one in the place of several that are merged or of which much has expired.

use super::{Built, Catalog, CatalogChange, Entry, Info, MergedRuns, Run, RunBuilder, chunk_key};
use crate::{
    Timestamp,
    record::Record,
    storage::{
        codec::{self, encode_record},
        error::StorageError,
        meta::{CountsDelta, Meta},
        table::{CHUNKS, FENCES, FILTERS, META, META_KEY, RUN_SCOPES, RUNS, SCOPES, Table, commit, guarded},
    },
};
use redb::{ReadableDatabase, ReadableTable, WriteTransaction};
use std::{collections::BTreeMap, ops::Bound};

/// One key for a new run.
#[derive(Debug)]
pub(crate) struct EndedRow {
    pub(crate) storage_key: Vec<u8>,
    /// `None`: the key is free, whatever older runs say.
    pub(crate) record: Option<Record>,
    pub(crate) expires_ms: u64,
}

/// The run that a checkpoint writes, if there is anything for it.
#[derive(Debug, Default)]
pub(crate) struct RunRows {
    /// A new run, in key order, and its id.
    pub(crate) ended: Vec<EndedRow>,
    pub(crate) id: u64,
}

/// Runs that are to become one.
#[derive(Debug)]
pub(crate) struct Rewrite {
    pub(crate) inputs: Vec<Run>,
    pub(crate) level: u8,
    /// What has expired by then is left out.
    pub(crate) now: Timestamp,
    /// Of the table, before.
    pub(crate) meta: Meta,
}

/// What the rows of a run are sealed for.
pub(crate) fn binding(name: &[u8], run: u64) -> Vec<u8> {
    [name, &run.to_be_bytes()].concat()
}

impl Rewrite {
    /// The state of the table afterwards, but for the counts.
    pub(crate) fn version(&self) -> u64 {
        self.meta.runs_version + 1
    }
}

impl Table {
    pub(crate) fn write_run(&self, txn: &WriteTransaction, rows: &RunRows) -> Result<Option<Built>, redb::Error> {
        if rows.ended.is_empty() {
            return Ok(None);
        }
        let mut chunks = txn.open_table(CHUNKS)?;
        let mut on_chunk = |first: Vec<u8>, bytes: Vec<u8>| {
            chunks.insert(&chunk_key(rows.id, &first)[..], &bytes[..]).map(drop).map_err(redb::Error::from)
        };
        let info = Info { order: rows.id, ..Info::default() };
        let mut builder = RunBuilder::new(self.hashes, info);
        for EndedRow { storage_key, record, expires_ms } in &rows.ended {
            let frame = record.as_ref().map(|record| encode_record(self.values(), storage_key, record)).transpose();
            let frame = frame.map_err(|error| redb::Error::Corrupted(error.to_string()))?.unwrap_or_default();
            let state = record.as_ref().map(|record| record.state);
            builder.push(&Entry { storage_key, state, expires_ms: *expires_ms, frame: &frame }, &mut on_chunk)?;
        }
        let built = builder.finish(&mut on_chunk)?;
        drop(chunks);
        if let Some(built) = &built {
            self.write_built(txn, rows.id, built)?;
        }
        Ok(built)
    }

    fn write_info(&self, txn: &WriteTransaction, id: u64, info: &Info) -> Result<(), redb::Error> {
        let info = codec::encode(info).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        txn.open_table(RUNS)?.insert(&id.to_be_bytes()[..], &self.values().seal(&binding(b"run", id), &info)[..])?;
        Ok(())
    }

    /// Writes what belongs to a run beside its chunks.
    pub(super) fn write_built(&self, txn: &WriteTransaction, id: u64, built: &Built) -> Result<(), redb::Error> {
        self.write_info(txn, id, &built.info)?;
        let sealed = |name: &[u8], bytes: &[u8]| self.values().seal(&binding(name, id), bytes);
        txn.open_table(FILTERS)?.insert(&id.to_be_bytes()[..], &sealed(b"filter", &built.filter.to_bytes())[..])?;
        txn.open_table(FENCES)?.insert(&id.to_be_bytes()[..], &sealed(b"fences", &built.fences)[..])?;
        let mut scopes = txn.open_table(RUN_SCOPES)?;
        for (prefix, records) in &built.scopes {
            scopes.insert(&chunk_key(id, prefix)[..], &records.to_le_bytes()[..])?;
        }
        Ok(())
    }

    /// Puts one run, or none, in the place of several neighbours. Returns by how much the counts change.
    pub(crate) fn rewrite(&self, rewrite: &Rewrite) -> Result<CountsDelta, StorageError> {
        let id = rewrite.meta.next_run;
        let catalog = self.catalog();
        let is_there = |run: &Run| run.id < id && catalog.has(run.id);
        if catalog.version != rewrite.meta.runs_version || !rewrite.inputs.iter().all(is_there) {
            return Err(StorageError::Engine("the runs have changed meanwhile".into()));
        }
        let (built, removed) = guarded(|| {
            let txn = self.begin_write()?;
            let built = self.write_merged(&txn, rewrite, id)?;
            let mut removed = CountsDelta::default();
            let mut scopes: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
            for run in &rewrite.inputs {
                removed += run.info.counted(-1);
                remove_run(&txn, run.id, &mut scopes)?;
            }
            if let Some(built) = &built {
                self.write_built(&txn, id, built)?;
                removed += built.info.counted(1);
                for (prefix, records) in &built.scopes {
                    *scopes.entry(prefix.clone()).or_default() += i64::try_from(*records).unwrap_or(i64::MAX);
                }
            }
            change_scopes(&txn, &scopes)?;
            let counts = rewrite.meta.counts.changed(removed);
            let meta = Meta { counts, next_run: id + 1, runs_version: rewrite.version(), ..rewrite.meta };
            let meta = meta.encode(self.values()).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            txn.open_table(META)?.insert(META_KEY, &meta[..])?;
            commit(txn)?;
            Ok((built, removed))
        })?;
        let removed_runs = rewrite.inputs.iter().map(|run| run.id).collect();
        let change = CatalogChange { added: built.map(|built| (id, built)), removed: removed_runs };
        self.change_catalog(rewrite.version(), change);
        Ok(removed)
    }

    fn write_merged(&self, txn: &WriteTransaction, rewrite: &Rewrite, id: u64) -> Result<Option<Built>, redb::Error> {
        let living = rewrite.inputs.iter().filter(|run| !run.info.is_expired(rewrite.now)).map(|run| run.id);
        let read = self.db()?.begin_read()?;
        let mut merged = MergedRuns::new(&read.open_table(CHUNKS)?, living, Bound::Unbounded)?;
        let order = rewrite.inputs.iter().map(|run| run.info.order).max().unwrap_or_default();
        let mut builder = RunBuilder::new(self.hashes, Info { order, level: rewrite.level, ..Info::default() });
        let mut chunks = txn.open_table(CHUNKS)?;
        let mut on_chunk = |first: Vec<u8>, bytes: Vec<u8>| {
            chunks.insert(&chunk_key(id, &first)[..], &bytes[..]).map(drop).map_err(redb::Error::from)
        };
        let mut passed = Vec::new();
        while let Some(entry) = merged.entry()? {
            if entry.expires_ms > rewrite.now.as_millis() {
                builder.push(&entry, &mut on_chunk)?;
            }
            passed.clear();
            passed.extend_from_slice(entry.storage_key);
            merged.pass(&passed)?;
        }
        builder.finish(&mut on_chunk)
    }
}

impl Info {
    /// What the run's records count for.
    pub(crate) fn counted(&self, sign: i64) -> CountsDelta {
        let signed = |count: u64| sign * i64::try_from(count).unwrap_or(i64::MAX);
        CountsDelta { in_flight: 0, completed: signed(self.completed), failed: signed(self.failed), bytes: signed(self.bytes) }
    }
}

/// Removes all rows of a run, and counts its records out of their scopes.
fn remove_run(txn: &WriteTransaction, id: u64, scopes: &mut BTreeMap<Vec<u8>, i64>) -> Result<(), redb::Error> {
    let (from, to) = (id.to_be_bytes(), id.saturating_add(1).to_be_bytes());
    {
        let table = txn.open_table(RUN_SCOPES)?;
        for row in table.range::<&[u8]>(&from[..]..&to[..])? {
            let (key, records) = row?;
            let records = records.value().first_chunk().map_or(0, |records| u64::from_le_bytes(*records));
            let prefix = key.value().get(from.len()..).unwrap_or_default().to_vec();
            *scopes.entry(prefix).or_default() -= i64::try_from(records).unwrap_or(i64::MAX);
        }
    }
    for definition in [CHUNKS, RUN_SCOPES] {
        txn.open_table(definition)?.retain_in::<&[u8], _>(&from[..]..&to[..], |_, _| false)?;
    }
    for definition in [RUNS, FILTERS, FENCES] {
        txn.open_table(definition)?.remove(&from[..])?;
    }
    Ok(())
}

fn change_scopes(txn: &WriteTransaction, scopes: &BTreeMap<Vec<u8>, i64>) -> Result<(), redb::Error> {
    let mut table = txn.open_table(SCOPES)?;
    for (prefix, delta) in scopes.iter().filter(|&(_, &delta)| delta != 0) {
        let stored = table.get(&prefix[..])?.and_then(|records| records.value().first_chunk().copied());
        let records = stored.map_or(0, u64::from_le_bytes).saturating_add_signed(*delta);
        match records {
            0 => drop(table.remove(&prefix[..])?),
            records => drop(table.insert(&prefix[..], &records.to_le_bytes()[..])?),
        }
    }
    Ok(())
}

/// Which runs are to be rewritten next, if any.
pub(crate) fn next_merge(catalog: &Catalog) -> Option<(Vec<Run>, u8)> {
    // From the oldest on.
    catalog.runs().windows(MERGED_RUNS).rev().find_map(|inputs| {
        let level = inputs.first()?.info.level;
        let bytes: u64 = inputs.iter().map(|run| run.info.bytes).sum();
        let fits = inputs.iter().all(|run| run.info.level == level) && bytes <= MERGED_BYTES_MAX && level < u8::MAX;
        fits.then(|| (inputs.to_vec(), level + 1))
    })
}

/// How many runs become one.
const MERGED_RUNS: usize = 4;
/// Runs together longer than this are left alone: what a merge writes in one commit holds up the next checkpoint.
const MERGED_BYTES_MAX: u64 = 128 * 1024 * 1024;
