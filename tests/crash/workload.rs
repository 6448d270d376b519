//! Random work on a store, with a ledger of what it acknowledged. One thread asks, so that a seed repeats the run; batches
//! come about because the disk holds the writer up while commands queue.

use super::{
    ledger::{Attempt, End, Held, LEASE, Ledger, RETENTION, fingerprint, key, millis},
    rng::Rng,
    sim::SimDisk,
};
use idemstore::{
    Begin, BeginFuture, Error, ErrorKind, FencingToken, ListFilter, ManualClock, Options, OutcomeKind, Resolution, Store,
    Timestamp,
};
use std::{
    collections::BTreeMap,
    future::Future,
    ops::ControlFlow,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

pub(crate) const NAME: &str = "payments.idem";
pub(crate) const KEYS: usize = 12;
const EPOCH: u64 = 1_800_000_000_000;

/// A store under work.
pub(crate) struct Workload {
    pub(crate) disk: SimDisk,
    pub(crate) clock: ManualClock,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) store: Option<Store>,
    pub(crate) rng: Rng,
    pub(crate) opens: u32,
    /// How calls ended; `None`: well.
    pub(crate) ends: BTreeMap<Option<Kind>, u64>,
    /// Answers that the ledger forbids.
    pub(crate) violations: Vec<String>,
    /// The most commands that one commit carried.
    pub(crate) batch_max: u64,
    steps_done: u32,
}

/// An [`ErrorKind`] by name, because those have no order.
pub(crate) type Kind = &'static str;

pub(crate) fn options(clock: &ManualClock) -> Options {
    let options = Options::new().clock(clock.clone()).lease(LEASE).retention(RETENTION).failed_retention(RETENTION * 2);
    // A journal that is full every few commands, and everything in one order, so that a seed repeats a run.
    let options = options.journal_bytes(JOURNAL_BYTES).background_checkpoints(false);
    options.reserve_bytes(0).sweep_interval(None).cache_bytes(1 << 20).attempts_max(u32::MAX)
}

const JOURNAL_BYTES: u64 = 16 << 10;

/// The files whose syncs decide what is acknowledged.
pub(crate) const SYNCED: [&str; 3] = [NAME, "payments.idem.journal-0", "payments.idem.journal-1"];

type Asking = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

/// One command whose answer is awaited.
enum Asked {
    Begin(BeginFuture, Held),
    Other(Asking, Held),
}

impl Workload {
    pub(crate) fn new(disk: &SimDisk, seed: u64) -> Self {
        Self {
            disk: disk.clone(),
            clock: ManualClock::new(Timestamp::from_millis(EPOCH)),
            ledger: Arc::new(Mutex::new(Ledger::new(KEYS, EPOCH))),
            store: None,
            rng: Rng::new(seed),
            opens: 0,
            ends: BTreeMap::new(),
            violations: Vec::new(),
            batch_max: 0,
            steps_done: 0,
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Creates the store; returns whether that was acknowledged.
    pub(crate) fn create(&mut self) -> bool {
        let created = options(&self.clock).create_on(self.disk.clone(), NAME);
        self.opened(created)
    }

    /// Opens the store; returns whether that was acknowledged.
    pub(crate) fn open(&mut self) -> bool {
        let opened = options(&self.clock).open_on(self.disk.clone(), NAME);
        self.opened(opened)
    }

    fn opened(&mut self, opened: Result<Store, Error>) -> bool {
        self.opens += 1;
        match opened {
            Ok(store) => {
                self.count(None);
                self.ledger().exists = true;
                self.store = Some(store);
                true
            }
            Err(error) => {
                self.count(Some(&error));
                false
            }
        }
    }

    pub(crate) fn close(&mut self) {
        if let Some(store) = self.store.take() {
            self.batch_max = self.batch_max.max(store.stats().map_or(0, |stats| stats.commits.batch_max));
            let _ = store.close();
        }
    }

    /// Learns from the store which of the operations whose end was unknown took place.
    pub(crate) fn reconcile(&mut self) {
        let Some(store) = self.store.clone() else { return };
        let before = self.ledger().clone();
        for number in 0..KEYS {
            let shown = store.get(&key(number)).map_err(|error| format!("key {number}: {error}"));
            let held = shown.and_then(|record| before.recognise(number, record.as_ref()));
            match held {
                Ok(held) => self.ledger().settle(number, held),
                Err(violation) => self.violations.push(violation),
            }
        }
    }

    pub(crate) fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        self.steps_done += 1;
        let number = self.rng.below(KEYS);
        match self.rng.below(100) {
            0..35 => self.begin(number),
            35..65 => self.change(number),
            65..70 => self.resolve(number),
            70..75 => self.sweep(),
            75..86 => self.batch(),
            86..94 => self.advance(),
            94..97 => self.compact(),
            _ => self.reopen(),
        }
    }

    fn store(&self) -> Store {
        self.store.clone().expect("the store is open")
    }

    fn count(&mut self, error: Option<&Error>) {
        if let Some(error) = error.filter(|error| error.to_string().contains("panicked")) {
            self.violation(format!("a panic got out: {error}"));
        }
        *self.ends.entry(error.map(|error| kind_name(error.kind()))).or_default() += 1;
    }

    fn violation(&mut self, what: String) {
        self.violations.push(what);
    }

    pub(crate) fn begin(&mut self, number: usize) {
        let store = self.store();
        if let Some(pending) = self.granted(number) {
            self.ledger().pend(number, pending.clone());
            let begun = store.begin(&key(number), fingerprint(number));
            return self.end_begin(number, pending, begun);
        }
        let begun = store.begin(&key(number), fingerprint(number));
        self.count(begun.as_ref().err());
        let settled = self.ledger().settled(number).clone();
        match (&settled, begun) {
            (Held::Ended(end), Ok(Begin::Replay(told))) if told.payload() == end.payload && told.kind() == end.kind => (),
            (Held::InFlight(_), Ok(Begin::InFlight { .. })) => (),
            (_, Err(error)) if is_not_done(&error) => (),
            (_, begun) => self.violation(format!("begin of {number}: {begun:?} where the ledger has {settled:?}")),
        }
    }

    /// What a begin would make of a key, if it would grant it.
    fn granted(&self, number: usize) -> Option<Held> {
        let ledger = self.ledger();
        let (attempt, checkpoint) = match ledger.settled(number).live(ledger.now) {
            Held::Unseen => (1, None),
            Held::InFlight(attempt) if self.is_lapsed(attempt, ledger.now) => (attempt.number + 1, attempt.checkpoint.clone()),
            _ => return None,
        };
        let lease_until = ledger.now + millis(LEASE);
        let expires_at = lease_until + millis(RETENTION);
        Some(Held::InFlight(Attempt { token: None, number: attempt, checkpoint, lease_until, expires_at, open: self.opens }))
    }

    fn is_lapsed(&self, attempt: &Attempt, now: u64) -> bool {
        attempt.open != self.opens || attempt.lease_until <= now
    }

    fn end_begin(&mut self, number: usize, pending: Held, begun: Result<Begin, Error>) {
        let Held::InFlight(expected) = &pending else { return };
        let lease = match begun {
            Ok(Begin::Fresh(lease)) if expected.number == 1 => lease,
            Ok(Begin::Takeover(lease)) if expected.number > 1 => lease,
            Ok(other) => return self.violation(format!("begin of {number}: {other:?} where {expected:?} was due")),
            Err(error) => return self.end_change(number, pending, Err(error)),
        };
        let token = lease.token().get();
        let told = (lease.attempt(), lease.earlier_checkpoint());
        let is_right = told == (expected.number, expected.checkpoint.as_deref()) && token > self.ledger().token_max;
        if !is_right {
            return self.violation(format!("begin of {number}: {lease:?} where {expected:?} was due"));
        }
        let granted = Held::InFlight(Attempt { token: Some(token), ..expected.clone() });
        self.end_change(number, granted, Ok(()));
    }

    fn end_change(&mut self, number: usize, pending: Held, result: Result<(), Error>) {
        self.count(result.as_ref().err());
        match result {
            Ok(()) => self.ledger().settle(number, pending),
            // Either way, for ever.
            Err(error) if error.is_indeterminate() => (),
            Err(error) => {
                self.ledger().withdraw(number);
                if !is_not_done(&error) {
                    self.violation(format!("key {number}: {error:?} where {pending:?} was due"));
                }
            }
        }
    }

    /// Something that a holder does.
    pub(crate) fn change(&mut self, number: usize) {
        let Held::InFlight(attempt) = self.ledger().settled(number).clone() else { return self.begin(number) };
        let kind = self.rng.below(8);
        if let Some(Asked::Other(asked, pending)) = self.ask_change(number, &attempt, kind) {
            let result = block_on(asked);
            self.end_change(number, pending, result);
        }
    }

    fn ask_change(&mut self, number: usize, attempt: &Attempt, kind: usize) -> Option<Asked> {
        let (store, key, now) = (self.store(), key(number), self.ledger().now);
        let token = FencingToken::new(attempt.token?);
        let len = [0, 20, 300, 3000][self.rng.below(4)];
        let bytes = self.rng.bytes(len);
        let (pending, asked): (Held, Asking) = match kind {
            0..4 => {
                let kind = if kind == 3 { OutcomeKind::Failed } else { OutcomeKind::Completed };
                let pending = ended(attempt, kind, &bytes, now);
                self.ledger().pend(number, pending.clone());
                let ticket = store.end_async(&key, token, pending_kind(&pending), &bytes, None);
                (pending, Box::pin(async move { ticket.await.map(drop) }))
            }
            4 => {
                self.ledger().pend(number, Held::Unseen);
                (Held::Unseen, Box::pin(store.release_async(&key, token)))
            }
            5 => {
                let lease_until = now + millis(LEASE * 2);
                let expires_at = lease_until + millis(RETENTION);
                let pending = Held::InFlight(Attempt { lease_until, expires_at, open: self.opens, ..attempt.clone() });
                self.ledger().pend(number, pending.clone());
                let ticket = store.renew_async(&key, token, LEASE * 2);
                (pending, Box::pin(async move { ticket.await.map(drop) }))
            }
            _ => {
                let pending = Held::InFlight(Attempt { checkpoint: Some(bytes.clone()), ..attempt.clone() });
                self.ledger().pend(number, pending.clone());
                (pending, Box::pin(store.checkpoint_async(&key, token, &bytes)))
            }
        };
        Some(Asked::Other(asked, pending))
    }

    /// Several commands that one commit makes durable, and one before it that keeps the writer busy meanwhile.
    pub(crate) fn batch(&mut self) {
        if self.store().stats().map_or(true, |stats| stats.is_poisoned) {
            return;
        }
        let mut numbers: Vec<usize> = (0..KEYS).filter(|&number| self.is_changeable(number)).collect();
        self.rng.shuffle(&mut numbers);
        numbers.truncate(2 + self.rng.below(5));
        self.disk.close_gate();
        let mut asked = Vec::new();
        for number in numbers {
            if let Some(mut command) = self.ask(number) {
                if let Asked::Begin(begin, _) = &mut command
                    && let Poll::Ready(begun) = poll_once(begin)
                {
                    // Only a failing disk answers without the writer.
                    let pending = command.into_pending();
                    self.end_begin(number, pending, begun);
                    continue;
                }
                if asked.is_empty() {
                    self.disk.await_gate();
                }
                asked.push((number, command));
            }
        }
        self.disk.open_gate();
        for (number, command) in asked {
            match command {
                Asked::Begin(begin, pending) => {
                    let answer = block_on(begin);
                    self.end_begin(number, pending, answer);
                }
                Asked::Other(other, pending) => {
                    let result = block_on(other);
                    self.end_change(number, pending, result);
                }
            }
        }
    }

    fn is_changeable(&self, number: usize) -> bool {
        let is_in_flight = matches!(self.ledger().settled(number), Held::InFlight(_));
        is_in_flight || self.granted(number).is_some()
    }

    fn ask(&mut self, number: usize) -> Option<Asked> {
        if let Some(pending) = self.granted(number) {
            self.ledger().pend(number, pending.clone());
            return Some(Asked::Begin(self.store().begin_async(&key(number), fingerprint(number)), pending));
        }
        let Held::InFlight(attempt) = self.ledger().settled(number).clone() else { return None };
        let kind = self.rng.below(8);
        self.ask_change(number, &attempt, kind)
    }

    fn resolve(&mut self, number: usize) {
        let (held, now) = {
            let ledger = self.ledger();
            (ledger.settled(number).clone(), ledger.now)
        };
        let Held::InFlight(attempt) = held else { return self.begin(number) };
        if !self.is_lapsed(&attempt, now) {
            self.advance_by(LEASE * 2);
        }
        let now = self.ledger().now;
        let payload = self.rng.bytes(40);
        let (resolution, pending) = match self.rng.below(3) {
            0 => (Resolution::Completed(&payload), ended(&attempt, OutcomeKind::Completed, &payload, now)),
            1 => (Resolution::Failed(&payload), ended(&attempt, OutcomeKind::Failed, &payload, now)),
            _ => (Resolution::Released, Held::Unseen),
        };
        self.ledger().pend(number, pending.clone());
        self.ledger().audit_rows.1 += 1;
        let result = self.store().resolve(&key(number), resolution, "the provider was asked");
        match &result {
            Ok(()) => self.ledger().audit_rows.0 += 1,
            Err(error) if error.is_indeterminate() => (),
            Err(_) => self.ledger().audit_rows.1 -= 1,
        }
        self.end_change(number, pending, result);
    }

    fn sweep(&mut self) {
        let due: Vec<usize> = (0..KEYS).filter(|&number| self.is_due(number)).collect();
        for &number in &due {
            self.ledger().pend(number, Held::Unseen);
        }
        let swept = self.store().sweep();
        if due.is_empty() {
            self.count(swept.as_ref().err());
        }
        let result = match &swept {
            Ok(report) => {
                let left = self.listed(&due);
                if report.paused || !left.is_empty() {
                    self.violation(format!("{report:?} left {left:?} where keys {due:?} were due"));
                }
                Ok(())
            }
            Err(error) => Err(error.clone()),
        };
        for number in due {
            self.end_change(number, Held::Unseen, result.clone());
        }
    }

    /// Which of these keys are still stored, expired or not.
    fn listed(&self, numbers: &[usize]) -> Vec<usize> {
        let filter = ListFilter::new().limit(1000);
        // A failing disk may not tell.
        let Ok(page) = self.store().list(&filter, None) else { return vec![] };
        numbers.iter().copied().filter(|&number| page.records.iter().any(|record| record.key == key(number))).collect()
    }

    fn is_due(&self, number: usize) -> bool {
        let ledger = self.ledger();
        match ledger.settled(number) {
            Held::InFlight(attempt) => {
                attempt.checkpoint.is_none() && self.is_lapsed(attempt, ledger.now) && attempt.expires_at <= ledger.now
            }
            Held::Ended(end) => end.expires_at <= ledger.now,
            Held::Unseen => false,
        }
    }

    fn advance(&mut self) {
        let seconds = [1, 6, 11, 40][self.rng.below(4)];
        self.advance_by(Duration::from_secs(seconds));
    }

    fn advance_by(&mut self, by: Duration) {
        self.clock.advance(by);
        self.ledger().now += millis(by);
    }

    pub(crate) fn compact(&mut self) {
        let compacted = self.store().compact(|_| ControlFlow::Continue(()));
        self.count(compacted.as_ref().err());
        if let Err(error) = compacted
            && !is_not_done(&error)
            && !error.is_indeterminate()
        {
            self.violation(format!("compaction: {error:?}"));
        }
    }

    /// Closes and opens again; if that fails, leaves the store as it was found: closed.
    pub(crate) fn reopen(&mut self) {
        self.close();
        if !self.open() && self.disk.faults() == 0 {
            self.violation("a store that was closed does not open".into());
        }
        if self.store.is_none() {
            self.disk.heal();
            if !self.open() {
                self.violation(format!("the store does not open on a healed disk: {:?}", self.ends));
            }
        }
        self.reconcile();
    }

    /// One step of a run in which the store may be closed, because the disk failed.
    pub(crate) fn step_if_open(&mut self) -> bool {
        if self.store.is_some() {
            self.step();
        }
        self.store.is_some()
    }
}

impl Asked {
    fn into_pending(self) -> Held {
        match self {
            Self::Begin(_, pending) | Self::Other(_, pending) => pending,
        }
    }
}

fn ended(attempt: &Attempt, kind: OutcomeKind, payload: &[u8], now: u64) -> Held {
    let retention = if kind == OutcomeKind::Completed { RETENTION } else { RETENTION * 2 };
    let expires_at = now + millis(retention);
    Held::Ended(End { kind, payload: payload.to_vec(), token: attempt.token, number: attempt.number, expires_at })
}

fn pending_kind(held: &Held) -> OutcomeKind {
    match held {
        Held::Ended(end) => end.kind,
        _ => OutcomeKind::Completed,
    }
}

/// Errors that a failing disk may cause and that promise that nothing happened.
pub(crate) fn is_not_done(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Full | ErrorKind::Poisoned | ErrorKind::Corrupted)
}

fn kind_name(kind: ErrorKind) -> Kind {
    match kind {
        ErrorKind::Io => "Io",
        ErrorKind::Full => "Full",
        ErrorKind::Poisoned => "Poisoned",
        ErrorKind::Corrupted => "Corrupted",
        ErrorKind::Indeterminate => "Indeterminate",
        _ => "other",
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future on this thread.
pub(crate) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Starts a future.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
