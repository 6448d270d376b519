use std::{
    fs,
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixSocket, UnixStream},
    time::timeout,
};

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;
/// For finding out whether somebody answers on a socket; the kernel decides that without its owner.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Where clients come from: an address, or a socket in the file system.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// A client that has come.
pub(super) enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on a TCP address; port 0 lets the kernel pick one.
    ///
    /// # Errors
    /// What the operating system says, such as an address that is taken.
    pub async fn tcp(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| said(&error, format!("listening on {address}: {error}")))?;
        Ok(Self(Kind::Tcp(listener)))
    }

    /// Listens on a unix socket that only its owner may connect to (mode 0600). A socket on which nobody answers is replaced; the
    /// file is removed when this is dropped.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers on it; `AlreadyExists` when there is something else of that name; what the operating system
    /// says, such as a path of more than 107 bytes.
    pub async fn unix(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        remove_stale(path).await?;
        let failed = |error: Error| said(&error, format!("listening on {}: {error}", path.display()));
        let socket = UnixSocket::new_stream()?;
        socket.bind(path).map_err(failed)?;
        // Bound, but not listening: whoever connects before its mode is set is refused by the kernel. The umask would do as well,
        // but it is the whole process's, and other threads create files meanwhile.
        let file = SocketFile::of(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self(Kind::Unix { listener: socket.listen(BACKLOG).map_err(failed)?, _file: file }))
    }

    /// Returns the TCP address, with the port that was picked.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix { .. } => None,
        }
    }

    pub(super) async fn accept(&self) -> Result<Stream> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and whole: there is nothing to wait for.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream, peer))
            }
            Kind::Unix { listener, .. } => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Removes a socket that an earlier process left.
async fn remove_stale(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.file_type().is_socket() {
        let message = format!("{} exists and is not a socket: give another path, or move it away", path.display());
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    match timeout(PROBE_WAIT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => {
            let message = format!("{} is in use by another process: stop that, or give another path", path.display());
            Err(Error::new(ErrorKind::AddrInUse, message))
        }
    }
}

fn said(error: &Error, message: String) -> Error {
    Error::new(error.kind(), message)
}

/// The file of a socket that is ours, unless somebody has replaced it.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)? })
    }
}

fn inode(path: &Path) -> Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|found| found == self.inode) {
            // Left behind it would do no harm: the next owner replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_socket_is_for_its_owner_only_and_goes_with_its_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        run(async {
            let listener = Listener::unix(&path).await.unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(Listener::unix(&path).await.unwrap_err().kind(), ErrorKind::AddrInUse);
            drop(listener);
            assert!(!path.exists());
        });
    }

    #[test]
    fn a_socket_on_which_nobody_answers_is_replaced_and_a_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (stale, file) = (directory.path().join("s"), directory.path().join("f"));
        drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
        fs::write(&file, "precious").unwrap();
        run(async {
            assert!(stale.exists());
            Listener::unix(&stale).await.unwrap();
            assert_eq!(Listener::unix(&file).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        });
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_that_was_replaced_is_left_to_its_new_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        run(async {
            let first = Listener::unix(&path).await.unwrap();
            fs::remove_file(&path).unwrap();
            let second = Listener::unix(&path).await.unwrap();
            drop(first);
            assert!(path.exists());
            drop(second);
            assert!(!path.exists());
        });
    }
}
