use crate::{
    ErrorKind, IoCounts, JournalStats, OutcomeKind, Result, Store, Timestamp, limits::OLDEST_EXAMINED_MAX, sync::Mutex,
    transition::Answer,
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
            Answer::TooManyAttempts { .. } | Answer::AlreadyEnded | Answer::NotFound | Answer::Swept | Answer::Kept => {
                &mut answers.refused
            }
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
        commits.max = commits.max.max(took);
    }

    /// Counts removed records.
    pub(crate) fn swept(&self, records: u64) {
        self.0.lock().swept += records;
    }

    fn snapshot(&self) -> (AnswerCounts, CommitStats, u64) {
        let gathered = self.0.lock();
        let mut commits = gathered.commits;
        commits.p50 = gathered.latencies.quantile(50).min(commits.max);
        commits.p99 = gathered.latencies.quantile(99).min(commits.max);
        (gathered.answers, commits, gathered.swept)
    }
}

/// Counts durations in buckets whose width is an eighth of their power of two, in microseconds.
#[derive(Debug)]
struct Histogram {
    buckets: Vec<u64>,
    total: u64,
}

const STEPS: u32 = 8;
const STEP_BITS: u32 = STEPS.trailing_zeros();

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; (u64::BITS * STEPS) as usize], total: 0 }
    }
}

impl Histogram {
    fn add(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let bucket = usize::try_from(bucket_of(micros)).unwrap_or(usize::MAX);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
            self.total += 1;
        }
    }

    /// Returns what `percent` of the values do not exceed.
    fn quantile(&self, percent: u64) -> Duration {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in (0..).zip(&self.buckets) {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(top_of(bucket));
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a value: exact below 8, then 8 buckets for each power of two.
fn bucket_of(value: u64) -> u32 {
    if value < u64::from(STEPS) {
        return u32::try_from(value).unwrap_or_default();
    }
    let shift = value.ilog2() - STEP_BITS;
    let within = u32::try_from((value >> shift) & u64::from(STEPS - 1)).unwrap_or_default();
    (shift + 1) * STEPS + within
}

/// The highest value of a bucket.
fn top_of(bucket: u32) -> u64 {
    if bucket < STEPS {
        return bucket.into();
    }
    let shift = bucket / STEPS - 1;
    let first = u128::from(STEPS + bucket % STEPS) << shift;
    u64::try_from(first + (1u128 << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_close_to_it() {
        for value in (0..10_000).chain((0..60).map(|bit| 1 << bit)).chain([u64::MAX / 3, u64::MAX]) {
            let top = top_of(bucket_of(value));
            assert!(top >= value && top - value <= value / 8, "{value}: {top}");
        }
    }

    #[test]
    fn quantiles_bound_their_share() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(99), Duration::ZERO);
        (1..=1000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        let p50 = histogram.quantile(50).as_micros();
        let p99 = histogram.quantile(99).as_micros();
        assert!((500..=563).contains(&p50) && (990..=1114).contains(&p99), "{p50} {p99}");
    }
}
