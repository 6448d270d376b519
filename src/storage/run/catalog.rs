//! Which runs there are, in memory.

use super::{Built, Filter, Info};
use crate::Timestamp;
use std::sync::Arc;

/// A run of the table.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) info: Info,
    filter: Arc<Filter>,
}

/// All runs of one state of the table, newest first.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// As in the table's metadata.
    pub(crate) version: u64,
    runs: Vec<Run>,
}

/// What a commit does to the runs.
#[derive(Debug, Default)]
pub(crate) struct CatalogChange {
    pub(crate) added: Option<(u64, Built)>,
    pub(crate) removed: Vec<u64>,
}

impl Catalog {
    pub(crate) fn new(version: u64, runs: impl IntoIterator<Item = (u64, Info, Filter)>) -> Self {
        let runs = runs.into_iter().map(|(id, info, filter)| Run { id, info, filter: Arc::new(filter) });
        let mut catalog = Self { version, runs: runs.collect() };
        catalog.sort();
        catalog
    }

    fn sort(&mut self) {
        self.runs.sort_by_key(|run| std::cmp::Reverse(run.info.order));
    }

    /// Returns the catalog after a commit.
    pub(crate) fn after(&self, version: u64, change: CatalogChange) -> Self {
        let mut runs: Vec<Run> = self.runs.iter().filter(|run| !change.removed.contains(&run.id)).cloned().collect();
        if let Some((id, Built { info, filter, .. })) = change.added {
            runs.push(Run { id, info, filter: Arc::new(filter) });
        }
        let mut catalog = Self { version, runs };
        catalog.sort();
        catalog
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    pub(crate) fn has(&self, id: u64) -> bool {
        self.runs.iter().any(|run| run.id == id)
    }

    /// Returns which run is the newest that may have a key.
    pub(crate) fn first_holder(&self, hash: u64) -> Option<usize> {
        self.runs.iter().position(|run| run.filter.may_have(hash))
    }

    /// Returns the runs from one on that may have a key, newest first.
    pub(crate) fn holders(&self, hash: u64, first: usize) -> impl Iterator<Item = &Run> {
        self.runs.iter().skip(first).filter(move |run| run.filter.may_have(hash))
    }

    /// Returns the first time at which a record of any run expires.
    pub(crate) fn expires_first(&self) -> Option<Timestamp> {
        self.runs.iter().map(|run| Timestamp::from_millis(run.info.expires_first_ms)).min()
    }
}
