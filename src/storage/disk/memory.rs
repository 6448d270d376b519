use super::{Disk, DiskFile, FileId};
use crate::sync::Mutex;
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// A disk in memory, for tests and for stores that need not outlive the process. Clones share the files.
///
/// ```
/// use idemstore::{Options, disk::MemoryDisk};
///
/// let disk = MemoryDisk::new();
/// Options::new().create_on(disk.clone(), "payments.idem")?.close()?;
/// Options::new().open_on(disk, "payments.idem")?;
/// # Ok::<(), idemstore::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    names: Arc<Mutex<BTreeMap<String, Arc<Inode>>>>,
    next_id: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Inode {
    id: u64,
    bytes: Mutex<Vec<u8>>,
    locked: AtomicBool,
}

#[derive(Debug)]
struct MemoryFile {
    inode: Arc<Inode>,
    holds_lock: AtomicBool,
}

impl MemoryDisk {
    /// Makes an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn inode(&self, name: &str) -> io::Result<Arc<Inode>> {
        self.names.lock().get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn handle(inode: Arc<Inode>) -> Arc<dyn DiskFile> {
    Arc::new(MemoryFile { inode, holds_lock: AtomicBool::new(false) })
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.inode(name).map(handle)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut names = self.names.lock();
        if names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Arc::new(Inode { id: self.next_id.fetch_add(1, Ordering::Relaxed), ..Inode::default() });
        names.insert(name.to_owned(), inode.clone());
        Ok(handle(inode))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        if self.names.lock().contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.rename_over(from, to)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        let mut names = self.names.lock();
        let inode = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.names.lock().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.inode(name).map(|inode| FileId(0, inode.id))
    }

    fn check_private(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        format!("memory:{name}")
    }
}

/// The bytes `offset..offset + len` of a buffer, as indices.
fn range(offset: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let end = start.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(start..end)
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.bytes.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::StorageFull)?;
        self.inode.bytes.lock().resize(len, 0);
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = self.inode.bytes.lock();
        let found = bytes.get(range(offset, into.len())?).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let range = range(offset, new.len())?;
        let mut bytes = self.inode.bytes.lock();
        if bytes.len() < range.end {
            bytes.resize(range.end, 0);
        }
        bytes[range].copy_from_slice(new);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        if self.holds_lock.load(Ordering::Acquire) {
            return Ok(true);
        }
        let locked = !self.inode.locked.swap(true, Ordering::AcqRel);
        self.holds_lock.store(locked, Ordering::Release);
        Ok(locked)
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId(0, self.inode.id))
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        if self.holds_lock.load(Ordering::Acquire) {
            self.inode.locked.store(false, Ordering::Release);
        }
    }
}
