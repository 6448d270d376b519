//! The journal: where a batch becomes durable, with one write and one sync.
//!
//! Two files take turns. Batches are appended to one of them, the *active* segment, while a checkpoint brings what is in the
//! other, the *frozen* one, into the table; after that the frozen one starts a new generation and is the *spare*, into which
//! the writer goes on when the active one is full. So the journal is bounded by two files and never has to be searched.

mod entry;
mod frame;
mod header;
mod open;
mod replay;
mod segment;

pub(crate) use entry::{Logged, decode, encode};
pub(crate) use frame::start as start_frame;
pub(crate) use open::{Opened, exists, open};
#[cfg(fuzzing)]
pub(crate) use {frame::seal as seal_frame, header::HEADER_BYTES, replay::frames as replay_frames};

use super::{
    blocks::IoCounts,
    disk::{Disk, FileId},
    error::{ApplyError, StorageError},
    frame::StoreId,
};
use crate::{
    Timestamp,
    sync::{Condvar, Mutex, MutexGuard, wait},
};
use segment::{SLOTS, Segment};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The journal of an open store.
#[derive(Debug)]
pub(crate) struct Journal {
    store: StoreId,
    /// Of the files.
    names: [String; 2],
    /// Of one segment.
    bytes_max: u64,
    /// Held by whoever appends or changes the generation.
    active: Mutex<Segment>,
    turns: Mutex<Turns>,
    changed: Condvar,
    syncs: AtomicU64,
    bytes_written: AtomicU64,
    checkpoints: AtomicU64,
    /// Of the active segment; to be told without waiting for a sync.
    segment_bytes: AtomicU64,
}

/// The segment that is not active, and what is to be done about it.
#[derive(Debug, Default)]
struct Turns {
    spare: Option<Segment>,
    /// Never together with a spare.
    frozen: Option<Segment>,
    wanted: Wanted,
    /// No more checkpoints in the background.
    stopped: bool,
    /// Why the last one failed.
    failure: Option<StorageError>,
    /// The disk was full for something else than a checkpoint.
    lacks_space: bool,
    /// What the disk holds is unknown: nothing may be written any more.
    broken: bool,
}

/// What somebody asks the background for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) checkpoint: bool,
    /// What has expired by then may go.
    pub(crate) sweep: Option<Timestamp>,
}

/// Exclusive use of the active segment.
pub(crate) type Active<'j> = MutexGuard<'j, Segment>;

/// Figures of the journal since the open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalStats {
    /// Syncs of its files: one for each commit and one for each checkpoint.
    pub syncs: u64,
    /// Bytes of the batches that were written to its files, not of what allocates space for them.
    pub bytes_written: u64,
    /// Times that its records were brought into the store file.
    pub checkpoints: u64,
    /// Records that the store file does not have yet.
    pub records: u64,
    /// Bytes that are in use in the segment that is being written.
    pub segment_bytes: u64,
}

impl Journal {
    fn new(options: &JournalOptions, active: Segment, spare: Option<Segment>, frozen: Option<Segment>) -> Self {
        let wanted = Wanted { checkpoint: frozen.is_some(), sweep: None };
        let segment_bytes = AtomicU64::new(active.used());
        Self {
            store: options.store,
            names: [0, 1].map(|slot| segment::name_of(&options.name, slot)),
            bytes_max: options.bytes_max,
            segment_bytes,
            active: Mutex::new(active),
            turns: Mutex::new(Turns { spare, frozen, wanted, ..Turns::default() }),
            changed: Condvar::default(),
            syncs: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
        }
    }

    /// Takes the active segment; nobody else appends until it is given back.
    pub(crate) fn active(&self) -> Active<'_> {
        self.active.lock()
    }

    /// As [`active`](Self::active), unless somebody has it.
    pub(crate) fn try_active(&self) -> Option<Active<'_>> {
        self.active.try_lock()
    }

    /// Makes a frame durable. After a failure that is not known to have changed nothing, nothing is written any more.
    pub(crate) fn append(&self, active: &mut Active<'_>, frame: Vec<u8>, batch: u64) -> Result<(), ApplyError> {
        self.check_sound()?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        match active.append(frame, batch) {
            Ok(bytes) => {
                self.segment_bytes.store(active.used(), Ordering::Relaxed);
                self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Returns whether the active segment takes that many bytes more: within what is allocated if there is a spare, and
    /// within the limit while there is none.
    pub(crate) fn has_room(&self, active: &Active<'_>, bytes: usize) -> bool {
        active.has_room(bytes, self.bytes_max) || (active.may_grow(bytes, self.bytes_max) && self.turns.lock().spare.is_none())
    }

    /// Makes the spare segment the active one, and the active one frozen, if there is a spare.
    pub(crate) fn turn(&self, active: &mut Active<'_>) -> bool {
        let mut turns = self.turns.lock();
        let Some(spare) = turns.spare.take() else { return false };
        turns.frozen = Some(std::mem::replace(&mut **active, spare));
        true
    }

    /// The table has all generations up to `taken_over`: the frozen segment, if it is of one of them, becomes the spare.
    ///
    /// A crash before the new header is durable leaves frames that the table has; they are passed over. If the header came
    /// before the table's commit, a crash in between would lose what was frozen.
    pub(crate) fn recycle(&self, taken_over: u64) -> Result<(), ApplyError> {
        let frozen = self.turns.lock().frozen.take_if(|frozen| frozen.generation <= taken_over);
        let Some(frozen) = frozen else { return Ok(()) };
        let recycled = frozen.recycle(&self.store, self.bytes_max);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let mut turns = self.turns.lock();
        match recycled {
            Ok(spare) => {
                turns.spare = Some(spare);
                turns.failure = None;
                turns.lacks_space = false;
            }
            Err(error) => {
                // If a write failed, it can be tried again.
                turns.frozen = Some(frozen);
                drop(turns);
                return Err(self.failed(error));
            }
        }
        drop(turns);
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_all();
        Ok(())
    }

    /// Overwrites what is left of earlier batches, payloads and all.
    pub(crate) fn scrub(&self) -> Result<(), ApplyError> {
        let active = self.active();
        let turns = self.turns.lock();
        for segment in std::iter::once(&*active).chain(&turns.spare) {
            segment.scrub().map_err(|error| ApplyError::NotDone(StorageError::from_io(error)))?;
            self.syncs.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = segment.sync() {
                drop(turns);
                return Err(self.failed(ApplyError::Indeterminate(StorageError::Io(error))));
            }
        }
        Ok(())
    }

    /// Asks for a checkpoint and waits until there is a spare segment.
    pub(crate) fn await_spare(&self) -> Result<(), ApplyError> {
        let mut turns = self.turns.lock();
        self.want(&mut turns);
        while turns.spare.is_none() {
            // While it is still wanted, what failed is an earlier one: since it began, somebody may have made space.
            if let (false, Some(failure)) = (turns.wanted.checkpoint, &turns.failure) {
                return Err(ApplyError::NotDone(failure.again()));
            }
            if turns.stopped || turns.broken {
                return Err(ApplyError::NotDone(StorageError::Engine("the journal takes no more batches".into())));
            }
            turns = wait(&self.changed, turns);
        }
        Ok(())
    }

    /// Asks for a checkpoint in the background.
    pub(crate) fn want_checkpoint(&self) {
        self.want(&mut self.turns.lock());
    }

    fn want(&self, turns: &mut Turns) {
        turns.wanted.checkpoint = true;
        turns.failure = None;
        turns.lacks_space = false;
        self.changed.notify_all();
    }

    /// Asks for a sweep of the runs in the background.
    pub(crate) fn want_sweep(&self, now: Timestamp) {
        self.turns.lock().wanted.sweep = Some(now);
        self.changed.notify_all();
    }

    /// Waits until somebody asks for something; `None` when nothing more is to be done.
    pub(crate) fn await_wanted(&self) -> Option<Wanted> {
        let mut turns = self.turns.lock();
        while !turns.wanted.checkpoint && turns.wanted.sweep.is_none() && !turns.stopped {
            turns = wait(&self.changed, turns);
        }
        let wanted = std::mem::take(&mut turns.wanted);
        if wanted.checkpoint {
            (turns.failure, turns.lacks_space) = (None, false);
        }
        (!turns.stopped).then_some(wanted)
    }

    /// Returns whether somebody asks for a checkpoint.
    pub(crate) fn is_wanted(&self) -> bool {
        self.turns.lock().wanted.checkpoint
    }

    /// Notes why a checkpoint failed, and tells whoever waits for it.
    pub(crate) fn note_failure(&self, failure: StorageError) {
        self.turns.lock().failure = Some(failure);
        self.changed.notify_all();
    }

    /// Returns whether a segment waits for a checkpoint that has not been tried, or may work now.
    pub(crate) fn is_behind(&self) -> bool {
        let turns = self.turns.lock();
        turns.frozen.is_some() && turns.failure.is_none()
    }

    /// Notes that the disk is full, as something has found that nobody waits for.
    pub(crate) fn note_lack_of_space(&self) {
        self.turns.lock().lacks_space = true;
    }

    /// Notes that a checkpoint was possible, also if there was nothing to be done.
    pub(crate) fn note_success(&self) {
        let mut turns = self.turns.lock();
        (turns.failure, turns.lacks_space) = (None, false);
    }

    /// Returns whether the disk was full when it was last written to.
    pub(crate) fn lacks_space(&self) -> bool {
        let turns = self.turns.lock();
        turns.lacks_space || matches!(turns.failure, Some(StorageError::Full(_)))
    }

    /// Ends the checkpoints in the background.
    pub(crate) fn stop(&self) {
        self.turns.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Returns whether the checkpoints in the background have been ended.
    pub(crate) fn is_stopped(&self) -> bool {
        self.turns.lock().stopped
    }

    /// Refuses everything from here on if nobody knows what the disk holds.
    pub(crate) fn failed(&self, error: ApplyError) -> ApplyError {
        if matches!(error, ApplyError::Indeterminate(_)) {
            self.turns.lock().broken = true;
            self.changed.notify_all();
        }
        error
    }

    /// Refuses to write after such a failure.
    pub(crate) fn check_sound(&self) -> Result<(), ApplyError> {
        if self.turns.lock().broken {
            let what = "a sync of the journal or of the store file failed before";
            return Err(ApplyError::Indeterminate(StorageError::Engine(what.into())));
        }
        Ok(())
    }

    /// Returns the name of the active segment and which file it is.
    pub(crate) fn place(&self, active: &Active<'_>) -> (&str, FileId) {
        let [even, odd] = &self.names;
        (if active.generation.is_multiple_of(SLOTS) { even } else { odd }, active.id())
    }

    pub(crate) fn io(&self) -> IoCounts {
        let (syncs, bytes_written) = (self.syncs.load(Ordering::Relaxed), self.bytes_written.load(Ordering::Relaxed));
        IoCounts { syncs, bytes_written, ..IoCounts::default() }
    }

    /// Returns the figures, but for the number of records.
    pub(crate) fn stats(&self) -> JournalStats {
        let IoCounts { syncs, bytes_written, .. } = self.io();
        let segment_bytes = self.segment_bytes.load(Ordering::Relaxed);
        JournalStats { syncs, bytes_written, checkpoints: self.checkpoints.load(Ordering::Relaxed), records: 0, segment_bytes }
    }
}

/// What an open of the journal needs to know.
#[derive(Clone, Debug)]
pub(crate) struct JournalOptions {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) name: String,
    pub(crate) store: StoreId,
    /// Of one segment.
    pub(crate) bytes_max: u64,
}
