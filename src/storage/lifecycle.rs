//! How a store file comes into being, is opened, and is refused.

use super::{
    Storage,
    database::{Database, Open},
    disk::{Disk, DiskFile},
    error::{ApplyError, StorageError},
    frame::StoreId,
    journal,
    meta::Meta,
    owner::{self, Note, Owner},
    recent::Recent,
    reserve::Reserve,
    rewrite::Upkeep,
    seal::ValueCheck,
    superblock,
    table::{Rows, Table},
    unfinished::Unfinished,
};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    sync::{Mutex, RwLock},
};
use std::{
    hash::{BuildHasher, RandomState},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// What an open needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageOptions {
    pub(crate) cache_bytes: usize,
    pub(crate) reserve_bytes: u64,
    pub(crate) accept_restored: bool,
    /// Of both segments of the journal.
    pub(crate) journal_bytes: u64,
    /// The writer does its checkpoints itself.
    pub(crate) checkpoint_inline: bool,
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
        let storage = Self::around(disk, name, &locked, options)?;
        match storage.take_over() {
            Err(error) if error.kind() == ErrorKind::Full => {
                storage.reserve.release();
                let disk = storage.disk.clone();
                // What the first try has read into memory would otherwise be there twice. And redb writes to the file when its
                // database is dropped: that must not come after what the second try writes.
                drop(storage);
                let storage = Self::around(disk, name, &locked, options)?;
                storage.take_over().map(|()| storage)
            }
            taken => taken.map(|()| storage),
        }
    }

    /// The storage with its database and nothing else.
    fn around(disk: Arc<dyn Disk>, name: &str, locked: &Locked, options: StorageOptions) -> Result<Self> {
        let context = |error: StorageError| error.into_error(format!("opening {}", disk.path(name)));
        let table = Table::open(locked.file.clone(), &locked.id, options.cache_bytes).map_err(context)?;
        let id = locked.file.id().map_err(|error| context(StorageError::Io(error)))?;
        let open = Open { file: locked.file.clone(), id, table: Arc::new(table) };
        Ok(Self {
            name: name.to_owned(),
            id: locked.id,
            values: ValueCheck::new(&locked.id),
            options,
            noted_batch: AtomicU64::new(0),
            reserve: Reserve::new(disk.clone(), name, options.reserve_bytes),
            database: Database::new(locked.id, options.cache_bytes, open),
            journal: RwLock::new(None),
            recent: Recent::default(),
            tails: Mutex::default(),
            meta: Mutex::default(),
            checkpointing: Mutex::default(),
            upkeep: Upkeep::default(),
            closing: AtomicBool::new(false),
            disk,
        })
    }

    /// Writes down how far the store has got, so that an older copy of it is recognised. A failure only leaves the older note.
    pub(crate) fn note_progress(&self) {
        // What may not be in the files must not be in the note.
        let Ok(journal) = self.journal() else { return };
        let is_sound = journal.check_sound().is_ok() && self.check_still_in_place(&journal, &journal.active()).is_ok();
        let meta = *self.meta.lock();
        if is_sound && self.noted_batch.load(Ordering::Acquire) != meta.batch {
            let noted = write_note(&*self.disk, &self.name, &self.id, &meta);
            if noted.is_ok() {
                self.noted_batch.store(meta.batch, Ordering::Release);
            }
        }
    }

    /// Closes the file and gives up its lock, as soon as nobody reads any more. Everything goes into the one file before that,
    /// if it `is_sound`; otherwise the journal keeps it for the next open.
    pub(crate) fn close(&self, is_sound: bool) {
        self.note_progress();
        self.closing.store(true, Ordering::Release);
        if is_sound {
            // If this fails, the journal is still there.
            let _ = self.settle_for_good();
        }
        *self.journal.write() = None;
        self.database.close();
    }

    /// The last checkpoint: after it, the table says that it needs no journal.
    fn settle_for_good(&self) -> Result<(), ApplyError> {
        self.settle_all()?;
        // A sweep by hand may still be at work, and changes the metadata as well.
        let _one_at_a_time = self.checkpointing.lock();
        let meta = self.database.view(|view, _| view.meta()).map_err(ApplyError::NotDone)?;
        if meta.is_live == 0 {
            return Ok(());
        }
        self.database.commit(&Rows::meta_only(Meta { is_live: 0, ..meta }), &self.reserve)
    }
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
    let message = match is_lost(disk, name) {
        Ok(false) => format!("opening {path}: there is no such file; create the store once with Store::create"),
        _ => lost_message(disk, name),
    };
    Error::new(ErrorKind::NotFound, message)
}

/// Whether something here belongs to a store file that is not here.
fn is_lost(disk: &dyn Disk, name: &str) -> io::Result<bool> {
    Ok(owner::read(disk, name)? != Note::Missing || journal::exists(disk, name)?)
}

fn lost_message(disk: &dyn Disk, name: &str) -> String {
    let (path, note) = (disk.path(name), disk.path(&owner::name_of(name)));
    format!(
        "{path} is gone, but {note} and its journal say that a store was there: restore it from a backup. A new store would \
         treat every payment as new; if that is what you want, remove {note} and {path}.journal-0 and -1 first"
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
    if is_lost(disk, name).map_err(context)? {
        return Err(Error::new(ErrorKind::NotFound, lost_message(disk, name)));
    }
    let unfinished = Unfinished::create(disk, name)?;
    let id = new_store_id();
    write_new(unfinished.file(), &id, now, false).map_err(|error| error.into_error(format!("creating {path}")))?;
    let file = unfinished.name_new().map_err(context)?;
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

/// Writes down who owns the store and how far it has got.
pub(super) fn write_note(disk: &dyn Disk, name: &str, id: &StoreId, meta: &Meta) -> io::Result<()> {
    let Meta { incarnation, batch, .. } = *meta;
    owner::write(disk, name, &Owner { store: *id, incarnation, batch, process: std::process::id() })
}

/// A random identity. The hasher's keys come from the operating system's random numbers.
fn new_store_id() -> StoreId {
    let mut id = [0; 16];
    for half in id.chunks_mut(8) {
        half.copy_from_slice(&RandomState::new().hash_one(std::process::id()).to_le_bytes());
    }
    id
}
