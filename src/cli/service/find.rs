//! Finds the owner of a store file, or becomes it.

use super::{Service, Transport, socket::Socket};
use crate::{
    ErrorKind, Options, Store,
    cli::{
        failure::Failure,
        output::{escaped, note},
        target::Target,
    },
    limits::PAYLOAD_BYTES_MAX,
    server::{Api, Owner},
};
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::sleep;

/// A locked file whose owner does not answer yet: a server that is starting, or another command that is about to end.
const TRIES: usize = 20;
const TRY_PAUSE: Duration = Duration::from_millis(100);

impl Service {
    /// Finds the service of a store, and says on stderr which it is. `options` are those for a closed file.
    pub(in crate::cli) async fn find(target: &Target, options: &Options) -> Result<Self, Failure> {
        let service = Self::find_quietly(target, options).await?;
        let shown = escaped(&existing(&target.db)?.display().to_string());
        match &service.0 {
            Transport::Socket(socket) => note(format_args!("asking the owner of {shown} (pid {})", socket.owner.pid)),
            Transport::Here(_) => note(format_args!("opened {shown}: no process had it open")),
        }
        Ok(service)
    }

    /// As [`find`](Service::find), for who need not be told.
    pub(in crate::cli) async fn find_quietly(target: &Target, options: &Options) -> Result<Self, Failure> {
        let db = existing(&target.db)?;
        let mut tries = 0;
        loop {
            if let Some(socket) = Socket::connect(&db).await? {
                return Ok(Self(Transport::Socket(socket)));
            }
            check_user(&db)?;
            tries += 1;
            match open(&db, target, options).await {
                Ok(store) => return Ok(Self::here(store)),
                Err(error) if error.kind() == ErrorKind::Locked && tries < TRIES => sleep(TRY_PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn here(store: Store) -> Self {
        Self(Transport::Here(Owner::new(Api::new(store))))
    }
}

/// Returns the file's own path, whatever links lead to it. It has to exist: no command makes one.
fn existing(db: &PathBuf) -> Result<PathBuf, Failure> {
    match db.canonicalize() {
        Ok(path) if path.is_file() => Ok(path),
        Ok(path) => Err(Failure::new(format_args!("{}: is not a store file", path.display()))),
        // What the store says of a file that was there once is worth more.
        Err(error) => {
            let lost = Store::open(db).err().filter(|lost| lost.to_string().contains("is gone"));
            Err(lost.map_or_else(|| Failure::io(format_args!("{}: check --db", db.display()), &error), Failure::from))
        }
    }
}

/// Refuses to open a closed file as another user than it belongs to, such as root: what is made beside it would lock that user out.
fn check_user(db: &Path) -> Result<(), Failure> {
    // Where there is no such directory, the open goes on as it always did.
    let Ok(own) = fs::metadata("/proc/self").map(|own| own.uid()) else { return Ok(()) };
    let file = fs::metadata(db).map_err(|error| Failure::io(db.display(), &error))?.uid();
    if own == file {
        return Ok(());
    }
    let db = db.display();
    Err(Failure::new(format_args!(
        "{db}: no process has it open, it belongs to user {file}, and this is user {own}: opening it would leave files that lock \
         its user out. Run the command as that user: sudo -u '#{file}' idemstore ..."
    )))
}

async fn open(db: &Path, target: &Target, options: &Options) -> crate::Result<Store> {
    // A look must not change what is there, and what was stored under any limit can be read.
    let options = options.clone().sweep_interval(None).payload_bytes_max(PAYLOAD_BYTES_MAX);
    let options = options.accept_restored(target.accept_restored);
    let db = db.to_owned();
    let opened = tokio::task::spawn_blocking(move || options.open(db)).await;
    opened.unwrap_or_else(|error| Err(crate::Error::new(ErrorKind::Io, format!("opening the store: {error}"))))
}
