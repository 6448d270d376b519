//! The last frame, of which a power cut left any part: if it was not acknowledged it may be gone, and nothing else is.

use super::{
    super::{
        checker::is_change,
        ledger::{fingerprint, key},
        power_cut::Cuts,
        rng::{Rng, seed},
        sim::{EIO, Fault, Frozen, Operation, SimDisk, Unsynced},
    },
    Desk, SEGMENTS, Shown, check_disk, file, open, payload, same_computer,
    segment::Segment,
    shown,
};
use idemstore::{Begin, ErrorKind};
use std::sync::{Arc, Mutex};

const SECTOR: usize = 512;

/// A frame that was written and not synced.
struct Tear {
    frozen: Frozen,
    name: &'static str,
    at: usize,
    bytes: Arc<[u8]>,
}

/// Lets `work` run; returns the disk as it was before the sync of its last batch.
fn before_the_sync(desk: &mut Desk, work: impl FnOnce(&mut Desk)) -> Tear {
    let slot = Arc::new(Mutex::new(None));
    let kept = slot.clone();
    desk.disk.tap(move |operation, now| {
        let frame = |&name: &&'static str| match file(now, name)?.unsynced.last() {
            Some(Unsynced::Write(at, bytes)) if *at > 0 => Some((name, *at, bytes.clone())),
            _ => None,
        };
        if operation == Operation::Sync
            && let Some((name, at, bytes)) = SEGMENTS.iter().find_map(frame)
        {
            *kept.lock().unwrap() = Some(Tear { frozen: now.clone(), name, at, bytes });
        }
    });
    work(desk);
    desk.disk.untap();
    let tear = slot.lock().unwrap().take();
    tear.expect("a frame was synced")
}

impl Tear {
    fn sectors(&self) -> Vec<std::ops::Range<usize>> {
        let (mut sectors, mut at) = (Vec::new(), self.at);
        while at < self.at + self.bytes.len() {
            let end = (at / SECTOR + 1) * SECTOR;
            sectors.push(at - self.at..end.min(self.at + self.bytes.len()) - self.at);
            at = end;
        }
        sectors
    }

    /// The disk after a power cut that let these sectors through.
    fn disk(&self, kept: impl Fn(usize) -> bool) -> SimDisk {
        let mut frozen = self.frozen.clone();
        let inode = frozen.names[self.name];
        let file = frozen.files.get_mut(&inode).unwrap();
        for (number, sector) in self.sectors().into_iter().enumerate() {
            if kept(number) {
                file.durable.write(self.at + sector.start, &self.bytes[sector]);
            }
        }
        file.unsynced.clear();
        file.seen = file.durable.clone();
        same_computer(&frozen)
    }
}

/// The torn frame's key shows what it did before, or after if all sectors came through; the store goes on in the same place.
fn check_tear(desk: &Desk, tear: &Tear, number: usize, len: usize, subset: usize) -> Result<(), String> {
    let (sectors, disk) = (tear.sectors().len(), tear.disk(|sector| subset >> sector & 1 == 1));
    let is_whole = subset + 1 == 1 << sectors;
    let mut book = desk.book.clone();
    book.insert(number, if is_whole { Shown::Ended(payload(number, len)) } else { Shown::InFlight });
    let store = open(&disk).map_err(|error| format!("the store does not open: {error}"))?;
    let found = shown(&store, number).map_err(|error| error.to_string())?;
    if found != book[&number] {
        return Err(format!("the torn batch shows {found:?}"));
    }
    if !is_whole {
        let new = desk.next;
        let Ok(Begin::Fresh(_)) = store.begin(&key(new), fingerprint(new)) else { return Err("no new key".into()) };
        book.insert(new, Shown::InFlight);
        let segment = Segment::of(&disk, tear.name);
        if segment.frames.last().is_none_or(|frame| frame.at != tear.at) {
            return Err(format!("the next batch is not where the torn one was: {:?}", segment.frames.last()));
        }
    }
    let after = disk.freeze().cut(&mut Rng::new(seed() + subset as u64), &mut Cuts::default());
    check_disk(&after, &book)
}

#[test]
fn a_torn_last_frame_is_cut_and_the_store_goes_on_there() {
    let mut images = 0;
    for (already, len) in [(0, 40), (3, 700), (9, 2000), (4, 3000)] {
        let mut desk = Desk::new();
        (0..already).for_each(|_| desk.pay(40));
        let number = desk.begin();
        let tear = before_the_sync(&mut desk, |desk| desk.complete(number, len));
        assert!(tear.bytes.len() > len && tear.sectors().len() > len / SECTOR);
        for subset in 0..1 << tear.sectors().len() {
            check_tear(&desk, &tear, number, len, subset)
                .unwrap_or_else(|what| panic!("{len} bytes, sectors {subset:b} of {}: {what}", tear.sectors().len()));
            images += 1;
        }
    }
    println!("{images} torn frames");
    assert!(images > 150, "{images}");
}

/// What lies behind the end in a recycled segment is not zeros: parts of the new frame lie between parts of an old one.
#[test]
fn a_frame_torn_over_an_old_one_is_neither() {
    let mut desk = Desk::new();
    desk.pay_until_checkpoints(3);
    desk.pay(40);
    let number = desk.begin();
    let tear = before_the_sync(&mut desk, |desk| desk.complete(number, 2500));
    let file = &tear.frozen.files[&tear.frozen.names[tear.name]];
    let mut under = vec![0; tear.bytes.len()];
    file.durable.read(tear.at, &mut under).unwrap();
    assert!(under.iter().filter(|&&byte| byte != 0).count() > 1000, "there is nothing old under the frame");
    for subset in 0..1 << tear.sectors().len() {
        check_tear(&desk, &tear, number, 2500, subset).unwrap_or_else(|what| panic!("sectors {subset:b}: {what}"));
    }
}

/// A write may fail although all of it came through. What was answered with an error stays undone.
#[test]
fn a_frame_that_was_refused_is_not_found_after_a_power_cut() {
    let mut images = 0;
    for len in [40, 3000] {
        let mut desk = Desk::new();
        (0..3).for_each(|_| desk.pay(40));
        let number = desk.begin();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let keep = kept.clone();
        desk.disk.tap(move |operation, now| {
            if is_change(operation) {
                keep.lock().unwrap().push(now.clone());
            }
        });
        let hits = |operation| operation == Operation::Write;
        desk.disk.inject(Fault { at: 0, lasting: false, code: EIO, hits });
        let refused = desk.try_complete(number, len).unwrap_err();
        assert_eq!((refused.kind(), desk.disk.heal()), (ErrorKind::Io, 1), "{refused}");
        desk.disk.untap();
        let instants = std::mem::take(&mut *kept.lock().unwrap());
        let is_written = |frozen: &Frozen| SEGMENTS.iter().any(|name| !file(frozen, name).unwrap().unsynced.is_empty());
        assert!(instants.iter().any(is_written), "nothing of the frame was written");
        let answered = desk.disk.freeze();
        for variant in 0..40 {
            let disk = answered.cut(&mut Rng::new(seed() + variant), &mut Cuts::default());
            check_disk(&disk, &desk.book).unwrap_or_else(|what| panic!("{len} bytes: {what}"));
            images += 1;
        }
        check_disk(&same_computer(&answered), &desk.book).unwrap();
    }
    assert_eq!(images, 80);
}
