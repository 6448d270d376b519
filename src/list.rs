use crate::{
    Error, FencingToken, Key, Record, Result, Scope, State, Store, Timestamp,
    limits::{LIST_EXAMINED_MAX, LIST_RECORDS_MAX},
    storage::{Position, ScanFilter, ScanRow},
    transition::{Now, is_lapsed},
};
use std::{fmt, str::FromStr, time::Duration};

/// Which records [`Store::list`] returns; without conditions, all.
///
/// ```
/// use idemstore::{ListFilter, State};
/// use std::time::Duration;
///
/// // What has been in flight for five minutes or more.
/// let stuck = ListFilter::new().state(State::InFlight).older_than(Duration::from_secs(300));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ListFilter {
    state: Option<State>,
    scope: Option<Scope>,
    older_than: Duration,
    limit: usize,
}

/// One page of records.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// The records found; fewer than the limit, or none, does not mean that there are no more.
    pub records: Vec<RecordInfo>,
    /// Keys whose records are damaged.
    pub damaged: Vec<Option<Key>>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// A record without its payload.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordInfo {
    /// Which operation.
    pub key: Key,
    /// Where it stands.
    pub state: State,
    /// The token of the latest grant.
    pub token: FencingToken,
    /// How many times it was granted.
    pub attempt: u32,
    /// When it was first granted.
    pub first_seen_at: Timestamp,
    /// When it was last granted.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its lease lapses or lapsed.
    pub lease_expires_at: Timestamp,
    /// Until when the key is known, at least; `None` until it is ended or resolved.
    pub expires_at: Option<Timestamp>,
    /// Whether it is in flight and nobody has the right to run it: its lease has lapsed, or its process is gone. The next begin is a
    /// [`Takeover`](crate::Begin::Takeover), and [`resolve`](Store::resolve) can end it.
    pub is_lapsed: bool,
    /// Whether a progress mark is set.
    pub has_checkpoint: bool,
    /// Bytes of the payload.
    pub payload_bytes: usize,
}

/// Where a list goes on. As text it can be handed to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Position);

impl Default for ListFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl ListFilter {
    /// Starts with all records, 100 to a page.
    pub fn new() -> Self {
        Self { state: None, scope: None, older_than: Duration::ZERO, limit: 100 }
    }

    /// Only records in this state. What is in flight is found without looking at the rest.
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// Only records of this scope.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Only records first seen at least this long ago.
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = age;
        self
    }

    /// Sets how many records a page has: 1 to 1000.
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = records;
        self
    }

    fn scan(&self) -> ScanFilter {
        match (&self.scope, self.state) {
            (Some(scope), _) => ScanFilter::Scope(scope.clone()),
            (None, Some(State::InFlight)) => ScanFilter::InFlight,
            (None, _) => ScanFilter::All,
        }
    }

    fn admits(&self, record: &Record, now: Timestamp) -> bool {
        self.state.is_none_or(|state| state == record.state) && now.saturating_since(record.first_seen_at) >= self.older_than
    }
}

impl Store {
    /// Returns one page of records, expired ones that are still stored included.
    ///
    /// A page looks at 10,000 records at most, so it may hold fewer than the limit and still have a successor.
    ///
    /// ```
    /// # let store = idemstore::Store::in_memory()?;
    /// use idemstore::ListFilter;
    ///
    /// let (filter, mut cursor) = (ListFilter::new(), None);
    /// loop {
    ///     let page = store.list(&filter, cursor.as_ref())?;
    ///     page.records.iter().for_each(|record| println!("{} {:?}", record.key, record.state));
    ///     cursor = page.next;
    ///     if cursor.is_none() { break }
    /// }
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a limit out of range; [`Corrupted`](crate::ErrorKind::Corrupted),
    /// [`Io`](crate::ErrorKind::Io), [`Closed`](crate::ErrorKind::Closed).
    pub fn list(&self, filter: &ListFilter, after: Option<&Cursor>) -> Result<Page> {
        crate::options::within("limit", filter.limit, &(1..=LIST_RECORDS_MAX))?;
        let shared = self.shared();
        let (now, scan) = (shared.now(), filter.scan());
        let mut page = Page { records: Vec::new(), damaged: Vec::new(), next: after.cloned() };
        let mut examined = 0;
        while page.records.len() < filter.limit && examined < LIST_EXAMINED_MAX {
            // Never more than fit, so that the page ends where its last record is.
            let piece = filter.limit - page.records.len();
            let rows = shared.storage.scan(&scan, page.next.as_ref().map(|cursor| &cursor.0), piece);
            let rows = rows.map_err(|error| error.into_error("listing records"))?;
            examined += rows.rows.len();
            rows.rows.into_iter().for_each(|row| page.add(row, filter, now));
            page.next = rows.next.map(Cursor);
            if page.next.is_none() {
                break;
            }
        }
        Ok(page)
    }

    /// Returns whether a record is in flight and nobody has the right to run it: its lease has lapsed, or its process is gone. The next
    /// begin is a [`Takeover`](crate::Begin::Takeover), and [`resolve`](Store::resolve) can end it.
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, ManualClock, Options, Timestamp};
    /// # use std::time::Duration;
    /// # let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    /// # let store = Options::new().clock(clock.clone()).lease(Duration::from_secs(30)).in_memory()?;
    /// # let key = Key::new("shop", "pay_1")?;
    /// drop(store.begin(&key, Fingerprint::of(&[b"100 EUR"]))?); // whoever ran it is gone
    /// let record = store.get(&key)?.expect("it was begun");
    /// assert!(!store.is_lapsed(&record));
    /// clock.advance(Duration::from_secs(30));
    /// assert!(store.is_lapsed(&record));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn is_lapsed(&self, record: &Record) -> bool {
        is_lapsed_in_flight(record, self.shared().now())
    }

    /// Returns up to `limit` audit rows (at most 1000) from number `from` on: what operators resolved, and why. See
    /// [`resolve`](Store::resolve) for an example.
    ///
    /// # Errors
    /// As [`list`](Store::list).
    pub fn audit(&self, from: u64, limit: usize) -> Result<Vec<crate::AuditRow>> {
        crate::options::within("limit", limit, &(1..=LIST_RECORDS_MAX))?;
        let rows = self.shared().storage.audit_rows(from, limit);
        rows.map_err(|error| error.into_error("reading the audit"))
    }
}

fn is_lapsed_in_flight(record: &Record, now: Now) -> bool {
    record.state == State::InFlight && is_lapsed(record, now)
}

impl Page {
    fn add(&mut self, row: ScanRow, filter: &ListFilter, now: Now) {
        match (row.key, row.record) {
            (Some(key), Ok(record)) => {
                if filter.admits(&record, now.wall) {
                    self.records.push(RecordInfo::of(key, &record, now));
                }
            }
            (key, _) => self.damaged.push(key),
        }
    }
}

impl RecordInfo {
    fn of(key: Key, record: &Record, now: Now) -> Self {
        Self {
            key,
            state: record.state,
            token: record.token,
            attempt: record.attempt,
            first_seen_at: record.first_seen_at,
            started_at: record.started_at,
            ended_at: record.ended_at(),
            lease_expires_at: record.lease_expires_at,
            expires_at: record.expires_at(),
            is_lapsed: is_lapsed_in_flight(record, now),
            has_checkpoint: record.checkpoint.is_some(),
            payload_bytes: record.payload.len(),
        }
    }
}

/// Writes hex digits.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads hex digits.
impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::invalid("cursor is not one that a list returned");
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0).ok_or_else(invalid)?;
        Ok(Self(Position(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())))
    }
}
