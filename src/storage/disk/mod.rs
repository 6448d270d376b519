//! Where the store's bytes live, as a parameter: a directory of the operating system, memory, or a simulation that fails.

mod fs;
mod memory;

pub use fs::FsDisk;
pub(crate) use fs::split;
pub use memory::MemoryDisk;

use std::{fmt, io, sync::Arc};

/// A flat directory of files with the durability rules of POSIX: what was written to a file is durable once that file is
/// [synced](DiskFile::sync); a created, renamed or removed name is durable once the directory is [synced](Disk::sync).
///
/// The store asks nothing more of it, so a simulation that drops, reorders and tears whatever was not synced proves what
/// the store does after a power cut.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) when there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates an empty file that only its owner may read.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when there is one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file in one step, unless the new name is taken.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) when it is.
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()>;

    /// Renames a file in one step, over whatever has the new name.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename_over(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) when there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes names durable.
    ///
    /// # Errors
    /// After an error nobody knows which names are.
    fn sync(&self) -> io::Result<()>;

    /// Returns which file has that name now.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) when none has.
    fn id(&self, name: &str) -> io::Result<FileId>;

    /// Refuses a directory in which other users could replace a new store's files.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) with what to do about it.
    fn check_private(&self) -> io::Result<()>;

    /// Returns how many bytes more its files may take, as far as somebody says so. Work that only saves space later is left for another
    /// time when they are few; nothing else depends on it.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Returns the file's path for messages.
    fn path(&self, name: &str) -> String;
}

/// An open file. All methods take positions, so threads need no order among themselves.
pub trait DiskFile: fmt::Debug + Send + Sync + 'static {
    /// Returns the length in bytes.
    ///
    /// # Errors
    /// As the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// Returns whether the file has no bytes.
    ///
    /// # Errors
    /// As [`len`](DiskFile::len).
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull) among others.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Fills `into` from `offset`.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) when the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull) among others; any part may then be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// After an error nobody knows what is; the caller must not sync again and believe the answer.
    fn sync(&self) -> io::Result<()>;

    /// Locks the file for this handle, against every other handle of any process; returns whether that was possible.
    /// The lock ends with the handle.
    ///
    /// # Errors
    /// As the operating system says.
    fn try_lock(&self) -> io::Result<bool>;

    /// Returns which file this is, whatever it is called by now.
    ///
    /// # Errors
    /// As the operating system says.
    fn id(&self) -> io::Result<FileId>;
}

/// Tells two files apart: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub u64, pub u64);
