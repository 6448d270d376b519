use crate::{
    Ended, Error, ErrorKind, FencingToken, Key, Options, OutcomeKind, Record, Result, Ticket, Timestamp,
    lease::lease_lost,
    limits::{CHECKPOINT_BYTES_MAX, LEASE, RETENTION},
    options::within,
    queue::Queue,
    shared::{Patience, Shared},
    storage::{OpenMode, Storage, disk::Disk},
    sweep,
    sync::{self, JoinHandle, Mutex},
    timer,
    transition::{self, Answer, Command},
    writer,
};
use std::{fmt, path::Path, sync::Arc, time::Duration};

/// An open idempotency store. Clones share it; the last one to go closes it.
///
/// ```no_run
/// use idemstore::{Begin, Fingerprint, Key, Store};
/// # fn charge() -> Vec<u8> { vec![] }
/// # fn ask_the_provider() -> Vec<u8> { vec![] }
///
/// let store = Store::open("payments.idem")?;
/// let key = Key::new("tenant-7/POST /payments", "pay_7d5d747be160e280504c099d984bcfe0")?;
/// match store.begin(&key, Fingerprint::of(&[b"POST", b"/payments", b"100 EUR"]))? {
///     Begin::Fresh(lease) => drop(lease.complete(charge())?),
///     Begin::Takeover(lease) => drop(lease.complete(ask_the_provider())?),
///     Begin::Replay(outcome) => println!("first answer: {:?}", outcome.payload()),
///     Begin::InFlight { retry_after, .. } => println!("come back in {retry_after:?}"),
///     Begin::Mismatch => println!("this key was used for something else"),
/// }
/// # Ok::<(), idemstore::Error>(())
/// ```
#[derive(Clone)]
pub struct Store(Arc<Running>);

/// The threads of an open store, and what they share.
struct Running {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens an existing store file with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().open(path)
    }

    /// Creates a store file with the default [`Options`].
    ///
    /// # Errors
    /// As [`Options::create`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Options::new().create(path)
    }

    /// Makes a store in memory with the default [`Options`], for tests.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn in_memory() -> Result<Self> {
        Options::new().in_memory()
    }

    pub(crate) fn start(disk: Arc<dyn Disk>, name: &str, mode: OpenMode, options: &Options) -> Result<Self> {
        let settings = options.checked()?;
        let clock = options.clock_handle();
        let storage = Storage::open(disk, name, mode, clock.wall(), options.storage())?;
        let (queue, receiver) = Queue::new();
        let shared = Arc::new(Shared::new(storage, settings, clock, queue));
        if !shared.storage.reserve().fill() {
            shared.pen.lock().begin_low(shared.clock().monotonic());
        }
        let running = Running { shared: shared.clone(), threads: Mutex::default() };
        let writing = shared.clone();
        running.spawn("writer", move || writer::run(&writing, &receiver))?;
        let timed = shared.clone();
        running.spawn("timer", move || timer::run(&timed))?;
        if !shared.storage.checkpoints_inline() {
            let checkpointed = shared.clone();
            running.spawn("checkpoint", move || checkpointed.run_checkpoints())?;
        }
        sweep::plan(&shared);
        Ok(Self(Arc::new(running)))
    }

    /// Closes the store: finishes what is queued, stops the threads, brings everything into the one file, gives up its lock.
    /// If that checkpoint fails, the journal keeps what it has for the next open.
    ///
    /// Leases and other clones that are left get [`Closed`](ErrorKind::Closed). Dropping the last clone does the same. Call it on a thread
    /// of your own, not in the waker of a future: wakers run on the store's threads, which a close waits for.
    ///
    /// # Errors
    /// [`Poisoned`](ErrorKind::Poisoned) when the store had stopped writing before; it is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.0.stop();
        self.0.shared.poison.check()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Returns the record of a key, unless there is none or it has expired.
    ///
    /// ```
    /// # use idemstore::State;
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// let record = store.get(&key)?.expect("it was begun");
    /// assert_eq!((record.state(), record.attempt()), (State::InFlight, 1));
    /// assert!(store.get(&Key::new("shop", "pay_2")?)?.is_none());
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Corrupted`](ErrorKind::Corrupted), [`Io`](ErrorKind::Io), [`Closed`](ErrorKind::Closed).
    pub fn get(&self, key: &Key) -> Result<Option<Record>> {
        let shared = self.shared();
        let now = shared.now();
        let record = shared.storage.get(key);
        let record = record.map_err(|error| error.into_error(format!("reading {key}")))?;
        Ok(record.filter(|record| !transition::is_expired(record, now)))
    }

    /// Completes an attempt by its token, for a caller that cannot hold the [`Lease`](crate::Lease).
    ///
    /// ```
    /// # use idemstore::{ErrorKind, FencingToken};
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// let token = lease.token().get(); // travels to another process, and back
    /// store.complete(&key, FencingToken::new(token), "receipt 7")?;
    /// // Lost the answer? Say it again. Something else is refused.
    /// store.complete(&key, FencingToken::new(token), "receipt 7")?;
    /// assert_eq!(store.complete(&key, lease.token(), "receipt 8").unwrap_err().kind(), ErrorKind::LeaseLost);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Lease::complete`](crate::Lease::complete).
    pub fn complete(&self, key: &Key, token: FencingToken, payload: impl AsRef<[u8]>) -> Result<Ended> {
        self.end(key, token, OutcomeKind::Completed, payload.as_ref(), None)
    }

    /// Fails an attempt by its token.
    ///
    /// # Errors
    /// As [`Lease::fail`](crate::Lease::fail).
    pub fn fail(&self, key: &Key, token: FencingToken, payload: impl AsRef<[u8]>) -> Result<Ended> {
        self.end(key, token, OutcomeKind::Failed, payload.as_ref(), None)
    }

    /// Ends an attempt by its token, replayed for `retention` or, if that is `None`, as the options say.
    ///
    /// # Errors
    /// As [`Lease::complete`](crate::Lease::complete).
    pub fn end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> Result<Ended> {
        self.send_end(key, token, kind, payload, retention, Patience::Queue).wait()
    }

    /// Frees a key by its attempt's token.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// store.release(&key, lease.token())?; // the card was refused before anything happened
    /// assert!(matches!(store.begin(&key, request)?, Begin::Fresh(_)));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Lease::release`](crate::Lease::release).
    pub fn release(&self, key: &Key, token: FencingToken) -> Result<()> {
        self.send_release(key, token, Patience::Queue).wait()
    }

    /// Renews a lease by its token.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// let until = store.renew(&key, lease.token(), Duration::from_secs(120))?;
    /// assert!(until > lease.expires_at());
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Lease::renew`](crate::Lease::renew).
    pub fn renew(&self, key: &Key, token: FencingToken, lease: Duration) -> Result<Timestamp> {
        self.send_renew(key, token, lease, Patience::Queue).wait()
    }

    /// Stores a progress mark by the attempt's token.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// store.checkpoint(&key, lease.token(), "charge requested")?;
    /// assert_eq!(store.get(&key)?.and_then(|record| record.checkpoint().map(<[u8]>::to_vec)).as_deref(), Some(&b"charge requested"[..]));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Lease::checkpoint`](crate::Lease::checkpoint).
    pub fn checkpoint(&self, key: &Key, token: FencingToken, data: impl AsRef<[u8]>) -> Result<()> {
        self.send_checkpoint(key, token, data.as_ref(), Patience::Queue).wait()
    }

    /// As [`complete`](Store::complete), to be awaited. It happens whether or not it is.
    pub fn complete_async(&self, key: &Key, token: FencingToken, payload: impl AsRef<[u8]>) -> Ticket<Ended> {
        self.end_async(key, token, OutcomeKind::Completed, payload.as_ref(), None)
    }

    /// As [`fail`](Store::fail), to be awaited. It happens whether or not it is.
    pub fn fail_async(&self, key: &Key, token: FencingToken, payload: impl AsRef<[u8]>) -> Ticket<Ended> {
        self.end_async(key, token, OutcomeKind::Failed, payload.as_ref(), None)
    }

    /// As [`end`](Store::end), to be awaited. It happens whether or not it is.
    pub fn end_async(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> Ticket<Ended> {
        self.send_end(key, token, kind, payload, retention, Patience::None)
    }

    /// As [`release`](Store::release), to be awaited. It happens whether or not it is.
    pub fn release_async(&self, key: &Key, token: FencingToken) -> Ticket<()> {
        self.send_release(key, token, Patience::None)
    }

    /// As [`renew`](Store::renew), to be awaited. It happens whether or not it is.
    pub fn renew_async(&self, key: &Key, token: FencingToken, lease: Duration) -> Ticket<Timestamp> {
        self.send_renew(key, token, lease, Patience::None)
    }

    /// As [`checkpoint`](Store::checkpoint), to be awaited. It happens whether or not it is.
    pub fn checkpoint_async(&self, key: &Key, token: FencingToken, data: impl AsRef<[u8]>) -> Ticket<()> {
        self.send_checkpoint(key, token, data.as_ref(), Patience::None)
    }

    /// Believes the wall clock as it is, after it leapt ahead and a person has checked it; returns the store's time.
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub fn accept_clock(&self) -> Result<Timestamp> {
        if self.shared().queue().is_closed() {
            return Err(crate::queue::closed());
        }
        Ok(self.shared().accept_clock())
    }

    fn send_end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
        patience: Patience,
    ) -> Ticket<Ended> {
        let settings = &self.shared().settings;
        let retention = retention.unwrap_or(match kind {
            OutcomeKind::Completed => settings.retention,
            OutcomeKind::Failed => settings.failed_retention,
        });
        let checked =
            check_payload(payload, settings.payload_bytes_max).and_then(|()| within("retention", retention, &RETENTION));
        let command = checked.map(|()| Command::End { token, kind, payload: payload.into(), retention });
        self.send(key, command, patience, |answer| match answer {
            Answer::Ended(ended) => Some(*ended),
            _ => None,
        })
    }

    fn send_release(&self, key: &Key, token: FencingToken, patience: Patience) -> Ticket<()> {
        self.send(key, Ok(Command::Release { token }), patience, |answer| matches!(answer, Answer::Released).then_some(()))
    }

    fn send_renew(&self, key: &Key, token: FencingToken, lease: Duration, patience: Patience) -> Ticket<Timestamp> {
        let retention = self.shared().settings.retention;
        let command = within("lease", lease, &LEASE).map(|()| Command::Renew { token, lease, retention });
        self.send(key, command, patience, |answer| match answer {
            Answer::Renewed { lease_expires_at, .. } => Some(*lease_expires_at),
            _ => None,
        })
    }

    fn send_checkpoint(&self, key: &Key, token: FencingToken, data: &[u8], patience: Patience) -> Ticket<()> {
        let command = if data.len() <= CHECKPOINT_BYTES_MAX {
            Ok(Command::Checkpoint { token, data: data.into() })
        } else {
            let (len, max) = (data.len(), CHECKPOINT_BYTES_MAX);
            Err(Error::invalid(format!("checkpoint has {len} bytes: give at most {max}")))
        };
        self.send(key, command, patience, |answer| matches!(answer, Answer::Marked).then_some(()))
    }

    /// Sends a holder's command; `expected` recognises its answer.
    fn send<T: 'static>(
        &self,
        key: &Key,
        command: Result<Command>,
        patience: Patience,
        expected: fn(&Answer) -> Option<T>,
    ) -> Ticket<T> {
        let submitted = command.and_then(|command| self.shared().submit(key, command, None, None, patience));
        let key = key.clone();
        Ticket::sent(submitted, self.shared(), move |answer| match (expected(&answer), answer) {
            (Some(value), _) => Ok(value),
            (None, Answer::LeaseLost) => Err(lease_lost(&key)),
            (None, other) => Err(unexpected(&other)),
        })
    }
}

/// Refuses a payload over the limit.
pub(crate) fn check_payload(payload: &[u8], max: usize) -> Result<()> {
    if payload.len() <= max {
        return Ok(());
    }
    Err(Error::invalid(format!("payload has {} bytes: give at most {max}, or raise payload_bytes_max", payload.len())))
}

/// The transition gave an answer that its command cannot have. No input leads here.
pub(crate) fn unexpected(answer: &Answer) -> Error {
    Error::new(ErrorKind::Indeterminate, format!("the store gave an answer that does not fit its question: {answer:?}"))
}

impl Running {
    fn spawn(&self, name: &'static str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = sync::spawn(&format!("idemstore-{name}"), run);
        let thread = thread.map_err(|error| Error::io(format!("starting the {name} thread"), error))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    fn stop(&self) {
        let shared = &self.shared;
        shared.queue().close();
        shared.timer.close();
        // Held to the end, so that of two closers neither returns before the file is closed.
        let mut threads = self.threads.lock();
        // The writer comes first: until it has ended it may need a spare segment, and so the checkpoints.
        for thread in threads.drain(..) {
            // A waker of the caller's may close the store, or drop the last handle, on the writer, which cannot wait for itself.
            if !sync::is_current(&thread) {
                // A thread that panicked has poisoned the store.
                let _ = thread.join();
            }
            shared.storage.stop_checkpoints();
        }
        // A caller that writes on its own thread ends first; one that comes later finds the queue closed. While this thread unwinds it
        // may hold the pen itself; then the store is poisoned and its journal is kept.
        if !sync::panicking() {
            drop(shared.pen.lock());
        }
        shared.waiters.clear();
        shared.storage.close(shared.poison.reason().is_none());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.shared().storage.path())
    }
}
