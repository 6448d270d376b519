//! The limit of the journal holds again after what went beyond it.

use super::{Desk, SEGMENTS, same_computer};
use crate::workload::{NAME, options};

const LOW: u64 = 16 << 10;
const HIGH: u64 = 1 << 20;

impl Desk {
    fn segment_bytes(&self) -> u64 {
        self.store.stats().unwrap().journal.segment_bytes
    }

    fn longest(&self) -> u64 {
        SEGMENTS.iter().map(|name| self.disk.bytes(name).len() as u64).max().unwrap()
    }

    /// Works until both segments are new, then while one is filled again; none is filled beyond the limit.
    fn assert_bounded(&mut self) {
        self.pay_until_checkpoints(2);
        assert!(self.longest() <= LOW / 2, "{}", self.longest());
        let wanted = self.checkpoints() + 2;
        while self.checkpoints() < wanted {
            self.pay(40);
            assert!(self.segment_bytes() <= LOW / 2);
        }
    }
}

#[test]
fn a_long_batch_makes_its_segment_longer_only_until_that_is_recycled() {
    let mut desk = Desk::with(|options| options.journal_bytes(LOW));
    let number = desk.begin();
    desk.complete(number, 60_000);
    assert!(desk.longest() > 60_000);
    desk.assert_bounded();
}

#[test]
fn a_limit_that_is_lowered_holds_as_soon_as_the_segments_are_recycled() {
    let mut desk = Desk::with(|options| options.journal_bytes(HIGH));
    while desk.longest() < HIGH / 2 {
        desk.pay(20_000);
    }
    desk.disk = same_computer(&desk.disk.freeze());
    desk.store = options(&desk.clock).journal_bytes(LOW).open_on(desk.disk.clone(), NAME).unwrap();
    desk.assert_bounded();
}
