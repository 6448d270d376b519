//! What reads look at: the tables as of one commit, opened once and shared until the next commit.
//!
//! To start a read transaction and to open its tables costs as much as a lookup. The latest snapshot keeps what a commit replaced
//! from being used again for one commit longer, and no more: it is forgotten with the next. Reads that began before a commit go on
//! with theirs.

use super::{run::Catalog, table::Reading};
use crate::sync::RwLock;
use redb::ReadTransaction;
use std::{fmt, sync::Arc};

/// The tables as of one commit, and the runs that belong to it.
pub(crate) struct Snapshot {
    pub(super) catalog: Arc<Catalog>,
    pub(super) txn: ReadTransaction,
    pub(super) records: Reading,
    pub(super) chunks: Reading,
}

/// The latest snapshot, if anybody has asked for one since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Latest(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    commits: u64,
    snapshot: Option<Arc<Snapshot>>,
}

/// Tells whether there was a commit meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since(u64);

impl Latest {
    /// Returns the snapshot; otherwise what [`keep`](Self::keep) needs for one that is taken from here on.
    pub(crate) fn get(&self) -> Result<Arc<Snapshot>, Since> {
        let inner = self.0.read();
        inner.snapshot.clone().ok_or(Since(inner.commits))
    }

    /// Shares a snapshot, unless there was a commit meanwhile: then it may be the state before.
    pub(crate) fn keep(&self, snapshot: &Arc<Snapshot>, since: Since) {
        let mut inner = self.0.write();
        if inner.commits == since.0 {
            // Whoever was first has the same commit's.
            inner.snapshot.get_or_insert_with(|| snapshot.clone());
        }
    }

    /// Forgets the snapshot when what it returns is dropped, because something was committed then, or may have been. Whoever looks
    /// from then on sees it.
    pub(crate) fn forget_then(&self) -> Forget<'_> {
        Forget(self)
    }
}

/// Forgets the latest snapshot when it is dropped.
pub(crate) struct Forget<'l>(&'l Latest);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let old = {
            let mut inner = self.0.0.write();
            inner.commits += 1;
            inner.snapshot.take()
        };
        // Not under the lock: it may be the last, and then ends a transaction.
        drop(old);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({})", self.catalog.version)
    }
}
