//! The figures are those of what happened.

use crate::support::*;
use idemstore::{Begin, ErrorKind, Resolution};
use std::time::Duration;

#[test]
fn records_are_counted_by_state_and_across_opens() {
    let lab = Lab::new();
    let store = lab.create();
    for n in 0..6 {
        let lease = fresh(&store, &n.to_string());
        match n {
            0 | 1 => drop(lease.complete("receipt").unwrap()),
            2 => drop(lease.fail("").unwrap()),
            3 => lease.release().unwrap(),
            _ => (),
        }
    }
    let before = store.stats().unwrap();
    assert_eq!((before.in_flight, before.completed, before.failed), (2, 2, 1));
    assert!(before.record_bytes > 0 && before.file_bytes > before.record_bytes);
    store.close().unwrap();
    let after = lab.open().stats().unwrap();
    assert_eq!((after.in_flight, after.completed, after.failed), (2, 2, 1));
    assert_eq!(after.record_bytes, before.record_bytes);
    assert_eq!(after.answers.fresh, 0, "answers are counted since the open");
}

#[test]
fn every_answer_is_counted_once() {
    let lab = Lab::with(|options| options.records_max(4).attempts_max(2));
    let store = lab.create();
    let lease = fresh(&store, "a");
    in_flight(&store, "a");
    lease.renew(LEASE).unwrap();
    lease.checkpoint("mark").unwrap();
    lease.complete("").unwrap();
    replay(&store, "a");
    assert!(matches!(store.begin(&key("a"), request("b")).unwrap(), Begin::Mismatch));
    refused(lease.release(), ErrorKind::LeaseLost);
    fresh(&store, "b").fail("").unwrap();
    fresh(&store, "c").release().unwrap();
    fresh(&store, "c");
    fresh(&store, "d");
    refused(begin(&store, "e"), ErrorKind::Full);
    lab.clock.advance(LEASE);
    takeover(&store, "c");
    lab.clock.advance(LEASE);
    refused(begin(&store, "c"), ErrorKind::TooManyAttempts);
    store.resolve(&key("c"), Resolution::Released, "dead").unwrap();
    refused(store.resolve(&key("c"), Resolution::Released, "dead"), ErrorKind::NotFound);
    let answers = store.stats().unwrap().answers;
    assert_eq!((answers.fresh, answers.takeover, answers.replay, answers.in_flight, answers.mismatch), (5, 1, 1, 1, 1));
    assert_eq!((answers.completed, answers.failed, answers.released, answers.renewed), (1, 1, 1, 1));
    assert_eq!((answers.checkpoints, answers.resolved, answers.lease_lost, answers.full, answers.refused), (1, 1, 1, 1, 2));
}

#[test]
fn commits_are_counted_and_answers_from_reads_cost_none() {
    let store = Lab::new().create();
    fresh(&store, "a").complete("").unwrap();
    let before = store.stats().unwrap();
    assert_eq!((before.commits.count, before.commits.commands, before.commits.batch_max), (2, 2, 1));
    assert!(before.io.syncs >= 2 && before.io.bytes_written > 0);
    for _ in 0..100 {
        replay(&store, "a");
    }
    let after = store.stats().unwrap();
    assert_eq!((after.commits, after.io.syncs), (before.commits, before.io.syncs));
    assert_eq!(after.answers.replay, 100);
}

#[test]
fn age_and_lag_are_told() {
    let lab = Lab::new();
    let store = lab.create();
    let stats = store.stats().unwrap();
    assert_eq!((stats.oldest_in_flight, stats.sweep_lag, stats.is_poisoned), (None, Some(Duration::ZERO), false));
    fresh(&store, "done").complete("").unwrap();
    lab.clock.advance(MS);
    fresh(&store, "held").checkpoint("mark").unwrap();
    lab.clock.advance(MS);
    fresh(&store, "plain");
    lab.clock.advance(DAY);
    let stats = store.stats().unwrap();
    assert_eq!((stats.oldest_in_flight, stats.sweep_lag), (Some(START.saturating_add(MS)), Some(MS * 2)));
    assert_eq!((store.sweep().unwrap().removed, store.stats().unwrap().swept), (1, 1));
    assert_eq!(store.stats().unwrap().sweep_lag, Some(Duration::ZERO));
}
