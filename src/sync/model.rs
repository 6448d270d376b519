//! The primitives of a model-checked build: every operation is a point at which the scheduler may switch.
//!
//! Waiting with a timeout never times out here; whatever relies on time takes it from a clock that the test moves. What is
//! called while redb holds a lock of its own (the disk) must not come here: the scheduler knows nothing of that lock.

pub(crate) use shuttle::{
    sync::{Condvar, MutexGuard},
    thread::JoinHandle,
};
pub(crate) use std::thread::panicking;

use shuttle::sync::{RwLockReadGuard, RwLockWriteGuard};
use std::{fmt, io, sync::PoisonError, time::Duration};

/// A mutex that knows no poison, as that of the normal build.
#[derive(Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

/// A reader-writer lock that knows no poison.
pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Mutex<T> {
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}

pub(crate) mod queue {
    //! A bounded multi-producer queue.
    pub(crate) use crossbeam_channel::TrySendError;

    use super::{Condvar, Mutex, wait};
    use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

    pub(crate) struct Sender<T>(Arc<Channel<T>>);
    pub(crate) struct Receiver<T>(Arc<Channel<T>>);

    /// Every sender is gone, or there is nothing.
    #[derive(Debug)]
    pub(crate) struct Gone;

    struct Channel<T> {
        state: Mutex<State<T>>,
        changed: Condvar,
        room: usize,
    }

    struct State<T> {
        queued: VecDeque<T>,
        has_sender: bool,
    }

    pub(crate) fn bounded<T>(room: usize) -> (Sender<T>, Receiver<T>) {
        let state = State { queued: VecDeque::new(), has_sender: true };
        let channel = Arc::new(Channel { state: Mutex::new(state), changed: Condvar::new(), room });
        (Sender(channel.clone()), Receiver(channel))
    }

    impl<T> Sender<T> {
        pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
            let mut state = self.0.state.lock();
            if state.queued.len() >= self.0.room {
                return Err(TrySendError::Full(value));
            }
            state.queued.push_back(value);
            drop(state);
            self.0.changed.notify_all();
            Ok(())
        }

        pub(crate) fn send(&self, value: T) -> Result<(), TrySendError<T>> {
            let mut value = value;
            loop {
                match self.try_send(value) {
                    Err(TrySendError::Full(back)) => value = back,
                    other => return other,
                }
                let mut state = self.0.state.lock();
                while state.queued.len() >= self.0.room {
                    state = wait(&self.0.changed, state);
                }
            }
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn recv(&self) -> Result<T, Gone> {
            let mut state = self.0.state.lock();
            loop {
                if let Some(value) = state.queued.pop_front() {
                    drop(state);
                    self.0.changed.notify_all();
                    return Ok(value);
                }
                if !state.has_sender {
                    return Err(Gone);
                }
                state = wait(&self.0.changed, state);
            }
        }

        pub(crate) fn try_recv(&self) -> Result<T, Gone> {
            let value = self.0.state.lock().queued.pop_front().ok_or(Gone)?;
            self.0.changed.notify_all();
            Ok(value)
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            self.0.state.lock().has_sender = false;
            self.0.changed.notify_all();
        }
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> fmt::Debug for Receiver<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Receiver")
        }
    }

    impl<T> fmt::Debug for Sender<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Sender")
        }
    }

    /// Sends, waiting for room.
    pub(crate) fn send<T>(to: &Sender<T>, value: T, _timeout: Duration) -> Result<(), TrySendError<T>> {
        to.send(value)
    }
}

pub(crate) mod promise {
    //! A channel for one value, which can be waited for or awaited.

    use super::{Condvar, Mutex, wait};
    use std::{
        future::Future,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    /// The sending half.
    pub(crate) struct Fulfil<T>(Arc<Cell<T>>);

    /// The receiving half; `None` means that the sender was dropped.
    pub(crate) struct Promise<T>(Arc<Cell<T>>);

    struct Cell<T> {
        state: Mutex<State<T>>,
        changed: Condvar,
    }

    struct State<T> {
        value: Option<T>,
        has_sender: bool,
        has_receiver: bool,
        waker: Option<Waker>,
    }

    pub(crate) fn promise<T>() -> (Fulfil<T>, Promise<T>) {
        let state = State { value: None, has_sender: true, has_receiver: true, waker: None };
        let cell = Arc::new(Cell { state: Mutex::new(state), changed: Condvar::new() });
        (Fulfil(cell.clone()), Promise(cell))
    }

    impl<T> std::fmt::Debug for Promise<T> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Promise")
        }
    }

    impl<T> Fulfil<T> {
        /// Delivers the value, or gives it back when nobody can receive it any more.
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            let mut state = self.0.state.lock();
            if !state.has_receiver {
                return Err(value);
            }
            state.value = Some(value);
            Ok(())
        }
    }

    /// Also after a delivery: whoever waits looks again.
    impl<T> Drop for Fulfil<T> {
        fn drop(&mut self) {
            let waker = {
                let mut state = self.0.state.lock();
                state.has_sender = false;
                state.waker.take()
            };
            self.0.changed.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Promise<T> {
        /// Blocks until the value is there.
        pub(crate) fn wait(self) -> Option<T> {
            let mut state = self.0.state.lock();
            while state.value.is_none() && state.has_sender {
                state = wait(&self.0.changed, state);
            }
            state.value.take()
        }
    }

    impl<T> Drop for Promise<T> {
        fn drop(&mut self) {
            let unread = {
                let mut state = self.0.state.lock();
                state.has_receiver = false;
                state.value.take()
            };
            drop(unread);
        }
    }

    impl<T> Future for Promise<T> {
        type Output = Option<T>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
            let mut state = self.0.state.lock();
            if state.value.is_some() || !state.has_sender {
                return Poll::Ready(state.value.take());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        }
    }
}

/// Waits for `condvar`; spurious wake-ups happen.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// As [`wait`]: the model has no time, so the timeout never comes.
pub(crate) fn wait_for<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, _timeout: Duration) -> MutexGuard<'a, T> {
    wait(condvar, guard)
}

/// Returns whether this is the thread that asks.
pub(crate) fn is_current(thread: &JoinHandle<()>) -> bool {
    thread.thread().id() == shuttle::thread::current().id()
}

/// Lets other threads run.
pub(crate) fn yield_now() {
    shuttle::thread::yield_now();
}

/// Starts a named thread.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    shuttle::thread::Builder::new().name(name.to_owned()).spawn(run)
}
