//! What an open does about what an earlier one left.

use super::{
    Storage,
    error::{ApplyError, StorageError},
    frame::StoreId,
    journal::{self, Journal, JournalOptions, Logged, Opened},
    keys::storage_key,
    lifecycle::write_note,
    meta::Meta,
    owner::{self, Note},
    table::Rows,
    unfinished::remove_unfinished,
};
use crate::{Error, ErrorKind, Result, limits::TOKEN_MAX};
use std::sync::{Arc, atomic::Ordering};

/// Tokens skipped when an old copy is taken into use: more than any store grants between a backup and its restore.
const RESTORE_TOKEN_GAP: u64 = 1 << 40;

impl Storage {
    /// Makes this open the store's owner: takes in what the journal has, and counts the incarnation, durably, before anything
    /// else is decided.
    pub(super) fn take_over(&self) -> Result<()> {
        let (disk, name) = (&*self.disk, &self.name[..]);
        let failed = |error: StorageError| error.into_error(format!("opening {}", disk.path(name)));
        // Names that an earlier open gave may be only seen so far: it may have been killed before it had them durable.
        disk.sync().map_err(|error| failed(StorageError::Io(error)))?;
        let table = self.database.view(|view, _| view.meta()).map_err(failed)?;
        let mut opened = journal::open(self.journal_options(), &table).map_err(failed)?;
        let logged = opened.take_logged();
        let note = owner::read(disk, name).map_err(|error| failed(StorageError::Io(error)))?;
        let is_sound = self.check_is_latest(&table, &opened, &logged, &note)?;
        *self.meta.lock() = table;
        let taken = if is_sound { self.resume(logged, opened, &table) } else { self.salvage(logged, opened, &note) };
        let (journal, table) = taken.map_err(|error| failed(error.into_cause()))?;
        // The rest is as the table has it: the journal's batches go on from there.
        let owned = Meta { incarnation: table.incarnation + 1, is_live: 1, is_backup: 0, ..table };
        self.database.commit(&Rows::meta_only(owned), &self.reserve).map_err(|error| failed(error.into_cause()))?;
        let meta = {
            let mut meta = self.meta.lock();
            *meta = Meta { counts: meta.counts, ..owned.after(&meta) };
            *meta
        };
        *self.journal.write() = Some(Arc::new(journal));
        write_note(disk, name, &self.id, &meta).map_err(|error| failed(StorageError::from_io(error)))?;
        self.noted_batch.store(meta.batch, Ordering::Release);
        // A failure leaves a file that nobody needs, and the next open tries again.
        let _ = remove_unfinished(disk, name);
        Ok(())
    }

    fn journal_options(&self) -> JournalOptions {
        let bytes_max = self.options.journal_bytes / 2;
        JournalOptions { disk: self.disk.clone(), name: self.name.clone(), store: self.id, bytes_max }
    }

    /// Returns whether table and journal belong together and are the latest there was. If they are not, somebody has to
    /// have accepted that.
    fn check_is_latest(&self, table: &Meta, opened: &Opened, logged: &[Vec<Logged>], note: &Note) -> Result<bool> {
        let latest = logged.iter().flatten().last().map_or(*table, |last| table.after(&last.meta));
        let doubt = suspicion(note, &self.id, &latest).or(opened.doubt);
        match (doubt, &opened.damage) {
            (None, None) => Ok(true),
            _ if self.options.accept_restored => Ok(false),
            (Some(what), _) => Err(restored(&self.path(), what, &latest)),
            (None, Some(what)) => Err(damaged(&self.path(), what)),
        }
    }

    /// Goes on where the journal was left. Returns it, and the state of the table.
    fn resume(&self, logged: Vec<Vec<Logged>>, opened: Opened, table: &Meta) -> Result<(Journal, Meta), ApplyError> {
        let (is_two, generation) = (logged.get(1).is_some_and(|second| !second.is_empty()), table.generation + 1);
        for (number, logged) in logged.into_iter().enumerate() {
            if number == 1 && is_two {
                self.freeze(generation);
            }
            for logged in logged {
                self.take_in(logged);
            }
        }
        Ok((opened.resume(table)?, *table))
    }

    /// Takes an older copy, or what is left of a damaged journal, into use: everything that verifies goes into the table, and
    /// the journal starts anew.
    fn salvage(&self, logged: Vec<Vec<Logged>>, opened: Opened, note: &Note) -> Result<(Journal, Meta), ApplyError> {
        for logged in logged.into_iter().flatten() {
            self.take_in(logged);
        }
        // What is missing of the journal may have changed what the rest found there.
        let rebased = self.database.view(|view, _| {
            self.recent.rebase(|key| view.in_flight_base(&storage_key(key)));
            Ok(())
        });
        rebased.map_err(ApplyError::NotDone)?;
        {
            let mut meta = self.meta.lock();
            if let Note::Of(owner) = note {
                meta.incarnation = meta.incarnation.max(owner.incarnation);
                meta.batch = meta.batch.max(owner.batch);
            }
            meta.next_token = meta.next_token.saturating_add(RESTORE_TOKEN_GAP).min(TOKEN_MAX);
        }
        let generation = opened.newest;
        self.freeze(generation);
        self.settle()?;
        let journal = opened.restart(generation)?;
        let table = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;
        Ok((journal, Meta { incarnation: self.meta.lock().incarnation, ..table }))
    }
}

/// Says why the file may not be the latest state of the store that was here.
fn suspicion(note: &Note, id: &StoreId, meta: &Meta) -> Option<&'static str> {
    match note {
        _ if meta.is_backup != 0 => Some("is a backup"),
        Note::Unreadable => Some("cannot be told to be the latest state, because the note beside it is unreadable"),
        Note::Of(owner) if owner.store != *id => Some("is another store than the one that was here"),
        Note::Of(owner) if owner.incarnation > meta.incarnation || owner.batch > meta.batch => {
            Some("is an older copy of a store that has been used since")
        }
        Note::Of(_) | Note::Missing => None,
    }
}

fn restored(path: &str, what: &str, meta: &Meta) -> Error {
    let message = format!(
        "opening {path}: the file {what}; its state is as of {} ms after the epoch. It does not know the keys begun since then \
         and would let their payments run again. If that is acceptable, open it once with Options::accept_restored(true)",
        meta.high_water_ms
    );
    Error::new(ErrorKind::Restored, message)
}

fn damaged(path: &str, what: &str) -> Error {
    let message = format!(
        "opening {path}: {what}: some of what was acknowledged last cannot be read. Restore the file if there is a copy of it; \
         to go on with everything else, open it once with Options::accept_restored(true)"
    );
    Error::new(ErrorKind::Corrupted, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        State,
        storage::{
            Before, OpenMode, StorageOptions,
            checkpoint::tests::{NOW, OPTIONS, change, key, open, put},
            disk::{Disk, MemoryDisk},
            keys::Class,
        },
    };

    /// Its release is damaged, its second attempt and the outcome of that are not.
    #[test]
    fn what_verifies_of_a_damaged_journal_holds_also_at_the_next_open() {
        let (disk, key) = (MemoryDisk::new(), key("pay"));
        let storage = open(&disk, OpenMode::New);
        put(&storage, "pay", State::InFlight, &[]);
        storage.settle_all().unwrap();
        let (journal, started) = (storage.journal().unwrap(), storage.get(&key).unwrap().unwrap());
        change(&storage, NOW, "pay", Before::Present(started), None);
        let damaged = journal.place(&journal.active()).0.to_owned();
        storage.turn(&journal, &mut journal.active()).unwrap();
        put(&storage, "pay", State::Completed, b"receipt");
        drop((journal, storage));
        let file = disk.open(&damaged).unwrap();
        let mut byte = [0];
        file.read_at(512 + 60, &mut byte).unwrap();
        file.write_at(512 + 60, &[!byte[0]]).unwrap();

        let options = |accept_restored| StorageOptions { accept_restored, ..OPTIONS };
        let open = |accepted| Storage::open(Arc::new(disk.clone()), "s", OpenMode::Existing, NOW, options(accepted));
        assert_eq!(open(false).unwrap_err().kind(), ErrorKind::Corrupted);
        for accepted in [true, false] {
            let storage = open(accepted).unwrap();
            let record = storage.get(&key).unwrap().unwrap();
            assert_eq!((record.state, &record.payload[..]), (State::Completed, &b"receipt"[..]), "{accepted}");
            let index = storage.database.view(|view, _| view.index_rows(None, 10)).unwrap();
            assert!(index.rows.iter().all(|(entry, _)| entry.class == Class::Terminal), "{index:?}");
        }
    }
}
