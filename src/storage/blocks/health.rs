//! What happened to the file underneath, in figures.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// What happened to the file underneath, for those who have to explain a failure of redb. Shared by all that is open on it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(super) damaged_reads: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) reads: AtomicU64,
    /// A sync failed: what the disk holds is unknown, and a second sync would lie (the kernel drops the error with the pages).
    pub(super) sync_failed: AtomicBool,
    /// The file was opened anew; whatever still holds this handle must not touch it.
    retired: AtomicBool,
}

impl Health {
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(crate) fn io(&self) -> IoCounts {
        IoCounts {
            syncs: self.syncs.load(Ordering::Relaxed),
            bytes_written: self.bytes_written.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            damaged_reads: self.damaged_reads.load(Ordering::Relaxed),
        }
    }

    pub(super) fn check_usable(&self) -> io::Result<()> {
        if self.sync_failed() || self.is_retired() {
            return Err(io::Error::other("the file takes no further operation"));
        }
        Ok(())
    }
}

/// What was done to files since they were opened. These do not drift with the speed of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCounts {
    /// Calls that made written data durable.
    pub syncs: u64,
    /// Bytes handed to the operating system.
    pub bytes_written: u64,
    /// Reads that the cache could not serve.
    pub reads: u64,
    /// Reads of blocks that were damaged or unreadable.
    pub damaged_reads: u64,
}

impl std::ops::Add for IoCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            syncs: self.syncs + other.syncs,
            bytes_written: self.bytes_written + other.bytes_written,
            reads: self.reads + other.reads,
            damaged_reads: self.damaged_reads + other.damaged_reads,
        }
    }
}
