//! `idemstore proxy`.

mod args;
mod settings;
mod tasks;

pub(super) use args::Proxy;

use super::{
    failure::Failure,
    hosting::{self, close},
    offered::Offered,
    output::note,
    signals::{STOP, Signals},
};
use crate::server::{
    Api, Guard, Limits, Listener,
    proxy::{self, Admin},
    serve,
};
use std::{fmt::Write as _, net::SocketAddr, sync::Arc};
use tasks::Tasks;
use tokio::{sync::watch, time::timeout};

const SHARED: &str = "idemstore: notice: all clients share their keys; to keep them apart, give --scope-header with a header that says who sends a request, and that stays the same over its retries";

impl Proxy {
    /// Runs until it is told to stop.
    pub(super) fn run(self) -> Result<(), Failure> {
        self.check()?;
        let guard = hosting::guard("--admin-listen", self.admin_listen, self.token_file.as_deref())?;
        hosting::run(self.serve(guard))
    }

    async fn serve(self, guard: Guard) -> Result<(), Failure> {
        // Before anything is announced: whoever sees the line may send the signal at once.
        let mut signals = Signals::hear(STOP)?;
        let (stopping, is_stopping) = watch::channel(false);
        let store = self.options().open(&self.db)?;
        let api = Api::new(store.clone()).guard(guard);
        let public = Listener::tcp(self.listen).await?;
        let admin = match self.admin_listen {
            Some(address) => Some(Listener::tcp(address).await?),
            None => None,
        };
        let offered = Offered::start(&self.db, api.clone()).await;
        self.announce(&public, admin.as_ref());
        let (tasks, limits) = (Tasks::new(), self.limits());
        let stop_wait = limits.stop_wait;
        let rates = tokio::spawn(api.clone().keep_rates());
        let administering = admin.map(|listener| tokio::spawn(administer(listener, api.clone(), is_stopping.clone())));
        let (ending, is_ending) = watch::channel(false);
        let layer = self.layer(store.clone(), &tasks).stop_waiting(move || {
            let mut is_ending = is_ending.clone();
            // The other side gone is a stop as well.
            async move { drop(is_ending.wait_for(|is_ending| *is_ending).await) }
        });
        let proxy = proxy::Proxy::new(&layer, self.upstream());
        let proxy = Arc::new(proxy.end_to_end(self.end_to_end()).counted_by(api));
        let answer = move |request| {
            let proxy = proxy.clone();
            async move { proxy.answer(request).await }
        };
        let stop = async {
            signals.next().await;
            ending.send_replace(true);
        };
        serve(vec![public], limits, answer, stop).await;
        // Those whose clients have gone.
        let _ = timeout(stop_wait, tasks.ended()).await;
        stopping.send_replace(true);
        if let Some(administering) = administering {
            let _ = administering.await;
        }
        offered.stop().await;
        rates.abort();
        close(store).await
    }

    fn announce(&self, public: &Listener, admin: Option<&Listener>) {
        if self.scope_header.is_empty() {
            note(SHARED);
        }
        let address = |listener: &Listener, asked: SocketAddr| listener.address().unwrap_or(asked);
        let mut lines = format!("listening on http://{}\n", address(public, self.listen));
        if let (Some(admin), Some(asked)) = (admin, self.admin_listen) {
            // Writing to a string does not fail.
            let _ = writeln!(lines, "admin on http://{}", address(admin, asked));
        }
        hosting::announce(&lines);
    }
}

/// Serves the operator until the proxy has stopped: how it stops can be looked at.
async fn administer(listener: Listener, api: Api, mut is_stopping: watch::Receiver<bool>) {
    let admin = Admin::new(api);
    let answer = move |request| {
        let admin = admin.clone();
        async move { admin.answer(request).await }
    };
    // The other side gone is a stop as well.
    let stop = async { drop(is_stopping.wait_for(|is_stopping| *is_stopping).await) };
    serve(vec![listener], Limits::new(), answer, stop).await;
}
