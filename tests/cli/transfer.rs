//! Export and import: everything arrives, nothing is overwritten, half a file is not taken for a whole one.

use crate::support::*;
use serde_json::json;
use std::fs;

#[test]
fn an_export_makes_the_same_store_elsewhere() {
    for is_served in [false, true] {
        let (old, new) = (Place::filled(), Place::new());
        let servers = is_served.then(|| (old.serve(), new.serve()));
        let lines = old.run(&["export"]).done();
        assert_eq!(lines.lines().count(), 4);
        let report = new.run_with(&["import", "-", "--json"], &lines).json();
        assert_eq!(report, json!({ "imported": 4, "known": 0, "conflicts": 0 }));
        assert_eq!(new.run(&["export"]).done(), lines);
        // Again, it changes nothing.
        let said = new.run_with(&["import", "-"], &lines).done();
        assert_eq!(said, "imported 0 records, 4 were known already, 0 left out\n");
        if let Some((old, new)) = servers {
            assert_eq!(new.begin("done").1["payload"], json!({ "receipt": 7 }));
            assert_eq!(new.begin("running").1["answer"], "takeover");
            old.stop();
            new.stop();
        }
    }
}

#[test]
fn an_export_to_a_file_is_whole_and_replaces_nothing() {
    let (old, new) = (Place::filled(), Place::new());
    let file = old.path("records.ndjson");
    let path = file.to_str().unwrap();
    assert_eq!(old.run(&["export", path, "--json"]).json(), json!({ "exported": 4, "damaged": 0 }));
    assert!(old.run(&["export", path]).failed(1).contains("exists"));
    assert_eq!(fs::read_to_string(&file).unwrap(), old.run(&["export"]).done());
    assert_eq!(new.run(&["import", path, "--json"]).json()["imported"], 4);
    assert!(!old.names().iter().any(|name| name.contains("unfinished")));
}

#[test]
fn a_line_that_is_no_record_is_named_and_what_came_before_stays() {
    for is_served in [false, true] {
        let (old, new) = (Place::filled(), Place::new());
        let server = is_served.then(|| new.serve());
        let mut lines = old.run(&["export"]).done();
        lines.push_str("{\"v\":1}\n");
        assert!(new.run_with(&["import", "-"], &lines).failed(1).contains("line 5"));
        // A client that is still sending hears of it as well.
        let endless = "nonsense\n".repeat(1 << 20);
        assert!(new.run_with(&["import", "-"], &endless).failed(1).contains("line 1"));
        drop(server);
    }
}

#[test]
fn another_use_of_a_key_is_left_out_and_told() {
    let (old, new) = (Place::filled(), Place::new());
    let store = new.open();
    let other = idemstore::Fingerprint::of(&[b"another request"]);
    drop(store.begin(&key("done"), other).unwrap());
    store.close().unwrap();
    let ran = new.run_with(&["import", "-", "--json"], &old.run(&["export"]).done());
    assert!(ran.err.contains("1 records were left out"), "{ran:?}");
    assert_eq!(ran.json(), json!({ "imported": 3, "known": 0, "conflicts": 1 }));
}

#[test]
fn a_reader_that_has_had_enough_ends_the_command_quietly() {
    let place = Place::new();
    let store = place.open();
    for n in 0..2000 {
        begin(&store, &n.to_string()).complete(vec![b'x'; 1000]).unwrap();
    }
    store.close().unwrap();
    for (command, code, lines_max) in [("export", 1, 2), ("list --all", 0, 1)] {
        let script = format!("set -o pipefail; \"$0\" {command} --db \"$1\" | head -n 1");
        let mut bash = std::process::Command::new("bash");
        let output = bash.args(["-c", &script, env!("CARGO_BIN_EXE_idemstore")]).arg(&place.db).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && !said.contains("panic") && said.lines().count() <= lines_max, "{said}");
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    }
}
