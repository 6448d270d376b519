//! Records move between stores as lines of JSON, and nothing that is not a record gets in.

use crate::support::*;
use idemstore::{
    Begin, ErrorKind, Key, ListFilter, Record, Store,
    limits::{IMPORT_LINE_BYTES_MAX, IMPORT_TIME_MAX},
};
use std::{io::BufReader, ops::ControlFlow};

fn exported(store: &Store) -> String {
    let mut lines = Vec::new();
    store.export(&mut lines, go_on).unwrap();
    String::from_utf8(lines).unwrap()
}

fn records(store: &Store) -> Vec<(Key, Record)> {
    let page = store.list(&ListFilter::new().limit(1000), None).unwrap();
    page.records.into_iter().map(|row| (row.key.clone(), store.get(&row.key).unwrap().unwrap())).collect()
}

fn filled(lab: &Lab) -> Store {
    let store = lab.create();
    let leases = begin_all(&store, (0..300).map(|n| format!("{n} \"quoted\" é\n\0")));
    let ends: Vec<_> = leases
        .iter()
        .enumerate()
        .step_by(2)
        .map(|(n, lease)| lease.complete_async([0, 255, u8::try_from(n % 256).unwrap()]))
        .collect();
    for end in ends {
        end.wait().unwrap();
    }
    leases[1].fail("").unwrap();
    leases[3].checkpoint([1, 2, 3]).unwrap();
    store
}

#[test]
fn what_was_exported_comes_back_the_same() {
    let lab = Lab::new();
    let old = filled(&lab);
    let text = exported(&old);
    assert_eq!(text.lines().count(), 300);
    let new = Lab::new().create();
    let report = new.import(text.as_bytes(), go_on).unwrap();
    assert_eq!((report.imported, report.known, report.conflicts), (300, 0, 0));
    assert_eq!(exported(&new), text);
    for ((old_key, old), (new_key, new)) in records(&old).iter().zip(&records(&new)) {
        assert_eq!(old_key, new_key);
        assert_eq!((old.outcome(), old.checkpoint(), old.fingerprint()), (new.outcome(), new.checkpoint(), new.fingerprint()));
        assert_eq!((old.token(), old.attempt(), old.expires_at()), (new.token(), new.attempt(), new.expires_at()));
    }
    assert!(new.verify(go_on).unwrap().is_sound());
    assert_eq!(new.import(text.as_bytes(), go_on).unwrap().known, 300, "once more is harmless");
}

#[test]
fn an_imported_attempt_is_a_takeover_and_tokens_go_on_rising() {
    let old = Lab::new().create();
    for n in 0..9 {
        fresh(&old, &n.to_string()).release().unwrap();
    }
    let lease = fresh(&old, "pay");
    lease.checkpoint("mark").unwrap();
    let new = Lab::new().create();
    new.import(exported(&old).as_bytes(), go_on).unwrap();
    let taken = takeover(&new, "pay");
    assert_eq!((taken.attempt(), taken.earlier_checkpoint()), (2, Some(&b"mark"[..])));
    assert!(taken.token() > lease.token());
}

#[test]
fn what_the_store_knows_is_never_overwritten() {
    let (old, new) = (Lab::new().create(), Lab::new().create());
    fresh(&old, "pay").complete("theirs").unwrap();
    fresh(&old, "same").complete("same").unwrap();
    fresh(&old, "running").complete("theirs").unwrap();
    fresh(&new, "pay").complete("ours").unwrap();
    fresh(&new, "same").complete("same").unwrap();
    fresh(&new, "running");
    let report = new.import(exported(&old).as_bytes(), go_on).unwrap();
    assert_eq!((report.imported, report.known, report.conflicts), (0, 1, 2));
    assert_eq!(replay(&new, "pay").payload(), b"ours");
    in_flight(&new, "running");
}

#[test]
fn a_line_that_is_no_record_is_refused_with_its_number() {
    let old = Lab::new().create();
    fresh(&old, "a").complete("receipt").unwrap();
    let good = exported(&old);
    let bad = [
        ("{", "{"),
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\":1,\"extra\":1"),
        ("\"completed\"", "\"pending\""),
        ("\"completed\"", "\"in_flight\""),
        ("\"token\":1", "\"token\":0"),
        ("\"token\":1", "\"token\":18446744073709551615"),
        ("\"token\":1", "\"token\":-1"),
        ("\"attempt\":1", "\"attempt\":0"),
        ("\"id\":\"a\"", "\"id\":\"\""),
        ("\"payload\":\"cmVjZWlwdA==\"", "\"payload\":\"cmVjZWlwdA\""),
        ("\"payload\":\"cmVjZWlwdA==\"", "\"payload\":null"),
        ("\"checkpoint\":null", "\"checkpoint\":\"AAAA\""),
        ("\"fingerprint\":\"", "\"fingerprint\":\"z"),
        ("\"ended_at\":1700000000000", "\"ended_at\":null"),
    ];
    for (n, (from, to)) in bad.into_iter().enumerate() {
        let spoilt = if n == 0 { "{".to_owned() } else { good.trim_end().replacen(from, to, 1) };
        assert_ne!(spoilt, good.trim_end(), "{from}");
        let new = Lab::new().create();
        let message = refused(new.import(format!("\n{good}\n{spoilt}\n").as_bytes(), go_on), ErrorKind::InvalidInput);
        assert!(message.starts_with("line 4: "), "{message}");
    }
}

#[test]
fn a_payload_over_the_limit_is_refused() {
    let old = Lab::new().create();
    fresh(&old, "a").complete(vec![1; 2000]).unwrap();
    let new = Lab::with(|options| options.payload_bytes_max(1999)).create();
    refused(new.import(exported(&old).as_bytes(), go_on), ErrorKind::InvalidInput);
    assert_eq!(new.get(&key("a")).unwrap(), None);
}

#[test]
fn an_endless_line_is_cut_off_at_its_limit() {
    let store = Lab::new().create();
    let endless = BufReader::new(std::io::repeat(b' '));
    let message = refused(store.import(endless, go_on), ErrorKind::InvalidInput);
    assert!(message.contains("line 1") && message.contains(&IMPORT_LINE_BYTES_MAX.to_string()), "{message}");
}

#[test]
fn a_full_store_imports_no_further() {
    let old = filled(&Lab::new());
    let new = Lab::with(|options| options.records_max(10)).create();
    refused(new.import(exported(&old).as_bytes(), go_on), ErrorKind::Full);
    let stats = new.stats().unwrap();
    assert!(stats.in_flight + stats.completed + stats.failed <= 10);
}

#[test]
fn both_directions_can_be_stopped_and_gone_on_with() {
    let old = filled(&Lab::new());
    refused(old.export(Vec::new(), |_| ControlFlow::Break(())), ErrorKind::Stopped);
    let (text, new) = (exported(&old), Lab::new().create());
    refused(new.import(text.as_bytes(), |_| ControlFlow::Break(())), ErrorKind::Stopped);
    let report = new.import(text.as_bytes(), go_on).unwrap();
    assert!(report.known > 0 && report.known + report.imported == 300, "{report:?}");
}

#[test]
fn an_expired_record_makes_way_for_an_imported_one() {
    let (lab, old) = (Lab::new(), Lab::new().create());
    fresh(&old, "pay").complete_for("theirs", DAY * 30).unwrap();
    let new = lab.create();
    fresh(&new, "pay").complete("ours").unwrap();
    lab.clock.advance(DAY);
    assert_eq!(new.import(exported(&old).as_bytes(), go_on).unwrap().imported, 1);
    let Begin::Replay(outcome) = begin(&new, "pay").unwrap() else { panic!("a replay") };
    assert_eq!(outcome.payload(), b"theirs");
}

#[test]
fn times_that_no_date_can_be_are_refused() {
    let old = Lab::new().create();
    fresh(&old, "pay").complete("receipt").unwrap();
    let line: serde_json::Value = serde_json::from_str(&exported(&old)).unwrap();
    let with = |name: &str, time: u64| {
        let mut line = line.clone();
        line[name] = time.into();
        Lab::new().create().import(format!("{line}\n").as_bytes(), go_on)
    };
    for name in ["first_seen_at", "started_at", "ended_at", "lease_expires_at", "expires_at"] {
        for time in [IMPORT_TIME_MAX + 1, u64::MAX] {
            assert!(refused(with(name, time), ErrorKind::InvalidInput).contains(&time.to_string()), "{name}");
        }
        assert_eq!(with(name, IMPORT_TIME_MAX).unwrap().imported, 1, "{name}");
    }
}
