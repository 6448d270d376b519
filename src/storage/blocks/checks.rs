//! The checks of blocks: how one is computed, and those that were read lately.
//!
//! A lookup that misses redb's cache reads a block or two, and each needs its check. A block of checks serves the 256 blocks of its
//! group, a megabyte, so kept in memory it saves far more reads than a page in its place would.

use super::layout::{GROUP_BLOCKS, Run, block_bytes, position_of_check};
use crate::{
    storage::{
        disk::DiskFile,
        frame::{CHECK_BYTES, StoreId},
    },
    sync::BelowRedb,
};
use std::{io, sync::Arc};
use twox_hash::XxHash3_128;

pub(super) type Check = [u8; CHECK_BYTES];

/// How much of a cache is for checks: each block of them covers 256 times its size.
const SHARE: usize = 4;

/// Computes checks: XXH3 with 128 bits, seeded with the store and the block's number.
///
/// It has to notice what disks, controllers and memory do to bytes, and whatever is at a wrong place or of another store. Nobody
/// chooses checks: who can write to the file can replace it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockCheck(u64);

impl BlockCheck {
    pub(super) fn new(store: &StoreId) -> Self {
        let key = blake3::derive_key("idemstore 2026-11-21 block check v2", store);
        Self(key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }

    pub(super) fn of(self, block: u64, bytes: &[u8]) -> Check {
        /// Odd, so that no two blocks share a seed; with bits everywhere, so that neighbours' have little in common.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        XxHash3_128::oneshot_with_seed(self.0.wrapping_add(block.wrapping_mul(STEP)), bytes).to_le_bytes()
    }
}

/// The checks in a file, some of them in memory.
#[derive(Debug)]
pub(super) struct Checks {
    file: Arc<dyn DiskFile>,
    /// A group can be in one place only. The lock is held while its checks are read or written, so that no place holds what the
    /// file does not.
    places: Box<[BelowRedb<Option<Group>>]>,
}

/// The checks of one group.
#[derive(Debug)]
struct Group {
    number: u64,
    checks: Box<[u8]>,
}

/// Divides a cache: what is for redb's pages, and what is for checks.
pub(crate) fn shares_of(cache_bytes: usize) -> (usize, usize) {
    let checks = cache_bytes / SHARE;
    (cache_bytes - checks, checks)
}

impl Checks {
    pub(super) fn new(file: Arc<dyn DiskFile>, bytes: usize) -> Self {
        let places = (bytes / block_bytes()).max(1);
        Self { file, places: (0..places).map(|_| BelowRedb::new(None)).collect() }
    }

    /// Looks at the checks of neighbours.
    pub(super) fn with<T>(&self, run: &Run, look: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let number = run.group();
        let mut place = self.place(number).lock();
        if let Some(group) = place.as_ref().filter(|group| group.number == number) {
            return Ok(look(&group.checks[run.in_checks()]));
        }
        // Its memory serves again, but not what it says.
        let mut checks = place.take().map_or_else(|| vec![0; block_bytes()].into(), |group| group.checks);
        self.file.read_at(position_of_check(number * GROUP_BLOCKS), &mut checks)?;
        let group = place.insert(Group { number, checks });
        Ok(look(&group.checks[run.in_checks()]))
    }

    /// Writes the checks of neighbours with `write`, which gets their position.
    pub(super) fn write(&self, run: &Run, checks: &[u8], write: impl FnOnce(u64) -> io::Result<()>) -> io::Result<()> {
        let number = run.group();
        let mut place = self.place(number).lock();
        let known = place.take_if(|group| group.number == number);
        // What a failed write has left is for the next look to find out.
        write(position_of_check(run.first))?;
        if let Some(mut group) = known {
            group.checks[run.in_checks()].copy_from_slice(checks);
            *place = Some(group);
        }
        Ok(())
    }

    /// Forgets everything: the file has another length.
    pub(super) fn forget(&self) {
        self.places.iter().for_each(|place| drop(place.lock().take()));
    }

    fn place(&self, group: u64) -> &BelowRedb<Option<Group>> {
        let places = self.places.len() as u64;
        &self.places[usize::try_from(group % places).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::{Disk, MemoryDisk};

    const ONE: Run = Run { first: GROUP_BLOCKS + 3, blocks: 1 };
    const SAME_PLACE: Run = Run { first: 3 * GROUP_BLOCKS + 3, blocks: 1 };

    fn checks() -> Checks {
        let file = MemoryDisk::new().create("f").unwrap();
        file.set_len(position_of_check(8 * GROUP_BLOCKS)).unwrap();
        Checks::new(file, 2 * block_bytes())
    }

    fn write(checks: &Checks, run: &Run, check: Check) -> io::Result<()> {
        checks.write(run, &check, |position| checks.file.write_at(position, &check))
    }

    fn read(checks: &Checks, run: &Run) -> Vec<u8> {
        checks.with(run, <[u8]>::to_vec).unwrap()
    }

    #[test]
    fn what_is_in_memory_is_what_was_written_last() {
        let checks = checks();
        for (number, run) in [ONE, SAME_PLACE, ONE, ONE, SAME_PLACE, SAME_PLACE].iter().enumerate() {
            let check = [number.to_le_bytes()[0] + 1; CHECK_BYTES];
            write(&checks, run, check).unwrap();
            assert_eq!(read(&checks, run), check);
            let mut stored = [0; CHECK_BYTES];
            checks.file.read_at(position_of_check(run.first), &mut stored).unwrap();
            assert_eq!(stored, check);
        }
    }

    #[test]
    fn the_file_is_read_once_and_again_after_a_failed_write() {
        let checks = checks();
        write(&checks, &ONE, [1; CHECK_BYTES]).unwrap();
        assert_eq!(read(&checks, &ONE), [1; CHECK_BYTES]);
        checks.file.write_at(position_of_check(ONE.first), &[2; CHECK_BYTES]).unwrap();
        assert_eq!(read(&checks, &ONE), [1; CHECK_BYTES], "from memory");
        checks.write(&ONE, &[3; CHECK_BYTES], |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(read(&checks, &ONE), [2; CHECK_BYTES], "from the file");
        checks.file.write_at(position_of_check(ONE.first), &[4; CHECK_BYTES]).unwrap();
        checks.forget();
        assert_eq!(read(&checks, &ONE), [4; CHECK_BYTES]);
    }

    #[test]
    fn a_check_belongs_to_its_bytes_its_place_and_its_store() {
        let check = BlockCheck::new(&[5; 16]);
        let block = vec![7; 512];
        let sound = check.of(9, &block);
        assert_eq!(sound, BlockCheck::new(&[5; 16]).of(9, &block));
        assert_ne!(sound, BlockCheck::new(&[6; 16]).of(9, &block));
        assert!((0..100_000).filter(|&other| check.of(other, &block) == sound).eq([9]));
        for bit in 0..block.len() * 8 {
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(check.of(9, &flipped), sound, "bit {bit}");
        }
    }
}
