//! The journal in front of the store file: what it holds counts after a crash, and nothing that only looks like it.

mod background;
mod bounds;
mod close;
mod damage;
mod every_cut;
mod full;
mod killed_then_cut;
mod misplaced;
mod revealed;
mod rewrites;
mod segment;
mod stale;
mod torn;

use super::{
    ledger::{fingerprint, key},
    sim::{Frozen, Inode, SimDisk},
    workload::{NAME, options},
};
use idemstore::{Begin, Error, ErrorKind, FencingToken, ManualClock, Options, Store, Timestamp};
use segment::Segment;
use std::{collections::BTreeMap, ops::ControlFlow};

const SEGMENTS: [&str; 2] = ["payments.idem.journal-0", "payments.idem.journal-1"];

/// What a key shows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    Unseen,
    InFlight,
    Ended(Vec<u8>),
}

/// What the store acknowledged, by key; a key that is not named is unseen.
type Book = BTreeMap<usize, Shown>;

/// A store at work, and what it has acknowledged.
struct Desk {
    disk: SimDisk,
    clock: ManualClock,
    store: Store,
    book: Book,
    tokens: BTreeMap<usize, FencingToken>,
    next: usize,
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_800_000_000_000))
}

impl Desk {
    fn new() -> Self {
        Self::with(|options| options)
    }

    fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let (disk, clock) = (SimDisk::default(), clock());
        let store = change(options(&clock)).create_on(disk.clone(), NAME).unwrap();
        Self { disk, clock, store, book: Book::new(), tokens: BTreeMap::new(), next: 0 }
    }

    fn begin(&mut self) -> usize {
        let number = self.next;
        self.try_begin().unwrap_or_else(|error| panic!("begin of {number}: {error}"));
        number
    }

    fn try_begin(&mut self) -> Result<usize, Error> {
        let number = self.next;
        let Begin::Fresh(lease) = self.store.begin(&key(number), fingerprint(number))? else { panic!("key {number} is new") };
        self.tokens.insert(number, lease.token());
        self.book.insert(number, Shown::InFlight);
        self.next += 1;
        Ok(number)
    }

    fn complete(&mut self, number: usize, len: usize) {
        self.try_complete(number, len).unwrap_or_else(|error| panic!("completion of {number}: {error}"));
    }

    fn try_complete(&mut self, number: usize, len: usize) -> Result<(), Error> {
        let payload = payload(number, len);
        self.store.complete(&key(number), self.tokens[&number], &payload)?;
        self.book.insert(number, Shown::Ended(payload));
        Ok(())
    }

    /// One payment: two batches.
    fn pay(&mut self, len: usize) {
        let number = self.begin();
        self.complete(number, len);
    }

    fn checkpoints(&self) -> u64 {
        self.store.stats().unwrap().journal.checkpoints
    }

    /// Whether both segments hold what the table does not have.
    fn is_two_behind(&self) -> bool {
        let segments = SEGMENTS.map(|name| Segment::of(&self.disk, name));
        let is_checkpoint_behind = self.checkpoints() < segments.iter().map(|segment| segment.generation).max().unwrap() - 1;
        is_checkpoint_behind && segments.iter().all(|segment| !segment.frames.is_empty())
    }

    /// Works until so many more checkpoints are done.
    fn pay_until_checkpoints(&mut self, more: u64) {
        let wanted = self.checkpoints() + more;
        while self.checkpoints() < wanted {
            self.pay(40);
        }
    }
}

fn payload(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + number * 7) as u8 | 1).collect()
}

/// The computer goes on, the process does not: what was not synced is still in the page cache.
fn same_computer(frozen: &Frozen) -> SimDisk {
    SimDisk::of(frozen.clone())
}

fn open(disk: &SimDisk) -> Result<Store, Error> {
    options(&clock()).open_on(disk.clone(), NAME)
}

fn accept(disk: &SimDisk) -> Result<Store, Error> {
    options(&clock()).accept_restored(true).open_on(disk.clone(), NAME)
}

fn shown(store: &Store, number: usize) -> Result<Shown, Error> {
    let record = store.get(&key(number))?;
    Ok(record.map_or(Shown::Unseen, |record| match record.outcome() {
        Some(outcome) => Shown::Ended(outcome.payload().to_vec()),
        None => Shown::InFlight,
    }))
}

/// Compares every key with the book, and asks for it as a caller would.
fn check(store: &Store, book: &Book) -> Result<(), String> {
    for (&number, expected) in book {
        let found = shown(store, number).map_err(|error| format!("key {number}: {error}"))?;
        if found != *expected {
            return Err(format!("key {number} shows {found:?} where {expected:?} was acknowledged"));
        }
        let begun = store.begin(&key(number), fingerprint(number)).map_err(|error| format!("begin of {number}: {error}"))?;
        let is_right = match (expected, &begun) {
            (Shown::Unseen, Begin::Fresh(_)) | (Shown::InFlight, Begin::Takeover(_)) => true,
            (Shown::Ended(payload), Begin::Replay(outcome)) => outcome.payload() == payload,
            _ => false,
        };
        if !is_right {
            return Err(format!("begin of {number} answers {begun:?} where {expected:?} was acknowledged"));
        }
    }
    check_sound(store)
}

fn check_sound(store: &Store) -> Result<(), String> {
    let report = store.verify(|_| ControlFlow::Continue(())).map_err(|error| format!("verifying: {error}"))?;
    let is_sound = report.is_sound() && report.counts_match == Some(true) && report.astray == 0;
    if is_sound { Ok(()) } else { Err(format!("not sound: {report:?}")) }
}

/// Opens a disk and compares it with the book.
fn check_disk(disk: &SimDisk, book: &Book) -> Result<(), String> {
    let store = open(disk).map_err(|error| format!("the store does not open: {error}"))?;
    check(&store, book)
}

/// Refused with that kind, again and again, and nothing is written to the journal or the note. The store file is repaired where
/// a commit was cut.
fn assert_refused(disk: &SimDisk, kind: ErrorKind) -> String {
    let files = |disk: &SimDisk| {
        let names: Vec<String> = disk.freeze().names.into_keys().filter(|name| name != NAME).collect();
        names.into_iter().map(|name| (disk.bytes(&name), name)).collect::<Vec<_>>()
    };
    let before = files(disk);
    let error = open(disk).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(open(disk).unwrap_err().kind(), kind, "a refusal does not wear off");
    assert!(files(disk) == before, "a refusal changes the journal or the note");
    error.to_string()
}

fn file<'f>(frozen: &'f Frozen, name: &str) -> Option<&'f Inode> {
    frozen.files.get(frozen.names.get(name)?)
}

/// A copy of a disk with everything in it durable.
fn copy(disk: &SimDisk) -> SimDisk {
    let to = SimDisk::default();
    for name in disk.freeze().names.keys() {
        to.put(name, &disk.bytes(name));
    }
    to
}
