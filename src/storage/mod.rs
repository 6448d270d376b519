//! The only place that names redb, bincode or a file. One writer applies batches; any thread reads.

mod audit;
mod blocks;
mod codec;
mod copy;
pub mod disk;
mod error;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod keys;
mod lifecycle;
mod meta;
mod owner;
mod reserve;
mod scan;
mod superblock;
mod table;
mod view;

pub use audit::AuditRow;
pub use blocks::IoCounts;
pub(crate) use codec::FRAME_BYTES_MIN;
pub(crate) use error::{ApplyError, StorageError};
pub(crate) use lifecycle::{OpenMode, StorageOptions};
pub(crate) use meta::Counts;
pub(crate) use scan::{Due, DueEntry, Position, ScanFilter, ScanRow};

use crate::{
    FencingToken, Key, Timestamp,
    limits::AUDIT_ROWS_MAX,
    record::Record,
    sync::{Mutex, RwLock},
};
use disk::{Disk, DiskFile};
use frame::StoreId;
use keys::{IndexEntry, storage_key};
use meta::Meta;
use reserve::Reserve;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};
use table::{RowChange, Rows, Table};
use view::View;

/// How often a read starts again because the file was opened anew underneath it.
const READ_TRIES: usize = 8;

/// An open store file and what belongs to it.
#[derive(Debug)]
pub(crate) struct Storage {
    disk: Arc<dyn Disk>,
    name: String,
    id: StoreId,
    cache_bytes: usize,
    /// The batch that the note beside the store tells of.
    noted_batch: AtomicU64,
    reserve: Reserve,
    /// `None` once closed.
    open: RwLock<Option<Open>>,
    /// As of the last applied batch.
    meta: Mutex<Meta>,
    /// Of files and databases that were open before.
    earlier_io: Mutex<IoCounts>,
}

/// What a compaction or a recovery replaces.
#[derive(Clone, Debug)]
struct Open {
    file: Arc<dyn DiskFile>,
    table: Arc<Table>,
}

/// What one commit makes durable.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) changes: BTreeMap<Key, KeyChange>,
    pub(crate) audit: Vec<NewAuditRow>,
    /// Index entries that belong to no record.
    pub(crate) stale: Vec<DueEntry>,
    pub(crate) next_token: u64,
    pub(crate) now: Timestamp,
}

/// One key before and after a batch.
#[derive(Debug)]
pub(crate) struct KeyChange {
    pub(crate) before: Before,
    pub(crate) after: Option<Record>,
}

/// What the storage held for a key.
#[derive(Debug)]
pub(crate) enum Before {
    Absent,
    Present(Record),
    /// Something that does not verify.
    Damaged,
}

impl Before {
    /// Returns whether there is anything.
    pub(crate) fn is_stored(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

impl KeyChange {
    /// Returns whether the key ends as it began: a record that came and went within one batch.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self.before, Before::Absent) && self.after.is_none()
    }
}

/// An act of an operator, to be numbered.
#[derive(Debug)]
pub(crate) struct NewAuditRow {
    pub(crate) key: Key,
    pub(crate) token: Option<FencingToken>,
    pub(crate) outcome: Option<crate::OutcomeKind>,
    pub(crate) reason: String,
}

/// A consistent look at the records, for a batch of decisions.
pub(crate) struct Reader<'s> {
    view: View<'s>,
}

impl Reader<'_> {
    /// Returns what is stored for a key.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Record>, StorageError> {
        self.view.record(&storage_key(key))
    }

    /// Returns how many records a scope has.
    pub(crate) fn scope_records(&self, scope: &crate::Scope) -> Result<u64, StorageError> {
        self.view.scope_records(&keys::scope_prefix(scope))
    }
}

impl Storage {
    /// Runs `look` on a consistent view; again, if a recovery replaced the database meanwhile.
    pub(crate) fn read<T>(&self, look: impl Fn(&Reader<'_>) -> Result<T, StorageError>) -> Result<T, StorageError> {
        self.view(|view, _| look(&Reader { view }))
    }

    fn view<T>(&self, look: impl Fn(View<'_>, &Table) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let table = self.current()?.table;
            let result = table.view().and_then(|view| look(view, &table));
            if !table.health().is_retired() {
                return result;
            }
            // What was read while the new database wrote to the same file may be a mixture.
            if tries == READ_TRIES {
                return Err(StorageError::Engine("the file was opened anew too often while it was read".into()));
            }
        }
    }

    fn current(&self) -> Result<Open, StorageError> {
        self.open.read().clone().ok_or(StorageError::Closed)
    }

    /// Makes a batch durable. When this returns, either all of it is in effect for ever, or the error says what is.
    pub(crate) fn apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let meta_before = *self.meta.lock();
        let open = self.current().map_err(ApplyError::NotDone)?;
        let rows =
            open.table.view().and_then(|view| Self::rows(&open.table, &view, batch, meta_before)).map_err(ApplyError::NotDone)?;
        match open.table.commit(&rows) {
            Ok(()) => (),
            Err(cause) => self.recover(&open, cause, &rows.meta)?,
        }
        *self.meta.lock() = rows.meta;
        self.check_still_in_place()
    }

    /// What was committed to a file that has no name, or whose name belongs to another file, is not durable.
    fn check_still_in_place(&self) -> Result<(), ApplyError> {
        let lost = |what: String| ApplyError::Indeterminate(StorageError::Io(std::io::Error::other(what)));
        let path = || self.disk.path(&self.name);
        let ours = self.current().map_err(ApplyError::Indeterminate)?.file.id();
        match (self.disk.id(&self.name), ours) {
            (Ok(named), Ok(ours)) if named == ours => Ok(()),
            (Ok(_), Ok(_)) => Err(lost(format!("{} was replaced by another file while it was open", path()))),
            (Err(error), _) | (_, Err(error)) => Err(lost(format!("{} is gone from under the open store: {error}", path()))),
        }
    }

    /// Finds out what a failed commit left. If no sync failed, the operating system's view of the file is coherent: open
    /// the database anew and look which batch it holds.
    fn recover(&self, open: &Open, cause: StorageError, wanted: &Meta) -> Result<(), ApplyError> {
        if open.table.health().sync_failed() {
            return Err(ApplyError::Indeterminate(cause));
        }
        if matches!(cause, StorageError::Full(_)) {
            // Opening writes as well, and on a copy-on-write file system that takes space.
            self.reserve.release();
        }
        open.table.health().retire();
        let reopened =
            Table::open(open.file.clone(), &self.id, self.cache_bytes).and_then(|table| Ok((table.view()?.meta()?, table)));
        let Ok((found, table)) = reopened else {
            return Err(ApplyError::Indeterminate(cause));
        };
        *self.earlier_io.lock() += open.table.health().io();
        let table = Arc::new(table);
        self.replace(Open { file: open.file.clone(), table: table.clone() });
        if found.batch != wanted.batch {
            return Err(ApplyError::NotDone(cause));
        }
        // The batch is there, yet its last sync may not have run: a commit on top of it makes it durable.
        table.commit(&Rows::meta_only(*wanted)).map_err(ApplyError::Indeterminate)
    }

    /// Puts another file or database in the place of the current one; returns that, unless the store was closed.
    fn replace(&self, new: Open) -> Option<Open> {
        self.open.write().as_mut().map(|open| std::mem::replace(open, new))
    }

    fn rows(table: &Table, view: &View<'_>, batch: &Batch, mut meta: Meta) -> Result<Rows, StorageError> {
        let mut scopes: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let mut records = Vec::with_capacity(batch.changes.len());
        for (key, change) in &batch.changes {
            let place = storage_key(key);
            let row = row_change(table, place, change)?;
            *scopes.entry(keys::scope_prefix(key.scope())).or_default() += count(&mut meta.counts, view, &row, change)?;
            records.push(row);
        }
        records.sort_by(|a, b| a.storage_key.cmp(&b.storage_key));
        let scopes = scopes.into_iter().filter(|&(_, delta)| delta != 0);
        let scopes = scopes.map(|(prefix, delta)| {
            let count = view.scope_records(&prefix)?.saturating_add_signed(delta);
            Ok((prefix, count))
        });
        let scopes = scopes.collect::<Result<_, StorageError>>()?;
        let (audit, audit_removed) = number_audit_rows(table, batch, &mut meta)?;
        let mut index_removed: Vec<_> = batch.stale.iter().map(|due| due.entry.to_bytes()).collect();
        for (key, _) in batch.changes.iter().filter(|(_, change)| matches!(change.before, Before::Damaged)) {
            let entries = scan::in_flight_entries_of(view, &storage_key(key))?;
            index_removed.extend(entries.iter().map(IndexEntry::to_bytes));
        }
        meta.batch += 1;
        meta.next_token = batch.next_token;
        meta.high_water_ms = meta.high_water_ms.max(batch.now.as_millis());
        Ok(Rows { records, index_removed, scopes, audit, audit_removed, meta })
    }

    /// Returns the records by state, and their bytes.
    pub(crate) fn counts(&self) -> Counts {
        self.meta.lock().counts
    }

    pub(crate) fn incarnation(&self) -> u64 {
        self.meta.lock().incarnation
    }

    pub(crate) fn next_token(&self) -> u64 {
        self.meta.lock().next_token
    }

    /// Returns the latest time that the store acted on, in this or an earlier open.
    pub(crate) fn high_water(&self) -> Timestamp {
        self.meta.lock().high_water()
    }

    /// Returns what was done to the file since the open.
    pub(crate) fn io(&self) -> IoCounts {
        let earlier = *self.earlier_io.lock();
        self.current().map_or(earlier, |open| earlier + open.table.health().io())
    }

    /// Returns the length of the file in bytes.
    pub(crate) fn file_bytes(&self) -> Result<u64, StorageError> {
        self.current()?.file.len().map_err(StorageError::Io)
    }

    /// Takes up or gives back the space that is kept for finishing.
    pub(crate) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// Returns the path for messages.
    pub(crate) fn path(&self) -> String {
        self.disk.path(&self.name)
    }
}

#[cfg(test)]
impl Storage {
    /// Makes the record of a key one that does not verify, on a page that does.
    pub(crate) fn damage(&self, key: &Key) {
        let row = (storage_key(key), b"not a record".to_vec());
        self.current().unwrap().table.insert_rows("records", &[row]).unwrap();
    }
}

impl std::ops::AddAssign for IoCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

fn row_change(table: &Table, place: Vec<u8>, change: &KeyChange) -> Result<RowChange, StorageError> {
    let before = match &change.before {
        Before::Present(record) => Some(IndexEntry::of(&place, record)),
        // A damaged record does not say which index entry is its own: see where the rows are put together.
        Before::Absent | Before::Damaged => None,
    };
    let after = match &change.after {
        Some(record) => Some((IndexEntry::of(&place, record), table.encode(&place, record)?, record.first_seen_at)),
        None => None,
    };
    Ok(RowChange { storage_key: place, before, after })
}

/// Updates the counts for one change; returns by how much the scope's records change.
fn count(counts: &mut Counts, view: &View<'_>, row: &RowChange, change: &KeyChange) -> Result<i64, StorageError> {
    let mut delta = 0;
    let place = row.storage_key.len();
    let stored = match &change.before {
        Before::Absent => None,
        Before::Present(record) => Some((record.state, bytes_of(place, record))),
        // Its state cannot be trusted; verification recounts.
        Before::Damaged => Some((crate::State::InFlight, place + view.frame_len(&row.storage_key)?.unwrap_or_default())),
    };
    if let Some((state, bytes)) = stored {
        let slot = counts.of_state(state);
        *slot = slot.saturating_sub(1);
        counts.bytes = counts.bytes.saturating_sub(bytes as u64);
        delta -= 1;
    }
    if let (Some(record), Some((_, frame, _))) = (&change.after, &row.after) {
        *counts.of_state(record.state) += 1;
        counts.bytes += (place + frame.len()) as u64;
        delta += 1;
    }
    Ok(delta)
}

/// The bytes of a record and its key in the file.
fn bytes_of(storage_key_len: usize, record: &Record) -> usize {
    let checkpoint = record.checkpoint.as_ref().map_or(0, |mark| mark.len());
    storage_key_len + FRAME_BYTES_MIN + checkpoint + record.payload.len()
}

/// Rows to write and row numbers to remove.
type AuditChange = (Vec<(u64, Vec<u8>)>, Vec<u64>);

fn number_audit_rows(table: &Table, batch: &Batch, meta: &mut Meta) -> Result<AuditChange, StorageError> {
    let mut rows = Vec::with_capacity(batch.audit.len());
    for new in &batch.audit {
        let row = AuditRow {
            number: meta.audit_next,
            at: batch.now,
            key: new.key.clone(),
            token: new.token,
            outcome: new.outcome,
            reason: new.reason.clone(),
        };
        rows.push((row.number, audit::encode(table.values(), &row)?));
        meta.audit_next += 1;
    }
    let first = meta.audit_first.max(meta.audit_next.saturating_sub(AUDIT_ROWS_MAX));
    let removed = (meta.audit_first..first).collect();
    meta.audit_first = first;
    Ok((rows, removed))
}
