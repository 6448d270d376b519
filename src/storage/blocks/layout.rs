//! Where a block and its check are in the file.

use super::checks::CHECK_BYTES;
use std::io;

pub(super) const BLOCK_BYTES: u64 = 4096;
pub(super) const GROUP_BLOCKS: u64 = 512;
const CHECK_STEP: u64 = CHECK_BYTES as u64;

/// Blocks of one group: neighbours in the file, and so are their checks.
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) blocks: usize,
}

impl Run {
    pub(super) fn bytes(&self) -> usize {
        self.blocks * block_bytes()
    }

    /// Where the block of their checks is in the file.
    pub(super) fn position_of_group(&self) -> u64 {
        position_of_check(self.first / GROUP_BLOCKS * GROUP_BLOCKS)
    }

    /// Where the blocks are in the file.
    pub(super) fn positions(&self) -> impl Iterator<Item = u64> {
        (self.first..).take(self.blocks).map(position_of)
    }

    /// Where their checks are among those of the group.
    pub(super) fn in_checks(&self) -> std::ops::Range<usize> {
        let start = usize::try_from(self.first % GROUP_BLOCKS * CHECK_STEP).unwrap_or_default();
        start..start + self.blocks * CHECK_BYTES
    }
}

/// Splits consecutive blocks at the borders of groups.
pub(super) fn runs(first: u64, bytes: usize) -> impl Iterator<Item = Run> {
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
pub(super) fn whole_blocks(offset: u64, len: usize) -> io::Result<u64> {
    if !offset.is_multiple_of(BLOCK_BYTES) || !len.is_multiple_of(block_bytes()) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(offset / BLOCK_BYTES)
}

pub(super) const fn block_bytes() -> usize {
    4096
}

/// Where a block's data is in the file.
pub(super) fn position_of(block: u64) -> u64 {
    (1 + block / GROUP_BLOCKS * (GROUP_BLOCKS + 1) + 1 + block % GROUP_BLOCKS) * BLOCK_BYTES
}

/// Where a block's check is in the file.
pub(super) fn position_of_check(block: u64) -> u64 {
    (1 + block / GROUP_BLOCKS * (GROUP_BLOCKS + 1)) * BLOCK_BYTES + block % GROUP_BLOCKS * CHECK_STEP
}

pub(super) fn physical_len(logical: u64) -> u64 {
    let blocks = logical.div_ceil(BLOCK_BYTES);
    (1 + blocks + blocks.div_ceil(GROUP_BLOCKS)) * BLOCK_BYTES
}

pub(super) fn logical_len(physical: u64) -> u64 {
    let blocks = (physical / BLOCK_BYTES).saturating_sub(1);
    let (groups, rest) = (blocks / (GROUP_BLOCKS + 1), blocks % (GROUP_BLOCKS + 1));
    (groups * GROUP_BLOCKS + rest.saturating_sub(1)) * BLOCK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
