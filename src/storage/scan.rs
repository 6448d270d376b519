//! Looks at many records, in bounded pieces, so that no look pins an old version of the database for long.

use super::{
    AuditRow, Storage, audit,
    error::StorageError,
    keys::{self, Class, IndexEntry, parse_storage_key},
    table::Scanned,
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
}

/// One piece of a scan.
#[derive(Debug)]
pub(crate) struct RecordScan {
    pub(crate) rows: Vec<ScanRow>,
    /// Where the next piece starts; `None` at the end.
    pub(crate) next: Option<Position>,
}

/// One record of a scan.
#[derive(Debug)]
pub(crate) struct ScanRow {
    /// `None` if the stored key does not decode.
    pub(crate) key: Option<Key>,
    pub(crate) record: Result<Record, StorageError>,
    /// Of key and record.
    pub(crate) bytes: usize,
    pub(crate) position: Position,
    /// Whether the index has the record's entry.
    pub(crate) indexed: bool,
}

/// A record whose time has come, as far as the index knows.
#[derive(Debug)]
pub(crate) struct DueEntry {
    pub(crate) key: Option<Key>,
    pub(crate) entry: IndexEntry,
}

impl Storage {
    /// Returns up to `limit` records after a position.
    pub(crate) fn scan(&self, filter: &ScanFilter, after: Option<&Position>, limit: usize) -> Result<RecordScan, StorageError> {
        let after = after.map(|position| &position.0[..]);
        let rows = match filter {
            ScanFilter::All => self.scan_records(&[], after, limit),
            ScanFilter::Scope(scope) => self.scan_records(&keys::scope_prefix(scope), after, limit),
            ScanFilter::InFlight => self.scan_in_flight(after, limit),
        }?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.position.clone());
        Ok(RecordScan { rows, next })
    }

    fn scan_records(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<ScanRow>, StorageError> {
        self.view(|view, _| {
            let to_row = |scanned: Scanned| {
                let entry = scanned.record.as_ref().ok().map(|record| IndexEntry::of(&scanned.storage_key, record));
                let indexed = entry.map_or(Ok(false), |entry| view.has_index(&entry))?;
                Ok(ScanRow {
                    key: parse_storage_key(&scanned.storage_key),
                    record: scanned.record,
                    bytes: scanned.bytes,
                    position: Position(scanned.storage_key),
                    indexed,
                })
            };
            view.records_after(prefix, after, limit)?.into_iter().map(to_row).collect()
        })
    }

    fn scan_in_flight(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<ScanRow>, StorageError> {
        self.view(|view, _| {
            let entries = classes_after(&[Class::Held, Class::InFlight], after, limit, |class, after, limit| {
                view.index(class, after, FOREVER, limit)
            })?;
            let to_row = |(entry, _): (IndexEntry, Timestamp)| {
                let record = view.record(&entry.storage_key).transpose()?;
                Some(ScanRow {
                    key: parse_storage_key(&entry.storage_key),
                    record,
                    bytes: 0,
                    position: Position(entry.to_bytes()),
                    indexed: true,
                })
            };
            Ok(entries.into_iter().filter_map(to_row).collect())
        })
    }

    /// Returns up to `limit` records after a position that may be due for removal at `now`.
    pub(crate) fn due(&self, now: Timestamp, after: Option<&Position>, limit: usize) -> Result<Vec<DueEntry>, StorageError> {
        self.view(|view, _| {
            let entries =
                classes_after(&[Class::InFlight, Class::Terminal], after.map(|at| &at.0[..]), limit, |class, after, limit| {
                    view.index(class, after, now, limit)
                })?;
            Ok(entries.into_iter().map(|(entry, _)| DueEntry { key: parse_storage_key(&entry.storage_key), entry }).collect())
        })
    }

    /// Returns since when the oldest of the in-flight records has been known, of the first `limit` that the index has.
    pub(crate) fn oldest_in_flight(&self, limit: usize) -> Result<Option<Timestamp>, StorageError> {
        self.view(|view, _| {
            // Held ones are in the order of age; the others are not.
            let held = view.index(Class::Held, None, FOREVER, 1)?;
            let others = view.index(Class::InFlight, None, FOREVER, limit)?;
            Ok(held.into_iter().chain(others).map(|(_, first_seen_at)| first_seen_at).min())
        })
    }

    /// Returns when the record that expired first did, if any is due at `now`.
    pub(crate) fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.view(|view, _| Ok(view.index(Class::Terminal, None, now, 1)?.first().map(|(entry, _)| entry.time)))
    }

    /// Counts the index entries after a position that do not belong to the record they name.
    pub(crate) fn check_index(&self, after: Option<&Position>, limit: usize) -> Result<(u64, Option<Position>), StorageError> {
        self.view(|view, _| {
            let entries = view.index_rows(after.map(|position| &position.0[..]), limit)?;
            let mut astray = 0;
            for (entry, _) in &entries {
                // Damaged records are counted where they are.
                if let Ok(record) = view.record(&entry.storage_key) {
                    let belongs = record.is_some_and(|record| IndexEntry::of(&entry.storage_key, &record) == *entry);
                    astray += u64::from(!belongs);
                }
            }
            let next = entries.last().filter(|_| entries.len() == limit).map(|(entry, _)| Position(entry.to_bytes()));
            Ok((astray, next))
        })
    }

    /// Returns up to `limit` audit rows from `from` on.
    pub(crate) fn audit_rows(&self, from: u64, limit: usize) -> Result<Vec<AuditRow>, StorageError> {
        self.view(|view, table| {
            let after = from.checked_sub(1).map(u64::to_be_bytes);
            let rows = view.raw_rows("audit", after.as_ref().map(|bytes| &bytes[..]), limit)?;
            let decode = |(number, frame): (Vec<u8>, Vec<u8>)| {
                let number = number.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
                audit::decode(table.values(), number, &frame)
            };
            rows.into_iter().map(decode).collect()
        })
    }
}

type IndexRows = Vec<(IndexEntry, Timestamp)>;

/// Reads parts of the index one behind the other, from a position on.
fn classes_after(
    classes: &[Class],
    after: Option<&[u8]>,
    limit: usize,
    read: impl Fn(Class, Option<&[u8]>, usize) -> Result<IndexRows, StorageError>,
) -> Result<IndexRows, StorageError> {
    let position = after.and_then(<[u8]>::first).copied();
    let mut entries = Vec::new();
    for &class in classes.iter().filter(|&&class| position.is_none_or(|position| position <= class as u8)) {
        let after = after.filter(|_| position == Some(class as u8));
        entries.extend(read(class, after, limit - entries.len())?);
    }
    Ok(entries)
}

impl DueEntry {
    /// Returns whether this is the index entry of that record.
    pub(crate) fn is_of(&self, record: &Record) -> bool {
        self.entry == IndexEntry::of(&self.entry.storage_key, record)
    }

    /// Where the next piece starts.
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
