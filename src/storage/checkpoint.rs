//! Brings the table up to date with the journal, so that the journal can be written anew.
//!
//! 1. The writer *turns* the journal: what was active is frozen, and the spare segment is active. Nothing changes on disk.
//! 2. One commit brings the latest record of every frozen key into the table, and with it the number of the last batch and of
//!    the generation. A crash before it is durable leaves the segment, which is replayed; one after it leaves a segment that
//!    is passed over, because the table knows its generation.
//! 3. The segment starts its next generation. Only now are its frames gone.

use super::{
    Storage,
    error::{ApplyError, StorageError},
    journal::{Active, Journal, Wanted},
    meta::{CountsDelta, Meta},
    settled::settled,
};
use crate::Scope;
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, atomic::Ordering},
};

/// What belongs to a generation beside its records.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// By how many the records of a scope change.
    pub(crate) scopes: HashMap<Scope, i64>,
    /// Numbers and sealed rows.
    pub(crate) audit: Vec<(u64, Vec<u8>)>,
    /// Index entries that belong to no record.
    pub(crate) stale: Vec<Vec<u8>>,
    pub(crate) counts: CountsDelta,
}

/// The tails of the active and the frozen generation.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    pub(crate) active: Tail,
    pub(crate) frozen: Option<Frozen>,
}

/// A tail that takes no more.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) tail: Arc<Tail>,
    /// The store's state at its end, and its generation.
    pub(crate) meta: Meta,
}

impl Storage {
    /// Makes the active segment frozen, after a checkpoint of what is frozen already. The caller applies nothing meanwhile.
    pub(super) fn turn(&self, journal: &Journal, active: &mut Active<'_>) -> Result<(), ApplyError> {
        let generation = active.generation;
        while !journal.turn(active) {
            if self.options.checkpoint_inline {
                self.checkpoint(journal)?;
            } else {
                journal.await_spare()?;
            }
        }
        self.freeze(generation);
        if self.options.checkpoint_inline {
            // What fails here is tried again when its segment is needed.
            match self.checkpoint(journal) {
                Ok(()) => self.merge_runs().or_else(|error| self.note_upkeep(journal, error))?,
                Err(error) => journal.note_failure(journal.failed(error).into_cause()),
            }
        } else {
            journal.want_checkpoint();
        }
        Ok(())
    }

    pub(super) fn freeze(&self, generation: u64) {
        let meta = Meta { generation, ..*self.meta.lock() };
        let mut tails = self.tails.lock();
        self.recent.freeze();
        let tail = Arc::new(mem::take(&mut tails.active));
        tails.frozen = Some(Frozen { tail, meta });
    }

    /// Brings what is frozen into the table and gives its segment back.
    pub(super) fn checkpoint(&self, journal: &Journal) -> Result<(), ApplyError> {
        let _one_at_a_time = self.checkpointing.lock();
        journal.check_sound()?;
        self.settle().map_err(|error| journal.failed(error))?;
        // The writer may be in the middle of a turn: then there is a frozen segment that nobody has looked at yet.
        let taken_over = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?.generation;
        journal.recycle(taken_over)
    }

    /// Brings what is frozen into the table.
    pub(super) fn settle(&self) -> Result<(), ApplyError> {
        let (tail, meta) = match &self.tails.lock().frozen {
            Some(Frozen { tail, meta }) => (tail.clone(), *meta),
            None => return Ok(()),
        };
        // On close, as soon as nothing is left for another checkpoint.
        let is_last = self.closing.load(Ordering::Acquire) && meta.batch == self.meta.lock().batch;
        let is_live = u8::from(!is_last);
        let shards = self.recent.frozen();
        let rows = settled(self, &shards, &tail, Meta { is_live, ..meta }).map_err(ApplyError::NotDone)?;
        self.database.commit(&rows, &self.reserve)?;
        self.recent.settle();
        self.tails.lock().frozen = None;
        Ok(())
    }

    /// Brings everything that is applied by now into the table.
    pub(super) fn settle_all(&self) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        let mut active = journal.active();
        self.settle_active(&journal, &mut active)
    }

    /// As [`settle_all`](Self::settle_all), unless somebody is writing. The writer waits for the thread of the checkpoints now and
    /// then, so that thread must not wait for the writer.
    pub(super) fn try_settle_all(&self) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        let Some(mut active) = journal.try_active() else { return Ok(()) };
        self.settle_active(&journal, &mut active)
    }

    fn settle_active(&self, journal: &Journal, active: &mut Active<'_>) -> Result<(), ApplyError> {
        self.checkpoint(journal)?;
        if !active.is_empty() {
            self.turn(journal, active)?;
            // In the background it may be under way; this waits for it.
            self.checkpoint(journal)?;
        }
        Ok(())
    }

    /// The work in the background: checkpoints, and what keeps the runs in order, until the journal is stopped. Tells how many
    /// records it removes. Returns why nobody may write any more.
    pub(crate) fn run_checkpoints(&self, mut on_swept: impl FnMut(u64)) -> Result<(), StorageError> {
        let Ok(journal) = self.journal() else { return Ok(()) };
        let _stop = StopJournal(&journal);
        while let Some(wanted) = journal.await_wanted() {
            if let Err(error) = self.do_wanted(&journal, wanted, &mut on_swept) {
                journal.note_failure(error.cause().again());
                return Err(error.into_cause());
            }
        }
        Ok(())
    }

    /// Returns an error if nobody knows what the disk holds; any other is noted where it belongs.
    fn do_wanted(&self, journal: &Journal, wanted: Wanted, on_swept: &mut impl FnMut(u64)) -> Result<(), ApplyError> {
        if wanted.checkpoint {
            match self.checkpoint(journal) {
                Err(ApplyError::NotDone(cause)) => {
                    journal.note_failure(cause);
                    return Ok(());
                }
                done => done?,
            }
        }
        if let Some(now) = wanted.sweep {
            match self.sweep_lightly(now) {
                Ok(removed) => on_swept(removed),
                Err(error) => self.note_upkeep(journal, error)?,
            }
        }
        self.merge_runs().or_else(|error| self.note_upkeep(journal, error))
    }

    /// Ends the checkpoints in the background.
    pub(crate) fn stop_checkpoints(&self) {
        if let Ok(journal) = self.journal() {
            journal.stop();
        }
    }

    /// Tries a checkpoint again that failed because the disk is full. Returns whether it is known to have worked.
    pub(crate) fn retry_checkpoint(&self) -> bool {
        let Ok(journal) = self.journal() else { return false };
        if !self.options.checkpoint_inline {
            journal.want_checkpoint();
            return false;
        }
        let tried = self.checkpoint(&journal).map(|()| journal.note_success());
        tried.map_err(|error| journal.note_failure(journal.failed(error).into_cause())).is_ok()
    }

    /// Returns whether there is no space for the last checkpoint.
    pub(crate) fn lacks_space(&self) -> bool {
        self.journal().is_ok_and(|journal| journal.lacks_space())
    }

    /// Returns whether the writer does the checkpoints.
    pub(crate) fn checkpoints_inline(&self) -> bool {
        self.options.checkpoint_inline
    }
}

/// However the thread ends, nobody waits for it any more.
struct StopJournal<'j>(&'j Journal);

impl Drop for StopJournal<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        FencingToken, Fingerprint, Key, State, Timestamp,
        record::{Holder, Record},
        storage::{
            Batch, Before, KeyChange, NewAuditRow, OpenMode, StorageOptions,
            disk::{Disk, MemoryDisk},
        },
        sync::{
            promise::{Promise, promise},
            spawn, yield_now,
        },
    };
    use std::time::Duration;

    pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    /// With checkpoints in the background, which the test does itself.
    pub(crate) const OPTIONS: StorageOptions = StorageOptions {
        cache_bytes: 1 << 20,
        reserve_bytes: 0,
        accept_restored: false,
        journal_bytes: 1 << 20,
        checkpoint_inline: false,
    };

    pub(crate) fn open(disk: &MemoryDisk, mode: OpenMode) -> Storage {
        Storage::open(Arc::new(disk.clone()), "s", mode, NOW, OPTIONS).unwrap()
    }

    pub(crate) fn key(id: &str) -> Key {
        Key::new("shop", id).unwrap()
    }

    fn begin(storage: &Storage, id: &str) {
        put(storage, id, State::InFlight, &[]);
    }

    /// A record that lives for an hour.
    pub(crate) fn record(storage: &Storage, state: State, payload: &[u8]) -> Record {
        Record {
            state,
            fingerprint: Fingerprint::of(&[b"1"]),
            token: FencingToken::new(storage.next_token()),
            attempt: 1,
            holder: Holder { incarnation: storage.incarnation(), is_remote: false },
            first_seen_at: NOW,
            started_at: NOW,
            ended_at: Timestamp::default(),
            lease_expires_at: NOW,
            lease_deadline_ms: 1,
            expires_at: NOW.saturating_add(Duration::from_secs(3600)),
            checkpoint: None,
            payload: payload.into(),
        }
    }

    /// Stores a key that was not there.
    pub(crate) fn put(storage: &Storage, id: &str, state: State, payload: &[u8]) {
        change(storage, NOW, id, Before::Absent, Some(record(storage, state, payload)));
    }

    pub(crate) fn change(storage: &Storage, now: Timestamp, id: &str, before: Before, after: Option<Record>) {
        let changes = vec![(key(id), KeyChange { before, after })];
        let next_token = storage.next_token() + 1;
        storage.apply(Batch { changes, audit: vec![], stale: vec![], next_token, now }).unwrap();
    }

    /// What the table has of a key that nothing in memory knows any more.
    pub(crate) fn stored(storage: &Storage, id: &str) -> Option<Record> {
        storage.recent.forget_settled();
        storage.get(&key(id)).unwrap()
    }

    /// What the next open finds if the process dies now.
    pub(crate) fn assert_survives(storage: Storage, disk: &MemoryDisk, ids: &[&str]) {
        drop(storage);
        let storage = open(disk, OpenMode::Existing);
        for id in ids {
            assert!(storage.get(&key(id)).unwrap().is_some(), "{id} was acknowledged");
        }
    }

    #[test]
    fn a_checkpoint_in_the_middle_of_a_turn_leaves_the_segment_alone() {
        let disk = MemoryDisk::new();
        let storage = open(&disk, OpenMode::New);
        begin(&storage, "a");
        let journal = storage.journal().unwrap();
        let mut active = journal.active();
        assert!(journal.turn(&mut active));
        // The writer has not yet said what is frozen.
        storage.checkpoint(&journal).unwrap();
        drop(active);
        drop(journal);
        assert_survives(storage, &disk, &["a"]);
    }

    /// Another thread that waits for a spare segment, once it has asked for a checkpoint.
    fn waiting_writer(journal: &Arc<Journal>) -> Promise<Result<(), ApplyError>> {
        let (told, result) = promise();
        let of_the_writer = journal.clone();
        spawn("writer", move || drop(told.send(of_the_writer.await_spare()))).unwrap();
        while !journal.is_wanted() {
            yield_now();
        }
        result
    }

    #[test]
    fn a_writer_waits_for_the_checkpoint_that_it_asked_for_not_for_one_before() {
        let no_space = || StorageError::Full(std::io::ErrorKind::StorageFull.into());
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        begin(&storage, "a");
        let journal = storage.journal().unwrap();
        storage.turn(&journal, &mut journal.active()).unwrap();
        assert!(journal.await_wanted().is_some_and(|wanted| wanted.checkpoint));
        let writer = waiting_writer(&journal);
        // The one that is under way has met a full disk. By now there may be space.
        journal.note_failure(no_space());
        (0..1000).for_each(|_| yield_now());
        assert!(journal.await_wanted().is_some_and(|wanted| wanted.checkpoint));
        storage.checkpoint(&journal).unwrap();
        writer.wait().unwrap().unwrap();

        storage.turn(&journal, &mut journal.active()).unwrap();
        assert!(journal.await_wanted().is_some());
        let writer = waiting_writer(&journal);
        assert!(journal.await_wanted().is_some());
        journal.note_failure(no_space());
        let refused = writer.wait().unwrap().unwrap_err();
        assert!(matches!(refused, ApplyError::NotDone(StorageError::Full(_))), "its own failure is told");
    }

    #[test]
    fn a_close_that_dies_between_its_checkpoints_loses_nothing() {
        let disk = MemoryDisk::new();
        let storage = open(&disk, OpenMode::New);
        begin(&storage, "a");
        let journal = storage.journal().unwrap();
        storage.turn(&journal, &mut journal.active()).unwrap();
        begin(&storage, "b");
        storage.closing.store(true, Ordering::Release);
        storage.checkpoint(&journal).unwrap();
        drop(journal);
        // As if no note had been written since the open either.
        disk.remove("s.owner").unwrap();
        assert_survives(storage, &disk, &["a", "b"]);
    }

    #[test]
    fn audit_rows_of_the_journal_come_behind_all_of_the_table() {
        const ROWS: u64 = 5000;
        let row = || NewAuditRow { key: key("a"), token: None, outcome: None, reason: "r".repeat(1024) };
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        let apply = |audit| {
            let next_token = storage.next_token();
            storage.apply(Batch { changes: vec![], audit, stale: vec![], next_token, now: NOW }).unwrap();
        };
        apply((0..ROWS).map(|_| row()).collect());
        storage.settle_all().unwrap();
        apply(vec![row()]);
        let (mut seen, mut pieces) = (0, 0);
        while seen <= ROWS {
            for row in storage.audit_rows(seen, usize::MAX).unwrap() {
                assert_eq!(row.number, seen);
                seen += 1;
            }
            pieces += 1;
        }
        assert!(pieces > 1, "the rows do not fit into one piece");
    }
}
