//! Looks at many records, in bounded pieces, so that no look pins an old version of the database for long.

use super::{
    AuditRow, Storage, audit,
    error::StorageError,
    keys::{self, Class, IndexEntry, parse_storage_key},
    view::{IndexPiece, Piece, Scanned, View},
};
use crate::{Key, Scope, State, Timestamp, record::Record};

/// The end of all time.
const FOREVER: Timestamp = Timestamp::from_millis(u64::MAX - 1);

/// Where a scan goes on. Opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) Vec<u8>);

/// Which records a scan looks at.
#[derive(Clone, Debug)]
pub(crate) enum ScanFilter {
    All,
    Scope(Scope),
    /// Through the index, so that it costs what is in flight and not what is stored.
    InFlight,
    /// All, through the index: finds records beside a page that cannot be read.
    ByIndex,
}

/// One record of a scan.
#[derive(Debug)]
pub(crate) struct ScanRow {
    /// `None` if the stored key does not decode.
    pub(crate) key: Option<Key>,
    pub(crate) record: Result<Record, StorageError>,
    /// Of key and record.
    pub(crate) bytes: usize,
    storage_key: Vec<u8>,
}

/// One piece of a scan.
#[derive(Debug)]
pub(crate) struct RecordScan {
    pub(crate) rows: Vec<ScanRow>,
    /// Where the next piece starts; `None` at the end.
    pub(crate) next: Option<Position>,
}

/// A record whose time has come, as far as the index knows.
#[derive(Clone, Debug)]
pub(crate) struct DueEntry {
    pub(crate) key: Option<Key>,
    pub(crate) entry: IndexEntry,
}

/// Records that may be due.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) entries: Vec<DueEntry>,
    /// Where the next piece starts; `None` at the end.
    pub(crate) next: Option<Position>,
}

impl Storage {
    /// Returns up to `limit` records after a position.
    pub(crate) fn scan(&self, filter: &ScanFilter, after: Option<&Position>, limit: usize) -> Result<RecordScan, StorageError> {
        let after = after.map(|position| &position.0[..]);
        self.view(|view, _| match filter {
            ScanFilter::All => Ok(to_rows(view.records_after(&[], after, limit)?)),
            ScanFilter::Scope(scope) => Ok(to_rows(view.records_after(&keys::scope_prefix(scope), after, limit)?)),
            ScanFilter::InFlight => {
                let read = |class, after: Option<&[u8]>, limit| view.index(class, after, FOREVER, limit);
                Ok(look_up(&view, classes_after(&[Class::Held, Class::InFlight], after, limit, read)?))
            }
            ScanFilter::ByIndex => Ok(look_up(&view, view.index_rows(after, limit)?)),
        })
    }

    /// Hands every record to `each`, a piece at a time. Where a damaged page ends the scan in key order, it goes on through
    /// the index and reports what cannot be read, record by record.
    pub(crate) fn walk(&self, piece: usize, mut each: impl FnMut(&[ScanRow]) -> crate::Result<()>) -> crate::Result<()> {
        let (mut filter, mut after) = (ScanFilter::All, None);
        // What the scan in key order had shown when it failed.
        let mut shown: Option<Vec<u8>> = None;
        loop {
            let mut scan = match (self.scan(&filter, after.as_ref(), piece), &filter) {
                (Err(StorageError::Damaged(_)), ScanFilter::All) => {
                    shown = after.take().map(|Position(key)| key);
                    filter = ScanFilter::ByIndex;
                    continue;
                }
                (scan, _) => scan.map_err(|error| error.into_error("reading records"))?,
            };
            if matches!(filter, ScanFilter::ByIndex) {
                scan.rows.retain(|row| shown.as_ref().is_none_or(|shown| row.storage_key > *shown));
            }
            each(&scan.rows)?;
            after = scan.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Counts the records among these that the index does not have, as they are now.
    pub(crate) fn unindexed(&self, rows: &[ScanRow]) -> Result<u64, StorageError> {
        self.view(|view, _| {
            let is_indexed = |row: &&ScanRow| match view.record(&row.storage_key) {
                Ok(Some(record)) => view.has_index(&IndexEntry::of(&row.storage_key, &record)).unwrap_or(false),
                Ok(None) | Err(_) => true,
            };
            Ok(rows.iter().filter(|row| !is_indexed(row)).count() as u64)
        })
    }

    /// Returns up to `limit` records after a position that may be due for removal at `now`.
    pub(crate) fn due(&self, now: Timestamp, after: Option<&Position>, limit: usize) -> Result<Due, StorageError> {
        self.view(|view, _| {
            let read = |class, after: Option<&[u8]>, limit| view.index(class, after, now, limit);
            let piece = classes_after(&[Class::InFlight, Class::Terminal], after.map(|at| &at.0[..]), limit, read)?;
            let next = next_of(&piece);
            let to_due = |(entry, _): (IndexEntry, Timestamp)| DueEntry { key: parse_storage_key(&entry.storage_key), entry };
            Ok(Due { entries: piece.rows.into_iter().map(to_due).collect(), next })
        })
    }

    /// Returns since when the oldest of the in-flight records has been known, of the first `limit` that the index has.
    pub(crate) fn oldest_in_flight(&self, limit: usize) -> Result<Option<Timestamp>, StorageError> {
        self.view(|view, _| {
            // Held ones are in the order of age; the others are not.
            let held = view.index(Class::Held, None, FOREVER, 1)?;
            let others = view.index(Class::InFlight, None, FOREVER, limit)?;
            Ok(held.rows.into_iter().chain(others.rows).map(|(_, first_seen_at)| first_seen_at).min())
        })
    }

    /// Returns when the record that expired first did, if any is due at `now`.
    pub(crate) fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.view(|view, _| Ok(view.index(Class::Terminal, None, now, 1)?.rows.first().map(|(entry, _)| entry.time)))
    }

    /// Counts the index entries after a position that do not belong to the record they name.
    pub(crate) fn check_index(&self, after: Option<&Position>, limit: usize) -> Result<(u64, Option<Position>), StorageError> {
        self.view(|view, _| {
            let piece = view.index_rows(after.map(|position| &position.0[..]), limit)?;
            let mut astray = 0;
            for (entry, _) in &piece.rows {
                // Damaged records are counted where they are.
                if let Ok(record) = view.record(&entry.storage_key) {
                    let belongs = record.is_some_and(|record| IndexEntry::of(&entry.storage_key, &record) == *entry);
                    astray += u64::from(!belongs);
                }
            }
            Ok((astray, next_of(&piece)))
        })
    }

    /// Returns up to `limit` audit rows from `from` on.
    pub(crate) fn audit_rows(&self, from: u64, limit: usize) -> Result<Vec<AuditRow>, StorageError> {
        self.view(|view, table| {
            let after = from.checked_sub(1).map(u64::to_be_bytes);
            let piece = view.raw_rows("audit", after.as_ref().map(|bytes| &bytes[..]), limit)?;
            let rows = piece.try_map(|(number, frame)| {
                let number = number.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
                audit::decode(table.values(), number, &frame)
            })?;
            Ok(rows.rows)
        })
    }
}

/// Returns the index entries of attempts in flight that name this record, for a record that cannot say which is its own.
pub(super) fn in_flight_entries_of(view: &View<'_>, storage_key: &[u8]) -> Result<Vec<IndexEntry>, StorageError> {
    const ENTRIES: usize = 4096;
    let (mut found, mut after): (Vec<IndexEntry>, Option<Vec<u8>>) = (Vec::new(), None);
    loop {
        let read = |class, after: Option<&[u8]>, limit| view.index(class, after, FOREVER, limit);
        let piece = classes_after(&[Class::Held, Class::InFlight], after.as_deref(), ENTRIES, read)?;
        after = next_of(&piece).map(|Position(bytes)| bytes);
        found.extend(piece.rows.into_iter().map(|(entry, _)| entry).filter(|entry| entry.storage_key == storage_key));
        if after.is_none() {
            return Ok(found);
        }
    }
}

fn to_rows(piece: Piece<Scanned>) -> RecordScan {
    let next = piece.rows.last().filter(|_| piece.has_more).map(|row| Position(row.storage_key.clone()));
    let to_row =
        |Scanned { storage_key, record, bytes }| ScanRow { key: parse_storage_key(&storage_key), record, bytes, storage_key };
    RecordScan { rows: piece.rows.into_iter().map(to_row).collect(), next }
}

/// Finds the records of index entries. An entry without a record is passed over.
fn look_up(view: &View<'_>, piece: IndexPiece) -> RecordScan {
    let next = next_of(&piece);
    let to_row = |(entry, _): (IndexEntry, Timestamp)| {
        let record = view.record(&entry.storage_key).transpose()?;
        let frame_len = view.frame_len(&entry.storage_key).ok().flatten().unwrap_or_default();
        let bytes = entry.storage_key.len() + frame_len;
        Some(ScanRow { key: parse_storage_key(&entry.storage_key), record, bytes, storage_key: entry.storage_key })
    };
    RecordScan { rows: piece.rows.into_iter().filter_map(to_row).collect(), next }
}

fn next_of(piece: &IndexPiece) -> Option<Position> {
    piece.rows.last().filter(|_| piece.has_more).map(|(entry, _)| Position(entry.to_bytes()))
}

/// Reads parts of the index one behind the other, from a position on.
fn classes_after(
    classes: &[Class],
    after: Option<&[u8]>,
    limit: usize,
    read: impl Fn(Class, Option<&[u8]>, usize) -> Result<IndexPiece, StorageError>,
) -> Result<IndexPiece, StorageError> {
    let position = after.and_then(<[u8]>::first).copied();
    let mut all = Piece { rows: Vec::new(), has_more: false };
    for &class in classes.iter().filter(|&&class| position.is_none_or(|position| position <= class as u8)) {
        if all.has_more {
            break;
        }
        let after = after.filter(|_| position == Some(class as u8));
        let piece = read(class, after, limit - all.rows.len())?;
        all.rows.extend(piece.rows);
        all.has_more = piece.has_more;
    }
    Ok(all)
}

impl DueEntry {
    /// Returns whether this is the index entry of that record.
    pub(crate) fn is_of(&self, record: &Record) -> bool {
        self.entry == IndexEntry::of(&self.entry.storage_key, record)
    }

    /// Where a scan goes on behind this entry.
    pub(crate) fn position(&self) -> Position {
        Position(self.entry.to_bytes())
    }
}

impl ScanRow {
    /// Returns whether the record is sound and has this state.
    pub(crate) fn has_state(&self, state: State) -> bool {
        self.record.as_ref().is_ok_and(|record| record.state == state)
    }
}
