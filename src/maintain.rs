//! Work on the whole store: verification, backups, compaction; and the operator's resolution of a single key.

use crate::{
    Error, ErrorKind, FencingToken, Key, OutcomeKind, Result, State, Store,
    limits::{DAMAGE_NAMED_MAX, REASON_BYTES_MAX},
    queue::Message,
    shared::Patience,
    storage::{Counts, ScanRow, StorageError},
    store::{check_payload, unexpected},
    sync::promise::promise,
    transition::{Answer, Command, Ending},
};
use std::{ops::ControlFlow, path::Path};

/// Records looked at in one view: bounds memory, and how long an old version of the file is pinned.
const VERIFY_RECORDS: usize = 512;

/// How far long work has got. Return [`ControlFlow::Break`] to stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Records done.
    pub records: u64,
    /// Records in the store when the work began.
    pub total: u64,
}

/// What [`Store::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Records that were looked at.
    pub records: u64,
    /// Bytes of them and their keys.
    pub bytes: u64,
    /// Records that do not verify.
    pub damaged: u64,
    /// The first 1000 of those; `None` for a key that is damaged itself.
    pub damaged_keys: Vec<Option<Key>>,
    /// Records in flight without their index entry: they would not be swept in time.
    pub unindexed: u64,
    /// Index entries without their record: the sweep removes them.
    pub astray: u64,
    /// Whether the stored counts are those that were found. `None` when the store changed meanwhile.
    pub counts_match: Option<bool>,
}

impl VerifyReport {
    /// Returns whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damaged == 0 && self.unindexed == 0 && self.counts_match != Some(false)
    }
}

/// How [`Store::resolve`] ends an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution<'p> {
    /// The operation did succeed; callers get this payload.
    Completed(&'p [u8]),
    /// The operation did not succeed and never will; callers get this payload.
    Failed(&'p [u8]),
    /// Nothing happened; the next caller runs it.
    Released,
}

impl Store {
    /// Ends an attempt whose lease has lapsed, without its token: what a person, or a job that asks the payment provider,
    /// does about an unknown effect. Leaves an audit row with `reason` (1 to 1024 bytes).
    ///
    /// ```
    /// # use idemstore::{Begin, Fingerprint, Key, ManualClock, Options, Resolution, Timestamp};
    /// # use std::time::Duration;
    /// # let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    /// # let store = Options::new().clock(clock.clone()).in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// drop(store.begin(&key, request)?); // whoever ran it is gone
    /// clock.advance(Duration::from_secs(30)); // and its lease has lapsed
    /// store.resolve(&key, Resolution::Completed(b"receipt 7"), "the provider shows charge 7")?;
    /// assert!(matches!(store.begin(&key, request)?, Begin::Replay(_)));
    /// assert_eq!(store.audit(0, 10)?[0].reason, "the provider shows charge 7");
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// A record that is damaged in itself can be [released](Resolution::Released), which is the only way to get its key back.
    /// One whose page cannot be read cannot: export the rest, or restore a backup.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound); [`InFlight`](ErrorKind::InFlight) while a live lease holds the key;
    /// [`InvalidInput`](ErrorKind::InvalidInput) when the attempt has ended already or an argument is out of range;
    /// [`Corrupted`](ErrorKind::Corrupted) for a damaged record that is to get an outcome; and those of a write.
    pub fn resolve(&self, key: &Key, resolution: Resolution<'_>, reason: &str) -> Result<()> {
        self.resolve_as(key, None, resolution, reason)
    }

    /// As [`resolve`](Store::resolve), for the attempt that has this token and no other: what was found out about one attempt says
    /// nothing about the next, which may begin and lapse while somebody asks the payment provider.
    ///
    /// ```
    /// # use idemstore::{Begin, ErrorKind, Fingerprint, Key, ManualClock, Options, Resolution, Timestamp};
    /// # use std::time::Duration;
    /// # let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    /// # let store = Options::new().clock(clock.clone()).in_memory()?;
    /// # let (key, request) = (Key::new("shop", "pay_1")?, Fingerprint::of(&[b"100 EUR"]));
    /// drop(store.begin(&key, request)?);
    /// clock.advance(Duration::from_secs(30));
    /// let looked_at = store.get(&key)?.unwrap();
    /// // Meanwhile somebody else takes it over, and is gone as well.
    /// drop(store.begin(&key, request)?);
    /// clock.advance(Duration::from_secs(30));
    ///
    /// let resolved = store.resolve_attempt(&key, looked_at.token(), Resolution::Released, "there is no charge");
    /// assert_eq!(resolved.unwrap_err().kind(), ErrorKind::AttemptChanged);
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`resolve`](Store::resolve), and [`AttemptChanged`](ErrorKind::AttemptChanged). A damaged record is
    /// [`Corrupted`](ErrorKind::Corrupted) in any case: whose it is cannot be read.
    pub fn resolve_attempt(&self, key: &Key, token: FencingToken, resolution: Resolution<'_>, reason: &str) -> Result<()> {
        self.resolve_as(key, Some(token), resolution, reason)
    }

    fn resolve_as(&self, key: &Key, token: Option<FencingToken>, resolution: Resolution<'_>, reason: &str) -> Result<()> {
        let settings = &self.shared().settings;
        crate::options::within("reason bytes", reason.len(), &(1..=REASON_BYTES_MAX))?;
        let ending = match resolution {
            Resolution::Completed(payload) => Some((OutcomeKind::Completed, payload, settings.retention)),
            Resolution::Failed(payload) => Some((OutcomeKind::Failed, payload, settings.failed_retention)),
            Resolution::Released => None,
        };
        if let Some((_, payload, _)) = ending {
            check_payload(payload, settings.payload_bytes_max)?;
        }
        let ending = ending.map(|(kind, payload, retention)| Ending { kind, payload: payload.into(), retention });
        let shared = self.shared();
        let promise = shared.submit(key, Command::Resolve { token, ending }, Some(reason.to_owned()), None, Patience::Queue)?;
        let claim = promise.wait().unwrap_or_else(|| Err(shared.broken_promise()))?;
        match claim.claim() {
            Answer::Resolved { .. } => Ok(()),
            Answer::NotFound => Err(Error::new(ErrorKind::NotFound, format!("{key}: there is no such record"))),
            Answer::AttemptChanged => {
                let message = format!("{key}: the key has another attempt than the one that you looked at; look at it again");
                Err(Error::new(ErrorKind::AttemptChanged, message))
            }
            Answer::AlreadyEnded => Err(Error::invalid(format!("{key}: the attempt has ended already"))),
            Answer::InFlight { retry_after, .. } => {
                let message = format!("{key}: a live lease holds the key for another {retry_after:?}; wait until it lapses");
                Err(Error::new(ErrorKind::InFlight, message))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Checks every record and its index entry while the store works, in bounded memory.
    ///
    /// What the cache holds is checked there and not read again: to check a whole file, open it afresh.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # let store = idemstore::Store::in_memory()?;
    /// let report = store.verify(|progress| {
    ///     eprintln!("{} of {}", progress.records, progress.total);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(report.is_sound());
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Corrupted`](ErrorKind::Corrupted) when damage keeps the store from finding its records at all;
    /// [`Io`](ErrorKind::Io), [`Closed`](ErrorKind::Closed); [`Stopped`](ErrorKind::Stopped) by `on_progress`.
    pub fn verify(&self, mut on_progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<VerifyReport> {
        let storage = &self.shared().storage;
        let failed = |error: StorageError| error.into_error("verifying");
        storage.forget_blocks().map_err(failed)?;
        let (before, state) = (storage.counts(), storage.state());
        let (mut report, mut found) = (VerifyReport::default(), Counts::default());
        storage.walk_pages(VERIFY_RECORDS, |_, rows| {
            for row in &rows {
                report.add(row);
                found.add(row);
            }
            report.unindexed += storage.unindexed(&rows).map_err(failed)?;
            proceed(&mut on_progress, report.records, before.records())
        })?;
        let mut after = None;
        // Where the index is damaged, its records have been counted as unindexed.
        while let Ok((astray, next)) = storage.check_index(after.as_ref(), VERIFY_RECORDS) {
            report.astray += astray;
            after = next;
            if after.is_none() {
                break;
            }
        }
        found.add_up(storage.shadowed());
        let is_unchanged = state == storage.state();
        report.counts_match = (is_unchanged && report.damaged == 0).then_some(found == before);
        Ok(report)
    }

    /// Returns which file the store is in now; a [compaction](Store::compact) changes it. Whoever asks for the owner of a file can
    /// tell with this whether it has found that, or the owner of a file that had the same name before.
    ///
    /// ```
    /// # use std::os::unix::fs::MetadataExt;
    /// use idemstore::disk::FileId;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("payments.idem");
    /// # let store = idemstore::Store::create(&path)?;
    ///
    /// let file = std::fs::metadata(&path).unwrap();
    /// assert_eq!(store.file_id()?, FileId(file.dev(), file.ino()));
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Closed`](ErrorKind::Closed).
    pub fn file_id(&self) -> Result<crate::disk::FileId> {
        self.shared().storage.file_id().map_err(|error| error.into_error("asking for the file"))
    }

    /// Writes a consistent copy to a new file while the store works. The copy has mode 0600 and is durable when this
    /// returns; it opens only with [`Options::accept_restored`](crate::Options::accept_restored), because it does not know
    /// what began after it was made. Commands wait while the journal is brought into the store file, and not while that is copied.
    ///
    /// ```
    /// # use idemstore::{ErrorKind, Options, Store};
    /// # use std::ops::ControlFlow;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let copy = directory.path().join("payments.bak");
    /// # let store = Store::in_memory()?;
    /// store.backup(&copy, |_| ControlFlow::Continue(()))?;
    /// assert_eq!(Store::open(&copy).unwrap_err().kind(), ErrorKind::Restored);
    /// Options::new().accept_restored(true).open(&copy)?;
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists), [`Io`](ErrorKind::Io), [`Full`](ErrorKind::Full),
    /// [`Corrupted`](ErrorKind::Corrupted) when a page cannot be read, [`Closed`](ErrorKind::Closed);
    /// [`Indeterminate`](ErrorKind::Indeterminate) when bringing in the journal fails at a sync, or did before;
    /// [`Stopped`](ErrorKind::Stopped) by `on_progress`.
    pub fn backup(&self, to: impl AsRef<Path>, mut on_progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        let storage = &self.shared().storage;
        let total = storage.counts().records();
        storage.backup(to.as_ref(), &mut |records| on_progress(Progress { records, total }))
    }

    /// Rewrites the store file without the space that removed records left, and without their bytes; overwrites what the journal
    /// has left of them.
    ///
    /// Callers' commands wait until it is done; leases go on running. The file needs its own size once more while this runs.
    /// `on_progress` must not use the store.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # let store = idemstore::Store::in_memory()?;
    /// store.compact(|_| ControlFlow::Continue(()))?;
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`backup`](Store::backup), and [`Busy`](ErrorKind::Busy), [`Poisoned`](ErrorKind::Poisoned).
    pub fn compact(&self, mut on_progress: impl FnMut(Progress) -> ControlFlow<()>) -> Result<()> {
        let shared = self.shared();
        shared.check_writable()?;
        // Before the writer is held up: a rewrite may take a while.
        let no_rewrites = shared.storage.hold_rewrites();
        let (paused, is_paused) = promise();
        let (resume, resumed) = promise();
        shared.send(Message::Pause { paused, resume: resumed }, Patience::Queue)?;
        is_paused.wait().ok_or_else(|| shared.broken_promise())?;
        shared.poison.check()?;
        let total = shared.storage.counts().records();
        let compacted = shared.storage.compact(&no_rewrites, &mut |records| on_progress(Progress { records, total }));
        if let Some(error) = compacted.as_ref().err().filter(|error| error.is_indeterminate()) {
            shared.stop_writing(error.to_string());
        }
        // The writer also goes on if this thread panics, because then the promise is dropped.
        let _ = resume.send(());
        compacted
    }
}

pub(crate) fn proceed(on_progress: &mut impl FnMut(Progress) -> ControlFlow<()>, records: u64, total: u64) -> Result<()> {
    match on_progress(Progress { records, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(ErrorKind::Stopped, "stopped by the progress callback")),
    }
}

impl VerifyReport {
    fn add(&mut self, row: &ScanRow) {
        self.records += 1;
        self.bytes += row.bytes as u64;
        if row.record.is_err() || row.key.is_none() {
            self.damaged += 1;
            if self.damaged_keys.len() < DAMAGE_NAMED_MAX {
                self.damaged_keys.push(row.key.clone());
            }
        }
    }
}

impl Counts {
    fn add_up(&mut self, other: Self) {
        self.completed += other.completed;
        self.failed += other.failed;
        self.bytes += other.bytes;
    }

    fn add(&mut self, row: &ScanRow) {
        self.bytes += row.bytes as u64;
        for state in [State::InFlight, State::Completed, State::Failed] {
            *self.of_state(state) += u64::from(row.has_state(state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Begin, Fingerprint, ListFilter};

    /// A record that was damaged above the checks of its block, by a bug or a bit flipped in memory.
    fn damaged() -> (Store, Key) {
        let store = Store::in_memory().unwrap();
        for id in ["a", "b", "c"] {
            let Begin::Fresh(lease) = begin(&store, id) else { panic!() };
            lease.checkpoint("mark").unwrap();
        }
        let key = key("b");
        store.shared().storage.damage(&key);
        (store, key)
    }

    fn key(id: &str) -> Key {
        Key::new("shop", id).unwrap()
    }

    fn begin(store: &Store, id: &str) -> Begin {
        store.begin(&key(id), Fingerprint::of(&[b"1"])).unwrap()
    }

    #[test]
    fn a_damaged_record_is_named_by_verification_and_list() {
        let (store, key) = damaged();
        let report = store.verify(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.records, report.damaged, &report.damaged_keys[..]), (3, 1, &[Some(key.clone())][..]));
        let page = store.list(&ListFilter::new(), None).unwrap();
        assert_eq!((page.records.len(), &page.damaged[..]), (2, &[Some(key)][..]));
    }

    #[test]
    fn an_operator_frees_a_damaged_record_and_nothing_of_it_stays() {
        let (store, key) = damaged();
        let error = store.resolve(&key, Resolution::Completed(b""), "guessed").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
        store.resolve(&key, Resolution::Released, "nothing was charged").unwrap();
        let rows = store.audit(0, 10).unwrap();
        assert_eq!((rows.len(), &rows[0].key, rows[0].token), (1, &key, None));
        let report = store.verify(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.records, report.damaged, report.astray), (2, 0, 0));
        assert!(matches!(begin(&store, "b"), Begin::Fresh(_)));
    }
}
