//! What every process does that has a store open for others.

use super::{failure::Failure, token};
use crate::{Store, server::Guard};
use std::{io::Write as _, net::SocketAddr, path::Path};

/// Returns who may ask at an address, which `flag` gave: who has the token, or whoever can reach it, if those are only processes of
/// this machine.
pub(super) fn guard(flag: &str, address: Option<SocketAddr>, token_file: Option<&Path>) -> Result<Guard, Failure> {
    match (token_file, address) {
        (Some(path), _) => Ok(Guard::with_token(token::read(path)?)),
        (None, Some(address)) if !address.ip().is_loopback() => Err(Failure::usage(format_args!(
            "{flag} {address} can be reached by others, and there is no --token-file: give one, or a loopback address"
        ))),
        (None, _) => Ok(Guard::open()),
    }
}

/// Runs to the end, on all cores.
pub(super) fn run(hosting: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(hosting)
}

/// Says on stdout that clients may come.
pub(super) fn announce(lines: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever closed it does not wait for the lines.
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

/// Closes the store, which waits for the disk.
pub(super) async fn close(store: Store) -> Result<(), Failure> {
    Ok(tokio::task::spawn_blocking(move || store.close()).await.map_err(Failure::new)??)
}
