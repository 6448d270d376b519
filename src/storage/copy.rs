//! Whole copies: backups, and the compacted file that takes the place of the old one.

use super::{
    Storage,
    database::Open,
    disk::Disk,
    error::StorageError,
    journal::{Active, Journal},
    lifecycle::write_new,
    run::{Chunk, run_of},
    table::{COPIED, OF_RUNS, Rows, Table},
    unfinished::Unfinished,
    view::View,
};
use crate::{Error, ErrorKind, Result, sync::MutexGuard};
use std::{io, ops::ControlFlow, path::Path, sync::Arc};

/// Rows per transaction of a copy: bounds its memory.
const COPY_ROWS: usize = 1024;

/// Told how many rows were copied; may stop the copy.
pub(crate) type OnRows<'p> = &'p mut dyn FnMut(u64) -> ControlFlow<()>;

/// While it is there, no run is rewritten.
pub(crate) struct NoRewrites<'s>(#[expect(dead_code, reason = "held, not looked at")] MutexGuard<'s, ()>);

impl Storage {
    /// Writes a consistent copy of the store to a new file while the store works.
    pub(crate) fn backup(&self, to: &Path, on_rows: OnRows<'_>) -> Result<()> {
        let (disk, name) = super::disk::split(to).map_err(|error| Error::invalid(format!("backup path: {error}")))?;
        let context = |error| Error::io(format!("writing backup {}", disk.path(&name)), error);
        if disk.id(&name).is_ok() {
            let message = format!("writing backup {}: the file exists; choose another name", disk.path(&name));
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        self.settle_all().map_err(|error| error.into_error(format!("writing backup {}", disk.path(&name))))?;
        let copy = self.copy_to(&disk, &name, true, on_rows)?;
        copy.name_new().map_err(context)?;
        disk.sync().map_err(context)
    }

    /// Waits for a rewrite of runs that is under way, and holds up the next.
    pub(crate) fn hold_rewrites(&self) -> NoRewrites<'_> {
        NoRewrites(self.upkeep.rewriting.lock())
    }

    /// Writes a compact copy and puts it in the place of the file. Nothing may be applied meanwhile: the caller holds up
    /// the writer.
    ///
    /// Nor may runs be rewritten, from before the copy on: a merge or a sweep of the old table meanwhile would be undone, and the ids
    /// that it has given to runs would be given again.
    pub(crate) fn compact(&self, _no_rewrites: &NoRewrites<'_>, on_rows: OnRows<'_>) -> Result<()> {
        let scrubbed = self.settle_all().and_then(|()| self.journal()?.scrub());
        scrubbed.map_err(|error| error.into_error(format!("compacting {}", self.path())))?;
        let copy = self.copy_to(&*self.disk, &self.name, false, on_rows)?;
        // In the order in which everybody takes them. With nothing applied since, no checkpoint has had anything to do.
        let journal = self.journal().map_err(|error| error.into_error("compacting"))?;
        let active = journal.active();
        let _no_checkpoint = self.checkpointing.lock();
        self.install(&journal, &active, copy)
    }

    /// A crash before the rename leaves the old file, one after it the new file; both hold every acknowledged record.
    fn install(&self, journal: &Journal, active: &Active<'_>, copy: Unfinished<'_>) -> Result<()> {
        let context = || format!("compacting {}", self.path());
        let failed = |error: io::Error| Error::io(context(), error);
        let table = Table::open(copy.file().clone(), &self.id, self.options.cache_bytes);
        let table = table.map_err(|error| error.into_error(context()))?;
        let id = copy.file().id().map_err(failed)?;
        // What somebody else has put there is not ours to replace.
        self.check_still_in_place(journal, active).map_err(|error| error.into_cause().into_error(context()))?;
        let file = copy.name_over().map_err(failed)?;
        // From here on the new file has the name, so the new file is the store, whatever else fails.
        self.database.replace(Open { file, id, table: Arc::new(table) });
        self.upkeep.forget_damage();
        // After a power cut the old file could be back, without what is written from now on.
        let unsure = |error| Error::new(ErrorKind::Indeterminate, format!("{}: {error}", context()));
        self.disk.sync().map_err(unsure)
    }

    /// Writes a copy that is to be called `name`.
    fn copy_to<'d>(&self, disk: &'d dyn Disk, name: &str, is_backup: bool, on_rows: OnRows<'_>) -> Result<Unfinished<'d>> {
        let copy = Unfinished::create(disk, name)?;
        let (path, file) = (copy.path(), copy.file());
        let context = || format!("writing {path}");
        let source = self.database.current().map_err(|error| error.into_error(context()))?.table;
        let copied = (|| {
            write_new(file, &self.id, self.high_water(), is_backup)?;
            let target = Table::open(file.clone(), &self.id, self.options.cache_bytes)?;
            let result = copy_rows(&source.view()?, &target, is_backup, on_rows);
            drop(target);
            if source.health().is_retired() {
                let message = "the store was opened anew meanwhile; try again";
                return Err(StorageError::Engine(message.into()));
            }
            result
        })();
        match copied {
            Ok(true) => Ok(copy),
            Ok(false) => Err(Error::new(ErrorKind::Stopped, format!("{}: stopped by the progress callback", context()))),
            Err(error) => Err(error.into_error(context())),
        }
    }
}

/// Copies every row as it is, so that what is damaged stays recognisably damaged. Returns false if it was stopped.
fn copy_rows(view: &View<'_>, target: &Table, is_backup: bool, on_rows: OnRows<'_>) -> Result<bool, StorageError> {
    let mut copied = 0;
    // What is on its way into a run or out of one stays behind.
    let unlisted = view.unlisted()?;
    for table in COPIED {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut piece = view.raw_rows(table, after.as_deref(), COPY_ROWS)?;
            let Some((last, _)) = piece.rows.last() else { break };
            after = Some(last.clone());
            if OF_RUNS.contains(&table) {
                let is_listed = |key: &[u8]| run_of(key).is_none_or(|run| !unlisted.contains(&run));
                piece.rows.retain(|(key, _)| is_listed(key));
            }
            target.insert_rows(table, &piece.rows)?;
            let records: usize = match table {
                "records" => piece.rows.len(),
                "chunks" => piece.rows.iter().filter_map(|(_, chunk)| Chunk::new(chunk)).map(|chunk| chunk.len()).sum(),
                _ => 0,
            };
            if records > 0 {
                copied += records as u64;
                if on_rows(copied).is_break() {
                    return Ok(false);
                }
            }
        }
    }
    let mut meta = view.meta()?;
    meta.is_backup = is_backup.into();
    if is_backup {
        // It comes without the journal.
        meta.is_live = 0;
    }
    target.commit(&Rows::meta_only(meta))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        State,
        storage::{
            OpenMode,
            checkpoint::tests::{open, put},
            disk::MemoryDisk,
        },
    };

    #[test]
    fn a_compaction_leaves_no_payload_in_the_journal() {
        const PAYLOAD: &[u8] = b"card 4111";
        let disk = MemoryDisk::new();
        let storage = open(&disk, OpenMode::New);
        for id in ["a", "b"] {
            put(&storage, id, State::Completed, PAYLOAD);
            storage.settle_all().unwrap();
        }
        let has_payload = |name| {
            let file = disk.open(name).unwrap();
            let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read_at(0, &mut bytes).unwrap();
            bytes.windows(PAYLOAD.len()).any(|piece| piece == PAYLOAD)
        };
        let segments = ["s.journal-0", "s.journal-1"];
        assert_eq!(segments.map(has_payload), [true; 2], "a checkpoint leaves it behind");
        storage.compact(&storage.hold_rewrites(), &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(segments.map(has_payload), [false; 2]);
    }
}
