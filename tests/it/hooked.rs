//! A clock and a disk that call something of the test's before they answer.

use idemstore::{
    Clock, ManualClock, Signal, Timestamp,
    disk::{Disk, DiskFile, FileId, MemoryDisk},
};
use std::{fmt, io, sync::Arc, time::Duration};

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Wall,
    Monotonic,
    Wait,
    Write,
    Sync,
}

/// What is called, with the name of the file if it happens to one; on the thread on which it happens.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn(Event, &str) + Send + Sync>);

impl Hook {
    pub fn new(call: impl Fn(Event, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

#[derive(Debug)]
pub struct HookedClock(pub ManualClock, pub Hook);

impl Clock for HookedClock {
    fn wall(&self) -> Timestamp {
        (self.1.0)(Event::Wall, "");
        self.0.wall()
    }

    fn monotonic(&self) -> Duration {
        (self.1.0)(Event::Monotonic, "");
        self.0.monotonic()
    }

    fn wait(&self, signal: &Signal, until: Option<Duration>) {
        (self.1.0)(Event::Wait, "");
        self.0.wait(signal, until);
    }
}

#[derive(Debug)]
pub struct HookedDisk(pub MemoryDisk, pub Hook);

#[derive(Debug)]
struct HookedFile(Arc<dyn DiskFile>, String, Hook);

impl HookedDisk {
    fn hooked(&self, name: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(HookedFile(file, name.to_owned(), self.1.clone()))
    }
}

impl Disk for HookedDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.hooked(name, self.0.open(name)?))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.hooked(name, self.0.create(name)?))
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
        self.0.sync()
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

impl DiskFile for HookedFile {
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
        (self.2.0)(Event::Write, &self.1);
        self.0.write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        (self.2.0)(Event::Sync, &self.1);
        self.0.sync()
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
    fn id(&self) -> io::Result<FileId> {
        self.0.id()
    }
}
