//! A backup is a consistent copy that is made while the store works, and that is not mistaken for the store.

use crate::support::*;
use idemstore::{ErrorKind, Store};
use std::{
    ops::ControlFlow,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

fn restored(lab: &Lab, path: &Path) -> Store {
    lab.options.clone().accept_restored(true).open(path).unwrap()
}

#[test]
fn a_backup_has_every_record_and_makes_orphans_of_attempts() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let path = directory.path().join("backup.idem");
    let store = lab.create();
    fresh(&store, "done").complete("receipt").unwrap();
    let lease = fresh(&store, "running");
    lease.checkpoint("mark").unwrap();
    store.backup(&path, go_on).unwrap();
    fresh(&store, "later");
    lease.complete("after the backup").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = restored(&lab, &path);
    assert!(copy.verify(go_on).unwrap().is_sound());
    assert_eq!(replay(&copy, "done").payload(), b"receipt");
    let taken = takeover(&copy, "running");
    assert_eq!(taken.earlier_checkpoint(), Some(&b"mark"[..]));
    assert!(taken.token().get() > lease.token().get() + 1_000_000, "far above what the original may have granted since");
    fresh(&copy, "later");
}

#[test]
fn a_backup_opens_only_by_decision_and_then_like_any_store() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let path = directory.path().join("backup.idem");
    let store = lab.create();
    fresh(&store, "done").complete("receipt").unwrap();
    store.backup(&path, go_on).unwrap();
    let message = refused(lab.options.open(&path), ErrorKind::Restored);
    assert!(message.contains("accept_restored"), "{message}");
    refused(lab.options.open(&path), ErrorKind::Restored);
    restored(&lab, &path).close().unwrap();
    replay(&lab.options.open(&path).unwrap(), "done");
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let path = directory.path().join("backup.idem");
    std::fs::write(&path, "precious").unwrap();
    refused(lab.create().backup(&path, go_on), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_stopped_backup_leaves_no_file() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let store = lab.create();
    fresh(&store, "pay");
    refused(store.backup(directory.path().join("backup.idem"), |_| ControlFlow::Break(())), ErrorKind::Stopped);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_backup_that_is_refused_leaves_the_one_that_is_being_written() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let path = directory.path().join("backup.idem");
    let store = lab.create();
    fresh(&store, "pay").complete("receipt").unwrap();
    let mut tries = 0;
    let also = |_| {
        // Twice: the first must not make room for the second.
        for _ in 0..2 {
            refused(store.backup(&path, |_| ControlFlow::Break(())), ErrorKind::Locked);
            tries += 1;
        }
        ControlFlow::Continue(())
    };
    store.backup(&path, also).unwrap();
    assert_eq!((tries, std::fs::read_dir(directory.path()).unwrap().count()), (2, 1));
    replay(&restored(&lab, &path), "pay");
}

#[test]
fn a_backup_whose_file_was_replaced_meanwhile_gets_no_name() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let (path, unfinished) = (directory.path().join("backup.idem"), directory.path().join("backup.idem.idemstore-unfinished"));
    let store = lab.create();
    fresh(&store, "pay");
    let replace = |_| {
        std::fs::remove_file(&unfinished).unwrap();
        std::fs::write(&unfinished, "another's").unwrap();
        ControlFlow::Continue(())
    };
    let message = refused(store.backup(&path, replace), ErrorKind::Io);
    assert!(message.contains("replaced meanwhile"), "{message}");
    assert!(!path.exists());
    assert_eq!(std::fs::read(&unfinished).unwrap(), b"another's");
}

/// Two keys are always changed one after the other, so a consistent copy never has the second ahead of the first.
#[test]
fn a_backup_is_consistent_while_others_write() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let store = lab.create();
    for n in 0..1500 {
        fresh(&store, &format!("ballast {n}"));
    }
    let stop = AtomicBool::new(false);
    let copies: Vec<_> = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut round = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                for side in ["a", "z"] {
                    fresh(&store, &format!("{side} {round}")).complete("").unwrap();
                }
                round += 1;
            }
            round
        });
        let copies: Vec<_> = (0..10)
            .map(|n| {
                let path = directory.path().join(format!("{n}.idem"));
                store.backup(&path, go_on).unwrap();
                path
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0, "somebody wrote");
        copies
    });
    for path in copies {
        let copy = restored(&lab, &path);
        let report = copy.verify(go_on).unwrap();
        assert!(report.is_sound() && report.counts_match == Some(true), "{report:?}");
        // Of each round the second is there only if the first is, and it is there but for the latest round.
        let stats = copy.stats().unwrap();
        let is_there = |side: &str, round: u64| {
            copy.get(&key(&format!("{side} {round}"))).unwrap().is_some_and(|record| record.outcome().is_some())
        };
        let rounds = stats.completed.div_ceil(2);
        assert!((0..rounds).all(|round| is_there("a", round)), "{stats:?}");
        assert!((0..stats.completed / 2).all(|round| is_there("z", round)), "{stats:?}");
    }
}
