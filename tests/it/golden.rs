//! Files of every released format open in this release, with exactly the records that they had.
//!
//! A golden file is made once, by `IDEMSTORE_WRITE_GOLDEN=1 cargo test --test it golden -- --test-threads 1`, and never again.

use crate::support::*;
use idemstore::{Fingerprint, Key, ListFilter, OutcomeKind, Resolution, State, Store, Timestamp};
use std::path::PathBuf;

const SECTOR: usize = 512;

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/format-1.idem"))
}

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

fn write(lab: &Lab) {
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
    store.close().unwrap();
}

fn golden() -> (Lab, Store) {
    if std::env::var_os("IDEMSTORE_WRITE_GOLDEN").is_some() {
        let lab = Lab::new();
        write(&lab);
        std::fs::write(path(), pack(&bytes(&lab.disk, NAME))).unwrap();
    }
    let lab = Lab::new();
    put(&lab.disk, NAME, &unpack(&std::fs::read(path()).unwrap()));
    let store = lab.open();
    (lab, store)
}

fn at(seconds: u64, millis: u64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + seconds * 1000 + millis)
}

#[test]
fn format_1_has_every_record_with_every_field() {
    let (_lab, store) = golden();
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
    let (_lab, store) = golden();
    assert!(store.verify(go_on).unwrap().is_sound());
    assert_eq!(replay(&store, "completed").payload(), b"receipt 7");
    let failed = replay(&store, "failed");
    assert_eq!((failed.kind(), failed.payload()), (OutcomeKind::Failed, &[0, 159, 255][..]));
    let held = takeover(&store, "held");
    assert_eq!((held.token().get(), held.attempt(), held.earlier_checkpoint()), (9, 3, Some(&b"charge requested"[..])));
    takeover(&store, "in flight");
    fresh(&store, "released");
    let stats = store.stats().unwrap();
    assert_eq!((stats.in_flight, stats.completed, stats.failed), (4, 2, 1));
    let rows = store.audit(0, 10).unwrap();
    assert_eq!((rows.len(), &rows[0].key, rows[0].at), (1, &key("resolved"), at(60, 2)));
    assert_eq!((rows[0].outcome, &rows[0].reason[..]), (Some(OutcomeKind::Completed), "asked the provider"));
    assert_eq!(rows[0].token.unwrap().get(), 7);
}

#[test]
fn format_1_is_swept_by_its_index() {
    let (lab, store) = golden();
    lab.clock.advance(DAY);
    assert_eq!(store.sweep().unwrap().removed, 1);
    lab.clock.advance(DAY);
    // One that was resolved and two attempts without a checkpoint, all of them past their retention.
    assert_eq!(store.sweep().unwrap().removed, 3);
    replay(&store, "failed");
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
