//! A full disk: in the journal, which has to grow for a long batch, and in the store file, which a checkpoint has to grow.

use super::{
    super::{
        power_cut::Cuts,
        rng::{Rng, seed},
    },
    Book, Desk, Shown, check_disk,
};
use idemstore::{ErrorKind, Options};
use std::time::Duration;

/// As much as a checkpoint of a segment needs.
const RESERVE_BYTES: u64 = 1 << 20;
/// Tries of something that another thread has to make possible.
const TRIES: usize = 1_000_000;

fn inline(options: Options) -> Options {
    options.lease(Duration::from_secs(3600))
}

fn background(options: Options) -> Options {
    inline(options).background_checkpoints(true)
}

type Mode = fn(Options) -> Options;

const MODES: [(&str, Mode); 2] = [("inline", inline), ("background", background)];

impl Desk {
    /// Space is back: new keys are taken again, after a second or a few.
    fn await_space(&mut self) {
        for _ in 0..TRIES {
            self.clock.advance(Duration::from_secs(1));
            match self.try_begin() {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
            }
            std::thread::yield_now();
        }
        panic!("new keys are still refused");
    }

    fn assert_whole(self, mode: &str) {
        assert!(!self.store.stats().unwrap().is_poisoned);
        let (frozen, book) = (self.disk.freeze(), self.book.clone());
        let mut rng = Rng::new(seed());
        for _ in 0..20 {
            let disk = frozen.cut(&mut rng, &mut Cuts::default());
            check_disk(&disk, &book).unwrap_or_else(|what| panic!("{mode}: after a crash: {what}"));
        }
        self.store.close().unwrap();
        let disk = self.disk.freeze().cut(&mut rng, &mut Cuts::default());
        check_disk(&disk, &book).unwrap_or_else(|what| panic!("{mode}: after a close: {what}"));
    }
}

fn in_flight(book: &Book) -> Vec<usize> {
    book.iter().filter(|(_, shown)| **shown == Shown::InFlight).map(|(&number, _)| number).collect()
}

#[test]
fn a_batch_that_the_journal_cannot_grow_for_is_refused_and_loses_nothing() {
    for (mode, options) in MODES {
        let mut desk = Desk::with(options);
        (0..5).for_each(|_| desk.pay(40));
        let (long, other) = (desk.begin(), desk.begin());
        desk.disk.set_free_pages(0);
        let refused = desk.try_complete(long, 30_000).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Full, "{mode}: {refused}");
        // What fits into the journal as it is goes on, and what was refused left nothing.
        desk.complete(other, 40);
        let frozen = desk.disk.freeze();
        for attempt in 0..20 {
            let disk = frozen.cut(&mut Rng::new(seed() + attempt), &mut Cuts::default());
            check_disk(&disk, &desk.book).unwrap_or_else(|what| panic!("{mode}: {what}"));
        }
        assert_eq!(desk.try_begin().unwrap_err().kind(), ErrorKind::Full, "{mode}: no new keys while the disk is full");
        desk.disk.set_free_pages(10_000);
        desk.await_space();
        desk.complete(long, 30_000);
        desk.pay(40);
        desk.assert_whole(mode);
    }
}

/// What the journal has allocated is the room in which attempts in flight end, so a batch that is refused must not give it away.
#[test]
fn a_batch_that_is_too_long_for_a_full_disk_leaves_the_room_to_the_others() {
    let ended = |is_first_long: bool| {
        let mut desk = Desk::with(|options| inline(options).journal_bytes(1 << 20));
        let held: Vec<usize> = (0..200).map(|_| desk.begin()).collect();
        desk.disk.set_free_pages(0);
        if is_first_long {
            desk.try_complete(held[0], 262_000).unwrap_err();
            // Whatever it gave back, somebody else has by now.
            desk.disk.set_free_pages(0);
        }
        held[1..].iter().filter(|&&number| desk.try_complete(number, 4000).is_ok()).count()
    };
    let without = ended(false);
    assert!((20..199).contains(&without), "{without}: the room is what limits them");
    // It was tried in the other segment, where nothing else was, so the rest of the first one is not used any more.
    let with = ended(true);
    assert!(with * 2 >= without, "{with} instead of {without}");
}

#[test]
fn a_checkpoint_without_space_refuses_new_keys_and_ends_what_is_in_flight() {
    // A checkpoint on another thread may find out that there is no space only after new keys have filled the segment. What is in
    // flight then has the reserve.
    let reserved: Mode = |options| background(options).reserve_bytes(RESERVE_BYTES);
    for (mode, options) in [("inline", inline as Mode), ("background", reserved)] {
        let mut desk = Desk::with(options);
        desk.pay_until_checkpoints(1);
        let held: Vec<usize> = (0..20).map(|_| desk.begin()).collect();
        desk.disk.set_free_pages(0);
        let mut begun = 0;
        let refused = loop {
            match desk.try_begin() {
                Ok(_) => begun += 1,
                Err(error) => break error,
            }
            assert!(begun < 1000, "{mode}: the journal took {begun} keys on a full disk");
        };
        assert_eq!(refused.kind(), ErrorKind::Full, "{mode}: {refused}");
        let mut ended = 0;
        for &number in &held {
            match desk.try_complete(number, 10) {
                Ok(()) => ended += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{mode}: {error}"),
            }
        }
        println!("{mode}: {begun} keys begun on a full disk, then {ended} of {} ended", held.len());
        assert!(ended > 0, "{mode}: nothing that was in flight could end");
        assert!(desk.try_begin().is_err(), "{mode}: a new key on a full disk");
        desk.disk.set_free_pages(10_000);
        desk.await_space();
        for number in in_flight(&desk.book) {
            desk.complete(number, 10);
        }
        desk.pay_until_checkpoints(2);
        desk.assert_whole(mode);
    }
}
