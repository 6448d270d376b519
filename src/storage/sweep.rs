//! Gives back the space of what has expired, and keeps the number of runs low.
//!
//! An ended record that has expired answers as if it were not there, so nothing hurries. A run is dropped when all of it has
//! expired, and rewritten without what has expired when that is half of it. Runs of which there are many are merged.

use super::{
    Storage,
    error::ApplyError,
    run::{Run, Thorough},
};
use crate::Timestamp;

impl Storage {
    /// Removes every record that has expired; returns how many.
    pub(crate) fn sweep_all(&self, now: Timestamp) -> Result<u64, ApplyError> {
        // What has ended goes with its run, so it has to be in one.
        self.settle_all()?;
        let _no_other = self.upkeep.rewriting.lock();
        self.sweep_runs(now, Thorough::Yes)
    }

    /// Removes expired records where that costs little; returns how many.
    pub(super) fn sweep_lightly(&self, now: Timestamp) -> Result<u64, ApplyError> {
        // A store that does little may have them in memory for long.
        if self.recent.has_expired(now) {
            self.try_settle_all()?;
        }
        // Whoever has it may wait for a checkpoint, and so for this thread.
        let Some(_no_other) = self.upkeep.rewriting.try_lock() else { return Ok(0) };
        self.sweep_runs(now, Thorough::No)
    }

    /// Removes expired records from the runs; returns how many. Their keys are not looked at one by one. The caller holds
    /// `rewriting`.
    fn sweep_runs(&self, now: Timestamp, thorough: Thorough) -> Result<u64, ApplyError> {
        self.remove_leftovers()?;
        let mut removed = 0;
        while let Some(run) = self.next_expired(now, thorough)? {
            let (id, level) = (run.id, run.info.level);
            match self.rewrite(vec![run], level, now) {
                Ok(records) => removed += records,
                // It stays, as a sign that its keys were used.
                Err(error) if self.upkeep.is_damage_of(&error, &[id]) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    fn next_expired(&self, now: Timestamp, thorough: Thorough) -> Result<Option<Run>, ApplyError> {
        let catalog = self.catalog().map_err(ApplyError::NotDone)?;
        Ok(catalog.next_expired(now, thorough, &self.upkeep.damaged()))
    }

    /// Sweeps lightly, or has that done in the background; returns how many were removed if it was done at once.
    pub(crate) fn sweep_soon(&self, now: Timestamp) -> Result<u64, ApplyError> {
        if self.options.checkpoint_inline {
            return self.sweep_lightly(now);
        }
        self.journal()?.want_sweep(now);
        Ok(0)
    }

    /// Merges runs while there are too many of a kind, but not when a checkpoint has to be made or the disk is full or would be: a merge
    /// takes space before it gives any back. One that fails is tried again after the next checkpoint.
    pub(super) fn merge_runs(&self) -> Result<(), ApplyError> {
        let journal = self.journal()?;
        while !journal.is_wanted() && self.reserve.is_filled() {
            // Before the inputs are chosen: a sweep or a compaction may replace them until then.
            let Some(_no_other) = self.upkeep.rewriting.try_lock() else { break };
            self.remove_leftovers()?;
            let catalog = self.catalog().map_err(ApplyError::NotDone)?;
            let Some((inputs, level)) = catalog.next_merge(&self.upkeep.damaged()) else { break };
            if !self.has_space_for(&inputs) {
                break;
            }
            // Records that newer runs have had expired before; they must not be counted in again.
            let now = self.high_water();
            let runs: Vec<u64> = inputs.iter().map(|run| run.id).collect();
            match self.rewrite(inputs, level, now) {
                Ok(records) => self.upkeep.count_merged_away(records),
                // Without the damaged one there may be others.
                Err(error) if self.upkeep.is_damage_of(&error, &runs) => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns whether what runs become surely fits onto the disk, and something more. What is free within the file is not counted.
    fn has_space_for(&self, inputs: &[Run]) -> bool {
        let bytes: u64 = inputs.iter().map(|run| run.info.bytes).sum();
        self.disk.free_bytes().is_none_or(|free| bytes + bytes / 2 <= free)
    }
}
