use crate::sync::Mutex;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A future that is polled only after its own waker was called, so that a lost wake-up is not covered up by somebody else's.
pub(super) struct Watched<'f, T> {
    future: Pin<Box<dyn Future<Output = T> + 'f>>,
    flag: Arc<Flag>,
    output: Option<T>,
    is_done: bool,
}

struct Flag {
    woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
        let task = self.task.lock().clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<'f, T> Watched<'f, T> {
    /// Watches a future. Its first poll is free.
    pub(super) fn new(future: impl Future<Output = T> + 'f) -> Self {
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), task: Mutex::new(None) });
        Self { future: Box::pin(future), flag, output: None, is_done: false }
    }

    fn poll_if_woken(&mut self, context: &Context<'_>) {
        *self.flag.task.lock() = Some(context.waker().clone());
        if self.is_done || !self.flag.woken.swap(false, SeqCst) {
            return;
        }
        let waker = Waker::from(self.flag.clone());
        if let Poll::Ready(output) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.output = Some(output);
            self.is_done = true;
        }
    }

    /// Takes the output, if the future is ready.
    pub(super) async fn look(&mut self) -> Option<T> {
        self.alongside(std::future::ready(())).await;
        self.output.take()
    }

    /// Runs another future while this one goes on.
    pub(super) async fn alongside<U>(&mut self, other: impl Future<Output = U>) -> U {
        let mut other = pin!(other);
        poll_fn(|context| {
            self.poll_if_woken(context);
            other.as_mut().poll(context)
        })
        .await
    }

    /// Runs many to their end.
    pub(super) async fn all(mut many: Vec<Self>) -> Vec<T> {
        poll_fn(|context| {
            for one in &mut many {
                one.poll_if_woken(context);
            }
            if many.iter().all(|one| one.is_done) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        many.into_iter().filter_map(|one| one.output).collect()
    }
}
