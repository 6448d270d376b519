//! A store file and a journal that do not belong together, or of which one is missing: refused, and nothing is overwritten.

use super::{
    super::{
        ledger::{fingerprint, key},
        power_cut::Cuts,
        rng::Rng,
        sim::SimDisk,
        workload::{NAME, options},
    },
    Desk, SEGMENTS, accept, assert_refused, check, check_disk, clock, copy, open,
    segment::{Segment, forge_header},
};
use idemstore::{Begin, ErrorKind, disk::Disk};

/// A store that was in use when its computer stopped.
fn crashed(desk: &Desk) -> SimDisk {
    copy(&desk.disk.freeze().cut(&mut Rng::new(1), &mut Cuts::default()))
}

fn at_work() -> Desk {
    let mut desk = Desk::new();
    desk.pay_until_checkpoints(1);
    (0..4).for_each(|_| desk.pay(40));
    desk
}

fn remove_all(disk: &SimDisk, names: &[&str]) {
    for name in names {
        disk.remove(name).unwrap();
    }
}

fn put_all(from: &SimDisk, names: &[&str], to: &SimDisk) {
    for name in names {
        to.put(name, &from.bytes(name));
    }
}

fn assert_older_copy(disk: &SimDisk) {
    let message = assert_refused(disk, ErrorKind::Restored);
    assert!(message.contains("older copy"), "{message}");
}

#[test]
fn a_journal_without_its_store_file_is_a_lost_store() {
    let disk = crashed(&at_work());
    for gone in [NAME, "payments.idem.owner", SEGMENTS[0]] {
        disk.remove(gone).unwrap();
        let message = assert_refused(&disk, ErrorKind::NotFound);
        assert!(message.contains("restore it from a backup") && message.contains("journal-0"), "{message}");
        let created = options(&clock()).create_on(disk.clone(), NAME).unwrap_err();
        assert_eq!(created.kind(), ErrorKind::NotFound, "{created}");
        assert!(disk.id(SEGMENTS[1]).is_ok());
    }
}

#[test]
fn a_store_file_in_use_without_its_journal_is_refused() {
    let disk = crashed(&at_work());
    for gone in [&SEGMENTS[..1], &SEGMENTS[1..], &SEGMENTS] {
        let disk = copy(&disk);
        remove_all(&disk, gone);
        let message = assert_refused(&disk, ErrorKind::Restored);
        assert!(message.contains("accept_restored"), "{message}");
    }
    // Accepted, it works on with what the store file has.
    remove_all(&disk, &SEGMENTS);
    let store = accept(&disk).unwrap();
    let Begin::Fresh(_) = store.begin(&key(100_000), fingerprint(100_000)).unwrap() else { panic!("a new key") };
    drop(store);
    open(&disk).unwrap();
}

#[test]
fn a_store_that_was_closed_needs_no_journal() {
    let desk = at_work();
    desk.store.close().unwrap();
    for gone in [&SEGMENTS[..1], &SEGMENTS[1..], &SEGMENTS] {
        let disk = crashed(&desk);
        remove_all(&disk, gone);
        check_disk(&disk, &desk.book).unwrap();
        check_disk(&crashed_again(&disk), &desk.book).unwrap();
    }
}

fn crashed_again(disk: &SimDisk) -> SimDisk {
    disk.freeze().cut(&mut Rng::new(2), &mut Cuts::default())
}

#[test]
fn the_journal_of_another_store_is_refused_and_left_alone() {
    let (desk, other) = (at_work(), crashed(&at_work()));
    let mine = crashed(&desk);
    for foreign in [&SEGMENTS[..1], &SEGMENTS[1..], &SEGMENTS] {
        let disk = copy(&mine);
        put_all(&other, foreign, &disk);
        let message = assert_refused(&disk, ErrorKind::Restored);
        assert!(message.contains("another store"), "{message}");
        assert_eq!(disk.bytes(foreign[0]), other.bytes(foreign[0]));
        // Its own journal back, nothing is lost.
        put_all(&mine, &SEGMENTS, &disk);
        check_disk(&disk, &desk.book).unwrap();
    }
    // Beside a closed store as well: it may be somebody's only copy.
    desk.store.close().unwrap();
    let closed = crashed(&desk);
    put_all(&other, &SEGMENTS, &closed);
    assert_refused(&closed, ErrorKind::Restored);
}

#[test]
fn an_older_store_file_beside_a_newer_journal_is_refused() {
    let mut desk = at_work();
    let older = desk.disk.bytes(NAME);
    desk.pay_until_checkpoints(3);
    desk.pay(40);
    let disk = crashed(&desk);
    disk.put(NAME, &older);
    // Without the note, the journal alone tells.
    disk.remove("payments.idem.owner").unwrap();
    assert_older_copy(&disk);
}

#[test]
fn a_closed_store_file_beside_the_journal_of_its_next_open_is_refused() {
    let mut desk = at_work();
    desk.store.close().unwrap();
    let older = desk.disk.bytes(NAME);
    desk.store = open(&desk.disk).unwrap();
    // Three payments are all in one segment.
    (0..3).for_each(|_| desk.pay(40));
    let disk = crashed(&desk);
    disk.put(NAME, &older);
    disk.remove("payments.idem.owner").unwrap();
    assert_older_copy(&disk);
}

#[test]
fn older_files_that_fit_together_are_refused_beside_a_newer_note() {
    let mut desk = at_work();
    let older = crashed(&desk);
    desk.pay(40);
    desk.store.close().unwrap();
    let disk = crashed(&desk);
    put_all(&older, &[NAME, SEGMENTS[0], SEGMENTS[1]], &disk);
    assert_older_copy(&disk);
}

#[test]
fn an_older_journal_beside_a_newer_store_file_is_refused() {
    let mut desk = at_work();
    let older = crashed(&desk);
    desk.pay_until_checkpoints(3);
    desk.pay(40);
    for names in [&SEGMENTS[..1], &SEGMENTS[1..], &SEGMENTS] {
        let disk = crashed(&desk);
        disk.remove("payments.idem.owner").unwrap();
        put_all(&older, names, &disk);
        assert_older_copy(&disk);
    }
}

/// The store file of one generation ago, whose journal goes on from there without a gap, is not older: nothing is missing.
#[test]
fn a_store_file_whose_journal_goes_on_from_it_opens_with_everything() {
    let mut desk = at_work();
    let generation = |desk: &Desk| SEGMENTS.map(|name| Segment::of(&desk.disk, name).generation);
    let (mut before, generations) = (Vec::new(), generation(&desk));
    // The last state of the file, and of the journal, before the next recycling.
    let mut journal = Vec::new();
    while generation(&desk) == generations {
        before = desk.disk.bytes(NAME);
        journal = SEGMENTS.map(|name| desk.disk.bytes(name)).to_vec();
        desk.pay(40);
    }
    let recycled = usize::from(generation(&desk)[1] != generations[1]);
    // The checkpoint had committed and not recycled: take the file from before, and the full segment.
    let disk = crashed(&desk);
    disk.put(NAME, &before);
    let full = Segment::read(journal[recycled].clone());
    let last_of_full = full.frames.last().unwrap().batch;
    let first_of_next = Segment::of(&disk, SEGMENTS[1 - recycled]).frames.first().map(|frame| frame.batch);
    if first_of_next.is_none_or(|first| first == last_of_full + 1) {
        disk.put(SEGMENTS[recycled], &journal[recycled]);
        check_disk(&disk, &desk.book).unwrap();
    } else {
        panic!("the frames do not follow: {last_of_full}, {first_of_next:?}");
    }
}

#[test]
fn a_journal_of_a_newer_format_is_refused_by_name() {
    let desk = at_work();
    for name in SEGMENTS {
        let disk = crashed(&desk);
        let mut bytes = disk.bytes(name);
        forge_header(&mut bytes, |header| header[16..20].copy_from_slice(&3u32.to_le_bytes()));
        disk.put(name, &bytes);
        let message = assert_refused(&disk, ErrorKind::UnsupportedFormat);
        assert!(message.contains("format 3"), "{message}");
        // The same forgery with the right number changes nothing, so it was the number.
        forge_header(&mut bytes, |header| header[16..20].copy_from_slice(&2u32.to_le_bytes()));
        disk.put(name, &bytes);
        check(&open(&disk).unwrap(), &desk.book).unwrap();
    }
}
