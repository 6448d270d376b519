//! Signals that end a command: at the first it ends in good order, at the second at once.

use super::output::note;
use std::{future::poll_fn, io, process, task::Poll, thread};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

/// What ends a process that serves until it is told to stop.
pub(super) const STOP: &[SignalKind] = &[SignalKind::terminate(), SignalKind::interrupt()];
/// What ends a command that somebody waits for.
pub(super) const INTERRUPT: &[SignalKind] = &[SignalKind::interrupt()];

/// As after any other failure.
const EXIT_CODE: i32 = 1;

/// Signals that were asked for.
pub(super) struct Signals(Vec<Signal>);

impl Signals {
    /// Hears these signals from now on. The second of them ends the process at once, wherever it is then: a store file takes no harm
    /// from it.
    pub(super) fn hear(kinds: &'static [SignalKind]) -> io::Result<Self> {
        let signals = kinds.iter().map(|kind| signal(*kind)).collect::<io::Result<_>>()?;
        end_at_the_second(kinds);
        Ok(Self(signals))
    }

    /// Waits for one of them.
    pub(super) async fn next(&mut self) {
        poll_fn(|context| {
            let has_come = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if has_come { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// For who hears the first one already; otherwise that would be lost.
fn end_at_the_second(kinds: &[SignalKind]) {
    let Ok(runtime) = Builder::new_current_thread().enable_io().build() else {
        // The first one ends it as well.
        return;
    };
    let mut signals = {
        let _context = runtime.enter();
        Signals(kinds.iter().filter_map(|kind| signal(*kind).ok()).collect())
    };
    // A thread of its own: the command's may be busy, and its runtime gone.
    thread::spawn(move || {
        runtime.block_on(async {
            signals.next().await;
            signals.next().await;
        });
        note("idemstore: ended at once, at the second signal");
        process::exit(EXIT_CODE);
    });
}
