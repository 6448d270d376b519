//! Which runs are rewritten next.

use super::{Catalog, Info, Run};
use crate::Timestamp;
use std::collections::BTreeSet;

/// How many runs become one.
pub(crate) const MERGED_RUNS: usize = 8;
/// Runs together longer than this are left alone: their merge needs as much space again, and 16 bytes of memory for each record.
const MERGED_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How thorough a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thorough {
    /// Drops what is dead, and rewrites what is half dead.
    No,
    /// Rewrites every run in which anything has expired.
    Yes,
}

impl Catalog {
    /// Returns which runs are to be merged, if any, and the level of what they become.
    pub(crate) fn next_merge(&self, except: &BTreeSet<u64>) -> Option<(Vec<Run>, u8)> {
        // From the oldest on.
        self.runs().windows(MERGED_RUNS).rev().find_map(|inputs| {
            let level = inputs.first()?.info.level;
            let bytes: u64 = inputs.iter().map(|run| run.info.bytes).sum();
            let is_alike = inputs.iter().all(|run| run.info.level == level && !except.contains(&run.id));
            let fits = is_alike && bytes <= MERGED_BYTES_MAX && level < u8::MAX;
            fits.then(|| (inputs.to_vec(), level + 1))
        })
    }

    /// Returns the next run to be rewritten without what has expired.
    pub(crate) fn next_expired(&self, now: Timestamp, thorough: Thorough, except: &BTreeSet<u64>) -> Option<Run> {
        let is_due = |info: &Info| match thorough {
            Thorough::No => info.expires_half_ms <= now.as_millis(),
            Thorough::Yes => info.expires_first_ms <= now.as_millis(),
        };
        self.runs().iter().find(|run| is_due(&run.info) && !except.contains(&run.id)).cloned()
    }
}
