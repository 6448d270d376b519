//! Damage is found, named and counted, and ends `verify` with 1.

use crate::support::*;
use serde_json::json;
use std::fs;

/// Three large records of which the middle one is damaged in the file.
fn damaged() -> Place {
    let place = Place::new();
    let store = place.open();
    for id in ["a", "b", "c"] {
        begin(&store, id).complete(id.repeat(40_000).replace("bbbbbbbbbb", "b-receipt-")).unwrap();
    }
    store.close().unwrap();
    let mut bytes = fs::read(&place.db).unwrap();
    let wanted = b"b-receipt-";
    let found: Vec<usize> = (0..bytes.len() - wanted.len()).filter(|&at| bytes[at..].starts_with(wanted)).collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at] ^= 4;
    }
    fs::write(&place.db, bytes).unwrap();
    place
}

#[test]
fn verify_finds_damage_and_ends_with_1_both_ways() {
    for is_served in [false, true] {
        let place = damaged();
        let server = is_served.then(|| place.serve());
        let ran = place.run(&["verify", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &report["is_sound"], report["damaged"].as_u64() >= Some(1)), (Some(1), &json!(false), true));
        let ran = place.run(&["verify"]);
        assert_eq!(ran.code, Some(1));
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        assert!(ran.out.contains("DAMAGED") && ran.out.contains(SCOPE), "{ran:?}");
        let ran = place.run(&["export"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("damaged records are not in the export"), "{ran:?}");
        assert!(ran.out.lines().count() < 3);
        drop(server);
    }
}

#[test]
fn a_damaged_record_is_not_taken_for_none() {
    let place = damaged();
    let said = place.run(&["show", "b", "--scope", SCOPE]).failed(1);
    assert!(said.contains("does not match its check") && !said.contains("panicked"), "{said}");
    // Nor is a key that may be on the page that cannot be read.
    for command in [&["show", "nowhere"][..], &["list"]] {
        let ran = place.run(command);
        assert!(ran.code == Some(1) && ran.err.contains("idemstore verify"), "{ran:?}");
    }
}
