//! `idemstore proxy`.

mod args;
mod settings;
mod tasks;

pub(super) use args::Proxy as Args;

use crate::{
    Store,
    server::{Listener, proxy::Proxy, serve},
};
use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};
use tasks::Tasks;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

/// Why a command did not do what was asked.
pub(super) enum Failure {
    Usage(String),
    Failed(String),
}

/// Runs until it is told to stop.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    args.check()?;
    let store = args.options().open(&args.db).map_err(|error| Failure::Failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("starting the runtime: {error}")))?;
    let served = runtime.block_on(args.serve(store.clone())).map_err(|error| Failure::Failed(error.to_string()));
    runtime.shutdown_timeout(Duration::ZERO);
    // In any case: what is closed in good order opens without a recovery.
    let closed = store.close().map_err(|error| Failure::Failed(error.to_string()));
    served.and(closed)
}

impl Args {
    async fn serve(&self, store: Store) -> io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = Listener::tcp(self.listen).await?;
        self.announce(&listener);
        let tasks = Tasks::new();
        let proxy = Arc::new(Proxy::new(&self.layer(store, &tasks), self.upstream()));
        let answer = move |request| {
            let proxy = proxy.clone();
            async move { proxy.answer(request).await }
        };
        let stop = async move {
            tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        };
        let limits = self.limits();
        let stop_wait = limits.stop_wait;
        serve(vec![listener], limits, answer, stop).await;
        // Those whose clients have gone.
        let _ = timeout(stop_wait, tasks.ended()).await;
        Ok(())
    }

    fn announce(&self, listener: &Listener) {
        if self.scope_header.is_empty() {
            eprintln!(
                "notice: all clients share their keys; to keep them apart, give --scope-header with a header that says who sends a request and stays the same over its retries"
            );
        }
        let address = listener.address().unwrap_or(self.listen);
        // Whoever started this may not care to hear it.
        let _ = writeln!(io::stdout(), "listening on http://{address}");
        let _ = io::stdout().flush();
    }
}
