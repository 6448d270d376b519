//! The file under redb: every 4 KiB block has a check of its own, verified on each read.
//!
//! redb trusts what it reads. A flipped bit in a branch page makes it look for a key in the wrong leaf and answer that
//! there is none, and for this store "none" means "run the payment". So a block that does not verify never reaches redb: it
//! gets a page of ones instead. No page of its format starts with such a byte, so a descent fails instead of missing; and the
//! counts and offsets in it (65,535 entries, at 4 GiB) point outside the page, so that code which takes the type for granted,
//! such as the merge of two leaves, fails as well.
//!
//! Layout, in blocks of 4 KiB: the superblock; then groups of one block of checks and the 256 blocks they belong to. redb
//! never overwrites a page that a durable state refers to, so a block and its check need not be written in one step: until
//! the commit is synced, nobody reads either. Its header is the exception: it is overwritten in place. It therefore shares a
//! single 512-byte sector with its check, and sectors are assumed to be written whole.

use super::{
    disk::DiskFile,
    error::StorageError,
    frame::{CHECK_BYTES, CheckKey},
};
use std::{
    cell::RefCell,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const BLOCK_BYTES: u64 = 4096;
const GROUP_BLOCKS: u64 = 256;
const SECTOR_BYTES: usize = 512;
const HEADER_BYTES_MAX: usize = SECTOR_BYTES - CHECK_BYTES;
const CHECK_STEP: u64 = CHECK_BYTES as u64;
/// What redb sees of a block that is not sound.
const DAMAGED: u8 = 0xFF;

/// What redb sees as its file.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Arc<dyn DiskFile>,
    check: CheckKey,
    health: Arc<Health>,
}

/// What happened to the file underneath, for those who have to explain a failure of redb. Shared by all that is open on it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    damaged_reads: AtomicU64,
    syncs: AtomicU64,
    bytes_written: AtomicU64,
    reads: AtomicU64,
    /// A sync failed: what the disk holds is unknown, and a second sync would lie (the kernel drops the error with the pages).
    sync_failed: AtomicBool,
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

    fn check_usable(&self) -> io::Result<()> {
        if self.sync_failed() || self.is_retired() {
            return Err(io::Error::other("the file takes no further operation"));
        }
        Ok(())
    }
}

thread_local! {
    /// The first problem that this thread met in the file since it last looked. redb works on the thread that calls it, so
    /// this tells exactly which operation touched damaged bytes.
    static PROBLEM: RefCell<Option<StorageError>> = const { RefCell::new(None) };
}

/// Takes what the current thread met in the file since the last call.
pub(crate) fn take_problem() -> Option<StorageError> {
    PROBLEM.with_borrow_mut(Option::take)
}

/// Whether the current thread met anything in the file since [`take_problem`].
pub(crate) fn has_problem() -> bool {
    PROBLEM.with_borrow(Option::is_some)
}

fn note(problem: StorageError) {
    PROBLEM.with_borrow_mut(|slot| {
        slot.get_or_insert(problem);
    });
}

/// Notes a failure and gives redb an error that says as much as it needs.
fn failed(error: io::Error) -> io::Error {
    let kind = error.kind();
    note(StorageError::from_io(error));
    kind.into()
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

impl Blocks {
    pub(crate) fn new(file: Arc<dyn DiskFile>, check: CheckKey, health: Arc<Health>) -> Self {
        Self { file, check, health }
    }

    fn read_header(&self, into: &mut [u8]) -> io::Result<()> {
        let mut sector = [0; SECTOR_BYTES];
        self.file.read_at(position_of(0), &mut sector).map_err(failed)?;
        let (header, check) = sector.split_at(HEADER_BYTES_MAX);
        let Some(wanted) = header.get(..into.len()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if *check != self.check.check(&0u64.to_le_bytes(), header) {
            note(StorageError::Damaged("the file's header block does not match its check".into()));
            return Err(io::ErrorKind::InvalidData.into());
        }
        into.copy_from_slice(wanted);
        Ok(())
    }

    fn write_header(&self, header: &[u8]) -> io::Result<()> {
        let mut sector = [0; SECTOR_BYTES];
        let Some(place) = sector.get_mut(..header.len().min(HEADER_BYTES_MAX)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if place.len() != header.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        place.copy_from_slice(header);
        let check = self.check.check(&0u64.to_le_bytes(), &sector[..HEADER_BYTES_MAX]);
        sector[HEADER_BYTES_MAX..].copy_from_slice(&check);
        self.write_at(position_of(0), &sector)
    }

    /// Reads whole blocks; returns whether all of them verify.
    fn read_verified(&self, first: u64, into: &mut [u8]) -> io::Result<bool> {
        let mut sound = true;
        let mut rest = into;
        for run in runs(first, rest.len()) {
            let (data, later) = std::mem::take(&mut rest).split_at_mut(run.bytes());
            rest = later;
            let mut checks = vec![0; run.checks_bytes()];
            self.file.read_at(position_of(run.first), data)?;
            self.file.read_at(position_of_check(run.first), &mut checks)?;
            let blocks = data.chunks(block_bytes()).zip(checks.chunks(CHECK_BYTES)).zip(run.first..);
            sound &= blocks.into_iter().all(|((data, check), block)| *check == self.check.check(&block.to_le_bytes(), data));
        }
        Ok(sound)
    }

    fn write_checked(&self, first: u64, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        for run in runs(first, data.len()) {
            let (data, later) = rest.split_at(run.bytes());
            rest = later;
            let mut checks = Vec::with_capacity(run.checks_bytes());
            for (data, block) in data.chunks(block_bytes()).zip(run.first..) {
                checks.extend_from_slice(&self.check.check(&block.to_le_bytes(), data));
            }
            self.write_at(position_of(run.first), data)?;
            self.write_at(position_of_check(run.first), &checks)?;
        }
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.health.bytes_written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.file.write_at(position, bytes).map_err(failed)
    }
}

impl redb::StorageBackend for Blocks {
    fn len(&self) -> io::Result<u64> {
        self.health.check_usable()?;
        self.file.len().map(logical_len).map_err(failed)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.health.check_usable()?;
        self.file.set_len(physical_len(len)).map_err(failed)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.health.check_usable()?;
        self.health.reads.fetch_add(1, Ordering::Relaxed);
        if offset == 0 {
            return self.read_header(out);
        }
        let problem = match self.read_verified(whole_blocks(offset, out.len())?, out) {
            Ok(true) => return Ok(()),
            Ok(false) => StorageError::Damaged(format!("a block at {offset} does not match its check")),
            Err(error) => StorageError::Damaged(format!("a block at {offset} is unreadable: {error}")),
        };
        // An error would make redb refuse everything from here on. This makes it fail for this page alone.
        out.fill(DAMAGED);
        self.health.damaged_reads.fetch_add(1, Ordering::Relaxed);
        note(problem);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.health.check_usable()?;
        if offset == 0 {
            return self.write_header(data);
        }
        self.write_checked(whole_blocks(offset, data.len())?, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.health.check_usable()?;
        self.health.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync().map_err(|error| {
            self.health.sync_failed.store(true, Ordering::Release);
            failed(error)
        })
    }
}

/// Blocks of one group: neighbours in the file, and so are their checks.
struct Run {
    first: u64,
    blocks: usize,
}

impl Run {
    fn bytes(&self) -> usize {
        self.blocks * block_bytes()
    }

    fn checks_bytes(&self) -> usize {
        self.blocks * CHECK_BYTES
    }
}

/// Splits consecutive blocks at the borders of groups.
fn runs(first: u64, bytes: usize) -> impl Iterator<Item = Run> {
    let mut first = first;
    let end = first + (bytes / block_bytes()) as u64;
    std::iter::from_fn(move || {
        let group_end = (first / GROUP_BLOCKS + 1) * GROUP_BLOCKS;
        let blocks = usize::try_from(end.min(group_end) - first).ok().filter(|&blocks| blocks > 0)?;
        let run = Run { first, blocks };
        first += blocks as u64;
        Some(run)
    })
}

/// Returns the first block of an access that covers blocks whole, as redb's all do.
fn whole_blocks(offset: u64, len: usize) -> io::Result<u64> {
    if !offset.is_multiple_of(BLOCK_BYTES) || !len.is_multiple_of(block_bytes()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(offset / BLOCK_BYTES)
}

const fn block_bytes() -> usize {
    4096
}

/// Where a block's data is in the file.
fn position_of(block: u64) -> u64 {
    (1 + block / GROUP_BLOCKS * (GROUP_BLOCKS + 1) + 1 + block % GROUP_BLOCKS) * BLOCK_BYTES
}

/// Where a block's check is in the file.
fn position_of_check(block: u64) -> u64 {
    (1 + block / GROUP_BLOCKS * (GROUP_BLOCKS + 1)) * BLOCK_BYTES + block % GROUP_BLOCKS * CHECK_STEP
}

fn physical_len(logical: u64) -> u64 {
    let blocks = logical.div_ceil(BLOCK_BYTES);
    (1 + blocks + blocks.div_ceil(GROUP_BLOCKS)) * BLOCK_BYTES
}

fn logical_len(physical: u64) -> u64 {
    let blocks = (physical / BLOCK_BYTES).saturating_sub(1);
    let (groups, rest) = (blocks / (GROUP_BLOCKS + 1), blocks % (GROUP_BLOCKS + 1));
    (groups * GROUP_BLOCKS + rest.saturating_sub(1)) * BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::{Disk, MemoryDisk};
    use redb::StorageBackend;

    fn blocks(disk: &MemoryDisk) -> Blocks {
        let file = disk.open("f").or_else(|_| disk.create("f")).unwrap();
        Blocks::new(file, CheckKey::for_blocks(&[5; 16]), Arc::default())
    }

    #[test]
    fn positions_do_not_overlap_and_lengths_are_inverse() {
        let mut taken = std::collections::HashSet::from([0]);
        for block in 0..3 * GROUP_BLOCKS {
            assert!(taken.insert(position_of(block)), "block {block}");
            assert_eq!(logical_len(physical_len(block * BLOCK_BYTES)), block * BLOCK_BYTES);
        }
        for block in 0..3 * GROUP_BLOCKS {
            assert!(!taken.contains(&(position_of_check(block) / BLOCK_BYTES * BLOCK_BYTES)), "check of {block}");
        }
    }

    #[test]
    fn pages_across_groups_come_back() {
        let backend = blocks(&MemoryDisk::new());
        backend.set_len(600 * BLOCK_BYTES).unwrap();
        let page: Vec<u8> = (0..8 * 4096u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        for first in [1, 250, 252, 508] {
            backend.write(first * BLOCK_BYTES, &page).unwrap();
            let mut read = vec![0; page.len()];
            backend.read(first * BLOCK_BYTES, &mut read).unwrap();
            assert_eq!(read, page);
        }
        assert_eq!(backend.health.io().damaged_reads, 0);
    }

    #[test]
    fn a_damaged_block_reads_as_ones_and_is_counted() {
        let disk = MemoryDisk::new();
        let backend = blocks(&disk);
        backend.set_len(4 * BLOCK_BYTES).unwrap();
        for position in [position_of(2) + 77, position_of_check(2) + 3] {
            backend.write(2 * BLOCK_BYTES, &[9; 4096]).unwrap();
            let mut byte = [0];
            backend.file.read_at(position, &mut byte).unwrap();
            backend.file.write_at(position, &[byte[0] ^ 4]).unwrap();
            let mut read = vec![1; 4096];
            backend.read(2 * BLOCK_BYTES, &mut read).unwrap();
            assert!(read.iter().all(|&byte| byte == DAMAGED));
            assert!(matches!(take_problem(), Some(StorageError::Damaged(_))));
        }
        assert_eq!(backend.health.io().damaged_reads, 2);
    }

    #[test]
    fn a_damaged_header_is_an_error() {
        let disk = MemoryDisk::new();
        let backend = blocks(&disk);
        backend.set_len(BLOCK_BYTES).unwrap();
        backend.write(0, &[3; 320]).unwrap();
        let mut header = [0; 320];
        backend.read(0, &mut header).unwrap();
        assert_eq!(header, [3; 320]);
        backend.file.write_at(position_of(0) + 9, &[2]).unwrap();
        assert!(backend.read(0, &mut header).is_err());
    }
}
