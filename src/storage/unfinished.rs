//! A file that gets its name when it is whole: a new store, a backup, a compacted store.

use super::{
    disk::{Disk, DiskFile},
    error::StorageError,
};
use crate::{Error, ErrorKind, Result};
use std::{io, sync::Arc};

/// A file that is being written, under a name of its own and locked. Unless it gets its name, nothing of it stays.
pub(super) struct Unfinished<'d> {
    disk: &'d dyn Disk,
    name: String,
    temporary: String,
    file: Arc<dyn DiskFile>,
}

impl<'d> Unfinished<'d> {
    /// Begins a file that is to be called `name`. Somebody else may be writing one for that name; it is left alone.
    pub(super) fn create(disk: &'d dyn Disk, name: &str) -> Result<Self> {
        let temporary = temporary_name(name);
        let path = disk.path(&temporary);
        let context = |error| StorageError::from_io(error).into_error(format!("creating {path}"));
        let busy = || Error::new(ErrorKind::Locked, format!("{path} is being written by somebody else"));
        if !remove_unfinished(disk, name).map_err(context)? {
            return Err(busy());
        }
        let file = disk.create(&temporary).map_err(context)?;
        // Between its creation and its lock another process may have taken the file for one that a crash left.
        if !file.try_lock().map_err(context)? {
            return Err(busy());
        }
        let unfinished = Self { disk, name: name.to_owned(), temporary, file };
        if unfinished.is_in_place().map_err(context)? { Ok(unfinished) } else { Err(busy()) }
    }

    pub(super) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// Returns the path that is being written, for messages.
    pub(super) fn path(&self) -> String {
        self.disk.path(&self.temporary)
    }

    /// Gives it its name, which nobody may have yet.
    pub(super) fn name_new(self) -> io::Result<Arc<dyn DiskFile>> {
        self.check_in_place()?;
        self.disk.rename_new(&self.temporary, &self.name)?;
        Ok(self.file.clone())
    }

    /// Gives it its name in the place of what has it.
    pub(super) fn name_over(self) -> io::Result<Arc<dyn DiskFile>> {
        self.check_in_place()?;
        self.disk.rename_over(&self.temporary, &self.name)?;
        Ok(self.file.clone())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        match self.disk.id(&self.temporary) {
            Ok(named) => Ok(named == self.file.id()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is there by now would get the name, whole or not.
    fn check_in_place(&self) -> io::Result<()> {
        if self.is_in_place()? {
            return Ok(());
        }
        Err(io::Error::other(format!("{} was moved away or replaced meanwhile: try again", self.path())))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // What has replaced it is somebody else's.
        if self.is_in_place().unwrap_or(false) {
            let _ = self.disk.remove(&self.temporary);
        }
    }
}

/// Unlikely to be anybody's own.
fn temporary_name(name: &str) -> String {
    format!("{name}.idemstore-unfinished")
}

/// Removes what a creation, compaction or backup left that crashed; not what somebody is writing. Returns whether nothing is left.
pub(super) fn remove_unfinished(disk: &dyn Disk, name: &str) -> io::Result<bool> {
    let temporary = temporary_name(name);
    let id = match disk.id(&temporary) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        id => id?,
    };
    // A crash within the step that gives a new file its name may leave it with both.
    let is_second_name = disk.id(name).is_ok_and(|named| named == id);
    if is_second_name || disk.open(&temporary)?.try_lock()? {
        return disk.remove(&temporary).map(|()| true);
    }
    Ok(false)
}
