//! The primitives of a normal build.

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub(crate) use std::thread::{JoinHandle, panicking};

use std::{io, thread, time::Duration};

pub(crate) mod queue {
    //! A bounded multi-producer queue.
    pub(crate) use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
    use std::time::Duration;

    /// Sends, waiting at most `timeout` for room.
    pub(crate) fn send<T>(to: &Sender<T>, value: T, timeout: Duration) -> Result<(), TrySendError<T>> {
        use crossbeam_channel::SendTimeoutError::{Disconnected, Timeout};
        to.send_timeout(value, timeout).map_err(|error| match error {
            Timeout(value) => TrySendError::Full(value),
            Disconnected(value) => TrySendError::Disconnected(value),
        })
    }
}

pub(crate) mod promise {
    //! A channel for one value, which can be waited for or awaited.

    use std::{
        future::{Future, IntoFuture},
        pin::Pin,
        task::{Context, Poll},
    };

    /// The sending half.
    pub(crate) struct Fulfil<T>(oneshot::Sender<T>);

    /// The receiving half; `None` means that the sender was dropped.
    pub(crate) struct Promise<T>(Half<T>);

    enum Half<T> {
        Blocking(oneshot::Receiver<T>),
        Async(oneshot::AsyncReceiver<T>),
        Spent,
    }

    pub(crate) fn promise<T>() -> (Fulfil<T>, Promise<T>) {
        let (sender, receiver) = oneshot::channel();
        (Fulfil(sender), Promise(Half::Blocking(receiver)))
    }

    impl<T> std::fmt::Debug for Promise<T> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Promise")
        }
    }

    impl<T> Fulfil<T> {
        /// Delivers the value, or gives it back when nobody can receive it any more.
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            self.0.send(value).map_err(oneshot::SendError::into_inner)
        }
    }

    impl<T> Promise<T> {
        /// Blocks until the value is there.
        pub(crate) fn wait(mut self) -> Option<T> {
            match std::mem::replace(&mut self.0, Half::Spent) {
                Half::Blocking(receiver) => receiver.recv().ok(),
                Half::Async(receiver) => block_on(receiver),
                Half::Spent => None,
            }
        }
    }

    fn block_on<T>(mut receiver: oneshot::AsyncReceiver<T>) -> Option<T> {
        let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            match Pin::new(&mut receiver).poll(&mut context) {
                Poll::Ready(value) => return value.ok(),
                Poll::Pending => std::thread::park(),
            }
        }
    }

    struct Unpark(std::thread::Thread);

    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }

    impl<T> Future for Promise<T> {
        type Output = Option<T>;

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
            self.0 = match std::mem::replace(&mut self.0, Half::Spent) {
                Half::Blocking(receiver) => Half::Async(receiver.into_future()),
                other => other,
            };
            match &mut self.0 {
                Half::Async(receiver) => {
                    let polled = Pin::new(receiver).poll(context);
                    if polled.is_ready() {
                        self.0 = Half::Spent;
                    }
                    polled.map(Result::ok)
                }
                _ => Poll::Ready(None),
            }
        }
    }
}

/// Waits for `condvar`; spurious wake-ups happen.
pub(crate) fn wait<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(&mut guard);
    guard
}

/// As [`wait`], for at most `timeout`.
pub(crate) fn wait_for<'a, T>(condvar: &Condvar, mut guard: MutexGuard<'a, T>, timeout: Duration) -> MutexGuard<'a, T> {
    condvar.wait_for(&mut guard, timeout);
    guard
}

/// Returns whether this is the thread that asks.
pub(crate) fn is_current(thread: &JoinHandle<()>) -> bool {
    thread.thread().id() == std::thread::current().id()
}

/// Lets other threads run.
pub(crate) fn yield_now() {
    thread::yield_now();
}

/// Starts a named thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}
