use super::{failure::Failure, offered::Offered, second_signal, store_args::StoreArgs, token, values::bytes};
use crate::server::{Api, Guard, Limits, Listener, serve};
use clap::Args;
use http::Request;
use hyper::body::Incoming;
use std::{
    io::Write as _,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
};
use tokio::signal::unix::{SignalKind, signal};

/// Serve the HTTP/JSON API, until SIGTERM or SIGINT.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    store: StoreArgs,
    /// Where to listen; port 0 picks one. An address that others can reach needs a token file.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4040")]
    listen: String,
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
        let address = resolve(&self.listen)?;
        if !address.ip().is_loopback() && self.token_file.is_none() {
            let refusal = format!(
                "{address} can be reached by others, and there is no --token-file: give one, or listen on a loopback address"
            );
            return Err(Failure::usage(refusal));
        }
        let guard = match &self.token_file {
            Some(path) => Guard::with_token(token::read(path)?),
            None => Guard::open(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve(address, guard))
    }

    async fn serve(self, address: SocketAddr, guard: Guard) -> Result<(), Failure> {
        // Before anything is announced: whoever sees the line may send the signal at once.
        let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        second_signal::ends_at_once(&[SignalKind::terminate(), SignalKind::interrupt()]);
        let store = self.store.open()?;
        let mut listeners = vec![Listener::tcp(address).await?];
        let bound = listeners.first().and_then(Listener::address).unwrap_or(address);
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
        announce(bound);
        let stop = async {
            tokio::select! {
                _ = terminated.recv() => (),
                _ = interrupted.recv() => (),
            }
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
        Ok(tokio::task::spawn_blocking(move || store.close()).await.map_err(Failure::new)??)
    }
}

fn resolve(listen: &str) -> Result<SocketAddr, Failure> {
    let wrong = |what: &dyn std::fmt::Display| Failure::usage(format!("--listen {listen}: {what}: give one like 127.0.0.1:4040"));
    let mut addresses = listen.to_socket_addrs().map_err(|error| wrong(&error))?;
    addresses.next().ok_or_else(|| wrong(&"the name has no address"))
}

fn announce(address: SocketAddr) {
    let mut out = std::io::stdout().lock();
    // Whoever closed it does not wait for the line.
    let _ = writeln!(out, "listening on http://{address}").and_then(|()| out.flush());
}
