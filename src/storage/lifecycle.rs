//! How a store file comes into being, is opened, and is refused.

use super::{
    Open, Storage,
    disk::{Disk, DiskFile},
    error::StorageError,
    frame::StoreId,
    meta::Meta,
    owner::{self, Note, Owner},
    reserve::Reserve,
    superblock,
    table::{Rows, Table},
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    limits::TOKEN_MAX,
    sync::{Mutex, RwLock},
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Tokens skipped when an old copy is taken into use: more than any store grants between a backup and its restore.
const RESTORE_TOKEN_GAP: u64 = 1 << 40;

/// What an open needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageOptions {
    pub(crate) cache_bytes: usize,
    pub(crate) reserve_bytes: u64,
    pub(crate) accept_restored: bool,
}

/// Whether a file has to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    Existing,
    New,
    Either,
}

/// An exclusively locked store file.
struct Locked {
    file: Arc<dyn DiskFile>,
    id: StoreId,
}

impl Storage {
    /// Opens or creates a store. When this returns, the new incarnation is durable.
    pub(crate) fn open(disk: Arc<dyn Disk>, name: &str, mode: OpenMode, now: Timestamp, options: StorageOptions) -> Result<Self> {
        let exists = exists(&*disk, name)?;
        let locked = match (mode, exists) {
            (OpenMode::Existing | OpenMode::Either, true) => lock_existing(&*disk, name)?,
            (OpenMode::New | OpenMode::Either, false) => create(&*disk, name, now)?,
            (OpenMode::New, true) => {
                let message = format!("creating {}: the file exists; open it instead", disk.path(name));
                return Err(Error::new(ErrorKind::AlreadyExists, message));
            }
            (OpenMode::Existing, false) => return Err(missing(&*disk, name)),
        };
        let reserve = Reserve::new(disk.clone(), name, options.reserve_bytes);
        let (table, meta) = match open_table(&*disk, name, &locked, options) {
            Err(error) if error.kind() == ErrorKind::Full => {
                reserve.release();
                open_table(&*disk, name, &locked, options)
            }
            opened => opened,
        }?;
        Ok(Self {
            name: name.to_owned(),
            noted_batch: AtomicU64::new(meta.batch),
            id: locked.id,
            cache_bytes: options.cache_bytes,
            reserve,
            open: RwLock::new(Some(Open { file: locked.file, table: Arc::new(table) })),
            meta: Mutex::new(meta),
            earlier_io: Mutex::default(),
            disk,
        })
    }

    /// Writes down how far the store has got, so that an older copy of it is recognised. A failure only leaves the older note.
    pub(crate) fn note_progress(&self) {
        let meta = *self.meta.lock();
        // What may not be in the file must not be in the note.
        let is_sound = self.check_still_in_place().is_ok() && self.current().is_ok_and(|open| !open.table.health().sync_failed());
        if is_sound && self.noted_batch.load(Ordering::Acquire) != meta.batch {
            let noted = write_note(&*self.disk, &self.name, &self.id, &meta);
            if noted.is_ok() {
                self.noted_batch.store(meta.batch, Ordering::Release);
            }
        }
    }

    /// Closes the file and gives up its lock, as soon as nobody reads any more.
    pub(crate) fn close(&self) {
        self.note_progress();
        if let Some(open) = self.open.write().take() {
            *self.earlier_io.lock() += open.table.health().io();
        }
    }
}

fn open_table(disk: &dyn Disk, name: &str, locked: &Locked, options: StorageOptions) -> Result<(Table, Meta)> {
    let table = Table::open(locked.file.clone(), &locked.id, options.cache_bytes)
        .map_err(|error| error.into_error(format!("opening {}", disk.path(name))))?;
    let meta = take_over(disk, name, locked, &table, options.accept_restored)?;
    Ok((table, meta))
}

fn exists(disk: &dyn Disk, name: &str) -> Result<bool> {
    match disk.id(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(format!("opening {}", disk.path(name)), error)),
    }
}

fn missing(disk: &dyn Disk, name: &str) -> Error {
    let path = disk.path(name);
    let message = match owner::read(disk, name) {
        Ok(Note::Missing) => format!("opening {path}: there is no such file; create the store once with Store::create"),
        _ => lost_message(disk, name),
    };
    Error::new(ErrorKind::NotFound, message)
}

fn lost_message(disk: &dyn Disk, name: &str) -> String {
    let (path, note) = (disk.path(name), disk.path(&owner::name_of(name)));
    format!(
        "{path} is gone, but {note} says that a store was there: restore it from a backup. \
         A new store would treat every payment as new; if that is what you want, remove {note} first"
    )
}

fn lock_existing(disk: &dyn Disk, name: &str) -> Result<Locked> {
    let context = || format!("opening {}", disk.path(name));
    let file = disk.open(name).map_err(|error| Error::io(context(), error))?;
    // A compaction may replace the file while it is being opened: the lock has to be on the file that has the name.
    let is_locked = file.try_lock().map_err(|error| Error::io(context(), error))?;
    let named = disk.id(name).map_err(|error| Error::io(context(), error))?;
    let opened = file.id().map_err(|error| Error::io(context(), error))?;
    if !is_locked || named != opened {
        return Err(locked_by_other(disk, name));
    }
    let id = superblock::read(&*file).map_err(|error| error.into_error(context()))?;
    Ok(Locked { file, id })
}

fn locked_by_other(disk: &dyn Disk, name: &str) -> Error {
    let who = match owner::read(disk, name) {
        Ok(Note::Of(owner)) if owner.process == std::process::id() => "this process has it open already".to_owned(),
        Ok(Note::Of(owner)) => format!("another process has it open (pid {})", owner.process),
        _ => "another process has it open".to_owned(),
    };
    Error::new(ErrorKind::Locked, format!("opening {}: {who}", disk.path(name)))
}

/// Creates a store file. A crash at any point leaves no file of that name, or a whole one.
fn create(disk: &dyn Disk, name: &str, now: Timestamp) -> Result<Locked> {
    let path = disk.path(name);
    let context = |error| Error::io(format!("creating {path}"), error);
    disk.check_private().map_err(context)?;
    if owner::read(disk, name).map_err(context)? != Note::Missing {
        return Err(Error::new(ErrorKind::NotFound, lost_message(disk, name)));
    }
    let temporary = temporary_name(name);
    let file = create_temporary(disk, &temporary)?;
    let id = new_store_id();
    write_new(&file, &id, now, false).map_err(|error| error.into_error(format!("creating {path}")))?;
    disk.rename_new(&temporary, name).map_err(context)?;
    // Without this, a power cut could take the whole file away after its first records were acknowledged.
    disk.sync().map_err(context)?;
    Ok(Locked { file, id })
}

/// Writes an empty store, all of it durable.
pub(super) fn write_new(file: &Arc<dyn DiskFile>, id: &StoreId, now: Timestamp, is_backup: bool) -> Result<(), StorageError> {
    superblock::write(&**file, id).map_err(StorageError::from_io)?;
    let meta = Meta { next_token: 1, high_water_ms: now.as_millis(), is_backup: is_backup.into(), ..Meta::default() };
    drop(Table::create(file.clone(), id, &meta)?);
    file.sync().map_err(StorageError::from_io)
}

/// The name of a file that is not whole yet. Unlikely to be anybody's own.
pub(super) fn temporary_name(name: &str) -> String {
    format!("{name}.idemstore-unfinished")
}

/// Removes what a creation, compaction or backup left that crashed; not what another process is writing.
fn remove_unfinished(disk: &dyn Disk, temporary: &str) -> io::Result<bool> {
    match disk.open(temporary) {
        Ok(stale) if stale.try_lock()? => disk.remove(temporary).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates and locks a file for something that gets its name when it is whole.
pub(super) fn create_temporary(disk: &dyn Disk, temporary: &str) -> Result<Arc<dyn DiskFile>> {
    let context = |error| StorageError::from_io(error).into_error(format!("creating {}", disk.path(temporary)));
    let busy = || Error::new(ErrorKind::Locked, format!("{} is being written by another process", disk.path(temporary)));
    if !remove_unfinished(disk, temporary).map_err(context)? {
        return Err(busy());
    }
    let file = disk.create(temporary).map_err(context)?;
    let is_locked = file.try_lock().map_err(context)?;
    // Between its creation and its lock another process may have taken the file for one that a crash left.
    let is_named = disk.id(temporary).map_err(context)? == file.id().map_err(context)?;
    if is_locked && is_named { Ok(file) } else { Err(busy()) }
}

/// Makes this open the store's owner: counts the incarnation, durably, before anything else is decided.
fn take_over(disk: &dyn Disk, name: &str, locked: &Locked, table: &Table, accept_restored: bool) -> Result<Meta> {
    let path = disk.path(name);
    let failed = |error: StorageError| error.into_error(format!("opening {path}"));
    let mut meta = table.view().and_then(|view| view.meta()).map_err(failed)?;
    let note = owner::read(disk, name).map_err(|error| Error::io(format!("opening {path}"), error))?;
    if let Some(what) = suspicion(&note, &locked.id, &meta) {
        if !accept_restored {
            return Err(restored(&path, what, &meta));
        }
        if let Note::Of(owner) = note {
            meta.incarnation = meta.incarnation.max(owner.incarnation);
            meta.batch = meta.batch.max(owner.batch);
        }
        meta.next_token = meta.next_token.saturating_add(RESTORE_TOKEN_GAP).min(TOKEN_MAX);
        meta.is_backup = 0;
    }
    meta.incarnation += 1;
    meta.batch += 1;
    table.commit(&Rows::meta_only(meta)).map_err(failed)?;
    write_note(disk, name, &locked.id, &meta)
        .map_err(|error| StorageError::from_io(error).into_error(format!("opening {path}")))?;
    // A failure leaves a file that nobody needs, and the next open tries again.
    let _ = remove_unfinished(disk, &temporary_name(name));
    Ok(meta)
}

/// Writes down who owns the store and how far it has got.
pub(super) fn write_note(disk: &dyn Disk, name: &str, id: &StoreId, meta: &Meta) -> io::Result<()> {
    let Meta { incarnation, batch, .. } = *meta;
    owner::write(disk, name, &Owner { store: *id, incarnation, batch, process: std::process::id() })
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

/// A random identity. The hasher's keys come from the operating system's random numbers.
fn new_store_id() -> StoreId {
    let mut id = [0; 16];
    for half in id.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(std::process::id()).to_le_bytes());
    }
    id
}
