//! A new file that has its name only when it is whole and durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{Error, ErrorKind, Result, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Payloads are other people's payments.
const MODE: u32 = 0o600;

/// A file that is being written. Unless it is finished, nothing of it stays.
#[derive(Debug)]
pub(super) struct WholeFile {
    to: PathBuf,
    unfinished: PathBuf,
    file: File,
}

impl WholeFile {
    /// Begins a file that is to be called `to`, which must not exist.
    pub(super) fn create(to: &Path) -> Result<Self> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(Error::new(ErrorKind::AlreadyExists, "the file exists: choose another name"));
        }
        let mut unfinished = to.as_os_str().to_owned();
        unfinished.push(".idemstore-unfinished");
        let unfinished = PathBuf::from(unfinished);
        // What a killed command left is taken over; what another one is writing is not.
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(MODE).open(&unfinished)?;
        file.try_lock().map_err(|_| Error::new(ErrorKind::ResourceBusy, "another command is writing it"))?;
        file.set_len(0)?;
        Ok(Self { to: to.to_owned(), unfinished, file })
    }

    /// Gives it its name, for good.
    pub(super) fn finish(self) -> Result<()> {
        self.file.sync_all()?;
        // A hard link, unlike a rename, replaces nothing. The name that remains goes with `self`.
        fs::hard_link(&self.unfinished, &self.to)?;
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // Left behind it would be taken over by the next command.
        let _ = fs::remove_file(&self.unfinished);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("export");
        let mut dropped = WholeFile::create(&to).unwrap();
        dropped.write_all(b"half").unwrap();
        assert_eq!(WholeFile::create(&to).unwrap_err().kind(), ErrorKind::ResourceBusy);
        drop(dropped);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        // As a killed command leaves it.
        fs::write(directory.path().join("export.idemstore-unfinished"), "longer than what comes").unwrap();
        let mut file = WholeFile::create(&to).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!to.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_replaced_and_a_new_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("export");
        let file = WholeFile::create(&to).unwrap();
        fs::write(&to, "somebody else's").unwrap();
        assert_eq!(file.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(WholeFile::create(&to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"somebody else's");
        let other = directory.path().join("other");
        WholeFile::create(&other).unwrap().finish().unwrap();
        assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
