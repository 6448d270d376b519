//! One of the two files that take turns.

use super::{
    frame,
    header::{HEADER_BYTES, Header},
    replay::Placed,
};
use crate::storage::{
    disk::{Disk, DiskFile, FileId},
    error::{ApplyError, StorageError},
    frame::{CheckKey, StoreId},
};
use std::{io, sync::Arc};

/// The two files.
pub(crate) const SLOTS: u64 = 2;
/// What a new file has. Each time it was filled it gets twice as long, up to its limit.
const BYTES_FIRST: u64 = 256 * 1024;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A file and the generation of frames in it.
#[derive(Debug)]
pub(crate) struct Segment {
    file: Arc<dyn DiskFile>,
    id: FileId,
    pub(crate) generation: u64,
    check: CheckKey,
    /// Where the next frame goes.
    position: u64,
    /// What was written before, so that a sync of a frame has no new length to make durable.
    allocated: u64,
}

/// The name of the file in which a generation is.
pub(crate) fn name_of(store: &str, generation: u64) -> String {
    format!("{store}.journal-{}", generation % SLOTS)
}

/// Opens the file of a generation; `None` if there is none.
pub(crate) fn open_file(disk: &dyn Disk, store: &str, generation: u64) -> io::Result<Option<Arc<dyn DiskFile>>> {
    match disk.open(&name_of(store, generation)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

impl Segment {
    /// Starts a generation in its file. When this returns, nothing of an earlier one verifies there any more, durably.
    pub(crate) fn start(file: Arc<dyn DiskFile>, store: &StoreId, generation: u64, bytes: u64) -> Result<Self, ApplyError> {
        let header = Header::new(generation);
        let written = resize(&*file, bytes).and_then(|allocated| header.write(&*file, store).map(|()| allocated));
        let allocated = written.map_err(|error| ApplyError::NotDone(StorageError::from_io(error)))?;
        file.sync().map_err(|error| ApplyError::Indeterminate(StorageError::Io(error)))?;
        let started = Self::new(file, store, &header, HEADER_BYTES as u64, allocated);
        started.map_err(|error| ApplyError::NotDone(StorageError::from_io(error)))
    }

    /// Goes on behind the frames of an earlier open.
    pub(crate) fn resume(file: Arc<dyn DiskFile>, store: &StoreId, header: &Header, position: usize) -> io::Result<Self> {
        let allocated = file.len()?;
        Self::new(file, store, header, position as u64, allocated)
    }

    fn new(file: Arc<dyn DiskFile>, store: &StoreId, header: &Header, position: u64, allocated: u64) -> io::Result<Self> {
        let id = file.id()?;
        Ok(Self { file, id, generation: header.generation, check: header.frames(store), position, allocated })
    }

    /// Makes a frame durable: one write, one sync.
    pub(crate) fn append(&mut self, mut frame: Vec<u8>, batch: u64) -> Result<usize, ApplyError> {
        if !frame::seal(&mut frame, &self.check, self.position, batch) {
            return Err(ApplyError::NotDone(StorageError::Damaged("a batch is too long for a frame".into())));
        }
        if let Err(error) = self.file.write_at(self.position, &frame) {
            let error = StorageError::from_io(error);
            return Err(match self.take_back(frame.len()) {
                Ok(()) => ApplyError::NotDone(error),
                Err(_) => ApplyError::Indeterminate(error),
            });
        }
        self.file.sync().map_err(|error| ApplyError::Indeterminate(StorageError::Io(error)))?;
        self.position += frame.len() as u64;
        self.allocated = self.allocated.max(self.position);
        Ok(frame.len())
    }

    /// Removes what a failed write may have left: all of it could be there, and would be found after a crash. What was allocated
    /// stays if it can: on a full disk it is the room that others need to end what they have begun.
    fn take_back(&mut self, frame_len: usize) -> io::Result<()> {
        let end = self.allocated.min(self.position + frame_len as u64);
        let is_kept = zero(&*self.file, self.position, end).and_then(|()| self.file.set_len(self.allocated)).is_ok();
        if !is_kept {
            self.file.set_len(self.position)?;
            self.allocated = self.position;
        }
        self.file.sync()
    }

    /// Writes the last frame of an earlier open once more. That open may have ended between the frame's write and the end of
    /// its sync, or because of a sync that failed: then readers see what the disk does not have.
    pub(crate) fn write_again(&self, frame: &Placed<'_>, bytes: &[u8]) -> io::Result<()> {
        if let Some(bytes) = bytes.get(frame.position..frame.position + frame.len) {
            self.file.write_at(frame.position as u64, bytes)?;
        }
        self.file.sync()
    }

    /// Returns whether a frame of that length goes into what is allocated, within the limit. The first always does.
    pub(crate) fn has_room(&self, bytes: usize, bytes_max: u64) -> bool {
        self.is_empty() || self.position + bytes as u64 <= self.allocated.min(bytes_max)
    }

    /// Returns whether a frame of that length may be added, allocated or not.
    pub(crate) fn may_grow(&self, bytes: usize, bytes_max: u64) -> bool {
        self.position + bytes as u64 <= bytes_max
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.position == HEADER_BYTES as u64
    }

    /// Bytes of the file that are in use.
    pub(crate) fn used(&self) -> u64 {
        self.position
    }

    /// Starts the generation after next in the same file, which may grow for it. What it has beyond the limit, because of a long batch
    /// or because the limit was higher, is given back.
    pub(crate) fn recycle(&self, store: &StoreId, bytes_max: u64) -> Result<Self, ApplyError> {
        let bytes = self.allocated.saturating_mul(2).clamp(first_bytes(bytes_max), bytes_max);
        Self::start(self.file.clone(), store, self.generation + SLOTS, bytes)
    }

    /// Overwrites what earlier generations left behind the last frame.
    pub(crate) fn scrub(&self) -> io::Result<()> {
        zero(&*self.file, self.position, self.file.len()?)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Returns which file this is.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }
}

/// How long a new file is.
pub(crate) fn first_bytes(bytes_max: u64) -> u64 {
    BYTES_FIRST.min(bytes_max)
}

/// So many zeros, or as many as there are.
fn zeros(bytes: u64) -> &'static [u8] {
    &ZEROS[..usize::try_from(bytes).unwrap_or(ZEROS.len()).min(ZEROS.len())]
}

fn zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let piece = zeros(to - at);
        file.write_at(at, piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}

/// Gives a file a length: cuts it, or writes zeros, so that later syncs have only data to write. A full disk is no reason to fail: what is not
/// allocated now is when it is needed, if there is space by then.
fn resize(file: &dyn DiskFile, bytes: u64) -> io::Result<u64> {
    let mut len = file.len()?;
    if len > bytes {
        file.set_len(bytes)?;
        return Ok(bytes);
    }
    while len < bytes {
        let piece = zeros(bytes - len);
        match file.write_at(len, piece).map_err(StorageError::from_io) {
            Ok(()) => len += piece.len() as u64,
            Err(StorageError::Full(_)) if len >= HEADER_BYTES as u64 => break,
            Err(StorageError::Full(error) | StorageError::Io(error)) => return Err(error),
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        State,
        storage::{
            OpenMode,
            checkpoint::tests::{OPTIONS, open, put},
            disk::MemoryDisk,
        },
    };

    #[test]
    fn a_segment_grows_to_half_of_the_journal_and_no_further() {
        let (disk, payload) = (MemoryDisk::new(), vec![7; 60_000]);
        let storage = open(&disk, OpenMode::New);
        let journal = storage.journal().unwrap();
        let mut number = 0;
        let mut fill_up = || {
            while journal.has_room(&journal.active(), payload.len() * 2) {
                number += 1;
                put(&storage, &number.to_string(), State::Completed, &payload);
            }
        };
        for _ in 0..4 * SLOTS {
            fill_up();
            storage.settle_all().unwrap();
        }
        // Without a spare segment it may grow beyond what is allocated.
        storage.turn(&journal, &mut journal.active()).unwrap();
        fill_up();
        for generation in 0..SLOTS {
            let file = disk.open(&name_of("s", generation)).unwrap();
            assert_eq!(file.len().unwrap(), OPTIONS.journal_bytes / SLOTS);
        }
    }
}
