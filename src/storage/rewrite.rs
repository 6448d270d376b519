//! Rewrites runs in short commits, between which checkpoints run: what the writer waits for goes before what only saves space.

use super::{
    Storage,
    error::{ApplyError, StorageError},
    journal::Journal,
    meta::CountsDelta,
    run::{Catalog, Leftovers, NewRun, Part, Rewrite, Run, Step, Swap, Unread},
    table::Table,
};
use crate::{Timestamp, sync::Mutex};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What one commit of a rewrite writes or removes, at most and but for the descriptions of runs: with the checkpoint that may
/// have to wait for it, a few tens of milliseconds.
const STEP_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The same in parts of the journal, so that with a short one a commit is short as well: a checkpoint writes half a journal.
const STEPS_PER_JOURNAL: u64 = 4;

/// What the work on runs knows of earlier work.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// Held while runs are rewritten, and by a compaction; taken before all other locks, or only tried.
    pub(super) rewriting: Mutex<()>,
    /// Runs that cannot be read or removed. They are left alone until the next open: each try would only fail again.
    damaged: Mutex<BTreeSet<u64>>,
    /// Expired records that merges have left out.
    merged_away: AtomicU64,
    /// Sweeps and merges that failed and that nobody heard of.
    failures: AtomicU64,
}

impl Upkeep {
    pub(super) fn damaged(&self) -> BTreeSet<u64> {
        self.damaged.lock().clone()
    }

    pub(super) fn count_merged_away(&self, records: u64) {
        self.merged_away.fetch_add(records, Ordering::Relaxed);
    }

    /// Another file has taken the place of the one that had the damage.
    pub(super) fn forget_damage(&self) {
        self.damaged.lock().clear();
    }

    fn note_damage(&self, runs: impl IntoIterator<Item = u64>) {
        self.damaged.lock().extend(runs);
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether a failure was damage in one of these runs, which will not be met again.
    pub(super) fn is_damage_of(&self, error: &ApplyError, runs: &[u64]) -> bool {
        let damaged = self.damaged.lock();
        matches!(error, ApplyError::NotDone(StorageError::Damaged(_))) && runs.iter().any(|run| damaged.contains(run))
    }
}

impl Storage {
    /// Puts one run, or none, in the place of several neighbours, without what has expired; returns how many records that leaves
    /// out. The caller holds `rewriting`.
    ///
    /// Whatever fails, and wherever a crash falls, either the inputs are on the list or what they became is.
    pub(super) fn rewrite(&self, inputs: Vec<Run>, level: u8, now: Timestamp) -> Result<u64, ApplyError> {
        let journal = self.journal()?;
        let mut rewrite = Rewrite::new(&*self.table()?, inputs, level, now);
        let written = loop {
            match self.write_on(&journal, &mut rewrite) {
                Ok(None) => (),
                Ok(Some(changed)) => break Ok(changed),
                Err(error) => break Err(error),
            }
            if let Err(error) = self.let_checkpoint_pass(&journal) {
                break Err(error);
            }
        };
        // The inputs, or what there is of the output. If this fails it is tried again before the next rewrite.
        match self.remove_leftovers() {
            Err(error @ ApplyError::Indeterminate(_)) => return Err(error),
            Err(error @ ApplyError::NotDone(_)) if written.is_ok() => self.note_upkeep(&journal, error)?,
            _ => (),
        }
        let CountsDelta { completed, failed, .. } = written?;
        Ok((completed + failed).unsigned_abs())
    }

    /// One step of a rewrite. Returns by how much it changes the counts, once the output is on the list.
    fn write_on(&self, journal: &Journal, rewrite: &mut Rewrite) -> Result<Option<CountsDelta>, ApplyError> {
        let _one_at_a_time = self.checkpointing.lock();
        self.check_open()?;
        let mut part = self.read_part(rewrite)?;
        if part.is_empty() {
            return Ok(None);
        }
        let inputs: Vec<u64> = rewrite.inputs.iter().map(|run| run.id).collect();
        let meta = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;
        let run = NewRun { id: rewrite.id.unwrap_or(meta.next_run), is_begun: rewrite.id.is_some() };
        rewrite.id = Some(run.id);
        let (step, changed) = match part.end.take() {
            None => (Step::Write { run, part }, None),
            Some(end) => {
                let counts = end.counts;
                let inputs = std::mem::take(&mut rewrite.inputs);
                (Step::Swap(Box::new(Swap { run, part, end, inputs })), Some(counts))
            }
        };
        let taken = self.database.take_step(&meta, step, &self.reserve);
        taken.map_err(|error| self.failed_step(journal, error, &inputs))?;
        if let Some(changed) = changed {
            let mut meta = self.meta.lock();
            meta.counts = meta.counts.changed(changed);
        }
        Ok(changed)
    }

    /// Before anything is written: damage that is met here costs no commit.
    fn read_part(&self, rewrite: &mut Rewrite) -> Result<Part, ApplyError> {
        let read = rewrite.read(&*self.table()?, self.step_bytes());
        read.map_err(|unread| self.unread(unread, rewrite.inputs.iter().map(|run| run.id)))
    }

    /// Removes what runs have left that no list names. The caller holds `rewriting`.
    pub(super) fn remove_leftovers(&self) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        loop {
            {
                let _one_at_a_time = self.checkpointing.lock();
                self.check_open()?;
                let found = match Leftovers::read(&*self.table()?, self.step_bytes(), &self.upkeep.damaged()) {
                    Ok(Some(found)) => found,
                    Ok(None) => return Ok(()),
                    Err(unread @ Unread { run: Some(_), cause: StorageError::Damaged(_) }) => {
                        drop(self.unread(unread, []));
                        continue;
                    }
                    Err(unread) => return Err(ApplyError::NotDone(unread.cause)),
                };
                let runs = found.runs.clone();
                let meta = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;
                let taken = self.database.take_step(&meta, Step::Remove(found), &self.reserve);
                let taken = taken.map_err(|error| self.failed_step(&journal, error, &runs));
                // Others may still be removed.
                taken.or_else(|error| if self.upkeep.is_damage_of(&error, &runs) { Ok(()) } else { Err(error) })?;
            }
            self.let_checkpoint_pass(&journal)?;
        }
    }

    /// Remembers damage that a read has met, in a run or in one of `suspects`.
    fn unread(&self, Unread { run, cause }: Unread, suspects: impl IntoIterator<Item = u64>) -> ApplyError {
        if matches!(cause, StorageError::Damaged(_)) {
            match run {
                Some(run) => self.upkeep.note_damage([run]),
                None => self.upkeep.note_damage(suspects),
            }
        }
        ApplyError::NotDone(cause)
    }

    /// Takes note of what a commit has met: damage, which may be in any of these runs, or a full disk.
    fn failed_step(&self, journal: &Journal, error: ApplyError, runs: &[u64]) -> ApplyError {
        match &error {
            ApplyError::NotDone(StorageError::Damaged(_)) => self.upkeep.note_damage(runs.iter().copied()),
            // So that new keys are refused while there is still room for what is in flight.
            ApplyError::NotDone(StorageError::Full(_)) => journal.note_lack_of_space(),
            _ => (),
        }
        journal.failed(error)
    }

    /// Between two steps: if the journal is waiting for a checkpoint, does it.
    fn let_checkpoint_pass(&self, journal: &Journal) -> Result<(), ApplyError> {
        if !journal.is_behind() {
            return Ok(());
        }
        self.checkpoint(journal).inspect_err(|error| journal.note_failure(error.cause().again()))
    }

    /// Takes note that work on runs failed in the background, where nobody hears of it; returns what nobody may ignore.
    pub(super) fn note_upkeep(&self, journal: &Journal, error: ApplyError) -> Result<(), ApplyError> {
        match error {
            ApplyError::Indeterminate(_) => return Err(error),
            // Not a failure: the store is closing.
            ApplyError::NotDone(StorageError::Closed) => return Ok(()),
            // A checkpoint of what is to be swept fails like this as well.
            ApplyError::NotDone(StorageError::Full(_)) => journal.note_lack_of_space(),
            ApplyError::NotDone(_) => (),
        }
        self.upkeep.failures.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses to change runs once the store is closing, or when nobody knows what the disk holds.
    fn check_open(&self) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        if self.closing.load(Ordering::Acquire) || journal.is_stopped() {
            return Err(ApplyError::NotDone(StorageError::Closed));
        }
        journal.check_sound()
    }

    fn step_bytes(&self) -> usize {
        let bytes = (self.options.journal_bytes / STEPS_PER_JOURNAL).min(STEP_BYTES_MAX);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn table(&self) -> Result<Arc<Table>, ApplyError> {
        Ok(self.database.current().map_err(ApplyError::NotDone)?.table)
    }

    /// Returns which runs there are.
    pub(super) fn catalog(&self) -> Result<Arc<Catalog>, StorageError> {
        Ok(self.database.current()?.table.catalog())
    }

    /// Returns how many expired records merges have left out.
    pub(crate) fn merged_away(&self) -> u64 {
        self.upkeep.merged_away.load(Ordering::Relaxed)
    }

    /// Returns how often a sweep or a merge failed and nobody heard of it.
    pub(crate) fn upkeep_failures(&self) -> u64 {
        self.upkeep.failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Scope, State,
        record::Record,
        storage::{
            Before, OpenMode,
            checkpoint::tests::{NOW, assert_survives, change, open, put, record, stored},
            disk::MemoryDisk,
            run::{MERGED_RUNS, run_of},
        },
    };
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Makes runs whose merge takes more than one step. Returns their keys.
    fn make_runs(storage: &Storage) -> Vec<String> {
        const KEYS: usize = 10;
        let ids: Vec<String> = (0..MERGED_RUNS * KEYS).map(|number| format!("{number:03}")).collect();
        for run in ids.chunks(KEYS) {
            for id in run {
                put(storage, id, State::Completed, &[7; 4096]);
            }
            storage.settle_all().unwrap();
        }
        ids
    }

    /// Merges as it is done in the background, when no checkpoint is wanted.
    fn merge(storage: &Storage) {
        assert!(storage.reserve().fill());
        assert!(storage.journal().unwrap().await_wanted().is_some());
        storage.merge_runs().unwrap();
        assert_eq!(storage.catalog().unwrap().runs().len(), 1);
    }

    fn lasting(storage: &Storage, hours: u32, payload: &[u8]) -> Record {
        let expires_at = NOW.saturating_add(HOUR * hours);
        Record { expires_at, ..record(storage, State::Completed, payload) }
    }

    #[test]
    fn a_checkpoint_passes_between_two_steps_of_a_merge() {
        let disk = MemoryDisk::new();
        let storage = open(&disk, OpenMode::New);
        let mut ids = make_runs(&storage);
        let (inputs, level) = storage.catalog().unwrap().next_merge(&BTreeSet::new()).unwrap();
        assert_eq!(inputs.len(), MERGED_RUNS);
        let (journal, counts) = (storage.journal().unwrap(), storage.counts());
        let mut rewrite = Rewrite::new(&storage.table().unwrap(), inputs, level, NOW);
        assert_eq!(storage.write_on(&journal, &mut rewrite).unwrap(), None, "one step is not enough");

        ids.push("meanwhile".to_owned());
        put(&storage, "meanwhile", State::Completed, &[7; 4096]);
        storage.turn(&journal, &mut journal.active()).unwrap();
        assert!(journal.is_behind());
        storage.let_checkpoint_pass(&journal).unwrap();
        assert!(!journal.is_behind() && storage.catalog().unwrap().runs().len() == MERGED_RUNS + 1);

        assert_eq!(storage.write_on(&journal, &mut rewrite).unwrap(), Some(CountsDelta::default()));
        storage.remove_leftovers().unwrap();
        assert_eq!((storage.catalog().unwrap().runs().len(), storage.counts().completed), (2, counts.completed + 1));
        drop(journal);
        assert_survives(storage, &disk, &ids.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn a_scope_counts_its_records_through_a_merge_in_parts_and_a_sweep() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        let ids = make_runs(&storage);
        let records = || storage.scope_records(&Scope::new("shop").unwrap()).unwrap();
        merge(&storage);
        assert_eq!(records(), ids.len() as u64);
        storage.sweep_all(NOW.saturating_add(HOUR)).unwrap();
        assert_eq!(records(), 0);
    }

    #[test]
    fn a_merge_leaves_no_row_of_the_runs_that_it_replaces() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        make_runs(&storage);
        merge(&storage);
        let catalog = storage.catalog().unwrap();
        for table in ["runs", "chunks", "filters", "fences", "run-scopes"] {
            let rows = storage.database.view(|view, _| view.raw_rows(table, None, usize::MAX)).unwrap().rows;
            let is_listed = |row: &[u8]| run_of(row).is_some_and(|run| catalog.has(run));
            assert!(!rows.is_empty() && rows.iter().all(|(row, _)| is_listed(row)), "{table}");
        }
    }

    #[test]
    fn of_a_key_in_two_runs_a_merge_keeps_the_newer_record() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        put(&storage, "a", State::Completed, b"old");
        storage.settle_all().unwrap();
        let expired = Before::Present(stored(&storage, "a").unwrap());
        change(&storage, NOW.saturating_add(HOUR * 2), "a", expired, Some(lasting(&storage, 10, b"new")));
        storage.settle_all().unwrap();
        for number in 2..MERGED_RUNS {
            put(&storage, &number.to_string(), State::Completed, &[]);
            storage.settle_all().unwrap();
        }
        merge(&storage);
        assert_eq!(&stored(&storage, "a").unwrap().payload[..], b"new");
    }

    /// The run that is rewritten hides a key of an older one, which a newer one has again.
    #[test]
    fn a_run_that_is_rewritten_stays_between_its_neighbours() {
        let storage = open(&MemoryDisk::new(), OpenMode::New);
        put(&storage, "a", State::Completed, b"old");
        storage.settle_all().unwrap();
        change(&storage, NOW, "a", Before::Damaged, None);
        put(&storage, "short", State::Completed, &[]);
        change(&storage, NOW, "long", Before::Absent, Some(lasting(&storage, 10, &[])));
        storage.settle_all().unwrap();
        change(&storage, NOW, "a", Before::Absent, Some(lasting(&storage, 10, b"new")));
        storage.settle_all().unwrap();
        storage.sweep_all(NOW.saturating_add(HOUR * 2)).unwrap();
        assert_eq!(&stored(&storage, "a").unwrap().payload[..], b"new");
        assert!(stored(&storage, "long").is_some());
    }
}
