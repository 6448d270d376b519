//! The store file and the database in it: opened anew after a failed commit, replaced by a compaction.

use super::{
    blocks::IoCounts,
    disk::{DiskFile, FileId},
    error::{ApplyError, StorageError},
    frame::StoreId,
    meta::Meta,
    reserve::Reserve,
    run::Step,
    table::{Rows, Table},
    view::View,
};
use crate::sync::{Mutex, RwLock};
use std::sync::Arc;

/// How often a read starts again because the file was opened anew underneath it.
const READ_TRIES: usize = 8;

/// The database of an open store.
#[derive(Debug)]
pub(crate) struct Database {
    store: StoreId,
    cache_bytes: usize,
    /// `None` once closed.
    open: RwLock<Option<Open>>,
    /// Held while the file is opened anew.
    recovering: Mutex<()>,
    /// Of files and databases that were open before.
    earlier_io: Mutex<IoCounts>,
}

/// What a compaction or a recovery replaces.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) id: FileId,
    pub(crate) table: Arc<Table>,
}

impl Database {
    pub(crate) fn new(store: StoreId, cache_bytes: usize, open: Open) -> Self {
        Self { store, cache_bytes, open: RwLock::new(Some(open)), recovering: Mutex::default(), earlier_io: Mutex::default() }
    }

    /// Runs `look` on a consistent view; again, if a recovery replaced the database meanwhile.
    pub(crate) fn view<T>(&self, look: impl Fn(View<'_>, &Table) -> Result<T, StorageError>) -> Result<T, StorageError> {
        self.look(|table| table.view().and_then(|view| look(view, table)))
    }

    /// Runs `look` on the table; again, if a recovery replaced the database meanwhile.
    pub(crate) fn look<T>(&self, look: impl Fn(&Table) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let table = self.current()?.table;
            let result = look(&table);
            if !table.health().is_retired() {
                return result;
            }
            // What was read while the new database wrote to the same file may be a mixture. It has to be there first.
            drop(self.recovering.lock());
            if tries == READ_TRIES {
                return Err(StorageError::Engine("the file was opened anew too often while it was read".into()));
            }
        }
    }

    pub(crate) fn current(&self) -> Result<Open, StorageError> {
        self.open.read().clone().ok_or(StorageError::Closed)
    }

    /// Makes rows durable. When this returns, either all of them are in effect for ever, or the error says what is.
    pub(crate) fn commit(&self, rows: &Rows, reserve: &Reserve) -> Result<(), ApplyError> {
        let open = self.current().map_err(ApplyError::NotDone)?;
        match open.table.commit(rows) {
            Ok(()) => Ok(()),
            Err(cause) => self.recover(&open, cause, |found| *found == rows.meta, reserve).map(drop),
        }
    }

    /// Makes one step of a rewrite durable. `before` is the state of the table, which does not change meanwhile.
    pub(crate) fn take_step(&self, before: &Meta, step: Step, reserve: &Reserve) -> Result<(), ApplyError> {
        let open = self.current().map_err(ApplyError::NotDone)?;
        open.table.check_step(&step, before).map_err(ApplyError::NotDone)?;
        let after = step.after(before);
        match open.table.take_step(step, &after) {
            Ok(()) => Ok(()),
            Err(cause) => self.recover(&open, cause, |found| found.runs_version == after.runs_version, reserve).map(drop),
        }
    }

    /// Finds out what a failed commit left. If no sync failed, the operating system's view of the file is coherent: open
    /// the database anew and look which state it holds.
    fn recover(
        &self,
        open: &Open,
        cause: StorageError,
        is_there: impl Fn(&Meta) -> bool,
        reserve: &Reserve,
    ) -> Result<Meta, ApplyError> {
        if open.table.health().sync_failed() {
            return Err(ApplyError::Indeterminate(cause));
        }
        if matches!(cause, StorageError::Full(_)) {
            // Opening writes as well, and on a copy-on-write file system that takes space.
            reserve.release();
        }
        let recovering = self.recovering.lock();
        open.table.health().retire();
        let reopened =
            Table::open(open.file.clone(), &self.store, self.cache_bytes).and_then(|table| Ok((table.view()?.meta()?, table)));
        let Ok((found, table)) = reopened else {
            return Err(ApplyError::Indeterminate(cause));
        };
        let table = Arc::new(table);
        self.replace(Open { table: table.clone(), ..open.clone() });
        drop(recovering);
        if !is_there(&found) {
            return Err(ApplyError::NotDone(cause));
        }
        // The rows are there, yet the last sync may not have run: a commit on top of it makes them durable.
        table.commit(&Rows::meta_only(found)).map_err(ApplyError::Indeterminate)?;
        Ok(found)
    }

    /// Puts another file or database in the place of the current one, unless it was closed.
    pub(crate) fn replace(&self, new: Open) {
        if let Some(open) = self.open.write().as_mut() {
            let old = std::mem::replace(open, new);
            *self.earlier_io.lock() += old.table.health().io();
        }
    }

    /// Closes the file and gives up its lock, as soon as nobody reads any more.
    pub(crate) fn close(&self) {
        if let Some(open) = self.open.write().take() {
            *self.earlier_io.lock() += open.table.health().io();
        }
    }

    /// Returns what was done to the file since the open.
    pub(crate) fn io(&self) -> IoCounts {
        let earlier = *self.earlier_io.lock();
        self.current().map_or(earlier, |open| earlier + open.table.health().io())
    }
}

impl std::ops::AddAssign for IoCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
