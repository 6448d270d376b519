use crate::{
    Error, ErrorKind, Fingerprint, Key, Lease, Outcome, Result, Store, Ticket, Timestamp,
    limits::{LEASE, WAIT_MAX},
    options::within,
    shared::{Patience, Shared},
    sync::promise::Promise,
    timer::{Job, JobId},
    transition::{Answer, Command},
};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// The answer to "may I run this?". The right to run is a [`Lease`] from a [`Store`], and a [`Grant`](crate::Grant) from any
/// [`IdempotencyStore`](crate::IdempotencyStore).
#[must_use = "only the answer says whether the operation may run"]
#[derive(Debug)]
pub enum Begin<L = Lease> {
    /// Run it: nobody has, and nobody else may while the lease lasts.
    Fresh(L),
    /// An earlier attempt died without saying how it ended: **its effect is unknown**. Find out first (ask the payment
    /// provider, look at [`Lease::earlier_checkpoint`]), then complete, fail, release or run under this lease.
    Takeover(L),
    /// It ran already: answer with this.
    Replay(Outcome),
    /// Somebody is running it. Wait, or tell the client to come back.
    InFlight {
        /// How long the other's lease still lasts, unless it renews.
        retry_after: Duration,
        /// The same as a wall time.
        lease_expires_at: Timestamp,
    },
    /// The key was used for a different request. Refuse this one.
    Mismatch,
}

impl<L> Begin<L> {
    /// Turns the right to run, if this is one, into something else.
    pub fn map<M>(self, change: impl FnOnce(L) -> M) -> Begin<M> {
        match self {
            Self::Fresh(lease) => Begin::Fresh(change(lease)),
            Self::Takeover(lease) => Begin::Takeover(change(lease)),
            Self::Replay(outcome) => Begin::Replay(outcome),
            Self::InFlight { retry_after, lease_expires_at } => Begin::InFlight { retry_after, lease_expires_at },
            Self::Mismatch => Begin::Mismatch,
        }
    }
}

/// Per-call settings of [`Store::begin_with`].
///
/// ```
/// use idemstore::BeginOptions;
/// use std::time::Duration;
///
/// let options = BeginOptions::new().lease(Duration::from_secs(120)).wait(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct BeginOptions {
    lease: Option<Duration>,
    wait: Duration,
}

impl BeginOptions {
    /// Starts from the store's settings, without waiting.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the length of the lease: 10 ms to 24 h.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Sets how long to wait for an attempt in flight to end: at most 1 h. A waiter is woken when it ends; it never polls.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Returns the length of the lease, if it was set. For who implements a store.
    pub fn lease_asked(&self) -> Option<Duration> {
        self.lease
    }

    /// Returns how long to wait. For who implements a store.
    pub fn wait_asked(&self) -> Duration {
        self.wait
    }
}

impl Store {
    /// Asks for the right to run the operation that `key` names.
    ///
    /// [`Fresh`](Begin::Fresh) and [`Takeover`](Begin::Takeover) are durable when this returns: after a crash the attempt is
    /// known to have begun.
    ///
    /// ```
    /// use idemstore::{Begin, Fingerprint, Key, Store};
    ///
    /// # let store = Store::in_memory()?;
    /// let key = Key::new("tenant-7/POST /payments", "pay_7d5d747be160e280504c099d984bcfe0")?;
    /// let request = Fingerprint::of(&[b"POST", b"/payments", br#"{"amount":100}"#]);
    /// let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!("a new key is fresh") };
    /// assert!(matches!(store.begin(&key, request)?, Begin::InFlight { .. }));
    /// lease.complete("charged")?;
    /// assert!(matches!(store.begin(&key, request)?, Begin::Replay(_)));
    /// assert!(matches!(store.begin(&key, Fingerprint::of(&[b"another amount"]))?, Begin::Mismatch));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Full`](ErrorKind::Full), [`Busy`](ErrorKind::Busy), [`TooManyAttempts`](ErrorKind::TooManyAttempts),
    /// [`Corrupted`](ErrorKind::Corrupted), [`Io`](ErrorKind::Io), [`Poisoned`](ErrorKind::Poisoned),
    /// [`Closed`](ErrorKind::Closed): do not run the operation. [`Indeterminate`](ErrorKind::Indeterminate): do not run it
    /// either; the key may be in flight.
    pub fn begin(&self, key: &Key, fingerprint: Fingerprint) -> Result<Begin> {
        self.begin_with(key, fingerprint, BeginOptions::new())
    }

    /// As [`begin`](Store::begin), with settings for this call.
    ///
    /// ```
    /// # use idemstore::{Begin, BeginOptions, Fingerprint, Key, Store};
    /// # use std::time::Duration;
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// let duplicate = std::thread::spawn({
    ///     let (store, key) = (store.clone(), key.clone());
    ///     move || store.begin_with(&key, request, BeginOptions::new().wait(Duration::from_secs(5)))
    /// });
    /// lease.complete("receipt 7")?;
    /// assert!(matches!(duplicate.join().unwrap()?, Begin::Replay(_)));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`begin`](Store::begin), and [`InvalidInput`](ErrorKind::InvalidInput) for a setting out of range.
    pub fn begin_with(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> Result<Begin> {
        Asking::new(self, key, fingerprint, options, Patience::Queue)?.wait()
    }

    /// As [`begin`](Store::begin), to be awaited on any runtime. Dropping the future before it is ready frees a key that
    /// was granted to it. It reads one record on the polling thread: from memory if the key was used
    /// lately, otherwise from the store file, which may wait for the disk.
    pub fn begin_async(&self, key: &Key, fingerprint: Fingerprint) -> BeginFuture {
        self.begin_with_async(key, fingerprint, BeginOptions::new())
    }

    /// As [`begin_with`](Store::begin_with), to be awaited on any runtime.
    pub fn begin_with_async(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> BeginFuture {
        BeginFuture(Asking::new(self, key, fingerprint, options, Patience::None).map(Box::new))
    }
}

/// A [`begin`](Store::begin) under way. Nothing happens before it is first polled.
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct BeginFuture(Result<Box<Asking>>);

impl Future for BeginFuture {
    type Output = Result<Begin>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Begin>> {
        match &mut self.0 {
            Ok(asking) => asking.poll(context),
            Err(error) => Poll::Ready(Err(error.clone())),
        }
    }
}

/// Asks, waits, and asks again.
struct Asking {
    store: Store,
    key: Key,
    command: Command,
    patience: Patience,
    wait: Duration,
    /// On the monotonic clock, from the first question on; `None` when the caller does not wait.
    deadline: Option<Duration>,
    /// Before the latest question, for who waits: what the answer says counts from then on, or a little later.
    asked_at: Duration,
    step: Step,
}

enum Step {
    Ask,
    Answer(Ticket<Begin>, Option<Place>),
    Wait(Place),
    Done,
}

/// A place among those who wait for a key; it is given up when this is dropped.
struct Place {
    shared: Arc<Shared>,
    key: Key,
    id: u64,
    woken: Promise<()>,
    alarm: Option<JobId>,
}

impl Asking {
    fn new(store: &Store, key: &Key, fingerprint: Fingerprint, options: BeginOptions, patience: Patience) -> Result<Self> {
        let settings = &store.shared().settings;
        let lease = options.lease.unwrap_or(settings.lease);
        within("lease", lease, &LEASE)?;
        within("wait", options.wait, &(Duration::ZERO..=WAIT_MAX))?;
        let (retention, attempts_max) = (settings.retention, settings.attempts_max);
        Ok(Self {
            store: store.clone(),
            key: key.clone(),
            command: Command::Begin { fingerprint, lease, retention, attempts_max },
            patience,
            wait: options.wait,
            deadline: None,
            asked_at: Duration::ZERO,
            step: Step::Ask,
        })
    }

    fn wait(mut self) -> Result<Begin> {
        loop {
            match std::mem::replace(&mut self.step, Step::Done) {
                Step::Ask => self.step = self.ask(),
                Step::Answer(ticket, place) => {
                    let answer = ticket.wait()?;
                    if let Some(answer) = self.consider(answer, place) {
                        return Ok(answer);
                    }
                }
                Step::Wait(mut place) => {
                    let (_, never) = crate::sync::promise::promise();
                    self.woken(std::mem::replace(&mut place.woken, never).wait())?;
                }
                Step::Done => return Err(crate::queue::closed()),
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Begin>> {
        loop {
            match std::mem::replace(&mut self.step, Step::Done) {
                Step::Ask => self.step = self.ask(),
                Step::Answer(mut ticket, place) => match Pin::new(&mut ticket).poll(context) {
                    Poll::Pending => {
                        self.step = Step::Answer(ticket, place);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(answer)) => {
                        if let Some(answer) = self.consider(answer, place) {
                            return Poll::Ready(Ok(answer));
                        }
                    }
                },
                Step::Wait(mut place) => match Pin::new(&mut place.woken).poll(context) {
                    Poll::Pending => {
                        self.step = Step::Wait(place);
                        return Poll::Pending;
                    }
                    Poll::Ready(woken) => self.woken(woken)?,
                },
                Step::Done => return Poll::Ready(Err(crate::queue::closed())),
            }
        }
    }

    /// Joins the waiters first, so that an end between the answer and the wait still wakes this caller.
    fn ask(&mut self) -> Step {
        if !self.wait.is_zero() {
            self.asked_at = self.store.shared().clock().monotonic();
            self.deadline.get_or_insert(self.asked_at.saturating_add(self.wait));
        }
        let place = match self.deadline.map(|_| Place::take(self.store.shared(), &self.key)).transpose() {
            Ok(place) => place,
            Err(error) => return Step::Answer(Ticket::ready(Err(error)), None),
        };
        Step::Answer(self.submit(), place)
    }

    fn submit(&self) -> Ticket<Begin> {
        let shared = self.store.shared();
        if let Err(error) = shared.check_writable() {
            return Ticket::ready(Err(error));
        }
        let seen = match shared.peek(&self.key, &self.command) {
            Ok(Err(seen)) => seen,
            Ok(Ok(answer)) => {
                shared.stats.answered(&answer);
                return Ticket::ready(interpret(&self.store, &self.key, answer));
            }
            Err(error) => return Ticket::ready(Err(error)),
        };
        let submitted = shared.submit(&self.key, self.command.clone(), None, Some(seen), self.patience);
        let (store, key) = (self.store.clone(), self.key.clone());
        Ticket::sent(submitted, shared, move |answer| interpret(&store, &key, answer))
    }

    /// Returns the answer if it is final for this caller; otherwise waits.
    fn consider(&mut self, answer: Begin, place: Option<Place>) -> Option<Begin> {
        let (Begin::InFlight { retry_after, .. }, Some(mut place), Some(deadline)) = (&answer, place, self.deadline) else {
            return Some(answer);
        };
        if self.asked_at >= deadline {
            return Some(answer);
        }
        // The lease may lapse without anybody ending it. A millisecond more, because the decision rounds down. Counted from now on it
        // would be late by what has passed since the answer.
        let lapses = self.asked_at.saturating_add(*retry_after).saturating_add(Duration::from_millis(1));
        place.set_alarm(deadline.min(lapses));
        self.step = Step::Wait(place);
        None
    }

    fn woken(&mut self, woken: Option<()>) -> Result<()> {
        if woken.is_none() {
            self.store.shared().check_writable()?;
        }
        self.step = Step::Ask;
        Ok(())
    }
}

fn interpret(store: &Store, key: &Key, answer: Answer) -> Result<Begin> {
    match answer {
        Answer::Fresh(grant) => Ok(Begin::Fresh(Lease::new(store, key, grant))),
        Answer::Takeover(grant) => Ok(Begin::Takeover(Lease::new(store, key, grant))),
        Answer::Replay(outcome) => Ok(Begin::Replay(outcome)),
        Answer::InFlight { retry_after, lease_expires_at } => Ok(Begin::InFlight { retry_after, lease_expires_at }),
        Answer::Mismatch => Ok(Begin::Mismatch),
        Answer::TooManyAttempts { attempts } => {
            let message = format!("{key} was granted {attempts} times and no attempt ended: resolve it by hand");
            Err(Error::new(ErrorKind::TooManyAttempts, message))
        }
        other => Err(crate::store::unexpected(&other)),
    }
}

impl Place {
    fn take(shared: &Arc<Shared>, key: &Key) -> Result<Self> {
        shared.check_writable()?;
        let (id, woken) = shared.waiters.join(key)?;
        Ok(Self { shared: shared.clone(), key: key.clone(), id, woken, alarm: None })
    }

    fn set_alarm(&mut self, at: Duration) {
        let job = Job::WakeWaiter { key: self.key.clone(), id: self.id };
        self.alarm = self.shared.timer.at(at, job);
        if self.alarm.is_none() {
            // The store is closing: nothing would wake this caller.
            self.shared.waiters.wake(&self.key, self.id);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(alarm) = self.alarm {
            self.shared.timer.cancel(alarm);
        }
        self.shared.waiters.wake(&self.key, self.id);
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Asking({})", self.key)
    }
}
