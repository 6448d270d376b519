//! The only place that names redb, bincode or a file. One writer applies batches; any thread reads.
//!
//! A batch becomes durable in the [journal]; its records stay in [memory](recent) until a [checkpoint] has brought them into the
//! [table], which is redb.

mod audit;
mod batch;
mod blocks;
mod caught;
mod checkpoint;
mod codec;
mod copy;
mod database;
pub mod disk;
mod error;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod in_flight;
mod journal;
mod keys;
mod lifecycle;
mod load;
mod meta;
mod owner;
mod recent;
mod recovery;
mod reserve;
mod rewrite;
mod row_key;
mod run;
mod scan;
mod seal;
mod settled;
mod snapshot;
mod sorted;
mod superblock;
mod sweep;
mod table;
mod trace;
mod unfinished;
mod view;
mod walk;

pub use audit::AuditRow;
pub(crate) use batch::{Batch, Before, KeyChange, NewAuditRow};
pub use blocks::IoCounts;
pub use caught::hide_caught_panics;
pub(crate) use codec::FRAME_BYTES_MIN;
pub(crate) use error::{ApplyError, StorageError};
pub use journal::JournalStats;
pub(crate) use lifecycle::{OpenMode, StorageOptions};
pub(crate) use meta::Counts;
pub(crate) use scan::{Due, DueEntry, Position, ScanFilter, ScanRow};

use crate::{
    Key, Scope, State, Timestamp,
    record::Record,
    sync::{Mutex, RwLock},
};
use batch::bytes_at_most;
use checkpoint::{Tail, Tails};
use database::Database;
use disk::Disk;
use frame::StoreId;
use journal::{Active, Journal, Logged};
use keys::storage_key;
use meta::{CountsDelta, Meta};
pub(crate) use recent::Seen;
use recent::{Change, Known, Recent};
use reserve::Reserve;
use rewrite::Upkeep;
use seal::ValueCheck;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// An open store file and what belongs to it.
#[derive(Debug)]
pub(crate) struct Storage {
    disk: Arc<dyn Disk>,
    name: String,
    id: StoreId,
    /// For what the journal and the table hold.
    values: ValueCheck,
    options: StorageOptions,
    /// The batch that the note beside the store tells of.
    noted_batch: AtomicU64,
    reserve: Reserve,
    database: Database,
    /// `None` once closed.
    journal: RwLock<Option<Arc<Journal>>>,
    recent: Recent,
    tails: Mutex<Tails>,
    /// As of the last applied batch.
    meta: Mutex<Meta>,
    /// Held during a checkpoint.
    checkpointing: Mutex<()>,
    upkeep: Upkeep,
    closing: AtomicBool,
}

impl Storage {
    /// Returns what is stored for a key, durably.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Record>, StorageError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(StorageError::Closed);
        }
        self.recent.get(key).map_or_else(|| self.look_up(key), |Known(record)| Ok(record))
    }

    /// As [`get`](Self::get), in a way that [`get_since`](Self::get_since) can build upon.
    pub(crate) fn look(&self, key: &Key) -> Result<Seen, StorageError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(StorageError::Closed);
        }
        self.recent.look(key, || self.look_up(key))
    }

    /// As [`get`](Self::get), without looking again for what somebody has seen a moment ago. So the writer hardly ever reads the
    /// disk.
    pub(crate) fn get_since(&self, key: &Key, seen: Option<&Seen>) -> Result<Option<Record>, StorageError> {
        match (self.recent.get(key), seen) {
            (Some(Known(record)), _) => Ok(record),
            (None, Some(seen)) if self.recent.remembers_since(seen) => Ok(seen.record.as_deref().cloned()),
            (None, _) => self.look_up(key),
        }
    }

    fn look_up(&self, key: &Key) -> Result<Option<Record>, StorageError> {
        let storage_key = storage_key(key);
        self.database.look(|table| match table.trace(&storage_key) {
            Some(trace) => table.view()?.record_at(&storage_key, &trace),
            None => Ok(None),
        })
    }

    /// Returns how many records a scope has.
    pub(crate) fn scope_records(&self, scope: &Scope) -> Result<u64, StorageError> {
        let prefix = keys::scope_prefix(scope);
        loop {
            let generation = self.recent.generation();
            // What is frozen counts unless the table has it; a checkpoint may end while this looks.
            let (active, frozen) = {
                let tails = self.tails.lock();
                let delta = |tail: &Tail| tail.scopes.get(scope).copied().unwrap_or_default();
                let frozen = tails.frozen.as_ref().map(|frozen| (frozen.meta.generation, delta(&frozen.tail)));
                (delta(&tails.active), frozen)
            };
            let records = self.database.view(|view, _| {
                let taken_over = view.meta()?.generation;
                let frozen = frozen.filter(|(generation, _)| *generation > taken_over).map_or(0, |(_, delta)| delta);
                Ok(view.scope_records(&prefix)?.saturating_add_signed(active + frozen))
            })?;
            // Otherwise what was active then may be in the table by now.
            if generation == self.recent.generation() {
                return Ok(records);
            }
        }
    }

    /// Makes a batch durable. When this returns, either all of it is in effect for ever, or the error says what is.
    pub(crate) fn apply(&self, batch: Batch) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        let mut active = journal.active();
        if self.closing.load(Ordering::Acquire) {
            return Err(ApplyError::NotDone(StorageError::Closed));
        }
        let bytes = bytes_at_most(&batch);
        if !journal.has_room(&active, bytes) {
            self.turn(&journal, &mut active)?;
        }
        let logged = self.log(batch).map_err(ApplyError::NotDone)?;
        let mut frame = journal::start_frame(bytes);
        journal::encode(&logged, &mut frame).map_err(ApplyError::NotDone)?;
        journal.append(&mut active, frame, logged.meta.batch)?;
        self.check_still_in_place(&journal, &active).map_err(|error| journal.failed(error))?;
        // Only now: what readers see is durable.
        self.take_in(logged);
        Ok(())
    }

    fn journal(&self) -> Result<Arc<Journal>, ApplyError> {
        self.journal.read().clone().ok_or(ApplyError::NotDone(StorageError::Closed))
    }

    /// What was written to a file that has no name, or whose name belongs to another file, is not durable.
    fn check_still_in_place(&self, journal: &Journal, active: &Active<'_>) -> Result<(), ApplyError> {
        let (segment, segment_id) = journal.place(active);
        let ours = self.database.current().map_err(ApplyError::Indeterminate)?.id;
        for (name, ours) in [(&*self.name, ours), (segment, segment_id)] {
            let path = || self.disk.path(name);
            let lost = match self.disk.id(name) {
                Ok(named) if named == ours => continue,
                Ok(_) => format!("{} was replaced by another file while it was open", path()),
                Err(error) => format!("{} is gone from under the open store: {error}", path()),
            };
            return Err(ApplyError::Indeterminate(StorageError::Io(std::io::Error::other(lost))));
        }
        Ok(())
    }

    /// Puts together what a batch changes.
    fn log(&self, batch: Batch) -> Result<Logged, StorageError> {
        let mut meta = *self.meta.lock();
        let mut changes = Vec::with_capacity(batch.changes.len());
        let mut counts = CountsDelta::default();
        for (key, change) in batch.changes {
            let base = self.recent.base(&key, &change.before);
            let scope_delta = self.count(&mut counts, &key, &change)?;
            changes.push(Change { key, base, scope_delta, after: change.after });
        }
        let audit = audit::number(self.values, batch.audit, batch.now, &mut meta)?;
        let stale = batch.stale.iter().map(|due| due.entry.to_bytes()).collect();
        meta.batch += 1;
        meta.next_token = batch.next_token;
        meta.high_water_ms = meta.high_water_ms.max(batch.now.as_millis());
        Ok(Logged { meta, counts, changes, audit, stale })
    }

    /// Counts one change; returns by how much the scope's records change.
    fn count(&self, counts: &mut CountsDelta, key: &Key, change: &KeyChange) -> Result<i8, StorageError> {
        let mut delta = 0;
        let key_len = keys::len_of(key);
        let stored = match &change.before {
            Before::Absent => None,
            // It stays in its run until that is swept, and counts until then.
            Before::Present(record) if record.state != State::InFlight && !self.recent.is_active(key) => None,
            Before::Present(record) => Some((record.state, bytes_of(key_len, record))),
            Before::Damaged => {
                // Its state is only in what cannot be trusted; but outside the runs there is nothing that has ended.
                let storage_key = storage_key(key);
                // A page that cannot be read cannot be changed either; better to know it now than at the checkpoint.
                let len = self.database.view(|view, _| {
                    view.is_in_a_run(&storage_key)?;
                    view.in_flight_len(&storage_key)
                })?;
                len.map(|len| (State::InFlight, key_len + len))
            }
        };
        if let Some((state, bytes)) = stored {
            counts.add(state, bytes, -1);
            delta -= 1;
        }
        if let Some(record) = &change.after {
            counts.add(record.state, bytes_of(key_len, record), 1);
            delta += 1;
        }
        Ok(delta)
    }

    /// What is durable in the journal is in effect.
    fn take_in(&self, logged: Logged) {
        {
            let mut tails = self.tails.lock();
            for change in logged.changes.iter().filter(|change| change.scope_delta != 0) {
                let delta = i64::from(change.scope_delta);
                match tails.active.scopes.get_mut(change.key.scope()) {
                    Some(sum) => *sum += delta,
                    None => drop(tails.active.scopes.insert(change.key.scope().clone(), delta)),
                }
            }
            tails.active.counts += logged.counts;
            tails.active.audit.extend(logged.audit);
            tails.active.stale.extend(logged.stale);
        }
        self.recent.apply(logged.changes);
        let mut meta = self.meta.lock();
        *meta = Meta { counts: meta.counts.changed(logged.counts), ..meta.after(&logged.meta) };
    }

    /// Returns the records by state, and their bytes.
    pub(crate) fn counts(&self) -> Counts {
        self.meta.lock().counts
    }

    /// Tells two states of the records apart, and of where they are.
    pub(crate) fn state(&self) -> impl PartialEq + use<> {
        let runs = self.catalog().map_or(0, |catalog| catalog.version);
        let Meta { batch, counts, .. } = *self.meta.lock();
        (batch, counts, self.recent.generation(), runs, self.tails.lock().frozen.is_some())
    }

    /// Counts records that have expired, whose keys are used again, and that are on their way into a run.
    pub(crate) fn shadowed(&self) -> Counts {
        let mut shadowed = CountsDelta::default();
        self.recent.each_shadowed(|key, record| shadowed.add(record.state, bytes_of(keys::len_of(key), record), 1));
        Counts::default().changed(shadowed)
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

    /// Returns what was done to the files since the open.
    pub(crate) fn io(&self) -> IoCounts {
        self.database.io() + self.journal().map_or_else(|_| IoCounts::default(), |journal| journal.io())
    }

    /// Returns the figures of the journal.
    pub(crate) fn journal_stats(&self) -> JournalStats {
        let stats = self.journal().map_or_else(|_| JournalStats::default(), |journal| journal.stats());
        JournalStats { records: self.recent.unsettled() as u64, ..stats }
    }

    /// Returns the length of the store file in bytes.
    pub(crate) fn file_bytes(&self) -> Result<u64, StorageError> {
        self.database.current()?.file.len().map_err(StorageError::Io)
    }

    /// Makes what follows look at the file and not at what was read of it before.
    pub(crate) fn forget_blocks(&self) -> Result<(), StorageError> {
        self.database.current().map(|open| open.table.forget_blocks())
    }

    /// Returns which file the store is in; a compaction changes it.
    pub(crate) fn file_id(&self) -> Result<disk::FileId, StorageError> {
        Ok(self.database.current()?.id)
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
        self.settle_all().unwrap();
        self.recent.forget_settled();
        let storage_key = storage_key(key);
        let table = self.database.current().unwrap().table;
        table.in_flight().add([table.hash_of(&storage_key)]);
        let txn = table.begin_write().unwrap();
        txn.open_table(table::RECORDS).unwrap().insert(&storage_key[..], &b"not a record"[..]).unwrap();
        table.finish(txn).unwrap();
    }
}

/// The bytes of a record and its key in the file.
fn bytes_of(storage_key_len: usize, record: &Record) -> usize {
    let checkpoint = record.checkpoint.as_ref().map_or(0, |mark| mark.len());
    storage_key_len + FRAME_BYTES_MIN + checkpoint + record.payload.len()
}
