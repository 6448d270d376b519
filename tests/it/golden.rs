//! Files of every released format open in this release, with exactly the records that they had.
//!
//! A golden file is made once, by `IDEMSTORE_WRITE_GOLDEN=1 cargo test --test it golden -- --test-threads 1`, and never again.

use crate::support::*;
use idemstore::{Fingerprint, Key, ListFilter, OutcomeKind, Resolution, State, Store, Timestamp};
use std::path::PathBuf;

const SECTOR: usize = 512;

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden")).join(name)
}

/// What a crash left: the store file and both files of its journal, by their names as test data.
const CRASHED: [(&str, &str); 3] = [
    ("format-1-crashed.idem", NAME),
    ("format-1-crashed.journal-0", "store.idem.journal-0"),
    ("format-1-crashed.journal-1", "store.idem.journal-1"),
];

/// Runs of sectors: how many are zero, how many follow, and those; all counts little-endian u32.
fn pack(bytes: &[u8]) -> Vec<u8> {
    let sectors: Vec<&[u8]> = bytes.chunks(SECTOR).collect();
    let (mut packed, mut rest) = (Vec::new(), &sectors[..]);
    while !rest.is_empty() {
        let is_zero = |sector: &&&[u8]| sector.iter().all(|&byte| byte == 0);
        let zeros = rest.iter().take_while(is_zero).count();
        let literal = rest[zeros..].iter().take_while(|sector| !is_zero(sector)).count();
        for count in [zeros, literal] {
            packed.extend(u32::try_from(count).unwrap().to_le_bytes());
        }
        packed.extend(rest[zeros..zeros + literal].concat());
        rest = &rest[zeros + literal..];
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = |packed: &mut &[u8]| {
        let (count, rest) = packed.split_first_chunk().unwrap();
        *packed = rest;
        usize::try_from(u32::from_le_bytes(*count)).unwrap()
    };
    while !packed.is_empty() {
        let zeros = count(&mut packed);
        let literal = count(&mut packed) * SECTOR;
        bytes.resize(bytes.len() + zeros * SECTOR, 0);
        bytes.extend(&packed[..literal]);
        packed = &packed[literal..];
    }
    bytes
}

fn write(lab: &Lab) -> Store {
    let store = lab.create();
    fresh(&store, "completed").complete("receipt 7").unwrap();
    lab.clock.advance(MS);
    fresh(&store, "failed").fail_for([0, 159, 255], DAY * 3650).unwrap();
    lab.clock.advance(MS);
    fresh(&store, "in flight");
    let held = fresh(&store, "held");
    held.checkpoint("charge requested").unwrap();
    fresh(&store, "released").release().unwrap();
    lab.clock.advance(LEASE);
    takeover(&store, "held");
    fresh(&store, "resolved");
    lab.clock.advance(LEASE);
    store.resolve(&key("resolved"), Resolution::Completed(b"by hand"), "asked the provider").unwrap();
    let other = Key::new("another scope é", "held").unwrap();
    drop(store.begin(&other, Fingerprint::from_bytes([7; 32])).unwrap());
    store
}

/// The store that was closed.
fn golden() -> (Lab, Store) {
    if is_to_be_written() {
        let lab = Lab::new();
        write(&lab).close().unwrap();
        std::fs::write(path("format-1.idem"), pack(&bytes(&lab.disk, NAME))).unwrap();
    }
    read(&[("format-1.idem", NAME)])
}

/// The store that was in use when it crashed: its records are in the journal.
fn golden_crashed() -> (Lab, Store) {
    if is_to_be_written() {
        let lab = Lab::new();
        let store = write(&lab);
        for (golden, name) in CRASHED {
            std::fs::write(path(golden), pack(&bytes(&lab.disk, name))).unwrap();
        }
        drop(store);
    }
    read(&CRASHED)
}

fn is_to_be_written() -> bool {
    std::env::var_os("IDEMSTORE_WRITE_GOLDEN").is_some()
}

fn read(files: &[(&str, &str)]) -> (Lab, Store) {
    let lab = Lab::new();
    for (golden, name) in files {
        put(&lab.disk, name, &unpack(&std::fs::read(path(golden)).unwrap()));
    }
    let store = lab.open();
    (lab, store)
}

/// Both, by what they are.
fn both() -> [(&'static str, Lab, Store); 2] {
    let ((closed, store), (crashed, crashed_store)) = (golden(), golden_crashed());
    assert_eq!(store.stats().unwrap().journal.records, 0, "a store that was closed has nothing in its journal");
    assert!(crashed_store.stats().unwrap().journal.records >= 6, "the crashed one has its records there");
    [("closed", closed, store), ("crashed", crashed, crashed_store)]
}

fn at(seconds: u64, millis: u64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + seconds * 1000 + millis)
}

#[test]
fn format_1_has_every_record_with_every_field() {
    for (which, _lab, store) in both() {
        println!("{which}");
        assert_every_field(&store);
    }
}

fn assert_every_field(store: &Store) {
    let rows = store.list(&ListFilter::new(), None).unwrap().records;
    let found: Vec<_> = rows.iter().map(|row| (row.key.scope().as_str(), row.key.id(), row.state)).collect();
    let (shop, flying) = ("shop/POST /payments", State::InFlight);
    let mut expected = [
        (shop, "completed", State::Completed),
        (shop, "failed", State::Failed),
        (shop, "held", flying),
        (shop, "in flight", flying),
        (shop, "resolved", State::Completed),
        ("another scope é", "held", flying),
    ];
    expected.sort_by_key(|row| found.iter().position(|found| found == row));
    assert_eq!(found, expected);
    let numbers = |id| {
        let record = store.get(&key(id)).unwrap().unwrap();
        assert_eq!(record.fingerprint(), request(id));
        (record.token().get(), record.attempt(), record.first_seen_at(), record.started_at(), record.ended_at())
    };
    assert_eq!(numbers("completed"), (1, 1, at(0, 0), at(0, 0), Some(at(0, 0))));
    assert_eq!(numbers("failed"), (2, 1, at(0, 1), at(0, 1), Some(at(0, 1))));
    assert_eq!(numbers("in flight"), (3, 1, at(0, 2), at(0, 2), None));
    assert_eq!(numbers("held"), (6, 2, at(0, 2), at(30, 2), None));
    assert_eq!(numbers("resolved"), (7, 1, at(30, 2), at(30, 2), Some(at(60, 2))));
    let times = |id| {
        let record = store.get(&key(id)).unwrap().unwrap();
        (record.lease_expires_at(), record.expires_at())
    };
    assert_eq!(times("completed"), (at(30, 0), Some(at(86_400, 0))));
    assert_eq!(times("failed"), (at(30, 1), Some(at(3650 * 86_400, 1))));
    assert_eq!(times("in flight"), (at(30, 2), Some(at(86_430, 2))));
    assert_eq!(times("held"), (at(60, 2), None));
    assert_eq!(store.get(&Key::new("another scope é", "held").unwrap()).unwrap().unwrap().fingerprint().as_bytes(), &[7; 32]);
}

#[test]
fn format_1_answers_as_the_store_that_wrote_it() {
    for (which, _lab, store) in both() {
        println!("{which}");
        assert_answers(&store);
    }
}

fn assert_answers(store: &Store) {
    assert!(store.verify(go_on).unwrap().is_sound());
    assert_eq!(replay(store, "completed").payload(), b"receipt 7");
    let failed = replay(store, "failed");
    assert_eq!((failed.kind(), failed.payload()), (OutcomeKind::Failed, &[0, 159, 255][..]));
    let held = takeover(store, "held");
    assert_eq!((held.token().get(), held.attempt(), held.earlier_checkpoint()), (9, 3, Some(&b"charge requested"[..])));
    takeover(store, "in flight");
    fresh(store, "released");
    let stats = store.stats().unwrap();
    assert_eq!((stats.in_flight, stats.completed, stats.failed), (4, 2, 1));
    let rows = store.audit(0, 10).unwrap();
    assert_eq!((rows.len(), &rows[0].key, rows[0].at), (1, &key("resolved"), at(60, 2)));
    assert_eq!((rows[0].outcome, &rows[0].reason[..]), (Some(OutcomeKind::Completed), "asked the provider"));
    assert_eq!(rows[0].token.unwrap().get(), 7);
}

#[test]
fn format_1_is_swept_by_its_index() {
    for (which, lab, store) in both() {
        lab.clock.advance(DAY);
        assert_eq!(store.sweep().unwrap().removed, 1, "{which}");
        lab.clock.advance(DAY);
        // One that was resolved and two attempts without a checkpoint, all of them past their retention.
        assert_eq!(store.sweep().unwrap().removed, 3, "{which}");
        replay(&store, "failed");
    }
}

#[test]
fn packing_loses_nothing() {
    let mut bytes = vec![0; SECTOR * 20];
    for at in [0, SECTOR * 3 + 5, SECTOR * 4, SECTOR * 19] {
        bytes[at] = 9;
        let packed = pack(&bytes);
        assert!(packed.len() < bytes.len());
        assert_eq!(unpack(&packed), bytes);
    }
}
