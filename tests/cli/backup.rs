//! A backup is whole or not there, and is taken into use only on purpose.

use crate::support::*;
use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

#[test]
fn a_backup_is_refused_as_a_store_until_it_is_accepted() {
    let place = Place::filled();
    let server = place.serve();
    let backup = place.path("payments.bak");
    let report = place.run(&["backup", backup.to_str().unwrap(), "--json"]).json();
    assert_eq!(report["to"], json!(backup.to_str().unwrap()));
    let meta = fs::metadata(&backup).unwrap();
    assert_eq!((report["file_bytes"].as_u64(), meta.permissions().mode() & 0o777), (Some(meta.len()), 0o600));
    // What comes after is not in it.
    assert_eq!(server.begin("later").0, 201);
    server.stop();

    let list = ["list", "--json", "--db", backup.to_str().unwrap()];
    let said = run(&list, "").failed(1);
    assert!(said.contains("is a backup") && said.contains("--accept-restored"), "{said}");
    let accepted = run(&[&list[..], &["--accept-restored"]].concat(), "").lines();
    assert_eq!(accepted.len(), 4);
    // Once is enough.
    assert_eq!(run(&list, "").lines(), accepted);
    assert_eq!(place.run(&["list", "--json"]).lines().len(), 5);
}

#[test]
fn a_backup_goes_where_the_person_stands_and_replaces_nothing() {
    let place = Place::filled();
    let server = place.serve();
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = || {
        let mut command = program();
        command.args(["backup", "here.bak", "--db"]).arg(&place.db).current_dir(elsewhere.path());
        command.output().unwrap()
    };
    assert!(backup().status.success());
    let before = fs::read(elsewhere.path().join("here.bak")).unwrap();
    let again = backup();
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8(again.stderr).unwrap().contains("exists"));
    assert_eq!(fs::read(elsewhere.path().join("here.bak")).unwrap(), before);
    server.stop();
}

/// Kills a backup once it has begun to write; returns whether it came to that.
fn kill_midway(place: &Place) -> bool {
    let mut command = program();
    command.args(["backup", "--db"]).arg(&place.db).arg(place.path("copy")).stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let unfinished = place.path("copy.idemstore-unfinished");
    let mut has_ended = false;
    until("the backup is being written, or done", || {
        has_ended = child.try_wait().unwrap().is_some();
        has_ended || unfinished.exists()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let is_midway = unfinished.exists();
    if !is_midway {
        fs::remove_file(place.path("copy")).unwrap();
    }
    is_midway
}

#[test]
fn a_killed_backup_leaves_no_file_of_that_name_and_the_next_one_succeeds() {
    let place = Place::new();
    let store = place.open();
    for n in 0..500 {
        begin(&store, &n.to_string()).complete(vec![b'x'; 10_000]).unwrap();
    }
    store.close().unwrap();
    let tries = (0..50).find(|_| kill_midway(&place));
    assert!(tries.is_some(), "no kill came in time");
    assert!(!place.path("copy").exists());
    place.run(&["backup", place.path("copy").to_str().unwrap()]).done();
    let copy = place.path("copy");
    let list = run(&["verify", "--json", "--accept-restored", "--db", copy.to_str().unwrap()], "").json();
    assert_eq!((&list["records"], &list["is_sound"]), (&json!(500), &json!(true)));
}
