//! Damage to a journal that is needed: told from the end of the journal, refused, and salvaged on request.

use super::{
    super::{
        checker::is_change,
        power_cut::Cuts,
        rng::{Rng, seed},
        sim::SimDisk,
    },
    Book, Desk, SEGMENTS, Shown, accept, check_disk, copy, open,
    segment::{HEADER_BYTES, Segment, active},
    shown,
};
use idemstore::{ErrorKind, disk::Disk};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// A crashed store: what it had acknowledged, and what each batch of its journal made of which key.
struct Crashed {
    disk: SimDisk,
    book: Book,
    /// By number: the key, and what it showed before and after.
    batches: BTreeMap<u64, (usize, Shown, Shown)>,
}

/// Works, one batch after the other, and leaves a store with frames in one or both segments.
fn crashed(is_table_two_behind: bool) -> Crashed {
    let mut desk = Desk::new();
    desk.pay_until_checkpoints(1);
    let mut batches = BTreeMap::new();
    let note = |desk: &Desk, number: usize, before: Shown, batches: &mut BTreeMap<_, _>| {
        let batch = active(&desk.disk).1.frames.last().unwrap().batch;
        batches.insert(batch, (number, before, desk.book[&number].clone()));
    };
    let mut held = Vec::new();
    for _ in 0..24 {
        let number = desk.begin();
        note(&desk, number, Shown::Unseen, &mut batches);
        held.push(number);
    }
    if is_table_two_behind {
        desk.disk.set_free_pages(0);
    }
    for (nth, number) in held.into_iter().enumerate().skip(4) {
        if is_table_two_behind && desk.is_two_behind() && active(&desk.disk).1.frames.len() >= 8 {
            break;
        }
        desk.complete(number, if is_table_two_behind { 300 } else { 20 + nth * 10 });
        note(&desk, number, Shown::InFlight, &mut batches);
    }
    assert_eq!(desk.is_two_behind(), is_table_two_behind);
    let disk = desk.disk.freeze().cut(&mut Rng::new(1), &mut Cuts::default());
    Crashed { disk: copy(&disk), book: desk.book.clone(), batches }
}

impl Crashed {
    fn damaged(&self, name: &str, at: usize, mask: u8) -> SimDisk {
        let disk = SimDisk::of(self.disk.freeze());
        let (file, mut byte) = (disk.open(name).unwrap(), [0]);
        file.read_at(at as u64, &mut byte).unwrap();
        file.write_at(at as u64, &[byte[0] ^ mask]).unwrap();
        disk
    }

    fn last_batch(&self) -> u64 {
        *self.batches.last_key_value().unwrap().0
    }

    /// What the book says, without one batch.
    fn book_without(&self, batch: u64) -> Book {
        let mut book = self.book.clone();
        if let Some((number, before, after)) = self.batches.get(&batch)
            && book[number] == *after
        {
            book.insert(*number, before.clone());
        }
        book
    }
}

/// Opens, shows what the book says, and nothing else.
fn shows(disk: &SimDisk, book: &Book) -> Result<(), String> {
    let store = open(disk).map_err(|error| error.to_string())?;
    for (&number, expected) in book {
        let found = shown(&store, number).map_err(|error| error.to_string())?;
        if found != *expected {
            return Err(format!("key {number} shows {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_damaged_frame_is_refused_and_all_others_are_salvaged_on_request() {
    let (mut refused, mut other_segment) = (0, 0);
    for is_two_behind in [false, true] {
        let crashed = crashed(is_two_behind);
        for name in SEGMENTS {
            let segment = Segment::of(&crashed.disk, name);
            for frame in segment.frames.iter().filter(|frame| crashed.batches.contains_key(&frame.batch)) {
                if frame.batch == crashed.last_batch() {
                    continue;
                }
                let disk = crashed.damaged(name, frame.at + 20 + frame.len / 3, 8);
                let before = disk.bytes(name);
                let error = open(&disk).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupted, "batch {}: {error}", frame.batch);
                assert!(error.to_string().contains("accept_restored"), "{error}");
                assert_eq!(disk.bytes(name), before, "a refusal changes nothing");
                refused += 1;
                other_segment += u64::from(name != active(&crashed.disk).0);
                let book = crashed.book_without(frame.batch);
                drop(accept(&disk).unwrap_or_else(|error| panic!("batch {}: {error}", frame.batch)));
                shows(&disk, &book).unwrap_or_else(|what| panic!("batch {} damaged, salvaged: {what}", frame.batch));
            }
        }
    }
    println!("{refused} damaged frames refused and salvaged, {other_segment} of them in the frozen segment");
    assert!(refused > 40 && other_segment > 10, "{refused} refused, {other_segment} in the frozen segment");
}

#[test]
fn damaged_frames_in_a_row_are_refused_if_a_sound_one_follows() {
    let (crashed, mut refused) = (crashed(true), 0);
    for name in SEGMENTS {
        let frames = Segment::of(&crashed.disk, name).frames;
        for last in 1..frames.len() - 1 {
            for first in 0..last {
                let disk = SimDisk::of(crashed.disk.freeze());
                let (from, to) = (frames[first].at, frames[last].end());
                disk.open(name).unwrap().write_at(from as u64, &vec![0; to - from]).unwrap();
                let opened = open(&disk).map(drop).map_err(|error| error.kind());
                assert_eq!(opened, Err(ErrorKind::Corrupted), "{name}, frames {first} to {last}");
                refused += 1;
            }
        }
    }
    println!("{refused} refused");
    assert!(refused > 40, "{refused}");
}

#[test]
fn a_power_cut_while_a_journal_is_salvaged_loses_nothing_more() {
    let crashed = crashed(true);
    let (name, segment) = active(&crashed.disk);
    let frame = segment.frames[segment.frames.len() / 2];
    let disk = crashed.damaged(name, frame.at + 24, 1);
    let disk = copy(&disk);
    let book = crashed.book_without(frame.batch);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    disk.tap(move |operation, now| {
        if is_change(operation) {
            keep.lock().unwrap().push(now.clone());
        }
    });
    drop(accept(&disk).unwrap());
    disk.untap();
    let (instants, mut rng) = (std::mem::take(&mut *kept.lock().unwrap()), Rng::new(seed()));
    let mut again = 0;
    for (number, frozen) in instants.iter().enumerate() {
        for _ in 0..6 {
            let disk = frozen.cut(&mut rng, &mut Cuts::default());
            // Before the salvage is durable it has to be accepted once more.
            if open(&disk).is_err() {
                again += 1;
                drop(accept(&disk).unwrap_or_else(|error| panic!("operation {number}: {error}")));
            }
            shows(&disk, &book).unwrap_or_else(|what| panic!("operation {number} of {}: {what}", instants.len()));
        }
    }
    println!("{} operations, {again} cuts before the salvage was durable", instants.len());
    assert!(instants.len() > 20 && again > 10, "{} operations, {again}", instants.len());
}

/// What a flipped bit may lead to.
#[derive(Debug, Default)]
struct Figures {
    headers: u64,
    refused: u64,
    without_last: u64,
    harmless: u64,
}

fn flip(crashed: &Crashed, name: &str, at: usize, mask: u8, figures: &mut Figures) -> Result<(), String> {
    let segment = Segment::of(&crashed.disk, name);
    let hit = segment.frames.iter().find(|frame| (frame.at..frame.end()).contains(&at));
    let disk = crashed.damaged(name, at, mask);
    let opened = open(&disk).map(drop);
    match (hit, opened.map_err(|error| error.kind())) {
        (None, Err(ErrorKind::Corrupted)) if at < HEADER_BYTES => figures.headers += 1,
        (Some(frame), Err(ErrorKind::Corrupted)) if frame.batch != crashed.last_batch() => figures.refused += 1,
        (Some(frame), Ok(())) if frame.batch == crashed.last_batch() => {
            figures.without_last += 1;
            return shows(&disk, &crashed.book_without(frame.batch));
        }
        (None, Ok(())) if at >= HEADER_BYTES => {
            figures.harmless += 1;
            return check_disk(&disk, &crashed.book);
        }
        (hit, opened) => return Err(format!("in {hit:?}, opening says {opened:?}")),
    }
    Ok(())
}

#[test]
fn a_flipped_bit_of_the_journal_loses_the_very_last_frame_at_most() {
    let (mut figures, mut rng) = (Figures::default(), Rng::new(seed()));
    for is_two_behind in [false, true] {
        let crashed = crashed(is_two_behind);
        let (active, last) = (active(&crashed.disk).0, active(&crashed.disk).1.frames.last().copied().unwrap());
        for name in SEGMENTS {
            let segment = Segment::of(&crashed.disk, name);
            // A segment that was recycled and not written since only has a header that matters.
            let heads = segment.frames.iter().flat_map(|frame| (frame.at..frame.at + 32).step_by(5));
            let anywhere = (0..150).map(|_| rng.below(segment.bytes.len())).collect::<Vec<_>>();
            let of_last = (last.at..last.end()).step_by(3).filter(|_| name == active);
            let places: Vec<usize> = (0..HEADER_BYTES).step_by(17).chain(heads).chain(of_last).chain(anywhere).collect();
            for at in places {
                let mask = 1 << rng.below(8);
                flip(&crashed, name, at, mask, &mut figures)
                    .unwrap_or_else(|what| panic!("{name}, byte {at}, mask {mask}: {what}"));
            }
        }
    }
    println!("{figures:?}");
    assert!(figures.headers > 100 && figures.refused > 300 && figures.without_last > 50 && figures.harmless > 50, "{figures:?}");
}
