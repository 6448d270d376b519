//! The owner's socket of a store file, wherever that is.

use std::{
    fs::File,
    io::{Error, ErrorKind, Result},
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

/// Bytes of a socket's path that every Unix takes: the address has 104 bytes or more, and ends in a zero.
const PATH_BYTES_MAX: usize = 103;

/// A path to a socket that is short enough, while this is there.
#[derive(Debug)]
pub(super) struct Reach {
    path: PathBuf,
    /// Named in the path by its number.
    _directory: Option<File>,
}

/// Returns the path of the owner's socket of a store file: `NAME.sock` beside it. Symbolic links are followed first, so that all names
/// of a store lead to one socket.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().canonicalize()?;
/// std::fs::write(directory.join("payments.idem"), "")?;
/// std::os::unix::fs::symlink("payments.idem", directory.join("link"))?;
/// let socket = idemstore::server::owner_socket_path(&directory.join("link"))?;
/// assert_eq!(socket, directory.join("payments.idem.sock"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `NotFound` when there is no such file.
pub fn owner_socket_path(db: &Path) -> Result<PathBuf> {
    let mut path = db.canonicalize()?.into_os_string();
    path.push(".sock");
    Ok(path.into())
}

impl Reach {
    /// Finds a path to `socket` that fits into an address.
    pub(super) fn new(socket: &Path) -> Result<Self> {
        if socket.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
            return Ok(Self { path: socket.to_owned(), _directory: None });
        }
        let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(Error::new(ErrorKind::InvalidInput, "the socket's path names no file"));
        };
        let directory = File::open(parent)?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        let bytes = path.as_os_str().as_bytes().len();
        if bytes > PATH_BYTES_MAX || !Path::new("/proc/self/fd").exists() {
            let message = format!("{} is too long for a socket: give the store a shorter name or directory", socket.display());
            return Err(Error::new(ErrorKind::InvalidFilename, message));
        }
        Ok(Self { path, _directory: Some(directory) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_socket_in_a_deep_directory_is_reached_through_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("d".repeat(100)).join("e".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let socket = deep.join("payments.idem.sock");
        // Without help it is refused.
        assert!(UnixListener::bind(&socket).is_err());
        let _listener = UnixListener::bind(Reach::new(&socket).unwrap().path()).unwrap();
        UnixStream::connect(Reach::new(&socket).unwrap().path()).unwrap();
        assert!(socket.exists());
    }

    #[test]
    fn a_name_that_fits_into_no_address_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = Reach::new(&directory.path().join("n".repeat(120))).unwrap_err();
        assert!(error.to_string().contains("shorter"), "{error}");
    }
}
