use super::{Disk, DiskFile, FileId};
use std::{
    fs::{File, Metadata, OpenOptions, TryLockError},
    io,
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Only the owner reads and writes: payloads are other people's payments.
const FILE_MODE: u32 = 0o600;
const GROUP_OR_WORLD_WRITABLE: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct FsDisk {
    directory: PathBuf,
}

impl FsDisk {
    /// Names a directory; it has to exist when a store is opened in it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    fn full(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A path given by a user, as its directory and its file name.
pub(crate) fn split(path: &Path) -> io::Result<(FsDisk, String)> {
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    // A symbolic link is followed once, so that a compaction replaces the file and not the link; and a relative path stays what
    // it was when the process changes its directory.
    let path = &std::fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
    let name = path.file_name().ok_or_else(|| invalid("path names no file"))?;
    let name = name.to_str().ok_or_else(|| invalid("file name is not UTF-8"))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    Ok((FsDisk::new(directory), name.to_owned()))
}

/// Asks for nothing but the number of the inode, once with each commit.
///
/// Since Linux 6.13 a file whose times somebody has looked at gets a time of its own with its next write, instead of one that it has
/// until the clock ticks. Then every commit changes the inode, and on ext4 without a journal the sync writes that as well: twice the
/// work of the disk for a look that is not about times.
#[cfg(target_os = "linux")]
fn id_of(path: &Path) -> io::Result<FileId> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok(FileId(makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino)),
        // A kernel or a sandbox without this call.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => id_by_metadata(path),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
use id_by_metadata as id_of;

fn id_by_metadata(path: &Path) -> io::Result<FileId> {
    std::fs::metadata(path).map(|meta| id_in(&meta))
}

fn id_in(meta: &Metadata) -> FileId {
    FileId(meta.dev(), meta.ino())
}

impl Disk for FsDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.full(name))?;
        Ok(Arc::new(FsFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(self.full(name))?;
        Ok(Arc::new(FsFile(file)))
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        // `rename` replaces silently; a hard link does not.
        std::fs::hard_link(self.full(from), self.full(to))?;
        self.remove(from)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.full(from), self.full(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.full(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn id(&self, name: &str) -> io::Result<FileId> {
        id_of(&self.full(name))
    }

    fn check_private(&self) -> io::Result<()> {
        let mode = std::fs::metadata(&self.directory)?.mode();
        if mode & GROUP_OR_WORLD_WRITABLE == 0 || mode & STICKY != 0 {
            return Ok(());
        }
        let directory = self.directory.display();
        let advice = format!("other users may write to {directory}: run `chmod go-w {directory}` or choose another directory");
        Err(io::Error::new(io::ErrorKind::PermissionDenied, advice))
    }

    #[cfg(target_os = "linux")]
    fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(&self.directory).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn path(&self, name: &str) -> String {
        self.full(name).display().to_string()
    }
}

#[derive(Debug)]
struct FsFile(File);

impl DiskFile for FsFile {
    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|meta| meta.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn id(&self) -> io::Result<FileId> {
        self.0.metadata().map(|meta| id_in(&meta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_says_how_much_it_takes() {
        let directory = tempfile::tempdir().unwrap();
        assert!(FsDisk::new(directory.path()).free_bytes().unwrap() > 0);
        assert_eq!(FsDisk::new(directory.path().join("missing")).free_bytes(), None);
    }

    #[test]
    fn a_file_has_one_id_however_it_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let disk = FsDisk::new(directory.path());
        let file = disk.create("a").unwrap();
        disk.create("b").unwrap();
        assert_eq!(disk.id("a").unwrap(), file.id().unwrap());
        assert_eq!(disk.id("a").unwrap(), id_by_metadata(&disk.full("a")).unwrap());
        assert_ne!(disk.id("a").unwrap(), disk.id("b").unwrap());
        assert_eq!(disk.id("c").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
