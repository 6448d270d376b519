//! A damaged file never leads to a wrong answer: a stored key is answered as it was, or with an error; it is never new, never
//! missing, and its payload is never another. Whoever knows the store's id could forge checks; that is out of scope.
//!
//! The store's id is random, so that the checks in the file differ from run to run. Edits flip bits and therefore do the same
//! damage in every run.
#![no_main]

use arbitrary::Arbitrary;
use idemstore::{
    Begin, ErrorKind, Fingerprint, Key, ListFilter, Options, Record, Resolution, State, Store,
    disk::{Disk as _, MemoryDisk},
};
use idemstore_fuzz::{bytes_of, disk_of, ensure, expect_panics_of_redb, files_of, options};
use libfuzzer_sys::fuzz_target;
use std::{collections::BTreeSet, ops::ControlFlow, sync::OnceLock};

const NAME: &str = "fuzz.idem";
const RECORDS: u32 = 24;
/// A batch that is damaged is told from the end of the journal by a sound one behind it. So there are more batches at the end,
/// of which nothing is asked, than bits may be flipped.
const JOURNAL_FLIPS_MAX: usize = 6;
const SECTOR: usize = 512;

#[derive(Arbitrary, Debug)]
struct Input {
    edits: Vec<Edit>,
    /// Done to the file while the store is open.
    later: Vec<Edit>,
    compact: bool,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Flip {
        at: Place,
        mask: u8,
    },
    Fill {
        at: Place,
        byte: u8,
        len: u16,
    },
    Copy {
        from: Place,
        to: Place,
        sectors: u8,
    },
    Cut {
        at: Place,
    },
    Extend {
        by: u16,
    },
    Note {
        at: u8,
        mask: u8,
    },
    /// In one of the journal's files.
    Journal {
        second: bool,
        at: u16,
        mask: u8,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    Anywhere(u32),
    /// In a sector that holds anything but zeros.
    Used(u16, u16),
}

#[derive(Clone)]
struct Files {
    file: Vec<u8>,
    note: Vec<u8>,
    journal: [Vec<u8>; 2],
}

struct Image {
    files: Files,
    used: Vec<usize>,
}

fuzz_target!(init: expect_panics_of_redb(), |input: Input| {
    let mut files = image().files.clone();
    let mut flips = 0;
    for edit in &input.edits {
        flips += usize::from(matches!(edit, Edit::Journal { .. }));
        if flips <= JOURNAL_FLIPS_MAX || !matches!(edit, Edit::Journal { .. }) {
            edit.apply(&mut files);
        }
    }
    let [name, note, first, second] = files_of(NAME);
    let [first_bytes, second_bytes] = files.journal;
    let disk = disk_of(&[(&name, files.file), (&note, files.note), (&first, first_bytes), (&second, second_bytes)]);
    // Twice: the second time on what the first one made of the damage.
    for _ in 0..2 {
        let Some(store) = open(&disk) else { return };
        ask(&store);
        damage(&disk, &input.later);
        survey(&store);
        if input.compact {
            let _ = store.compact(|_| ControlFlow::Continue(()));
        }
        ask(&store);
        let _ = store.close();
    }
});

impl Place {
    fn get(self) -> usize {
        let image = image();
        match self {
            Self::Anywhere(at) => at as usize % image.files.file.len(),
            Self::Used(sector, offset) => image.used[usize::from(sector) % image.used.len()] + usize::from(offset) % SECTOR,
        }
    }
}

impl Edit {
    fn apply(&self, files: &mut Files) {
        let Files { file, note, journal } = files;
        match *self {
            Self::Flip { at, mask } => file.iter_mut().skip(at.get()).take(1).for_each(|byte| *byte ^= mask),
            Self::Fill { at, byte, len } => {
                file.iter_mut().skip(at.get()).take(len.into()).for_each(|old| *old = byte);
            }
            Self::Copy { from, to, sectors } => {
                let copied: Vec<u8> = file.iter().skip(from.get()).take(usize::from(sectors) * SECTOR).copied().collect();
                file.iter_mut().skip(to.get()).zip(copied).for_each(|(old, new)| *old = new);
            }
            Self::Cut { at } => file.truncate(at.get()),
            Self::Extend { by } => file.resize(file.len() + usize::from(by), 0),
            Self::Note { at, mask } => {
                let len = note.len().max(1);
                note.iter_mut().skip(usize::from(at) % len).take(1).for_each(|byte| *byte ^= mask);
            }
            Self::Journal { second, at, mask } => {
                let segment = &mut journal[usize::from(second)];
                let len = segment.len();
                segment[usize::from(at) % len] ^= mask;
            }
        }
    }
}

/// Applies edits under the open store. Bits flip in place; the file's length stays.
fn damage(disk: &MemoryDisk, edits: &[Edit]) {
    let Ok(file) = disk.open(NAME) else { return };
    for edit in edits {
        if let Edit::Flip { at, mask } = *edit {
            let (at, mut byte) = (at.get() as u64, [0]);
            if file.read_at(at, &mut byte).is_ok() {
                file.write_at(at, &[byte[0] ^ mask]).unwrap();
            }
        }
    }
}

fn settings() -> Options {
    options().0.create_if_missing(true)
}

fn open(disk: &MemoryDisk) -> Option<Store> {
    match settings().open_on(disk.clone(), NAME) {
        Ok(store) => Some(store),
        Err(error) => {
            let is_answer =
                matches!(error.kind(), ErrorKind::Corrupted | ErrorKind::UnsupportedFormat | ErrorKind::Restored | ErrorKind::Io);
            ensure!(is_answer, "opening says {error:?}");
            None
        }
    }
}

fn key(number: u32) -> Key {
    Key::new(format!("scope {}", number % 5), format!("key {number}")).unwrap()
}

fn request(number: u32) -> Fingerprint {
    Fingerprint::of(&[&number.to_le_bytes()])
}

/// Long ones take pages of their own.
fn payload(number: u32) -> Vec<u8> {
    vec![u8::try_from(number).unwrap(); if number == 11 { 9000 } else { 20 + number as usize * 20 }]
}

fn state(number: u32) -> State {
    match number % 4 {
        0 | 1 => State::Completed,
        2 => State::Failed,
        _ => State::InFlight,
    }
}

fn mark(number: u32) -> Option<Vec<u8>> {
    (state(number) == State::InFlight && number.is_multiple_of(3)).then(|| payload(number)[..20].to_vec())
}

fn ask(store: &Store) {
    for number in 0..RECORDS {
        match store.get(&key(number)) {
            Ok(Some(record)) => compare(number, &record),
            Ok(None) => ensure!(false, "key {number} is missing"),
            Err(error) => expected(&error),
        }
        match (store.begin(&key(number), request(number)), state(number)) {
            (Err(error), _) => expected(&error),
            (Ok(Begin::Replay(outcome)), State::Completed | State::Failed) => {
                let is_right =
                    outcome.is_completed() == (state(number) == State::Completed) && outcome.payload() == payload(number);
                ensure!(is_right, "key {number} replays {outcome:?}");
            }
            (Ok(Begin::Takeover(lease)), State::InFlight) => {
                ensure!(lease.earlier_checkpoint() == mark(number).as_deref(), "key {number} has another mark");
            }
            (Ok(Begin::InFlight { .. }), State::InFlight) => (),
            (Ok(other), state) => ensure!(false, "key {number} is {state:?} and was answered {other:?}"),
        }
    }
}

fn compare(number: u32, record: &Record) {
    let is_right = record.state() == state(number)
        && record.fingerprint() == request(number)
        && record.checkpoint() == mark(number).as_deref()
        && record.outcome().is_none_or(|outcome| outcome.payload() == payload(number));
    ensure!(is_right, "key {number} has {record:?}");
}

fn expected(error: &idemstore::Error) {
    let kind = error.kind();
    let is_answer = matches!(
        kind,
        ErrorKind::Corrupted | ErrorKind::UnsupportedFormat | ErrorKind::Io | ErrorKind::Indeterminate | ErrorKind::Poisoned
    );
    ensure!(is_answer, "{error:?}");
}

/// Whole-store operations see every record or say that something is damaged; nothing has expired.
fn survey(store: &Store) {
    let go_on = |_| ControlFlow::Continue(());
    match store.verify(go_on) {
        Ok(report) => ensure!(report.records >= RECORDS.into() || !report.is_sound(), "{report:?}"),
        Err(error) => expected(&error),
    }
    let (mut seen, mut damaged, mut cursor) = (BTreeSet::new(), 0, None);
    loop {
        match store.list(&ListFilter::new().limit(7), cursor.as_ref()) {
            Ok(page) => {
                seen.extend(page.records.into_iter().map(|record| record.key));
                damaged += page.damaged.len();
                cursor = page.next;
            }
            Err(error) => {
                expected(&error);
                damaged += 1;
                cursor = None;
            }
        }
        if cursor.is_none() {
            break;
        }
    }
    let missing = (0..RECORDS).filter(|&number| !seen.contains(&key(number))).count();
    ensure!(missing == 0 || damaged > 0, "a list leaves out {missing} records");
    match store.sweep() {
        Ok(report) => ensure!(report.removed == 0, "{report:?}"),
        Err(error) => expected(&error),
    }
    let new = Key::new("scope 1", "a new key").unwrap();
    match store
        .begin(&new, request(0))
        .map(|begin| matches!(begin, Begin::Fresh(_) | Begin::Takeover(_) | Begin::InFlight { .. }))
    {
        Ok(is_right) => ensure!(is_right, "a new key is replayed"),
        Err(error) => expected(&error),
    }
    let mut lines = Vec::new();
    match store.export(&mut lines, go_on) {
        Ok(report) => ensure!(report.exported >= RECORDS.into() || report.damaged > 0, "{report:?}"),
        Err(error) => expected(&error),
    }
    store.audit(0, 10).map_or_else(|error| expected(&error), drop);
    store.stats().map_or_else(|error| expected(&error), drop);
}

/// Makes every kind of record, and some that are gone.
fn fill(store: &Store, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let Begin::Fresh(lease) = store.begin(&key(number), request(number)).unwrap() else { panic!() };
        match state(number) {
            State::Completed => drop(lease.complete(payload(number)).unwrap()),
            State::Failed => drop(lease.fail(payload(number)).unwrap()),
            State::InFlight => drop(mark(number).map(|mark| lease.checkpoint(mark).unwrap())),
        }
        let Begin::Fresh(gone) = store.begin(&key(number + 1000), request(number)).unwrap() else { panic!() };
        gone.release().unwrap();
    }
}

/// A store that was in use when it crashed: half of its records in the file, compacted so that most of its bytes matter, the
/// others in the journal as well.
fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let disk = MemoryDisk::new();
        let store = settings().create_on(disk.clone(), NAME).unwrap();
        fill(&store, 0..RECORDS / 2);
        store.close().unwrap();
        let store = settings().open_on(disk.clone(), NAME).unwrap();
        let Begin::Fresh(_) = store.begin(&key(2000), request(0)).unwrap() else { panic!() };
        drop(store);
        let store = settings().open_on(disk.clone(), NAME).unwrap();
        store.resolve(&key(2000), Resolution::Released, "nobody knows").unwrap();
        store.compact(|_| ControlFlow::Continue(())).unwrap();
        fill(&store, RECORDS / 2..RECORDS);
        for number in 0..=JOURNAL_FLIPS_MAX as u32 {
            let Begin::Fresh(_) = store.begin(&key(3000 + number), request(0)).unwrap() else { panic!() };
        }
        let records = store.stats().unwrap().journal.records;
        ensure!(records > 10, "only {records} records are in the journal");
        let [name, note, first, second] = files_of(NAME).map(|file| bytes_of(&disk, &file));
        let used = name.chunks(SECTOR).enumerate().filter(|(_, sector)| sector.iter().any(|&byte| byte != 0));
        let used: Vec<usize> = used.map(|(number, _)| number * SECTOR).collect();
        Image { used, files: Files { file: name, note, journal: [first, second] } }
    })
}
