//! Whoever asks twice does not want to wait for an orderly end.

use super::output::note;
use std::{future::poll_fn, process, task::Poll, thread};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// As after any other failure.
const EXIT_CODE: i32 = 1;

/// Ends the process at the second of these signals, wherever it is then: a store file takes no harm from it. For who handles the first
/// one, and does so already; otherwise that would be lost.
pub(super) fn ends_at_once(kinds: &[SignalKind]) {
    let Ok(runtime) = Builder::new_current_thread().enable_io().build() else {
        // The first one ends it as well.
        return;
    };
    let signals: Vec<_> = {
        let _context = runtime.enter();
        kinds.iter().filter_map(|kind| signal(*kind).ok()).collect()
    };
    // A thread of its own: the command's may be busy, and its runtime gone.
    thread::spawn(move || runtime.block_on(second(signals)));
}

async fn second(mut signals: Vec<tokio::signal::unix::Signal>) {
    for _ in 0..2 {
        poll_fn(|context| {
            let has_come = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if has_come { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    note("idemstore: ended at once, at the second signal");
    process::exit(EXIT_CODE);
}
