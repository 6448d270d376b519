//! What one commit makes durable.

use super::{DueEntry, bytes_of};
use crate::{FencingToken, Key, OutcomeKind, Timestamp, record::Record};

/// What a batch and each of its changes take in the journal at most, beside keys and payloads.
const BATCH_HEAD_BYTES: usize = 256;
const CHANGE_HEAD_BYTES: usize = 256;

/// What one commit makes durable.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Each key once.
    pub(crate) changes: Vec<(Key, KeyChange)>,
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
    pub(crate) outcome: Option<OutcomeKind>,
    pub(crate) reason: String,
}

/// What a batch takes in the journal at most.
pub(super) fn bytes_at_most(batch: &Batch) -> usize {
    let of_change = |(key, change): &(Key, KeyChange)| {
        let record = change.after.as_ref().map_or(0, |record| bytes_of(0, record));
        CHANGE_HEAD_BYTES + key.scope().as_str().len() + key.id().len() + record
    };
    let of_audit = |row: &NewAuditRow| CHANGE_HEAD_BYTES + row.key.scope().as_str().len() + row.key.id().len() + row.reason.len();
    let stale: usize = batch.stale.iter().map(|due| due.entry.storage_key.len() + CHANGE_HEAD_BYTES).sum();
    let changes: usize = batch.changes.iter().map(of_change).sum();
    BATCH_HEAD_BYTES + changes + batch.audit.iter().map(of_audit).sum::<usize>() + stale
}
