//! The commits of which a rewrite consists, each of a few megabytes at most, so that a checkpoint need not wait long for one.
//!
//! 1. *Write*, as often as needed: rows of the output. Its id is `unlisted`, so that they are not lost track of.
//! 2. *Swap*: the output is on the list, and its inputs are off it and unlisted. With it goes the last part of the output.
//! 3. *Remove*, as often as needed: rows of what is unlisted. With the last of a run goes its id.
//!
//! A crash leaves the list as it was before the swap or as it is after it, and what is unlisted: the next remove finds it.

use super::{Catalog, CatalogChange, End, Leftovers, Part, Run, chunk_key, write::write_chunks};
use crate::storage::{
    error::StorageError,
    meta::Meta,
    table::{FENCES, FILTERS, META, META_KEY, RUN_SCOPES, RUNS, SCOPES, Table, UNLISTED, guarded, set_scope},
};
use redb::{ReadableTable, WriteTransaction};
use std::collections::BTreeMap;

/// One commit of a rewrite.
#[derive(Debug)]
pub(crate) enum Step {
    /// Adds to a run that no list names.
    Write { run: NewRun, part: Part },
    /// Puts one run, or none, in the place of others.
    Swap(Box<Swap>),
    /// Removes rows of runs that no list names.
    Remove(Leftovers),
}

/// A run takes the place of others, with its last part.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) run: NewRun,
    pub(crate) part: Part,
    pub(crate) end: End,
    pub(crate) inputs: Vec<Run>,
}

/// A run that no list names yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRun {
    pub(crate) id: u64,
    /// Whether any of its rows are there.
    pub(crate) is_begun: bool,
}

impl Step {
    /// Returns the state of the table afterwards.
    pub(crate) fn after(&self, before: &Meta) -> Meta {
        let meta = Meta { runs_version: before.runs_version + 1, ..*before };
        match self {
            Self::Write { run, .. } => Meta { next_run: before.next_run.max(run.id + 1), ..meta },
            Self::Swap(swap) => {
                let counts = before.counts.changed(swap.end.counts);
                Meta { next_run: before.next_run.max(swap.run.id + 1), counts, ..meta }
            }
            Self::Remove(_) => meta,
        }
    }

    /// Refuses a step that was made for other runs than those of this table. An id that is given twice would mix two runs.
    fn check(&self, catalog: &Catalog, before: &Meta) -> Result<(), StorageError> {
        let fits = catalog.version == before.runs_version
            && match self {
                Self::Write { run, .. } => !catalog.has(run.id),
                Self::Swap(swap) => !catalog.has(swap.run.id) && swap.inputs.iter().all(|input| catalog.has(input.id)),
                Self::Remove(leftovers) => !leftovers.runs.iter().any(|run| catalog.has(*run)),
            };
        if fits { Ok(()) } else { Err(StorageError::Engine("the runs have changed meanwhile".into())) }
    }

    fn into_change(self) -> CatalogChange {
        match self {
            Self::Write { .. } | Self::Remove(_) => CatalogChange::default(),
            Self::Swap(swap) => {
                let Swap { run, end, inputs, .. } = *swap;
                CatalogChange {
                    added: end.built.map(|built| (run.id, built)),
                    removed: inputs.iter().map(|run| run.id).collect(),
                }
            }
        }
    }
}

impl NewRun {
    /// Without its earlier parts a run would lack the records that they have.
    fn check_is_begun(self, is_begun: bool) -> Result<(), redb::Error> {
        if is_begun == self.is_begun { Ok(()) } else { Err(redb::Error::Corrupted("a run has lost its first parts".into())) }
    }
}

impl Table {
    /// Refuses a step that does not fit what is there.
    pub(crate) fn check_step(&self, step: &Step, before: &Meta) -> Result<(), StorageError> {
        step.check(&self.catalog(), before)
    }

    /// Makes a step durable.
    pub(crate) fn take_step(&self, step: Step, after: &Meta) -> Result<(), StorageError> {
        let meta = after.encode(self.values())?;
        guarded(|| {
            let txn = self.begin_write()?;
            match &step {
                Step::Write { run, part } => {
                    write_part(&txn, run.id, part)?;
                    let before = txn.open_table(UNLISTED)?.insert(&run.id.to_be_bytes()[..], &[][..])?.is_some();
                    run.check_is_begun(before)?;
                }
                Step::Swap(swap) => {
                    write_part(&txn, swap.run.id, &swap.part)?;
                    self.swap(&txn, swap)?;
                }
                Step::Remove(leftovers) => leftovers.remove(&txn)?,
            }
            txn.open_table(META)?.insert(META_KEY, &meta[..])?;
            self.finish(txn)
        })?;
        self.change_catalog(after.runs_version, step.into_change());
        Ok(())
    }

    fn swap(&self, txn: &WriteTransaction, swap: &Swap) -> Result<(), redb::Error> {
        let Swap { run, end, inputs, .. } = swap;
        {
            let mut unlisted = txn.open_table(UNLISTED)?;
            let before = unlisted.remove(&run.id.to_be_bytes()[..])?.is_some();
            run.check_is_begun(before)?;
            for input in inputs {
                unlisted.insert(&input.id.to_be_bytes()[..], &[][..])?;
            }
        }
        for definition in [RUNS, FILTERS, FENCES] {
            let mut table = txn.open_table(definition)?;
            for input in inputs {
                table.remove(&input.id.to_be_bytes()[..])?;
            }
        }
        if let Some(built) = &end.built {
            self.write_built(txn, run.id, built)?;
        }
        change_scopes(txn, &end.scopes)
    }
}

fn write_part(txn: &WriteTransaction, run: u64, part: &Part) -> Result<(), redb::Error> {
    write_chunks(txn, run, &part.chunks)?;
    let mut table = txn.open_table(RUN_SCOPES)?;
    for (prefix, records) in &part.scopes {
        table.insert(&chunk_key(run, prefix)[..], &records.to_le_bytes()[..])?;
    }
    Ok(())
}

fn change_scopes(txn: &WriteTransaction, scopes: &BTreeMap<Vec<u8>, i64>) -> Result<(), redb::Error> {
    let mut table = txn.open_table(SCOPES)?;
    for (prefix, delta) in scopes {
        let stored = table.get(&prefix[..])?.and_then(|records| records.value().first_chunk().copied());
        let records = stored.map_or(0, u64::from_le_bytes).saturating_add_signed(*delta);
        set_scope(&mut table, prefix, records)?;
    }
    Ok(())
}
