use crate::{
    ErrorKind, IoCounts, JournalStats, OutcomeKind, Result, Store, Timestamp, histogram::Histogram, limits::OLDEST_EXAMINED_MAX,
    sync::Mutex, transition::Answer,
};
use std::time::Duration;

/// Figures of an open store. Counts of answers start at the open; counts of records are those stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records in flight.
    pub in_flight: u64,
    /// Records completed.
    pub completed: u64,
    /// Records failed.
    pub failed: u64,
    /// Bytes that keys and records take, without the overhead of the file.
    pub record_bytes: u64,
    /// Length of the store file in bytes.
    pub file_bytes: u64,
    /// How often each answer was given.
    pub answers: AnswerCounts,
    /// Commits, and how long they took.
    pub commits: CommitStats,
    /// Work on the store file and the journal.
    pub io: IoCounts,
    /// The journal.
    pub journal: JournalStats,
    /// Records that the sweeps removed.
    pub swept: u64,
    /// How long ago the record that expired first, and is still stored, did. `None` when the index is damaged.
    pub sweep_lag: Option<Duration>,
    /// Times that a sweep or a merge of runs failed in the background: because the disk is full, or on a damaged page, which is not tried
    /// again before the next open.
    pub upkeep_failures: u64,
    /// Since when the oldest record in flight has been known, of the first 100,000.
    pub oldest_in_flight: Option<Timestamp>,
    /// Callers that wait for an attempt to end.
    pub waiting: usize,
    /// How far the wall clock is ahead of what the store believes; sweeping is paused.
    pub clock_doubted: Option<Duration>,
    /// Whether the store has stopped writing.
    pub is_poisoned: bool,
}

/// How often each answer was given since the open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerCounts {
    /// [`Begin::Fresh`](crate::Begin::Fresh).
    pub fresh: u64,
    /// [`Begin::Takeover`](crate::Begin::Takeover).
    pub takeover: u64,
    /// [`Begin::Replay`](crate::Begin::Replay).
    pub replay: u64,
    /// [`Begin::InFlight`](crate::Begin::InFlight).
    pub in_flight: u64,
    /// [`Begin::Mismatch`](crate::Begin::Mismatch).
    pub mismatch: u64,
    /// Attempts that completed.
    pub completed: u64,
    /// Attempts that failed for good.
    pub failed: u64,
    /// Attempts that were released.
    pub released: u64,
    /// Leases that were renewed.
    pub renewed: u64,
    /// Checkpoints that were stored.
    pub checkpoints: u64,
    /// Attempts that were resolved.
    pub resolved: u64,
    /// Commands whose token was not current.
    pub lease_lost: u64,
    /// New keys refused because a limit was reached or the disk full.
    pub full: u64,
    /// Commands refused for any other reason.
    pub refused: u64,
}

/// Commits since the open. Percentiles are upper bounds, at most 12.5 % above the true value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitStats {
    /// Commits that became durable.
    pub count: u64,
    /// Commands that they carried.
    pub commands: u64,
    /// The most commands in one.
    pub batch_max: u64,
    /// Half of the commits took at most this.
    pub p50: Duration,
    /// 99 of 100 commits took at most this.
    pub p99: Duration,
    /// The slowest.
    pub max: Duration,
}

impl Store {
    /// Returns the store's figures.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// # let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// let stats = store.stats()?;
    /// assert_eq!((stats.in_flight, stats.answers.fresh), (1, 1));
    /// assert!(!stats.is_poisoned);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io), [`Closed`](ErrorKind::Closed).
    pub fn stats(&self) -> Result<Stats> {
        let shared = self.shared();
        let now = shared.now();
        let failed = |error: crate::storage::StorageError| error.into_error("reading figures");
        let counts = shared.storage.counts();
        // These come from the index. If it is damaged, everything else must still be told.
        let lag = shared.storage.oldest_due(now.wall).ok();
        let lag = lag.map(|due| due.map_or(Duration::ZERO, |due| now.wall.saturating_since(due)));
        let oldest_in_flight = shared.storage.oldest_in_flight(OLDEST_EXAMINED_MAX).ok().flatten();
        let (answers, commits, swept) = shared.stats.snapshot();
        Ok(Stats {
            in_flight: counts.in_flight,
            completed: counts.completed,
            failed: counts.failed,
            record_bytes: counts.bytes,
            file_bytes: shared.storage.file_bytes().map_err(failed)?,
            answers,
            commits,
            io: shared.storage.io(),
            journal: shared.storage.journal_stats(),
            swept: swept + shared.storage.merged_away(),
            sweep_lag: lag,
            upkeep_failures: shared.storage.upkeep_failures(),
            oldest_in_flight,
            waiting: shared.waiters.count(),
            clock_doubted: shared.clock_doubted(),
            is_poisoned: shared.poison.reason().is_some(),
        })
    }

    /// Returns how often each answer was given since the open, without looking at the records: cheap enough to be asked often.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, Store};
    /// # let store = Store::in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// assert_eq!(store.answers().fresh, 1);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn answers(&self) -> AnswerCounts {
        self.shared().stats.snapshot().0
    }

    /// Returns whether the store takes commands, as far as it knows without trying; for a health check.
    ///
    /// ```
    /// # let store = idemstore::Store::in_memory()?;
    /// assert!(store.health().is_ok());
    /// store.close()?;
    /// assert_eq!(store.health().unwrap_err().kind(), idemstore::ErrorKind::Closed);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Poisoned`](ErrorKind::Poisoned), [`Closed`](ErrorKind::Closed).
    pub fn health(&self) -> Result<()> {
        self.shared().check_writable()
    }
}

/// Where the figures are gathered.
#[derive(Debug, Default)]
pub(crate) struct StatsCell(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    answers: AnswerCounts,
    commits: CommitStats,
    swept: u64,
    latencies: Histogram,
}

impl StatsCell {
    /// Counts an answer that was given.
    pub(crate) fn answered(&self, answer: &Answer) {
        let mut gathered = self.0.lock();
        let answers = &mut gathered.answers;
        let count = match answer {
            Answer::Fresh(_) => &mut answers.fresh,
            Answer::Takeover(_) => &mut answers.takeover,
            Answer::Replay(_) => &mut answers.replay,
            Answer::InFlight { .. } => &mut answers.in_flight,
            Answer::Mismatch => &mut answers.mismatch,
            Answer::Ended(ended) if ended.kind == OutcomeKind::Completed => &mut answers.completed,
            Answer::Ended(_) => &mut answers.failed,
            Answer::Released => &mut answers.released,
            Answer::Renewed { .. } => &mut answers.renewed,
            Answer::Marked => &mut answers.checkpoints,
            Answer::Resolved { .. } => &mut answers.resolved,
            Answer::LeaseLost => &mut answers.lease_lost,
            Answer::TooManyAttempts { .. }
            | Answer::AttemptChanged
            | Answer::AlreadyEnded
            | Answer::NotFound
            | Answer::Swept
            | Answer::Kept => &mut answers.refused,
        };
        *count += 1;
    }

    /// Counts a command that was refused.
    pub(crate) fn refused(&self, kind: ErrorKind) {
        let mut gathered = self.0.lock();
        match kind {
            ErrorKind::Full => gathered.answers.full += 1,
            _ => gathered.answers.refused += 1,
        }
    }

    /// Counts a commit.
    pub(crate) fn committed(&self, commands: usize, took: Duration) {
        let mut gathered = self.0.lock();
        gathered.latencies.add(took);
        let commits = &mut gathered.commits;
        commits.count += 1;
        commits.commands += commands as u64;
        commits.batch_max = commits.batch_max.max(commands as u64);
    }

    /// Counts removed records.
    pub(crate) fn swept(&self, records: u64) {
        self.0.lock().swept += records;
    }

    fn snapshot(&self) -> (AnswerCounts, CommitStats, u64) {
        let gathered = self.0.lock();
        let mut commits = gathered.commits;
        commits.p50 = gathered.latencies.quantile(50);
        commits.p99 = gathered.latencies.quantile(99);
        commits.max = gathered.latencies.max();
        (gathered.answers, commits, gathered.swept)
    }
}
