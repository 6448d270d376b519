//! Random work on a store, with a ledger of what it acknowledged. One thread asks, so that a seed repeats the run; batches
//! come about because the disk holds the writer up while commands queue.

#[path = "workload_commands.rs"]
mod commands;
#[path = "workload_upkeep.rs"]
mod upkeep;

use super::{
    ledger::{LEASE, Ledger, RETENTION, key, millis},
    rng::Rng,
    sim::SimDisk,
};
use idemstore::{Error, ErrorKind, ManualClock, Options, Store, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
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

    fn advance(&mut self) {
        let seconds = [1, 6, 11, 40][self.rng.below(4)];
        self.advance_by(Duration::from_secs(seconds));
    }

    fn advance_by(&mut self, by: Duration) {
        self.clock.advance(by);
        self.ledger().now += millis(by);
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
