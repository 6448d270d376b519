//! P1: what was acknowledged is there after the next open, and the attempts of a dead process are known as such at once.

use crate::support::*;
use idemstore::{ErrorKind, disk::Disk as _};

#[test]
fn acknowledged_transitions_survive_a_crash() {
    let mut lab = Lab::new();
    let store = lab.create();
    fresh(&store, "completed").complete("receipt").unwrap();
    fresh(&store, "failed").fail("declined").unwrap();
    fresh(&store, "released").release().unwrap();
    fresh(&store, "marked").checkpoint("charge requested").unwrap();
    fresh(&store, "begun");
    lab.disk = crash_image(&lab.disk);
    let store = lab.open();
    assert_eq!(replay(&store, "completed").payload(), b"receipt");
    assert_eq!(replay(&store, "failed").payload(), b"declined");
    assert_eq!(takeover(&store, "marked").earlier_checkpoint(), Some(&b"charge requested"[..]));
    takeover(&store, "begun");
    fresh(&store, "released");
    assert!(store.verify(go_on).unwrap().is_sound());
}

#[test]
fn an_orphan_is_a_takeover_at_once_with_no_lease_to_wait_out() {
    let mut lab = Lab::new();
    let store = lab.create();
    let dead = fresh(&store, "pay");
    lab.disk = crash_image(&lab.disk);
    let store = lab.open();
    let taken = takeover(&store, "pay");
    assert!(taken.attempt() == 2 && taken.token() > dead.token());
    assert_eq!(in_flight(&store, "pay"), LEASE, "the new attempt is of this incarnation");
    refused(store.complete(&key("pay"), dead.token(), "zombie"), ErrorKind::LeaseLost);
}

#[test]
fn a_token_may_be_used_by_a_holder_that_outlived_the_open_until_it_is_replaced() {
    let lab = Lab::new();
    let store = lab.create();
    let token = fresh(&store, "pay").token();
    store.close().unwrap();
    let store = lab.open();
    store.renew(&key("pay"), token, LEASE).unwrap();
    assert_eq!(in_flight(&store, "pay"), LEASE, "renewed by its holder in this incarnation");
    store.complete(&key("pay"), token, "receipt").unwrap();
    replay(&store, "pay");
}

#[test]
fn many_crashes_in_a_row_lose_nothing() {
    let mut lab = Lab::new();
    let mut store = lab.create();
    for crash in 0..20 {
        fresh(&store, &format!("done {crash}")).complete("receipt").unwrap();
        fresh(&store, &format!("begun {crash}"));
        lab.disk = crash_image(&lab.disk);
        store = lab.open();
        for earlier in 0..=crash {
            replay(&store, &format!("done {earlier}"));
        }
        assert_eq!(takeover(&store, "begun 0").attempt(), crash + 2);
    }
}

#[test]
fn a_file_that_is_no_store_or_is_missing_is_refused() {
    let lab = Lab::new();
    refused(lab.options.open_on(lab.disk.clone(), NAME), ErrorKind::NotFound);
    let file = lab.disk.create(NAME).unwrap();
    refused(lab.options.open_on(lab.disk.clone(), NAME), ErrorKind::UnsupportedFormat);
    file.write_at(0, &vec![7; 100_000]).unwrap();
    refused(lab.options.open_on(lab.disk.clone(), NAME), ErrorKind::UnsupportedFormat);
    refused(lab.options.create_on(lab.disk.clone(), NAME), ErrorKind::AlreadyExists);
}

#[test]
fn a_lost_file_is_not_silently_replaced_by_an_empty_one() {
    let lab = Lab::new();
    lab.create().close().unwrap();
    lab.disk.remove(NAME).unwrap();
    let either = lab.options.clone().create_if_missing(true);
    let message = refused(either.open_on(lab.disk.clone(), NAME), ErrorKind::NotFound);
    assert!(message.contains("is gone"), "{message}");
    refused(lab.options.create_on(lab.disk.clone(), NAME), ErrorKind::NotFound);
    for file in &FILES[1..] {
        refused(either.open_on(lab.disk.clone(), NAME), ErrorKind::NotFound);
        lab.disk.remove(file).unwrap();
    }
    either.open_on(lab.disk.clone(), NAME).unwrap();
}

#[test]
fn an_older_copy_of_the_file_is_refused_until_it_is_accepted() {
    let lab = Lab::new();
    let store = lab.create();
    let before = crash_image(&lab.disk);
    store.close().unwrap();
    lab.open().close().unwrap();
    // The old file comes back beside the new note.
    put(&lab.disk, NAME, &bytes(&before, NAME));
    refused(lab.options.open_on(lab.disk.clone(), NAME), ErrorKind::Restored);
    let accepting = lab.options.clone().accept_restored(true);
    let store = accepting.open_on(lab.disk.clone(), NAME).unwrap();
    assert!(fresh(&store, "pay").token().get() > 1 << 40);
}
