//! The file under redb: every 4 KiB block has a check of its own, verified on each read.
//!
//! redb trusts what it reads. A flipped bit in a branch page makes it look for a key in the wrong leaf and answer that
//! there is none, and for this store "none" means "run the payment". So a block that does not verify never reaches redb: it
//! gets a page of ones instead. No page of its format starts with such a byte, so a descent fails instead of missing; and the
//! counts and offsets in it (65,535 entries, at 4 GiB) point outside the page, so that code which takes the type for granted,
//! such as the merge of two leaves, fails as well.
//!
//! Layout, in blocks of 4 KiB: the superblock; then groups of one block of checks and the 512 blocks they belong to. redb
//! never overwrites a page that a durable state refers to, so a block and its check need not be written in one step: until
//! the commit is synced, nobody reads either. Its header is the exception: it is overwritten in place. It therefore shares a
//! single 512-byte sector with its check, and sectors are assumed to be written whole.

mod checks;
mod health;
mod kept;
mod layout;

pub(crate) use health::Health;
pub use health::IoCounts;
pub(crate) use kept::{Caches, Shares};

use super::{disk::DiskFile, error::StorageError, frame::StoreId};
use checks::{BlockCheck, CHECK_BYTES, with_checks, write_checks};
use kept::is_branch;
use layout::{block_bytes, logical_len, physical_len, position_of, runs, whole_blocks};
use std::{
    cell::RefCell,
    io,
    sync::{Arc, atomic::Ordering},
};

const SECTOR_BYTES: usize = 512;
const HEADER_BYTES_MAX: usize = SECTOR_BYTES - CHECK_BYTES;
/// What redb sees of a block that is not sound.
const DAMAGED: u8 = 0xFF;

/// What redb sees as its file.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Arc<dyn DiskFile>,
    check: BlockCheck,
    caches: Arc<Caches>,
    health: Arc<Health>,
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

impl Blocks {
    pub(crate) fn new(file: Arc<dyn DiskFile>, store: &StoreId, caches: Arc<Caches>, health: Arc<Health>) -> Self {
        Self { file, check: BlockCheck::new(store), caches, health }
    }

    fn read_header(&self, into: &mut [u8]) -> io::Result<()> {
        let mut sector = [0; SECTOR_BYTES];
        self.read_at(position_of(0), &mut sector).map_err(failed)?;
        let (header, check) = sector.split_at(HEADER_BYTES_MAX);
        let Some(wanted) = header.get(..into.len()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if *check != self.check.of(0, header) {
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
        let check = self.check.of(0, &sector[..HEADER_BYTES_MAX]);
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
            self.read_at(position_of(run.first), data)?;
            let mut blocks = data.chunks(block_bytes()).zip(run.first..);
            let is_sound = |checks: &[u8]| {
                let mut checks = checks.chunks(CHECK_BYTES);
                blocks.all(|(data, block)| checks.next().is_some_and(|check| *check == self.check.of(block, data)))
            };
            sound &= with_checks(&self.caches.checks, &run, |position, into| self.read_at(position, into), is_sound)?;
        }
        Ok(sound)
    }

    fn write_checked(&self, first: u64, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        for run in runs(first, data.len()) {
            let (data, later) = rest.split_at(run.bytes());
            rest = later;
            let blocks = data.chunks(block_bytes()).zip(run.first..);
            let checks: Vec<u8> = blocks.flat_map(|(data, block)| self.check.of(block, data)).collect();
            let written = self.write_at(position_of(run.first), data);
            run.positions().for_each(|position| self.caches.branches.set_of(position).forget(position));
            written?;
            write_checks(&self.caches.checks, &run, &checks, |position| self.write_at(position, &checks))?;
        }
        Ok(())
    }

    /// Reads one block, which may be kept; returns whether it verifies.
    fn read_one(&self, block: u64, into: &mut [u8]) -> io::Result<bool> {
        let position = position_of(block);
        let mut set = self.caches.branches.set_of(position);
        if let Some(kept) = set.get(position) {
            into.copy_from_slice(kept);
            return Ok(true);
        }
        let sound = self.read_verified(block, into)?;
        if sound && is_branch(into) {
            set.keep(position, into);
        }
        Ok(sound)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> io::Result<()> {
        self.health.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_at(position, into)
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
        self.caches.clear();
        self.file.set_len(physical_len(len)).map_err(failed)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.health.check_usable()?;
        if offset == 0 {
            return self.read_header(out);
        }
        let first = whole_blocks(offset, out.len())?;
        let read = if out.len() == block_bytes() { self.read_one(first, out) } else { self.read_verified(first, out) };
        let problem = match read {
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

#[cfg(test)]
mod tests {
    use super::{
        layout::{BLOCK_BYTES, position_of_check},
        *,
    };
    use crate::storage::disk::{Disk, MemoryDisk};
    use redb::StorageBackend;

    fn blocks(disk: &MemoryDisk) -> Blocks {
        let file = disk.open("f").or_else(|_| disk.create("f")).unwrap();
        Blocks::new(file, &[5; 16], Arc::new(Caches::new(&Shares::of(0))), Arc::default())
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
        blocks(&disk).set_len(4 * BLOCK_BYTES).unwrap();
        for position in [position_of(2) + 77, position_of_check(2) + 3] {
            let backend = blocks(&disk);
            backend.write(2 * BLOCK_BYTES, &[9; 4096]).unwrap();
            let mut byte = [0];
            backend.file.read_at(position, &mut byte).unwrap();
            backend.file.write_at(position, &[byte[0] ^ 4]).unwrap();
            let mut read = vec![1; 4096];
            backend.read(2 * BLOCK_BYTES, &mut read).unwrap();
            assert!(read.iter().all(|&byte| byte == DAMAGED));
            assert!(matches!(take_problem(), Some(StorageError::Damaged(_))));
            assert_eq!(backend.health.io().damaged_reads, 1);
        }
    }

    /// A page of redb that is a branch, as far as that can be seen.
    fn branch(byte: u8) -> Vec<u8> {
        let mut page = vec![byte; 4096];
        page[0] = 2;
        page
    }

    fn cached(disk: &MemoryDisk) -> Blocks {
        let file = disk.open("f").or_else(|_| disk.create("f")).unwrap();
        Blocks::new(file, &[5; 16], Arc::new(Caches::new(&Shares::of(1 << 20))), Arc::default())
    }

    fn read(backend: &Blocks, block: u64, blocks: usize) -> Vec<u8> {
        let mut page = vec![0; blocks * block_bytes()];
        backend.read(block * BLOCK_BYTES, &mut page).unwrap();
        page
    }

    #[test]
    fn a_branch_is_read_once_and_a_leaf_each_time() {
        let backend = cached(&MemoryDisk::new());
        backend.set_len(8 * BLOCK_BYTES).unwrap();
        backend.write(2 * BLOCK_BYTES, &branch(1)).unwrap();
        backend.write(3 * BLOCK_BYTES, &[1; 4096]).unwrap();
        let reads = |block| {
            let before = backend.health.io().reads;
            read(&backend, block, 1);
            backend.health.io().reads - before
        };
        // The first time with the block of checks.
        assert_eq!([reads(2), reads(2), reads(2)], [2, 0, 0]);
        assert_eq!([reads(3), reads(3)], [1, 1]);
    }

    #[test]
    fn a_branch_in_memory_is_what_was_written_last() {
        let backend = cached(&MemoryDisk::new());
        backend.set_len(8 * BLOCK_BYTES).unwrap();
        for byte in 0..20 {
            // Alone, and as a part of a longer page.
            let (first, page) = if byte % 2 == 0 { (3, branch(byte)) } else { (2, [branch(0), branch(byte)].concat()) };
            backend.write(first * BLOCK_BYTES, &page).unwrap();
            assert_eq!(read(&backend, 3, 1), branch(byte), "{byte}");
        }
    }

    #[test]
    fn a_damaged_branch_is_not_kept() {
        let backend = cached(&MemoryDisk::new());
        backend.set_len(8 * BLOCK_BYTES).unwrap();
        backend.write(3 * BLOCK_BYTES, &branch(1)).unwrap();
        backend.file.write_at(position_of(3) + 9, &[7]).unwrap();
        assert_eq!(read(&backend, 3, 1), [DAMAGED; 4096]);
        backend.file.write_at(position_of(3) + 9, &[1]).unwrap();
        assert_eq!(read(&backend, 3, 1), branch(1));
        assert!(take_problem().is_some());
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
