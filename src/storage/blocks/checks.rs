//! The checks of blocks: how one is computed, and where those in the file are read and written.

use super::{
    kept::Kept,
    layout::{Run, block_bytes},
};
use crate::storage::frame::{StoreId, seed_for};
use std::io;
use twox_hash::XxHash3_64;

pub(super) const CHECK_BYTES: usize = 8;
pub(super) type Check = [u8; CHECK_BYTES];

/// Computes checks: XXH3 with 64 bits, seeded with the store and the block's number.
///
/// It has to notice what disks, controllers and memory do to bytes, and whatever is at a wrong place or of another store. Nobody
/// chooses checks: who can write to the file can replace it.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockCheck(u64);

impl BlockCheck {
    pub(super) fn new(store: &StoreId) -> Self {
        Self(seed_for("idemstore 2026-11-21 block check v2", store))
    }

    pub(super) fn of(self, block: u64, bytes: &[u8]) -> Check {
        /// Odd, so that no two blocks share a seed; with bits everywhere, so that neighbours' have little in common.
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        XxHash3_64::oneshot_with_seed(self.0.wrapping_add(block.wrapping_mul(STEP)), bytes).to_le_bytes()
    }
}

/// Looks at the checks of neighbours, for which it may have to `read` at a position.
pub(super) fn with_checks<T>(
    kept: &Kept,
    run: &Run,
    read: impl FnOnce(u64, &mut [u8]) -> io::Result<()>,
    look: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    let position = run.position_of_group();
    let mut set = kept.set_of(position);
    if let Some(checks) = set.get(position) {
        return Ok(look(&checks[run.in_checks()]));
    }
    let mut checks = vec![0; block_bytes()];
    read(position, &mut checks)?;
    set.keep(position, &checks);
    Ok(look(&checks[run.in_checks()]))
}

/// Writes the checks of neighbours with `write`, which gets their position.
pub(super) fn write_checks(kept: &Kept, run: &Run, checks: &[u8], write: impl FnOnce(u64) -> io::Result<()>) -> io::Result<()> {
    let position = run.position_of_group();
    let mut set = kept.set_of(position);
    let written = write(position + run.in_checks().start as u64);
    match (&written, set.get(position)) {
        (Ok(()), Some(known)) => known[run.in_checks()].copy_from_slice(checks),
        // What a failed write has left is for the next look to find out.
        (Err(_), Some(_)) => set.forget(position),
        (_, None) => {}
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{
        blocks::layout::{GROUP_BLOCKS, position_of_check},
        disk::{Disk, DiskFile, MemoryDisk},
    };
    use std::sync::Arc;

    const ONE: Run = Run { first: GROUP_BLOCKS + 3, blocks: 1 };
    const OTHER: Run = Run { first: 3 * GROUP_BLOCKS + 3, blocks: 1 };

    fn file() -> Arc<dyn DiskFile> {
        let file = MemoryDisk::new().create("f").unwrap();
        file.set_len(position_of_check(8 * GROUP_BLOCKS)).unwrap();
        file
    }

    #[test]
    fn what_is_in_memory_is_what_was_written_last() {
        let (kept, file) = (Kept::new(0), file());
        for (number, run) in [ONE, OTHER, ONE, ONE, OTHER, OTHER].iter().enumerate() {
            let check = [number.to_le_bytes()[0] + 1; CHECK_BYTES];
            write_checks(&kept, run, &check, |position| file.write_at(position, &check)).unwrap();
            assert_eq!(with_checks(&kept, run, |at, into| file.read_at(at, into), <[u8]>::to_vec).unwrap(), check);
            let mut stored = [0; CHECK_BYTES];
            file.read_at(position_of_check(run.first), &mut stored).unwrap();
            assert_eq!(stored, check);
        }
    }

    #[test]
    fn the_file_is_read_once_and_again_after_a_failed_write() {
        let (kept, file) = (Kept::new(0), file());
        let read = || with_checks(&kept, &ONE, |at, into| file.read_at(at, into), <[u8]>::to_vec).unwrap();
        let beneath = |byte| file.write_at(position_of_check(ONE.first), &[byte; CHECK_BYTES]).unwrap();
        beneath(1);
        assert_eq!(read(), [1; CHECK_BYTES]);
        beneath(2);
        assert_eq!(read(), [1; CHECK_BYTES], "from memory");
        write_checks(&kept, &ONE, &[3; CHECK_BYTES], |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(read(), [2; CHECK_BYTES], "from the file");
        beneath(4);
        kept.clear();
        assert_eq!(read(), [4; CHECK_BYTES]);
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
