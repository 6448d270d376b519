//! A consistent look at the tables.

use super::{
    codec::decode_record,
    error::StorageError,
    keys::{Class, IndexEntry, Place, after_prefix},
    meta::Meta,
    recent::Base,
    run::{self, Chunk, Entry, MergedRuns, Run},
    snapshot::Snapshot,
    table::{Definition, FENCES, INDEX, META, META_KEY, SCOPES, Table, guarded},
    trace::Trace,
};
use crate::{Timestamp, record::Record};
use std::{cell::Cell, collections::BTreeSet, ops::Bound, sync::Arc, time::Duration};

/// A piece of a scan ends after this many bytes.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// The tables as of one commit.
pub(crate) struct View<'t> {
    table: &'t Table,
    at: Arc<Snapshot>,
}

/// One piece of a scan: bounded in rows and in bytes.
#[derive(Debug)]
pub(crate) struct Piece<T> {
    pub(crate) rows: Vec<T>,
    /// Whether there may be more behind the last row.
    pub(crate) has_more: bool,
}

/// Keys and values as they are stored.
pub(crate) type RawPiece = Piece<(Vec<u8>, Vec<u8>)>;

/// Index entries, and when their records were first seen.
pub(crate) type IndexPiece = Piece<(IndexEntry, Timestamp)>;

/// One record of a scan.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) storage_key: Vec<u8>,
    pub(crate) record: Result<Record, StorageError>,
    /// Of key and frame.
    pub(crate) bytes: usize,
}

impl<T> Piece<T> {
    /// Converts the rows.
    pub(crate) fn try_map<U>(self, each: impl FnMut(T) -> Result<U, StorageError>) -> Result<Piece<U>, StorageError> {
        Ok(Piece { rows: self.rows.into_iter().map(each).collect::<Result<_, _>>()?, has_more: self.has_more })
    }
}

impl<'t> View<'t> {
    pub(crate) fn new(table: &'t Table, at: Arc<Snapshot>) -> Self {
        Self { table, at }
    }

    /// Returns a record; damage is an error.
    pub(crate) fn record(&self, storage_key: &[u8]) -> Result<Option<Record>, StorageError> {
        self.record_at(storage_key, &self.anywhere(storage_key))
    }

    /// As [`record`](Self::record), only where the key may be. The trace was taken before the view was.
    pub(crate) fn record_at(&self, storage_key: &[u8], trace: &Trace) -> Result<Option<Record>, StorageError> {
        let decode = |frame: &[u8]| decode_record(self.table.values(), storage_key, frame);
        let found = guarded(|| {
            if trace.in_flight
                && let Some(frame) = self.at.records.get(storage_key)?
            {
                return Ok(Some(decode(frame.value())));
            }
            let read = |_: &Run, entry: Entry<'_>| entry.state.map(|_| decode(entry.frame));
            Ok(self.find_in_runs(storage_key, trace, read)?.flatten())
        })?;
        found.transpose()
    }

    fn anywhere(&self, storage_key: &[u8]) -> Trace {
        Trace::unknown(self.table.hash_of(storage_key))
    }

    /// Looks for a key in the runs, newest first.
    fn find_in_runs<T>(
        &self,
        storage_key: &[u8],
        trace: &Trace,
        read: impl Fn(&Run, Entry<'_>) -> T,
    ) -> Result<Option<T>, redb::Error> {
        for run in trace.holders(&self.at.catalog) {
            let found = run::find(&self.at.chunks, run.id, storage_key, |entry| read(run, entry))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns whether the newest entry of a key in the runs is a record.
    pub(crate) fn is_in_a_run(&self, storage_key: &[u8]) -> Result<bool, StorageError> {
        guarded(|| {
            Ok(self.find_in_runs(storage_key, &self.anywhere(storage_key), |_, entry| entry.state.is_some())?.unwrap_or(false))
        })
    }

    /// Returns what there is of a key among those in flight; `None` if that cannot be read.
    pub(crate) fn in_flight_base(&self, storage_key: &[u8]) -> Option<Base> {
        let decode = |frame: &[u8]| decode_record(self.table.values(), storage_key, frame);
        let found = guarded(|| Ok(self.at.records.get(storage_key)?.map(|frame| decode(frame.value()))));
        Some(match found.ok()? {
            None => Base::Absent,
            Some(Ok(record)) => Base::At(Place::of(&record)),
            Some(Err(_)) => Base::Damaged,
        })
    }

    /// Returns how many bytes the record of a key takes among those in flight, damaged or not.
    pub(crate) fn in_flight_len(&self, storage_key: &[u8]) -> Result<Option<usize>, StorageError> {
        guarded(|| Ok(self.at.records.get(storage_key)?.map(|frame| frame.value().len())))
    }

    /// Returns how many bytes the record takes, damaged or not.
    pub(crate) fn frame_len(&self, storage_key: &[u8]) -> Result<Option<usize>, StorageError> {
        guarded(|| {
            if let Some(frame) = self.at.records.get(storage_key)? {
                return Ok(Some(frame.value().len()));
            }
            self.find_in_runs(storage_key, &self.anywhere(storage_key), |_, entry| entry.frame.len())
        })
    }

    /// Returns up to `limit` records after `after` (and within `prefix`), each decoded or in its damaged state.
    pub(crate) fn records_after(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Piece<Scanned>, StorageError> {
        let end = after_prefix(prefix);
        let end = end.as_deref();
        // What comes after a key before the prefix starts with the prefix.
        let after = after.filter(|after| *after >= prefix);
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let range = (from, end.map_or(Bound::Unbounded, Bound::Excluded));
        let mut piece: RawPiece = Piece { rows: Vec::new(), has_more: false };
        if is_empty(range) {
            return Ok(Piece { rows: Vec::new(), has_more: false });
        }
        guarded(|| {
            let mut bytes = 0;
            let mut in_flight = self.at.records.range::<&[u8]>(range)?;
            let mut next = in_flight.next().transpose()?;
            let newest_first = self.at.catalog.runs().iter().map(|run| run.id);
            let at = Cell::new(None);
            let mut runs = MergedRuns::new(&self.at.chunks, newest_first, from, &at)?;
            loop {
                let ended = runs.entry()?.filter(|entry| end.is_none_or(|end| entry.storage_key < end));
                // What is in flight is newer than anything that ended.
                let first = next.as_ref().filter(|(key, _)| ended.is_none_or(|entry| key.value() <= entry.storage_key));
                let (key, frame) = match (first, ended) {
                    (Some((key, frame)), _) => (key.value().to_vec(), Some(frame.value().to_vec())),
                    (None, Some(entry)) => (entry.storage_key.to_vec(), entry.state.map(|_| entry.frame.to_vec())),
                    (None, None) => break,
                };
                if piece.rows.len() == limit || bytes >= PIECE_BYTES {
                    piece.has_more = true;
                    break;
                }
                if next.as_ref().is_some_and(|(in_flight, _)| in_flight.value() == key) {
                    next = in_flight.next().transpose()?;
                }
                runs.pass(&key)?;
                if let Some(frame) = frame {
                    bytes += key.len() + frame.len();
                    piece.rows.push((key, frame));
                }
            }
            Ok(())
        })?;
        piece.try_map(|(storage_key, frame)| Ok(self.scanned(storage_key, &frame)))
    }

    fn scanned(&self, storage_key: Vec<u8>, frame: &[u8]) -> Scanned {
        let record = decode_record(self.table.values(), &storage_key, frame);
        Scanned { record, bytes: storage_key.len() + frame.len(), storage_key }
    }

    /// Returns what is known of a run's chunks without them: bytes for [`run::fences`].
    pub(crate) fn fences(&self, run: u64) -> Result<Vec<u8>, StorageError> {
        let sealed = guarded(|| {
            let fences = self.at.txn.open_table(FENCES)?.get(&run.to_be_bytes()[..])?;
            Ok(fences.map(|fences| fences.value().to_vec()).unwrap_or_default())
        })?;
        let fences = self.table.values().open(&run::binding(b"fences", run), &sealed);
        let fences = fences.ok_or_else(|| StorageError::Damaged(format!("the list of chunks of run {run} is damaged")))?;
        Ok(fences.to_vec())
    }

    /// Returns the records of one chunk; of a key that is used again, the one that expired as well.
    pub(crate) fn chunk(&self, run: u64, start: &[u8]) -> Result<Vec<Scanned>, StorageError> {
        if !self.at.catalog.has(run) {
            return Err(StorageError::Damaged(format!("run {run} is not on the list")));
        }
        let bytes = guarded(|| Ok(self.at.chunks.get(&run::chunk_key(run, start)[..])?.map(|chunk| chunk.value().to_vec())))?;
        let missing = || StorageError::Damaged(format!("a chunk of run {run} is missing"));
        let bytes = bytes.ok_or_else(missing)?;
        let chunk = Chunk::new(&bytes).ok_or_else(missing)?;
        let entries = (0..chunk.len()).filter_map(|number| chunk.entry(number)).filter(|entry| entry.state.is_some());
        Ok(entries.map(|entry| self.scanned(entry.storage_key.to_vec(), entry.frame)).collect())
    }

    /// Returns whether a run has the record that answers for a key.
    #[cfg(feature = "ndjson")]
    pub(crate) fn answers(&self, run: u64, storage_key: &[u8]) -> bool {
        let newest = guarded(|| self.find_in_runs(storage_key, &self.anywhere(storage_key), |newest, _| newest.id));
        let in_flight = guarded(|| Ok(self.at.records.get(storage_key)?.is_some()));
        // Better twice than not at all, where a page cannot be read.
        newest.map_or(true, |newest| newest.is_none_or(|newest| newest == run)) && !in_flight.unwrap_or(false)
    }

    /// Returns the runs whose rows are there although no list names them.
    pub(crate) fn unlisted(&self) -> Result<BTreeSet<u64>, StorageError> {
        let rows = self.raw_rows("unlisted", None, usize::MAX)?.rows;
        Ok(rows.iter().filter_map(|(key, _)| run::run_of(key)).collect())
    }

    /// Returns the raw rows of a table, in order.
    pub(crate) fn raw_rows(&self, table: &'static str, after: Option<&[u8]>, limit: usize) -> Result<RawPiece, StorageError> {
        self.rows_after(Definition::new(table), after, limit)
    }

    /// Returns index entries of a class, from its start or after an entry, up to a time.
    pub(crate) fn index(
        &self,
        class: Class,
        after: Option<&[u8]>,
        until: Timestamp,
        limit: usize,
    ) -> Result<IndexPiece, StorageError> {
        let start = IndexEntry::bound(class, Timestamp::default());
        let end = IndexEntry::bound(class, until.saturating_add(Duration::from_millis(1)));
        let from = after.map_or(Bound::Included(&start[..]), Bound::Excluded);
        self.range(INDEX, (from, Bound::Excluded(&end[..])), limit)?.try_map(parse_index_row)
    }

    /// Returns index entries of all classes.
    pub(crate) fn index_rows(&self, after: Option<&[u8]>, limit: usize) -> Result<IndexPiece, StorageError> {
        self.rows_after(INDEX, after, limit)?.try_map(parse_index_row)
    }

    /// Returns whether the index has that entry.
    pub(crate) fn has_index(&self, entry: &IndexEntry) -> Result<bool, StorageError> {
        guarded(|| Ok(self.at.txn.open_table(INDEX)?.get(&entry.to_bytes()[..])?.is_some()))
    }

    /// Returns how many records a scope has.
    pub(crate) fn scope_records(&self, prefix: &[u8]) -> Result<u64, StorageError> {
        let found = guarded(|| Ok(self.at.txn.open_table(SCOPES)?.get(prefix)?.map(|count| count.value().to_vec())))?;
        let Some(bytes) = found else { return Ok(0) };
        let count = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        count.ok_or_else(|| StorageError::Damaged("a scope's count is cut short".into()))
    }

    /// Returns the store's own state.
    pub(crate) fn meta(&self) -> Result<Meta, StorageError> {
        let found = guarded(|| Ok(self.at.txn.open_table(META)?.get(META_KEY)?.map(|meta| meta.value().to_vec())))?;
        let frame = found.ok_or_else(|| StorageError::Damaged("the store's metadata is missing".into()))?;
        Meta::decode(self.table.values(), &frame)
    }

    fn rows_after(&self, table: Definition, after: Option<&[u8]>, limit: usize) -> Result<RawPiece, StorageError> {
        self.range(table, (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded), limit)
    }

    fn range(&self, table: Definition, range: (Bound<&[u8]>, Bound<&[u8]>), limit: usize) -> Result<RawPiece, StorageError> {
        let mut piece = Piece { rows: Vec::new(), has_more: false };
        if is_empty(range) {
            return Ok(piece);
        }
        guarded(|| {
            let mut bytes = 0;
            for row in self.at.txn.open_table(table)?.range::<&[u8]>(range)? {
                let (key, value) = row?;
                if piece.rows.len() == limit || bytes >= PIECE_BYTES {
                    piece.has_more = true;
                    break;
                }
                bytes += key.value().len() + value.value().len();
                piece.rows.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(piece)
        })
    }
}

/// redb panics on a range that ends before it starts.
fn is_empty(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}

fn parse_index_row((key, value): (Vec<u8>, Vec<u8>)) -> Result<(IndexEntry, Timestamp), StorageError> {
    let entry = IndexEntry::parse(&key);
    let seen = value.first_chunk().map(|bytes| Timestamp::from_millis(u64::from_le_bytes(*bytes)));
    entry.zip(seen).ok_or_else(|| StorageError::Damaged("an index entry does not decode".into()))
}
