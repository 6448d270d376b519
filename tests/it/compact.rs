//! Compaction gives space back, loses nothing, and leaves nothing of what was removed.

use crate::support::*;
use idemstore::{ErrorKind, Store, disk::MemoryDisk};
use std::{ops::ControlFlow, thread};

fn holds(disk: &MemoryDisk, wanted: &str) -> bool {
    let in_file = |name: &str| bytes(disk, name).windows(wanted.len()).any(|window| window == wanted.as_bytes());
    FILES.iter().any(|name| in_file(name))
}

/// 100 records that expire, and some that stay.
fn filled(lab: &Lab) -> Store {
    let store = lab.create();
    for n in 0..100 {
        let payload = format!("card-of-{n}").repeat(1000);
        fresh(&store, &n.to_string()).complete(payload).unwrap();
    }
    lab.clock.advance(DAY);
    for n in 100..110 {
        fresh(&store, &n.to_string()).complete(format!("kept-{n}")).unwrap();
    }
    assert_eq!(store.sweep().unwrap().removed, 100);
    store
}

#[test]
fn the_file_shrinks_and_the_bytes_of_removed_payloads_are_gone() {
    let lab = Lab::new();
    let store = filled(&lab);
    let before = store.stats().unwrap();
    let is_left = (0..100).filter(|n| holds(&lab.disk, &format!("card-of-{n}"))).count();
    assert!(is_left > 50, "{is_left} of 100 removed payloads are still there: nothing to be erased");
    store.compact(go_on).unwrap();
    let after = store.stats().unwrap();
    assert!(after.file_bytes < before.file_bytes / 2, "{} of {}", after.file_bytes, before.file_bytes);
    assert!((0..100).all(|n| !holds(&lab.disk, &format!("card-of-{n}"))));
    assert!(holds(&lab.disk, "kept-105"));
    assert_eq!((after.completed, after.record_bytes), (before.completed, before.record_bytes));
}

#[test]
fn nothing_is_lost_by_compaction_or_the_open_after_it() {
    let lab = Lab::new();
    let store = filled(&lab);
    fresh(&store, "resolved");
    lab.clock.advance(LEASE);
    store.resolve(&key("resolved"), idemstore::Resolution::Completed(b"by hand"), "asked").unwrap();
    let last = fresh(&store, "running").token();
    let rows = |store: &Store| {
        let listed = format!("{:?}", store.list(&idemstore::ListFilter::new().limit(1000), None).unwrap());
        // The one that runs has lost its process after an open.
        listed.replace("is_lapsed: true", "is_lapsed: false")
    };
    let (before, audit) = (rows(&store), store.audit(0, 10).unwrap());
    store.compact(go_on).unwrap();
    assert_eq!((rows(&store), store.audit(0, 10).unwrap()), (before.clone(), audit.clone()));
    assert!(store.verify(go_on).unwrap().is_sound());
    store.close().unwrap();
    let store = lab.open();
    // The holder of what is in flight is gone with the earlier open.
    let after = rows(&store).replace("is_lapsed: true", "is_lapsed: false");
    assert_eq!((after, store.audit(0, 10).unwrap()), (before, audit));
    assert!(fresh(&store, "new").token() > last);
}

#[test]
fn leases_survive_a_compaction() {
    let lab = Lab::new();
    let store = filled(&lab);
    let lease = fresh(&store, "running");
    store.compact(go_on).unwrap();
    assert_eq!(in_flight(&store, "running"), LEASE);
    lease.checkpoint("mark").unwrap();
    lease.complete("receipt").unwrap();
    replay(&store, "running");
}

#[test]
fn commands_that_come_meanwhile_are_done_afterwards() {
    let lab = Lab::new();
    let store = filled(&lab);
    let lease = fresh(&store, "running");
    let mut ticket = None;
    store
        .compact(|_| {
            ticket = Some(lease.complete_async("receipt"));
            ControlFlow::Continue(())
        })
        .unwrap();
    ticket.unwrap().wait().unwrap();
    assert_eq!(replay(&store, "running").payload(), b"receipt");
}

#[test]
fn a_stopped_compaction_changes_nothing_and_the_store_goes_on() {
    let lab = Lab::new();
    let store = filled(&lab);
    refused(store.compact(|_| ControlFlow::Break(())), ErrorKind::Stopped);
    replay(&store, "105");
    fresh(&store, "new").complete("").unwrap();
    store.compact(go_on).unwrap();
    replay(&store, "new");
}

#[test]
fn a_callback_that_panics_does_not_hold_the_writer_up_for_ever() {
    let lab = Lab::new();
    let store = filled(&lab);
    thread::scope(|scope| {
        let compaction = scope.spawn(|| store.compact(|_| panic!("the callback's own fault")));
        assert!(compaction.join().is_err());
    });
    fresh(&store, "new").complete("").unwrap();
    assert!(!store.stats().unwrap().is_poisoned);
}

#[test]
fn reads_go_on_during_a_compaction() {
    let lab = Lab::new();
    let store = filled(&lab);
    thread::scope(|scope| {
        let compactions = scope.spawn(|| (0..10).for_each(|_| store.compact(go_on).unwrap()));
        while !compactions.is_finished() {
            assert_eq!(replay(&store, "105").payload(), b"kept-105");
        }
        compactions.join().unwrap();
    });
    replay(&store, "109");
}

#[test]
fn a_backup_in_the_middle_of_a_compaction_waits_for_nothing_that_waits_for_it() {
    let (lab, directory) = (Lab::new(), tempfile::tempdir().unwrap());
    let (store, path) = (filled(&lab), directory.path().join("backup.idem"));
    let mut asked = false;
    store
        .compact(|_| {
            if !asked {
                asked = true;
                let (store, path, (told, answer)) = (store.clone(), path.clone(), std::sync::mpsc::channel());
                thread::spawn(move || told.send(store.backup(path, go_on)));
                answer.recv_timeout(std::time::Duration::from_secs(60)).expect("the backup hangs").unwrap();
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(asked);
    assert_eq!(store.stats().unwrap().completed, 10);
}

/// As a crash between the two steps of a new file's naming leaves it.
#[test]
fn a_store_with_two_names_keeps_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let (path, second) = (directory.path().join("s.idem"), directory.path().join("s.idem.idemstore-unfinished"));
    fresh(&Store::create(&path).unwrap(), "pay").complete("receipt").unwrap();
    std::fs::hard_link(&path, &second).unwrap();
    let store = Store::open(&path).unwrap();
    assert!(!second.exists());
    std::fs::hard_link(&path, &second).unwrap();
    store.compact(go_on).unwrap();
    assert!(!second.exists());
    replay(&store, "pay");
}
