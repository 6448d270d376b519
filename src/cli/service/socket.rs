//! The service of another process, over the socket beside the file.

use super::{
    Answer,
    request::{get, whole},
};
use crate::{
    cli::failure::Failure,
    server::{Body, OwnerInfo, OwnerSocket},
};
use http::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::UnixStream, time::sleep};

/// How often the owner is asked again when it has another file open: a compaction may just be replacing the file.
const LOOKS: usize = 5;
const LOOK_PAUSE: Duration = Duration::from_millis(20);
const ROOT: u32 = 0;

/// A connection to the process that has the file open.
pub(super) struct Socket {
    db: PathBuf,
    connection: SendRequest<Body>,
    pub(super) owner: OwnerInfo,
}

impl Socket {
    /// Connects, and makes sure that it is to the owner of this very file; `None` when nobody listens.
    pub(super) async fn connect(db: &Path) -> Result<Option<Self>, Failure> {
        let Some(connection) = open(db).await? else { return Ok(None) };
        // Known as soon as it has answered.
        let owner = OwnerInfo { pid: 0, device: 0, inode: 0 };
        let mut socket = Self { db: db.to_owned(), connection, owner };
        socket.check().await?;
        Ok(Some(socket))
    }

    async fn check(&mut self) -> Result<(), Failure> {
        for _ in 0..LOOKS {
            let answer = whole(self.ask(get("/v1/owner")?).await?).await?;
            self.owner = serde_json::from_slice(&answer).map_err(|error| not_an_owner(&error))?;
            let file = fs::metadata(&self.db).map_err(|error| Failure::io(self.db.display(), &error))?;
            if (file.dev(), file.ino()) == (self.owner.device, self.owner.inode) {
                return Ok(());
            }
            sleep(LOOK_PAUSE).await;
        }
        let (db, pid) = (self.db.display(), self.owner.pid);
        Err(Failure::new(format_args!(
            "{db}: the process that answers beside it (pid {pid}) has another file open: the file was moved or replaced under it. \
             Stop that process, then look which file is the right one"
        )))
    }

    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Answer, Failure> {
        // The owner closes a connection on which nothing comes for a while, and may have been started anew since.
        if self.connection.ready().await.is_err() {
            self.connection = open(&self.db).await?.ok_or_else(|| Failure::new("the owner has gone: ask again"))?;
            self.check().await?;
        }
        self.ask(request).await
    }

    async fn ask(&mut self, request: Request<Body>) -> Result<Answer, Failure> {
        let failed = |error: hyper::Error| Failure::new(format_args!("asking the owner: {error}"));
        self.connection.ready().await.map_err(failed)?;
        Ok(self.connection.send_request(request).await.map_err(failed)?.map(Body::new))
    }
}

async fn open(db: &Path) -> Result<Option<SendRequest<Body>>, Failure> {
    let stream = match OwnerSocket::connect(db).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        // No owner can have made such a socket.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => return Ok(None),
        Err(error) => return Err(Failure::io(format_args!("{}: asking its owner", db.display()), &error)),
    };
    check_user(db, &stream)?;
    let connected = http1::handshake(TokioIo::new(stream)).await;
    let (connection, driver) = connected.map_err(|error| not_an_owner(&error))?;
    // It ends with the connection.
    tokio::spawn(driver);
    Ok(Some(connection))
}

/// Refuses a socket of somebody who could not have opened the file: in a directory that all may write to, anybody can make one.
fn check_user(db: &Path, stream: &UnixStream) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io(format_args!("{}: asking its owner", db.display()), &error);
    let (listener, file) = (stream.peer_cred().map_err(failed)?.uid(), fs::metadata(db).map_err(failed)?.uid());
    if listener == file || listener == ROOT {
        return Ok(());
    }
    let db = db.display();
    Err(Failure::new(format_args!(
        "{db}: its file belongs to user {file}, and another user ({listener}) listens on the socket beside it: remove {db}.sock, \
         and move the store to a directory of its own"
    )))
}

fn not_an_owner(error: &dyn std::error::Error) -> Failure {
    Failure::new(format_args!("whoever listens on the socket beside the store does not speak as its owner: {error}"))
}
