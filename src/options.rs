use crate::{
    Clock, Error, Result, Store, SystemClock,
    limits::{LEASE, PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX, RETENTION},
    storage::{
        OpenMode, StorageOptions,
        disk::{self, Disk},
    },
    time::ClockPolicy,
};
use std::{fmt, ops::RangeInclusive, path::Path, sync::Arc, time::Duration};

/// How a store is opened. A value outside its range is refused when the store is opened, with an error that names it.
///
/// ```
/// use idemstore::{ErrorKind, Options};
/// use std::time::Duration;
///
/// let store = Options::new().lease(Duration::from_secs(60)).retention(Duration::from_secs(7 * 86_400)).in_memory()?;
/// let error = Options::new().lease(Duration::ZERO).in_memory().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// # Ok::<(), idemstore::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    settings: Settings,
    clock: Arc<dyn Clock>,
    mode: OpenMode,
    accept_restored: bool,
}

/// The values of [`Options`], checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) lease: Duration,
    pub(crate) retention: Duration,
    pub(crate) failed_retention: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) payload_bytes_max: usize,
    pub(crate) records_max: u64,
    pub(crate) bytes_max: u64,
    pub(crate) scope_records_max: u64,
    pub(crate) sweep_interval: Option<Duration>,
    pub(crate) sweep_batch: usize,
    pub(crate) queue_wait: Duration,
    cache_bytes: usize,
    reserve_bytes: u64,
    journal_bytes: u64,
    background_checkpoints: bool,
    pub(crate) remote_holders: bool,
    pub(crate) clock: ClockPolicy,
}

const MIB: usize = 1024 * 1024;
const DAY: Duration = Duration::from_secs(86_400);
const SWEEP_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
const SWEEP_BATCH: RangeInclusive<usize> = 1..=10_000;
const CACHE_BYTES: RangeInclusive<usize> = MIB..=1024 * 1024 * MIB;
const RESERVE_BYTES: RangeInclusive<u64> = 0..=1024 * 1024 * 1024;
const JOURNAL_BYTES: RangeInclusive<u64> = 8 * 1024..=4 * 1024 * 1024 * 1024;
const CLOCK_JUMP: RangeInclusive<Duration> = Duration::from_secs(1)..=DAY;
const CLOCK_SETTLE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
const DOWNTIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 366 * 86_400);

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Options {
    /// Starts from the defaults that each method names.
    pub fn new() -> Self {
        let settings = Settings {
            lease: Duration::from_secs(30),
            retention: DAY,
            failed_retention: DAY,
            attempts_max: 100,
            payload_bytes_max: PAYLOAD_BYTES_DEFAULT,
            records_max: u64::MAX,
            bytes_max: u64::MAX,
            scope_records_max: u64::MAX,
            sweep_interval: Some(Duration::from_secs(10)),
            sweep_batch: 16,
            queue_wait: Duration::from_secs(1),
            cache_bytes: 64 * MIB,
            reserve_bytes: 16 * 1024 * 1024,
            journal_bytes: 64 * 1024 * 1024,
            background_checkpoints: true,
            remote_holders: false,
            clock: ClockPolicy {
                jump_max: Duration::from_secs(300),
                settle: Some(Duration::from_secs(3600)),
                downtime_max: 7 * DAY,
            },
        };
        Self { settings, clock: Arc::new(SystemClock::new()), mode: OpenMode::Existing, accept_restored: false }
    }

    /// Sets how long a grant lasts without renewal: 10 ms to 24 h, 30 s unless set. Longer than the operation takes as a
    /// rule; a duplicate of a crashed attempt waits that long, unless the process died with it.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// Says that those who are granted leases are other processes, as the clients of a server are; they are threads of this one
    /// unless set.
    ///
    /// A lease that was granted to a thread ends with its process, so the next open takes over at once. One that was granted to another
    /// process lasts as long as was said, by the wall clock, whatever became of the process that has the store open: its holder may be
    /// at work. That is kept with each grant; a later open without this option respects it.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, ManualClock, Options, Timestamp, disk::MemoryDisk};
    /// # use std::time::Duration;
    /// # let (disk, clock) = (MemoryDisk::new(), ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    /// let options = Options::new().remote_holders(true).lease(Duration::from_secs(30)).clock(clock.clone());
    /// let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// let store = options.create_on(disk.clone(), "payments.idem")?;
    /// let Begin::Fresh(lease) = store.begin(&key, request)? else { panic!() };
    /// let token = lease.token(); // for the client
    /// store.close()?;
    ///
    /// let store = options.open_on(disk, "payments.idem")?;
    /// assert!(matches!(store.begin(&key, request)?, Begin::InFlight { .. }));
    /// store.complete(&key, token, "receipt 7")?; // it comes back and ends what it has begun
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn remote_holders(mut self, are_remote: bool) -> Self {
        self.settings.remote_holders = are_remote;
        self
    }

    /// Sets how long a completed outcome is replayed, and how long a lapsed attempt is kept: 1 s to 10 years, 24 h unless
    /// set. Longer than the client keeps retrying. Records that exist keep the expiry they were given.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Sets how long a failed outcome is replayed: 1 s to 10 years, 24 h unless set.
    pub fn failed_retention(mut self, retention: Duration) -> Self {
        self.settings.failed_retention = retention;
        self
    }

    /// Sets how often one key is granted before [`TooManyAttempts`](crate::ErrorKind::TooManyAttempts): at least 1, 100
    /// unless set. It stops a request that kills every process which runs it.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.settings.attempts_max = attempts;
        self
    }

    /// Sets the longest payload in bytes: 0 to 16 MiB, 256 KiB unless set.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.payload_bytes_max = bytes;
        self
    }

    /// Sets how many records there may be: at least 1, without limit unless set. New keys beyond it are refused as
    /// [`Full`](crate::ErrorKind::Full); nothing is evicted.
    pub fn records_max(mut self, records: u64) -> Self {
        self.settings.records_max = records;
        self
    }

    /// Sets how many bytes keys and records may take, without the overhead of the file: at least 1, without limit unless
    /// set. New keys beyond it are refused; what is in flight can still end.
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.settings.bytes_max = bytes;
        self
    }

    /// Sets how many records one scope may have: at least 1, without limit unless set. It keeps one client from filling the
    /// store.
    pub fn scope_records_max(mut self, records: u64) -> Self {
        self.settings.scope_records_max = records;
        self
    }

    /// Sets how often expired records are removed: 10 ms to 24 h, every 10 s unless set; `None`: only by
    /// [`Store::sweep`].
    pub fn sweep_interval(mut self, interval: Option<Duration>) -> Self {
        self.settings.sweep_interval = interval;
        self
    }

    /// Sets how many lapsed attempts one sweep step looks at: 1 to 10,000, 16 unless set. A step shares its commit with callers,
    /// so small steps disturb them less. What has ended is not looked at one by one: it goes with its run.
    pub fn sweep_batch(mut self, records: usize) -> Self {
        self.settings.sweep_batch = records;
        self
    }

    /// Sets how long a blocking call waits for room in the queue before [`Busy`](crate::ErrorKind::Busy): 1 s unless set.
    /// Asynchronous calls do not wait for room.
    pub fn queue_wait(mut self, wait: Duration) -> Self {
        self.settings.queue_wait = wait;
        self
    }

    /// Sets the cache in bytes: 1 MiB to 1 TiB, 64 MiB unless set. Up to 64 MiB most of it is for what leads to records, and not for
    /// records: with some 10 bytes for each record of half a kilobyte, a replay that memory cannot answer reads the file once. Of what is
    /// beyond, three quarters are for records.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.settings.cache_bytes = bytes;
        self
    }

    /// Sets the disk space kept for ending what is in flight when the disk is full: 0 to 1 GiB, 16 MiB unless set. It lies in
    /// a file beside the store.
    pub fn reserve_bytes(mut self, bytes: u64) -> Self {
        self.settings.reserve_bytes = bytes;
        self
    }

    /// Sets how many bytes the two files of the journal may take together: 8 KiB to 4 GiB, 64 MiB unless set. They start small
    /// and grow to this under load. Their records are held in memory, once and a half as many as the files hold at most; and an
    /// open after a crash reads them. A longer journal means fewer and more efficient checkpoints. A batch that is longer than a
    /// file has room for is written all the same.
    pub fn journal_bytes(mut self, bytes: u64) -> Self {
        self.settings.journal_bytes = bytes;
        self
    }

    /// Sets whether a thread of its own brings the journal's records into the store file; it does unless set. Otherwise the
    /// writer does it between two batches: everything happens in one order then, which makes a simulation repeatable.
    pub fn background_checkpoints(mut self, background: bool) -> Self {
        self.settings.background_checkpoints = background;
        self
    }

    /// Sets how far the wall clock may leap ahead before it is doubted: 1 s to 24 h, 5 min unless set. While it is doubted
    /// the store's time advances with the monotonic clock, nothing is swept, and [`Stats::clock_doubted`](crate::Stats) says
    /// so.
    pub fn clock_jump_max(mut self, jump: Duration) -> Self {
        self.settings.clock.jump_max = jump;
        self
    }

    /// Sets how long a doubted clock has to run evenly to be believed: 1 s to 30 days, 1 h unless set; `None`: until
    /// [`Store::accept_clock`].
    pub fn clock_settle(mut self, settle: Option<Duration>) -> Self {
        self.settings.clock.settle = settle;
        self
    }

    /// Sets how long the store may have been closed before the clock is doubted at open: 1 s to 10 years, 7 days unless set.
    pub fn downtime_max(mut self, downtime: Duration) -> Self {
        self.settings.clock.downtime_max = downtime;
        self
    }

    /// Takes the time from `clock`; the operating system's unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Creates the store if there is no such file; not unless set. A lost file would then go unnoticed, were it not for the
    /// note and the journal beside it, which make the open fail.
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.mode = if create { OpenMode::Either } else { OpenMode::Existing };
        self
    }

    /// Takes a backup, an older copy of the files, or what is left of them without their journal or with a damaged one, into use;
    /// not unless set. The store does not know the keys that were begun after the copy was made, or in what is missing.
    pub fn accept_restored(mut self, accept: bool) -> Self {
        self.accept_restored = accept;
        self
    }

    /// Opens the store file at `path`.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound), [`Locked`](crate::ErrorKind::Locked),
    /// [`UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat), [`Restored`](crate::ErrorKind::Restored),
    /// [`Corrupted`](crate::ErrorKind::Corrupted), [`Full`](crate::ErrorKind::Full), [`Io`](crate::ErrorKind::Io);
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for an option out of range.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Store> {
        let (disk, name) = disk::split(path.as_ref()).map_err(|error| Error::invalid(format!("store path: {error}")))?;
        self.open_on(disk, &name)
    }

    /// Creates the store file at `path`, with mode 0600.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists), [`Io`](crate::ErrorKind::Io) (also for a directory that other users
    /// may write to), and as [`open`](Options::open).
    pub fn create(&self, path: impl AsRef<Path>) -> Result<Store> {
        let (disk, name) = disk::split(path.as_ref()).map_err(|error| Error::invalid(format!("store path: {error}")))?;
        self.create_on(disk, &name)
    }

    /// Opens a store on any [`Disk`].
    ///
    /// # Errors
    /// As [`open`](Options::open).
    pub fn open_on(&self, disk: impl Disk, name: &str) -> Result<Store> {
        Store::start(Arc::new(disk), name, self.mode, self)
    }

    /// Creates a store on any [`Disk`].
    ///
    /// # Errors
    /// As [`create`](Options::create).
    pub fn create_on(&self, disk: impl Disk, name: &str) -> Result<Store> {
        Store::start(Arc::new(disk), name, OpenMode::New, self)
    }

    /// Makes a store in memory, which is gone when it is closed.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for an option out of range.
    pub fn in_memory(&self) -> Result<Store> {
        self.clone().reserve_bytes(0).create_on(disk::MemoryDisk::new(), "memory.idem")
    }

    /// Returns the values if each is in its range.
    pub(crate) fn checked(&self) -> Result<Settings> {
        let settings = &self.settings;
        within("lease", settings.lease, &LEASE)?;
        within("retention", settings.retention, &RETENTION)?;
        within("failed_retention", settings.failed_retention, &RETENTION)?;
        within("attempts_max", settings.attempts_max, &(1..=u32::MAX))?;
        within("payload_bytes_max", settings.payload_bytes_max, &(0..=PAYLOAD_BYTES_MAX))?;
        within("records_max", settings.records_max, &(1..=u64::MAX))?;
        within("bytes_max", settings.bytes_max, &(1..=u64::MAX))?;
        within("scope_records_max", settings.scope_records_max, &(1..=u64::MAX))?;
        if let Some(interval) = settings.sweep_interval {
            within("sweep_interval", interval, &SWEEP_INTERVAL)?;
        }
        within("sweep_batch", settings.sweep_batch, &SWEEP_BATCH)?;
        within("queue_wait", settings.queue_wait, &(Duration::ZERO..=DAY))?;
        within("cache_bytes", settings.cache_bytes, &CACHE_BYTES)?;
        within("reserve_bytes", settings.reserve_bytes, &RESERVE_BYTES)?;
        within("journal_bytes", settings.journal_bytes, &JOURNAL_BYTES)?;
        within("clock_jump_max", settings.clock.jump_max, &CLOCK_JUMP)?;
        if let Some(settle) = settings.clock.settle {
            within("clock_settle", settle, &CLOCK_SETTLE)?;
        }
        within("downtime_max", settings.clock.downtime_max, &DOWNTIME)?;
        Ok(settings.clone())
    }

    pub(crate) fn clock_handle(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn storage(&self) -> StorageOptions {
        StorageOptions {
            cache_bytes: self.settings.cache_bytes,
            reserve_bytes: self.settings.reserve_bytes,
            accept_restored: self.accept_restored,
            journal_bytes: self.settings.journal_bytes,
            checkpoint_inline: !self.settings.background_checkpoints,
        }
    }
}

/// Refuses a value outside its range.
pub(crate) fn within<T: Copy + PartialOrd + fmt::Debug>(name: &str, value: T, range: &RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} is {value:?}: give {:?} to {:?}", range.start(), range.end())))
}

impl Store {
    /// Returns how long a grant lasts unless the caller asks for another length: [`Options::lease`].
    ///
    /// ```
    /// # use idemstore::Options;
    /// # use std::time::Duration;
    /// let store = Options::new().lease(Duration::from_secs(5)).in_memory()?;
    /// assert_eq!(store.default_lease(), Duration::from_secs(5));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn default_lease(&self) -> Duration {
        self.shared().settings.lease
    }

    /// Returns the longest payload in bytes: [`Options::payload_bytes_max`].
    ///
    /// ```
    /// let store = idemstore::Options::new().payload_bytes_max(1024).in_memory()?;
    /// assert_eq!(store.payload_bytes_max(), 1024);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn payload_bytes_max(&self) -> usize {
        self.shared().settings.payload_bytes_max
    }
}
