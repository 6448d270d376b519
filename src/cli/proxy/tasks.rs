use crate::tower::Spawn;
use std::sync::Arc;
use tokio::sync::watch;

/// The tasks that go on when their clients have gone: a stop waits for them, so that what ran is recorded.
#[derive(Clone)]
pub(super) struct Tasks(Arc<watch::Sender<usize>>);

/// Counts a task until it ends, by a panic too.
struct Running(Arc<watch::Sender<usize>>);

impl Tasks {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn spawn(&self) -> Spawn {
        let count = self.0.clone();
        Spawn::new(move |task| {
            count.send_modify(|running| *running += 1);
            let running = Running(count.clone());
            drop(tokio::spawn(async move {
                let _running = running;
                task.await;
            }));
        })
    }

    /// Waits until none is left.
    pub(super) async fn ended(&self) {
        // The other side is here, so it does not go.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}
