use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// What is spawned: a handler, and the recording of its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How the layer hands a [`Task`] to the runtime, so that it runs to its end when the client goes away.
///
/// ```
/// # fn spawn_on_your_runtime(_: idemstore::tower::Task) {}
/// use idemstore::tower::Spawn;
///
/// let spawn = Spawn::new(|task| spawn_on_your_runtime(task)); // with tokio: |task| drop(tokio::spawn(task))
/// ```
#[derive(Clone)]
pub struct Spawn(Arc<dyn Fn(Task) + Send + Sync>);

impl Spawn {
    /// Takes a function that lets a task run to its end, and does not wait for it.
    pub fn new(spawn: impl Fn(Task) + Send + Sync + 'static) -> Self {
        Self(Arc::new(spawn))
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        (self.0)(Box::pin(task));
    }
}

impl fmt::Debug for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spawn")
    }
}
