//! Gives back the space of what has expired, and keeps the number of runs low.
//!
//! An ended record that has expired answers as if it were not there, so nothing hurries. A run is dropped when all of it has
//! expired, and rewritten without what has expired when that is half of it. Runs of which there are many are merged.

use super::{
    Storage,
    error::{ApplyError, StorageError},
    meta::CountsDelta,
    run::{Catalog, Info, Rewrite, Run, next_merge},
};
use crate::Timestamp;
use std::sync::{Arc, atomic::Ordering};

/// How thorough a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thorough {
    /// Drops what is dead, and rewrites what is half dead.
    No,
    /// Rewrites every run in which anything has expired.
    Yes,
}

impl Storage {
    /// Removes every record that has expired; returns how many.
    pub(crate) fn sweep_all(&self, now: Timestamp) -> Result<u64, ApplyError> {
        // What has ended goes with its run, so it has to be in one.
        self.settle_all()?;
        self.sweep_runs(now, Thorough::Yes)
    }

    /// Removes expired records from the runs; returns how many. Their keys are not looked at one by one.
    pub(crate) fn sweep_runs(&self, now: Timestamp, thorough: Thorough) -> Result<u64, ApplyError> {
        let _no_other = self.rewriting.lock();
        let _one_at_a_time = self.checkpointing.lock();
        self.check_open()?;
        let (mut removed, mut damaged) = (0, Vec::new());
        while let Some(run) = self.catalog().map_err(ApplyError::NotDone)?.next_expired(now, thorough, &damaged) {
            let (id, level) = (run.id, run.info.level);
            match self.rewrite(vec![run], level, now) {
                Ok(records) => removed += records,
                // It stays, as a sign that its keys were used.
                Err(ApplyError::NotDone(StorageError::Damaged(_))) => damaged.push(id),
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Removes expired records where that costs little; returns how many.
    pub(super) fn sweep_lightly(&self, now: Timestamp) -> Result<u64, ApplyError> {
        // A store that does little may have them in memory for long.
        if self.recent.has_expired(now) {
            self.try_settle_all()?;
        }
        self.sweep_runs(now, Thorough::No)
    }

    /// Sweeps lightly, or has that done in the background; returns how many were removed if it was done at once.
    pub(crate) fn sweep_soon(&self, now: Timestamp) -> Result<u64, ApplyError> {
        if self.options.checkpoint_inline {
            return self.sweep_lightly(now);
        }
        self.journal()?.want_sweep(now);
        Ok(0)
    }

    /// Merges runs while there are too many of a kind, but not when a checkpoint has to be made or the disk is full: a merge takes
    /// space before it gives any back. One that fails is tried again after the next checkpoint.
    pub(super) fn merge_runs(&self) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        while !journal.is_wanted() && self.reserve.is_filled() {
            // Before the inputs are chosen: a sweep or a compaction may replace them until then.
            let Some(_no_other) = self.rewriting.try_lock() else { break };
            let _one_at_a_time = self.checkpointing.lock();
            self.check_open()?;
            let Some((inputs, level)) = next_merge(&*self.catalog().map_err(ApplyError::NotDone)?) else { break };
            // Records that newer runs have had expired before; they must not be counted in again.
            let now = self.high_water();
            match self.rewrite(inputs, level, now) {
                Ok(records) => drop(self.merged_away.fetch_add(records, Ordering::Relaxed)),
                Err(ApplyError::NotDone(StorageError::Full(cause))) => {
                    // So that new keys are refused while there is still room for what is in flight.
                    journal.note_failure(StorageError::Full(cause));
                    return Ok(());
                }
                Err(ApplyError::NotDone(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Refuses to change runs once the store is closing, or when nobody knows what the disk holds.
    fn check_open(&self) -> Result<(), ApplyError> {
        if self.closing.load(Ordering::Acquire) {
            return Err(ApplyError::NotDone(StorageError::Closed));
        }
        self.journal()?.check_sound()
    }

    /// Returns how many expired records merges have left out.
    pub(crate) fn merged_away(&self) -> u64 {
        self.merged_away.load(Ordering::Relaxed)
    }

    /// Returns which runs there are.
    pub(super) fn catalog(&self) -> Result<Arc<Catalog>, StorageError> {
        Ok(self.database.current()?.table.catalog())
    }

    /// The caller holds up everybody else who changes runs.
    fn rewrite(&self, inputs: Vec<Run>, level: u8, now: Timestamp) -> Result<u64, ApplyError> {
        let meta = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;
        let changed = self.database.rewrite(&Rewrite { inputs, level, now, meta }, &self.reserve);
        let changed = match changed {
            Err(error) => return Err(self.journal()?.failed(error)),
            Ok(changed) => changed,
        };
        let mut meta = self.meta.lock();
        meta.counts = meta.counts.changed(changed);
        let CountsDelta { completed, failed, .. } = changed;
        Ok((completed + failed).unsigned_abs())
    }
}

impl Catalog {
    fn next_expired(&self, now: Timestamp, thorough: Thorough, except: &[u64]) -> Option<Run> {
        let is_due = |info: &Info| match thorough {
            Thorough::No => info.is_expired(now) || info.expires_half_ms <= now.as_millis(),
            Thorough::Yes => info.expires_first_ms <= now.as_millis(),
        };
        self.runs().iter().find(|run| is_due(&run.info) && !except.contains(&run.id)).cloned()
    }
}
