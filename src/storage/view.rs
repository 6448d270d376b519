//! A consistent look at the tables.

use super::{
    codec::decode_record,
    error::StorageError,
    keys::{Class, IndexEntry, after_prefix},
    meta::Meta,
    table::{Definition, INDEX, META, META_KEY, RECORDS, Reading, SCOPES, Table, guarded},
};
use crate::{Timestamp, record::Record};
use redb::ReadTransaction;
use std::{ops::Bound, time::Duration};

/// A piece of a scan ends after this many bytes.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// The tables as of one commit.
pub(crate) struct View<'t> {
    table: &'t Table,
    txn: ReadTransaction,
    records: Reading,
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
    pub(crate) fn new(table: &'t Table, txn: ReadTransaction, records: Reading) -> Self {
        Self { table, txn, records }
    }

    /// Returns a record; damage is an error.
    pub(crate) fn record(&self, storage_key: &[u8]) -> Result<Option<Record>, StorageError> {
        let decoded = guarded(|| {
            let found = self.records.get(storage_key)?;
            Ok(found.map(|frame| decode_record(self.table.values(), storage_key, frame.value())))
        })?;
        decoded.transpose()
    }

    /// Returns how many bytes the record takes, damaged or not.
    pub(crate) fn frame_len(&self, storage_key: &[u8]) -> Result<Option<usize>, StorageError> {
        guarded(|| Ok(self.records.get(storage_key)?.map(|frame| frame.value().len())))
    }

    /// Returns up to `limit` records after `after` (and within `prefix`), each decoded or in its damaged state.
    pub(crate) fn records_after(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Piece<Scanned>, StorageError> {
        self.rows_after(RECORDS, prefix, after, limit)?.try_map(|(storage_key, frame)| {
            let record = decode_record(self.table.values(), &storage_key, &frame);
            Ok(Scanned { record, bytes: storage_key.len() + frame.len(), storage_key })
        })
    }

    /// Returns the raw rows of a table, in order.
    pub(crate) fn raw_rows(&self, table: &'static str, after: Option<&[u8]>, limit: usize) -> Result<RawPiece, StorageError> {
        self.rows_after(Definition::new(table), &[], after, limit)
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
        self.rows_after(INDEX, &[], after, limit)?.try_map(parse_index_row)
    }

    /// Returns whether the index has that entry.
    pub(crate) fn has_index(&self, entry: &IndexEntry) -> Result<bool, StorageError> {
        guarded(|| Ok(self.txn.open_table(INDEX)?.get(&entry.to_bytes()[..])?.is_some()))
    }

    /// Returns how many records a scope has.
    pub(crate) fn scope_records(&self, prefix: &[u8]) -> Result<u64, StorageError> {
        let found = guarded(|| Ok(self.txn.open_table(SCOPES)?.get(prefix)?.map(|count| count.value().to_vec())))?;
        let Some(bytes) = found else { return Ok(0) };
        let count = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        count.ok_or_else(|| StorageError::Damaged("a scope's count is cut short".into()))
    }

    /// Returns the store's own state.
    pub(crate) fn meta(&self) -> Result<Meta, StorageError> {
        let found = guarded(|| Ok(self.txn.open_table(META)?.get(META_KEY)?.map(|meta| meta.value().to_vec())))?;
        let frame = found.ok_or_else(|| StorageError::Damaged("the store's metadata is missing".into()))?;
        Meta::decode(self.table.values(), &frame)
    }

    fn rows_after(&self, table: Definition, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<RawPiece, StorageError> {
        let end = after_prefix(prefix);
        let from = after.map_or(Bound::Included(prefix), Bound::Excluded);
        self.range(table, (from, end.as_deref().map_or(Bound::Unbounded, Bound::Excluded)), limit)
    }

    fn range(&self, table: Definition, range: (Bound<&[u8]>, Bound<&[u8]>), limit: usize) -> Result<RawPiece, StorageError> {
        let mut piece = Piece { rows: Vec::new(), has_more: false };
        if is_empty(range) {
            return Ok(piece);
        }
        guarded(|| {
            let mut bytes = 0;
            for row in self.txn.open_table(table)?.range::<&[u8]>(range)? {
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
