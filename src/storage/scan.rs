//! Looks at many records, in bounded pieces, so that no look pins an old version of the database for long.
//!
//! Each piece looks first at the records in memory and then at the table. What a checkpoint brings from there to here meanwhile is
//! then seen at least once; and of a key that is seen in both, the one in memory counts.

use super::{
    AuditRow, Storage, audit, bytes_of,
    error::StorageError,
    keys::{self, Class, IndexEntry, Place, parse_storage_key},
    recent::RecentRow,
    view::{IndexPiece, Piece, Scanned, View},
};
use crate::{Key, Scope, State, Timestamp, record::Record};
use std::collections::BTreeMap;

/// The end of all time.
pub(super) const FOREVER: Timestamp = Timestamp::from_millis(u64::MAX - 1);
/// Records that are looked at together to find the oldest.
const OLDEST_PIECE: usize = 4096;
/// The same to find the first.
const FIRST_PIECE: usize = 16;

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
    /// All that are in flight or not in the table yet, through the index: finds records beside a page that cannot be read.
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
    pub(super) storage_key: Vec<u8>,
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

/// An index entry, and its record if the table does not have that yet.
#[derive(Debug)]
struct Indexed {
    entry: IndexEntry,
    first_seen_at: Timestamp,
    record: Option<Record>,
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
        match filter {
            ScanFilter::All => self.scan_keys(&[], after, limit),
            ScanFilter::Scope(scope) => self.scan_keys(&keys::scope_prefix(scope), after, limit),
            ScanFilter::InFlight => self.scan_index(&[Class::Held, Class::InFlight], FOREVER, after, limit),
            ScanFilter::ByIndex => self.scan_index(&Class::ALL, FOREVER, after, limit),
        }
    }

    /// In the order of the keys.
    fn scan_keys(&self, prefix: &[u8], after: Option<&Position>, limit: usize) -> Result<RecordScan, StorageError> {
        let after = after.map(|position| &position.0[..]);
        let is_behind = |key: &[u8]| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        let recent = self.recent.first(limit, |key, _| is_behind(key).then(|| key.to_vec()));
        let stored = self.database.view(|view, _| view.records_after(prefix, after, limit))?;
        let stored_more = stored.has_more;
        let stored = stored.rows.into_iter().map(|row| (row.storage_key.clone(), Some(ScanRow::stored(row)))).collect();
        let (rows, next) = merge(recent, (stored, stored_more), limit);
        Ok(RecordScan { rows, next })
    }

    /// In the order of the index.
    fn scan_index(
        &self,
        classes: &[Class],
        until: Timestamp,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<RecordScan, StorageError> {
        let (entries, next) = self.index_entries(classes, until, after, limit)?;
        let rows = self.database.view(|view, _| {
            let row = |Indexed { entry, record, .. }: &Indexed| match record {
                Some(record) => ScanRow::recent(entry.storage_key.clone(), Some(record.clone())),
                // An entry without a record is passed over.
                None => ScanRow::looked_up(&view, &entry.storage_key),
            };
            Ok(entries.iter().filter_map(row).collect())
        })?;
        Ok(RecordScan { rows, next })
    }

    /// Returns index entries after a position, up to a time within each class.
    fn index_entries(
        &self,
        classes: &[Class],
        until: Timestamp,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<(Vec<Indexed>, Option<Position>), StorageError> {
        let after = after.map(|position| &position.0[..]);
        let recent = self.recent.first(limit, |key, record| {
            let place = Place::of(record?);
            let wanted = classes.contains(&place.class) && place.time <= until;
            let entry = wanted.then(|| place.entry(key).to_bytes())?;
            after.is_none_or(|after| &entry[..] > after).then_some(entry)
        });
        let stored = self
            .database
            .view(|view, _| classes_after(classes, after, limit, |class, after, limit| view.index(class, after, until, limit)))?;
        let stored_more = stored.has_more;
        let stored = stored.rows.into_iter().map(|(entry, first_seen_at)| {
            // What memory knows otherwise no longer stands there; or it does, and is seen there.
            let key = parse_storage_key(&entry.storage_key);
            let is_current = key.is_none_or(|key| self.recent.get_unsettled(&key).is_none());
            (entry.to_bytes(), is_current.then_some(Indexed { entry, first_seen_at, record: None }))
        });
        Ok(merge(recent, (stored.collect(), stored_more), limit))
    }

    /// Counts the records among these that the index does not have, as they are now.
    pub(crate) fn unindexed(&self, rows: &[ScanRow]) -> Result<u64, StorageError> {
        self.database.view(|view, _| {
            let is_indexed = |row: &&ScanRow| match view.record(&row.storage_key) {
                // What has ended needs none: it goes with its run.
                Ok(Some(record)) if record.state != State::InFlight => true,
                Ok(Some(record)) => view.has_index(&IndexEntry::of(&row.storage_key, &record)).unwrap_or(false),
                Ok(None) | Err(_) => true,
            };
            Ok(rows.iter().filter(|row| !is_indexed(row)).count() as u64)
        })
    }

    /// Returns up to `limit` lapsed attempts after a position that may be due for removal at `now`. What has ended goes with its
    /// run.
    pub(crate) fn due(&self, now: Timestamp, after: Option<&Position>, limit: usize) -> Result<Due, StorageError> {
        let (entries, next) = self.index_entries(&[Class::InFlight], now, after, limit)?;
        let to_due = |Indexed { entry, .. }| DueEntry { key: parse_storage_key(&entry.storage_key), entry };
        Ok(Due { entries: entries.into_iter().map(to_due).collect(), next })
    }

    /// Returns since when the oldest of the in-flight records has been known, of the first `limit` that the index has.
    pub(crate) fn oldest_in_flight(&self, limit: usize) -> Result<Option<Timestamp>, StorageError> {
        // Held ones are in the order of age; the others are not.
        let mut oldest = self.first_of(Class::Held, FOREVER)?.map(|first| first.first_seen_at);
        let (mut after, mut seen) = (None, 0);
        while seen < limit {
            let (entries, next) = self.index_entries(&[Class::InFlight], FOREVER, after.as_ref(), OLDEST_PIECE)?;
            seen += entries.len();
            oldest = entries.iter().map(|indexed| indexed.first_seen_at).chain(oldest).min();
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(oldest)
    }

    /// Returns when the record that expired first did, if any is due at `now`.
    pub(crate) fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        // Of those that the runs do not have yet, and of those that they have.
        let recent = self.first_of(Class::Terminal, now)?.map(|first| first.entry.time);
        let in_runs = self.catalog()?.expires_first().filter(|first| *first <= now);
        Ok(recent.into_iter().chain(in_runs).min())
    }

    /// Returns the first entry of a class.
    fn first_of(&self, class: Class, until: Timestamp) -> Result<Option<Indexed>, StorageError> {
        let mut after = None;
        loop {
            let (entries, next) = self.index_entries(&[class], until, after.as_ref(), FIRST_PIECE)?;
            let first = entries.into_iter().next();
            if first.is_some() || next.is_none() {
                return Ok(first);
            }
            after = next;
        }
    }

    /// Counts the index entries after a position that do not belong to the record they name.
    pub(crate) fn check_index(&self, after: Option<&Position>, limit: usize) -> Result<(u64, Option<Position>), StorageError> {
        self.database.view(|view, _| {
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
        let recent: Vec<_> = {
            let tails = self.tails.lock();
            let frozen = tails.frozen.iter().flat_map(|frozen| &frozen.tail.audit);
            frozen.chain(&tails.active.audit).filter(|(number, _)| *number >= from).cloned().collect()
        };
        let stored = self.database.view(|view, _| {
            let after = from.checked_sub(1).map(u64::to_be_bytes);
            let piece = view.raw_rows("audit", after.as_ref().map(|bytes| &bytes[..]), limit)?;
            let number = |bytes: &[u8]| bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
            piece.try_map(|(bytes, row)| Ok((number(&bytes), row)))
        })?;
        let last = stored.rows.last().map(|(number, _)| *number);
        // Only behind all that the table has: a piece may end early.
        let recent = if stored.has_more { Vec::new() } else { recent };
        let behind = recent.into_iter().filter(|(number, _)| last.is_none_or(|last| *number > last));
        let stored = stored.rows;
        let rows = stored.into_iter().chain(behind).take(limit);
        rows.map(|(number, row)| audit::decode(self.values, number, &row)).collect()
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

/// What the records in memory know: positions in order, and whether there are more.
type RecentPiece = (Vec<RecentRow>, bool);

/// What the table knows: positions in order, of which some are no longer current, and whether there are more.
type StoredPiece<T> = (Vec<(Vec<u8>, Option<T>)>, bool);

/// Puts both together, up to where both have been looked at, and says where to go on.
fn merge<T: FromRecent>(recent: RecentPiece, stored: StoredPiece<T>, limit: usize) -> (Vec<T>, Option<Position>) {
    let ((recent, recent_more), (stored, stored_more)) = (recent, stored);
    let seen_to = |last: Option<&Vec<u8>>, more: bool| last.filter(|_| more).cloned();
    let ends = [
        seen_to(recent.last().map(|row| &row.position), recent_more),
        seen_to(stored.last().map(|(position, _)| position), stored_more),
    ];
    let end = ends.into_iter().flatten().min();
    let mut by_position: BTreeMap<Vec<u8>, Option<T>> = stored.into_iter().collect();
    for row in recent {
        let position = row.position.clone();
        by_position.insert(position, T::from_recent(row));
    }
    let mut rows = Vec::new();
    let mut last = None;
    for (position, row) in by_position {
        if end.as_ref().is_some_and(|end| position > *end) {
            break;
        }
        if rows.len() == limit {
            return (rows, last.map(Position));
        }
        rows.extend(row);
        last = Some(position);
    }
    (rows, end.map(Position))
}

/// What a key in memory is in a piece; nothing if it has no record.
trait FromRecent: Sized {
    fn from_recent(row: RecentRow) -> Option<Self>;
}

impl FromRecent for ScanRow {
    fn from_recent(row: RecentRow) -> Option<Self> {
        Self::recent(row.storage_key, row.record)
    }
}

impl FromRecent for Indexed {
    fn from_recent(row: RecentRow) -> Option<Self> {
        let record = row.record?;
        let entry = IndexEntry::of(&row.storage_key, &record);
        Some(Self { entry, first_seen_at: record.first_seen_at, record: Some(record) })
    }
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
    pub(super) fn stored(row: Scanned) -> Self {
        let Scanned { storage_key, record, bytes } = row;
        Self { key: parse_storage_key(&storage_key), record, bytes, storage_key }
    }

    fn recent(storage_key: Vec<u8>, record: Option<Record>) -> Option<Self> {
        let record = record?;
        let bytes = bytes_of(storage_key.len(), &record);
        Some(Self { key: parse_storage_key(&storage_key), record: Ok(record), bytes, storage_key })
    }

    /// The record of an index entry.
    fn looked_up(view: &View<'_>, storage_key: &[u8]) -> Option<Self> {
        let record = view.record(storage_key).transpose()?;
        let bytes = storage_key.len() + view.frame_len(storage_key).ok().flatten().unwrap_or_default();
        Some(Self::stored(Scanned { storage_key: storage_key.to_vec(), record, bytes }))
    }

    /// Returns whether the record is sound and has this state.
    pub(crate) fn has_state(&self, state: State) -> bool {
        self.record.as_ref().is_ok_and(|record| record.state == state)
    }
}
