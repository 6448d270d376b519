//! A disk that says "durable" and syncs nothing: the negative control of the power cut.

use idemstore::disk::{Disk, DiskFile, FileId, FsDisk};
use std::{io, sync::Arc};

#[derive(Debug)]
pub(crate) struct LyingDisk(pub(crate) FsDisk);

#[derive(Debug)]
struct LyingFile(Arc<dyn DiskFile>);

fn lie(file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
    Arc::new(LyingFile(file))
}

impl Disk for LyingDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.open(name).map(lie)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.create(name).map(lie)
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename_new(from, to)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename_over(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        self.0.id(name)
    }

    fn check_private(&self) -> io::Result<()> {
        self.0.check_private()
    }

    fn path(&self, name: &str) -> String {
        self.0.path(name)
    }
}

impl DiskFile for LyingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }

    fn id(&self) -> io::Result<FileId> {
        self.0.id()
    }
}
