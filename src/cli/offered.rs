use super::output::note;
use crate::server::{Api, Owner, OwnerSocket};
use std::path::Path;
use tokio::{sync::oneshot, task::JoinHandle};

/// What the process that has a store file open offers to the commands: the whole service, on the socket beside the file.
pub(super) struct Offered(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Offered {
    /// Offers the service of a store file that is open. Where that is not possible it says so; clients are served all the same.
    pub(super) async fn start(db: &Path, api: Api) -> Self {
        let socket = match OwnerSocket::bind(db).await {
            Ok(socket) => socket,
            Err(error) => {
                note(format_args!("idemstore: no command will find its way to this process: {error}"));
                return Self(None);
            }
        };
        let (stop, stopped) = oneshot::channel();
        let serving = socket.serve(Owner::new(api), async {
            // An error means the same.
            let _ = stopped.await;
        });
        Self(Some((stop, tokio::spawn(serving))))
    }

    /// Ends what is under way, and removes the socket.
    pub(super) async fn stop(self) {
        if let Self(Some((stop, serving))) = self {
            drop(stop);
            // It has ended, one way or the other.
            let _ = serving.await;
        }
    }
}
