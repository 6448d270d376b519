//! Blocks that lookups need again and again, in memory: those of checks, and the branches of redb's trees.
//!
//! A lookup that no cache serves reads a branch and a leaf, and needs a check for each. There are so many leaves that the one just read
//! is hardly ever the next one wanted, yet in redb's cache each takes the place of something else. Here are only blocks that
//! many lookups share: a branch leads to some eighty chunks, and a block of checks is for 512 blocks.

use super::layout::block_bytes;
use crate::sync::{BelowRedb, BelowRedbGuard};

/// The first byte of a page that is a branch, in redb's file format.
const BRANCH: u8 = 2;
/// redb has half of its cache for pages that are not committed yet, and writes twice what does not fit. This is enough for a step of a
/// rewrite, of at most 4 MiB; a payment writes a fifth fewer bytes than with two thirds of it.
const PAGES_BYTES: usize = 12 * 1024 * 1024;
/// Up to so much, a cache is first for what leads to records: that of some five million of half a kilobyte.
const KEPT_FIRST_BYTES: usize = 64 * 1024 * 1024;
/// Blocks that share a lock, and the room.
const WAYS: usize = 8;

/// All that is kept of one file. A lock of a branch is taken before one of a block of checks.
#[derive(Debug)]
pub(crate) struct Caches {
    pub(super) branches: Kept,
    pub(super) checks: Kept,
}

/// How the memory of a cache is divided, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Pages as redb has them.
    pub(crate) pages: usize,
    pub(super) branches: usize,
    pub(super) checks: usize,
}

impl Shares {
    /// redb's own cache is mostly leaves that nobody asks for again, so it gets what its transactions need: of a small cache half.
    /// Of a large one it gets most, for by then what leads to records has its room, and records may have some.
    pub(crate) fn of(cache_bytes: usize) -> Self {
        let pages = PAGES_BYTES.min(cache_bytes / 2) + cache_bytes.saturating_sub(KEPT_FIRST_BYTES) / 4 * 3;
        let checks = (cache_bytes - pages) / 4;
        Self { pages, branches: cache_bytes - pages - checks, checks }
    }
}

impl Caches {
    pub(crate) fn new(shares: &Shares) -> Self {
        Self { branches: Kept::new(shares.branches), checks: Kept::new(shares.checks) }
    }

    /// Lets go of everything: what is looked at from here on is what the file has.
    pub(crate) fn clear(&self) {
        self.branches.clear();
        self.checks.clear();
    }
}

/// A cache of blocks, by their position in the file. What it has is what the file has.
#[derive(Debug)]
pub(super) struct Kept {
    sets: Box<[BelowRedb<Set>]>,
}

/// Some of the blocks. Whoever reads or writes one of these in the file holds the lock meanwhile, so that nothing is kept that has
/// become old, or lets go of what was kept behind the write.
#[derive(Debug)]
pub(super) struct Set {
    /// Side by side, because most lookups find nothing else. `NOWHERE`: there is none.
    positions: [u64; WAYS],
    /// Which were used since they were last spared.
    is_used: [bool; WAYS],
    /// Which is looked at first when room is needed.
    next: usize,
    blocks: [Box<[u8]>; WAYS],
}

/// Where no block is.
const NOWHERE: u64 = u64::MAX;

impl Default for Set {
    fn default() -> Self {
        Self { positions: [NOWHERE; WAYS], is_used: [false; WAYS], next: 0, blocks: Default::default() }
    }
}

/// Whether a page of redb is a branch.
pub(super) fn is_branch(page: &[u8]) -> bool {
    page.first() == Some(&BRANCH)
}

impl Kept {
    pub(super) fn new(bytes: usize) -> Self {
        let sets = (bytes / (WAYS * block_bytes())).max(1);
        Self { sets: (0..sets).map(|_| BelowRedb::default()).collect() }
    }

    /// Locks the set that a block belongs to.
    pub(super) fn set_of(&self, position: u64) -> BelowRedbGuard<'_, Set> {
        /// The golden ratio: what it makes of numbers at regular distances, as positions are, lies far apart in its high bits.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed = u128::from(position.wrapping_mul(GOLDEN));
        let set = (mixed * self.sets.len() as u128) >> u64::BITS;
        self.sets[usize::try_from(set).unwrap_or_default()].lock()
    }

    pub(super) fn clear(&self) {
        self.sets.iter().for_each(|set| *set.lock() = Set::default());
    }
}

impl Set {
    fn way_of(&self, position: u64) -> Option<usize> {
        self.positions.iter().position(|kept| *kept == position)
    }

    pub(super) fn get(&mut self, position: u64) -> Option<&mut [u8]> {
        let way = self.way_of(position)?;
        self.is_used[way] = true;
        Some(&mut self.blocks[way])
    }

    /// Keeps a block that it does not have.
    pub(super) fn keep(&mut self, position: u64, bytes: &[u8]) {
        let way = self.way_of(NOWHERE).unwrap_or_else(|| self.least_used());
        let block = &mut self.blocks[way];
        if block.len() == bytes.len() {
            block.copy_from_slice(bytes);
        } else {
            *block = bytes.into();
        }
        (self.positions[way], self.is_used[way]) = (position, false);
    }

    /// Returns one that may go. What was used since it was last looked at is spared once.
    fn least_used(&mut self) -> usize {
        loop {
            self.next = (self.next + 1) % WAYS;
            if !std::mem::take(&mut self.is_used[self.next]) {
                return self.next;
            }
        }
    }

    pub(super) fn forget(&mut self, position: u64) {
        if let Some(way) = self.way_of(position) {
            self.positions[way] = NOWHERE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::layout::{GROUP_BLOCKS, position_of_check},
        *,
    };

    fn block(byte: u8) -> Vec<u8> {
        vec![byte; block_bytes()]
    }

    #[test]
    fn what_is_used_stays_longer() {
        let kept = Kept::new(0);
        let mut set = kept.set_of(0);
        (0..WAYS as u64).for_each(|position| set.keep(position, &block(1)));
        for position in WAYS as u64..1000 {
            assert!(set.get(3).is_some(), "{position}");
            set.keep(position, &block(2));
            assert_eq!(set.get(position).map(|bytes| bytes.to_vec()), Some(block(2)));
            assert_eq!(set.way_of(NOWHERE), None);
        }
        assert!(set.get(0).is_none());
    }

    #[test]
    fn shares_use_the_cache_up_and_what_is_added_to_a_large_one_is_mostly_for_pages() {
        for (cache_mib, pages_mib) in [(1, 0), (8, 4), (64, 12), (128, 60), (1024, 732)] {
            let Shares { pages, branches, checks } = Shares::of(cache_mib << 20);
            assert_eq!(pages >> 20, pages_mib);
            assert_eq!(pages + branches + checks, cache_mib << 20);
        }
    }

    /// Of a store of 6 GB, with the 16 MiB that checks get of the default.
    #[test]
    fn blocks_of_checks_are_spread_over_the_sets() {
        let kept = Kept::new(16 << 20);
        let positions = (0..3000).map(|group| position_of_check(group * GROUP_BLOCKS));
        let lost = positions.filter(|&position| {
            let mut set = kept.set_of(position);
            let is_full = set.way_of(NOWHERE).is_none();
            set.keep(position, &[]);
            is_full
        });
        assert!(lost.count() < 30);
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_rest_is_not() {
        let kept = Kept::new(1 << 20);
        (0..100).for_each(|position| kept.set_of(position).keep(position, &block(7)));
        kept.set_of(40).forget(40);
        assert!((0..100).all(|position| kept.set_of(position).get(position).is_some() == (position != 40)));
        kept.clear();
        assert!((0..100).all(|position| kept.set_of(position).get(position).is_none()));
    }
}
