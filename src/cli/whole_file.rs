//! A new file that has its name only when it is whole and durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{Error, ErrorKind, Result, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
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
        let file = claim(&unfinished)?;
        Ok(Self { to: to.to_owned(), unfinished, file })
    }

    /// Gives it its name, for good.
    pub(super) fn finish(self) -> Result<()> {
        self.file.sync_all()?;
        if !is_at(&self.file, &self.unfinished)? {
            return Err(Error::other("the unfinished file was moved away or replaced: write it again"));
        }
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
        // What has replaced it is somebody else's.
        if is_at(&self.file, &self.unfinished).unwrap_or(false) {
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}

/// Makes a new file of this process's own, and locks it. It never opens one to write that it has not made: that could have another owner
/// or mode, a second name, or lie where a symbolic link points.
fn claim(path: &Path) -> Result<File> {
    let created = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
    let file = match created() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            remove_leftover(path)?;
            created()?
        }
        created => created?,
    };
    // Until it is locked it looks like a leftover.
    if file.try_lock().is_err() || !is_at(&file, path)? {
        return Err(busy());
    }
    Ok(file)
}

/// Removes what a killed command left. What another one is writing stays.
fn remove_leftover(path: &Path) -> Result<()> {
    if !fs::symlink_metadata(path)?.is_file() {
        let name = path.display();
        return Err(Error::new(ErrorKind::AlreadyExists, format!("{name} is in the way, and not a file: remove it")));
    }
    let file = File::open(path)?;
    // Only who has the lock removes the name, so it is still that of this file.
    if file.try_lock().is_err() || !is_at(&file, path)? {
        return Err(busy());
    }
    fs::remove_file(path)
}

/// Returns whether a path names this very file, and not a symbolic link to it.
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let (open, named) = (file.metadata()?, fs::symlink_metadata(path)?);
    Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
}

fn busy() -> Error {
    Error::new(ErrorKind::ResourceBusy, "another command is writing it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

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

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("export");
        let (link, others) = (directory.path().join("export.idemstore-unfinished"), directory.path().join("others"));
        for exists in [false, true] {
            if exists {
                fs::write(&others, "somebody else's").unwrap();
            }
            symlink(&others, &link).unwrap();
            assert_eq!(WholeFile::create(&to).unwrap_err().kind(), ErrorKind::AlreadyExists);
            fs::remove_file(&link).unwrap();
            assert_eq!(others.exists(), exists);
        }
        // A second name of a file is one that it loses, and no more.
        fs::hard_link(&others, &link).unwrap();
        WholeFile::create(&to).unwrap().finish().unwrap();
        assert_eq!(fs::read(&others).unwrap(), b"somebody else's");
    }

    #[test]
    fn what_a_killed_command_left_lends_nothing_to_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (to, left) = (directory.path().join("export"), directory.path().join("export.idemstore-unfinished"));
        fs::write(&left, "half").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o666)).unwrap();
        // Whoever has it open could write to it later.
        let reader = File::open(&left).unwrap();
        let mut file = WholeFile::create(&to).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((io::read_to_string(&reader).unwrap(), fs::read(&to).unwrap()), ("half".to_owned(), b"whole".to_vec()));
    }

    #[test]
    fn what_replaces_it_meanwhile_gets_no_name_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (to, unfinished) = (directory.path().join("export"), directory.path().join("export.idemstore-unfinished"));
        let file = WholeFile::create(&to).unwrap();
        fs::remove_file(&unfinished).unwrap();
        fs::write(&unfinished, "another's").unwrap();
        file.finish().unwrap_err();
        assert!(!to.exists() && unfinished.exists());
    }
}
