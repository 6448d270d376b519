use super::{
    failure::Failure,
    hosting::{self, announce, close},
    offered::Offered,
    signals::{STOP, Signals},
    store_args::StoreArgs,
    values::{address, bytes},
};
use crate::server::{Api, Guard, Limits, Listener, serve};
use clap::Args;
use http::Request;
use hyper::body::Incoming;
use std::{net::SocketAddr, path::PathBuf};

/// Serve the HTTP/JSON API, until SIGTERM or SIGINT.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    store: StoreArgs,
    /// Where to listen; port 0 picks one. An address that others can reach needs a token file.
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value = "127.0.0.1:4040")]
    listen: SocketAddr,
    /// Listen on a unix socket as well.
    #[arg(long, value_name = "SOCKET")]
    unix: Option<PathBuf>,
    /// A file with the token that clients have to send as `Authorization: Bearer`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The longest body of a request; the longest payload and 64KiB, or 1MiB if that is more, unless given.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_body: Option<u64>,
    /// Connections at a time. At most half of them wait for an attempt in flight; further ones are told at once that it is.
    #[arg(long, value_name = "CONNECTIONS", default_value_t = Limits::new().connections_max)]
    max_connections: usize,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        let guard = hosting::guard("--listen", Some(self.listen), self.token_file.as_deref())?;
        hosting::run(self.serve(guard))
    }

    async fn serve(self, guard: Guard) -> Result<(), Failure> {
        // Before anything is announced: whoever sees the line may send the signal at once.
        let mut signals = Signals::hear(STOP)?;
        let store = self.store.open()?;
        let mut listeners = vec![Listener::tcp(self.listen).await?];
        let bound = listeners.first().and_then(Listener::address).unwrap_or(self.listen);
        if let Some(path) = &self.unix {
            listeners.push(Listener::unix(path).await?);
        }
        let mut api = Api::new(store.clone()).guard(guard);
        if let Some(bytes) = self.max_body {
            api = api.body_bytes_max(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        let limits = Limits { connections_max: self.max_connections.max(1), ..Limits::new() };
        // The other half is for those who end what these wait for.
        api = api.waits_max(limits.connections_max / 2);
        let rates = tokio::spawn(api.clone().keep_rates());
        let offered = Offered::start(&self.store.db, api.clone()).await;
        announce(&format!("listening on http://{bound}\n"));
        let stop = async {
            signals.next().await;
            api.stop_waiting();
        };
        let answering = api.clone();
        let handler = move |request: Request<Incoming>| {
            let api = answering.clone();
            async move { api.answer(request).await }
        };
        serve(listeners, limits, handler, stop).await;
        offered.stop().await;
        rates.abort();
        close(store).await
    }
}
