//! Writes the run that a checkpoint makes.

use super::{Built, Entry, Info, RunBuilder, chunk_key};
use crate::{
    record::Record,
    storage::{
        codec::{self, encode_record},
        sorted::insert_sorted,
        table::{CHUNKS, FENCES, FILTERS, RUN_SCOPES, RUNS, Table},
    },
};
use redb::WriteTransaction;

/// So many bytes of chunks are gathered before they are written.
const HELD_BYTES: usize = 1024 * 1024;

/// One key for a new run.
#[derive(Debug)]
pub(crate) struct EndedRow<'s> {
    pub(crate) storage_key: Vec<u8>,
    /// `None`: the key is free, whatever older runs say.
    pub(crate) record: Option<&'s Record>,
    pub(crate) expires_ms: u64,
}

/// The run that a checkpoint writes, if there is anything for it.
#[derive(Debug, Default)]
pub(crate) struct RunRows<'s> {
    /// A new run, in key order, and its id.
    pub(crate) ended: Vec<EndedRow<'s>>,
    pub(crate) id: u64,
}

/// Adds chunks to a run, each with where it starts, in order.
pub(super) fn write_chunks(txn: &WriteTransaction, run: u64, chunks: &[(Vec<u8>, Vec<u8>)]) -> Result<(), redb::Error> {
    insert_sorted(&mut txn.open_table(CHUNKS)?, chunks.iter().map(|(start, chunk)| (chunk_key(run, start), chunk)))
}

/// What the rows of a run are sealed for.
pub(crate) fn binding(name: &[u8], run: u64) -> Vec<u8> {
    [name, &run.to_be_bytes()].concat()
}

impl Table {
    pub(crate) fn write_run(&self, txn: &WriteTransaction, rows: &RunRows<'_>) -> Result<Option<Built>, redb::Error> {
        if rows.ended.is_empty() {
            return Ok(None);
        }
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        let mut on_chunk = |start: Vec<u8>, chunk: Vec<u8>| -> Result<(), redb::Error> {
            bytes += chunk.len();
            chunks.push((start, chunk));
            if bytes < HELD_BYTES {
                return Ok(());
            }
            bytes = 0;
            write_chunks(txn, rows.id, &std::mem::take(&mut chunks))
        };
        let info = Info { order: rows.id, ..Info::default() };
        let mut builder = RunBuilder::new(self.hashes, info);
        for EndedRow { storage_key, record, expires_ms } in &rows.ended {
            let frame = record.map(|record| encode_record(self.values(), storage_key, record)).transpose();
            let frame = frame.map_err(|error| redb::Error::Corrupted(error.to_string()))?.unwrap_or_default();
            let state = record.map(|record| record.state);
            builder.push(&Entry { storage_key, state, expires_ms: *expires_ms, frame: &frame }, &mut on_chunk)?;
        }
        let built = builder.finish(&mut on_chunk)?;
        write_chunks(txn, rows.id, &chunks)?;
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
}
