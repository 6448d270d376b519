//! A disk in memory whose sync takes a fixed time: what group commit is worth, without the noise of a real disk.

use idemstore::disk::{Disk, DiskFile, FileId, MemoryDisk};
use std::{io, sync::Arc, thread, time::Duration};

#[derive(Clone, Debug)]
pub struct SlowDisk {
    disk: MemoryDisk,
    sync_takes: Duration,
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn DiskFile>,
    sync_takes: Duration,
}

impl SlowDisk {
    pub fn new(sync_takes: Duration) -> Self {
        Self { disk: MemoryDisk::new(), sync_takes }
    }

    fn slow(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(SlowFile { file, sync_takes: self.sync_takes })
    }
}

impl Disk for SlowDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name).map(|file| self.slow(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name).map(|file| self.slow(file))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename_over(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        thread::sleep(self.sync_takes);
        self.disk.sync()
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.disk.id(name)
    }

    fn check_private(&self) -> io::Result<()> {
        self.disk.check_private()
    }

    fn path(&self, name: &str) -> String {
        self.disk.path(name)
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        thread::sleep(self.sync_takes);
        self.file.sync()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn id(&self) -> io::Result<FileId> {
        self.file.id()
    }
}
