//! Runs: ended records in key order, written once and never changed.
//!
//! An ended record does not change while it lives. So a checkpoint writes the ended ones as a new run instead of putting each
//! of them among all others, which would touch as many pages as it has records. Records that end at about the same time
//! expire at about the same time, so a run is mostly dropped as a whole. A key is looked for in the newest run first.

mod build;
mod catalog;
mod choose;
mod chunk;
mod cursor;
mod filter;
mod leftovers;
mod rewrite;
mod step;
mod write;

pub(crate) use build::{Built, Fence, OnChunk, RunBuilder, fences};
pub(crate) use catalog::{Catalog, CatalogChange, Run};
#[cfg(test)]
pub(crate) use choose::MERGED_RUNS;
pub(crate) use choose::Thorough;
pub(crate) use chunk::{Chunk, Entry};
pub(crate) use cursor::{MergedRuns, chunk_key, find, run_of};
pub(crate) use filter::Filter;
pub(crate) use leftovers::Leftovers;
pub(crate) use rewrite::{End, Part, Rewrite, Unread};
pub(crate) use step::{NewRun, Step, Swap};
pub(crate) use write::{EndedRow, RunRows, binding};

use serde::{Deserialize, Serialize};

/// What the catalog says about a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Info {
    /// Of two runs that have a key, the one with the higher order is right.
    pub(crate) order: u64,
    /// How often its records were merged.
    pub(crate) level: u8,
    /// Records by state, and the bytes of them and their keys. One that expired may be here although its key is used again.
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) bytes: u64,
    /// With the keys that are only hidden.
    pub(crate) entries: u64,
    pub(crate) chunks: u64,
    pub(crate) expires_first_ms: u64,
    /// When half of them will have expired.
    pub(crate) expires_half_ms: u64,
    pub(crate) expires_last_ms: u64,
}
