//! A command says the same of a closed file and of one that a server has open, and says which it was.

use crate::support::*;
use serde_json::Value;

/// Runs a command in both ways.
fn both(place: &Place, arguments: &[&str]) -> [Ran; 2] {
    let closed = place.run(arguments);
    assert!(closed.err.starts_with("opened "), "{closed:?}");
    let server = place.serve();
    let open = place.run(arguments);
    let named = format!("asking the owner of {} (pid {})", place.db.display(), server.pid());
    assert!(open.err.starts_with(&named), "{open:?}");
    server.stop();
    [closed, open]
}

#[track_caller]
fn same(place: &Place, arguments: &[&str]) -> String {
    let [closed, open] = both(place, arguments).map(|ran| (ran.code, ran.out));
    assert_eq!(closed, open);
    assert_eq!(closed.0, Some(0));
    closed.1
}

#[test]
fn looking_is_the_same_both_ways() {
    let place = Place::filled();
    for (arguments, lines) in [
        (&["list", "--json"][..], 4),
        (&["list", "--json", "--all"], 4),
        (&["list", "--json", "--state", "in-flight"], 2),
        (&["list", "--json", "--state", "completed", "--scope", SCOPE], 1),
        (&["list", "--json", "--scope", "elsewhere"], 0),
        (&["list", "--json", "--older", "5m"], 0),
        (&["list", "--json", "--limit", "3"], 3),
        (&["stuck", "--json"], 2),
        (&["show", "done", "--json"], 1),
        (&["show", "done", "--json", "--payload", "--scope", SCOPE], 1),
        (&["audit", "--json"], 0),
        (&["verify", "--json"], 1),
        (&["sweep", "--dry-run", "--json"], 1),
        (&["export"], 4),
    ] {
        assert_eq!(same(&place, arguments).lines().count(), lines, "{arguments:?}");
    }
    let counts = |ran: Ran| ["in_flight", "completed", "failed"].map(|state| ran_json(&ran)[state].clone());
    let [closed, open] = both(&place, &["stats", "--json"]).map(counts);
    assert_eq!((&closed, &closed[0]), (&open, &Value::from(2)));
}

fn ran_json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn people_get_the_same_tables_both_ways() {
    let place = Place::filled();
    for (arguments, shown) in [
        (&["list"][..], &["SCOPE", "KEY", "lapsed", "completed", "failed", "never"][..]),
        (&["show", "running"], &["first seen", "set: its effect may have begun", "it is ended or resolved"]),
        (&["show", "done", "--payload"], &["{\"receipt\": 7}", "known until"]),
        (&["stuck"], &["running --scope 'shop/POST /payments'", "started", "its process is gone", "idemstore resolve KEY"]),
        (&["stats"], &["in flight", "oldest in flight", "damaged reads"]),
        (&["verify"], &["sound", "match"]),
        (&["sweep"], &["removed 0 records"]),
        (&["sweep", "--dry-run"], &["would remove 0 records"]),
        (&["compact"], &["before", "now"]),
    ] {
        for ran in both(&place, arguments) {
            let out = ran.done();
            for part in shown {
                assert!(out.contains(part), "{arguments:?} lacks {part:?}: {out}");
            }
            assert!(out.lines().all(|line| line.trim_end() == line), "{out}");
        }
    }
}

#[test]
fn the_payload_of_json_comes_back_byte_for_byte_and_is_not_shown_unasked() {
    let place = Place::filled();
    for ran in both(&place, &["show", "done", "--json", "--payload"]) {
        assert!(ran.out.contains(r#""payload":{"receipt": 7}"#), "{ran:?}");
    }
    for arguments in [&["show", "done", "--json"][..], &["show", "done"], &["list"], &["list", "--json"]] {
        for ran in both(&place, arguments) {
            assert!(!ran.done().contains("receipt"));
        }
    }
}

#[test]
fn a_key_in_two_scopes_is_found_by_its_scope_only() {
    let place = Place::filled();
    let store = place.open();
    let other = idemstore::Key::new("other", "done").unwrap();
    drop(store.begin(&other, idemstore::Fingerprint::of(&[b"1"])).unwrap());
    store.close().unwrap();
    for ran in both(&place, &["show", "done"]) {
        let said = ran.failed(1);
        assert!(said.contains("--scope other") && said.contains(&format!("--scope '{SCOPE}'")), "{said}");
    }
    assert!(same(&place, &["show", "done", "--scope", "other", "--json"]).contains("in_flight"));
}
