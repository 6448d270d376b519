//! The files and names of the simulated disk, as a store uses them.

use super::{Inode, Lie, NameChange, Operation, SimDisk, Unsynced};
use idemstore::disk::{Disk, DiskFile, FileId};
use std::{
    fmt, io,
    sync::{Arc, Mutex},
};

pub(super) struct SimFile {
    disk: SimDisk,
    inode: u64,
    holds_lock: Mutex<bool>,
}

impl SimFile {
    pub(super) fn new(disk: &SimDisk, inode: u64) -> Self {
        Self { disk: disk.clone(), inode, holds_lock: Mutex::new(false) }
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.start(Operation::Open)?;
        let inode = state.inode(name)?;
        Ok(self.handle(&mut state, inode))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.start(Operation::Create)?;
        if state.now.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.now.next_inode;
        state.now.next_inode += 1;
        state.now.files.insert(inode, Inode::default());
        state.change_name(NameChange::Link(name.to_owned(), inode));
        Ok(self.handle(&mut state, inode))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        if self.state().now.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename_over(from, to)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.start(Operation::Rename)?;
        let inode = state.inode(from)?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.start(Operation::Remove)?;
        state.inode(name)?;
        state.change_name(NameChange::Unlink(name.to_owned()));
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        self.state().said_free
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.start(Operation::DirSync)?;
        if state.lie != Lie::Directory {
            state.now.name_changes.clear();
            state.now.durable_names = state.now.names.clone();
        }
        Ok(())
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.start(Operation::Identify)?.inode(name).map(|inode| FileId(7, inode))
    }

    fn check_private(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        format!("simulated:{name}")
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.start(Operation::Length)?;
        Ok(state.file(self.inode).seen.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.start(Operation::SetLen)?;
        let file = state.file(self.inode);
        file.seen.set_len(len as usize);
        file.unsynced.push(Unsynced::SetLen(len as usize));
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.start(Operation::Read)?;
        state.file(self.inode).seen.read(offset as usize, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let written = self.disk.start(Operation::Write).and_then(|state| state.check_space(self.inode, offset, bytes.len()));
        let part = if written.is_ok() { bytes } else { self.disk.state().part_of_failed_write(bytes) };
        let mut state = self.disk.state();
        if written.is_ok() || state.check_space(self.inode, offset, part.len()).is_ok() {
            state.write(self.inode, offset, part);
        }
        written
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.start(Operation::Sync) {
            Ok(mut state) => state.sync_file(self.inode),
            Err(error) => {
                self.disk.state().lose_unsynced(self.inode);
                return Err(error);
            }
        }
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        let (mut holds, mut state) = (self.holds_lock.lock().unwrap(), self.disk.state());
        if !*holds && !state.locked.contains(&self.inode) {
            state.locked.push(self.inode);
            *holds = true;
        }
        Ok(*holds)
    }

    fn id(&self) -> io::Result<FileId> {
        self.disk.start(Operation::Identify).map(|_| FileId(7, self.inode))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if *self.holds_lock.lock().unwrap() {
            state.locked.retain(|&inode| inode != self.inode);
        }
        let users = state.handles.get_mut(&self.inode).unwrap();
        *users -= 1;
        if *users == 0 {
            state.handles.remove(&self.inode);
        }
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.inode)
    }
}
