//! What clients send as keys cannot act on the operator's terminal.

use crate::support::*;
use idemstore::{Fingerprint, Key};

const EVIL: &str = "pay\u{1b}[2J\u{1b}]0;owned\u{7}\r\u{9b}31m\u{202e}\n";

fn place() -> Place {
    let place = Place::new();
    let store = place.open();
    drop(store.begin(&Key::new("sc\u{1b}ope", EVIL).unwrap(), Fingerprint::of(&[b"1"])).unwrap());
    store.close().unwrap();
    place
}

fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
}

#[test]
fn keys_scopes_and_reasons_never_reach_the_terminal_as_they_are() {
    assert!(!is_harmless(EVIL), "the check notices");
    let place = place();
    let server = place.serve();
    let commands = [&["list"][..], &["stuck"], &["show", EVIL], &["show", EVIL, "--scope", "sc\u{1b}ope"], &["audit"]];
    let shown = |place: &Place| {
        for command in commands {
            let ran = place.run(command);
            assert!(is_harmless(&ran.out) && is_harmless(&ran.err), "{ran:?}");
        }
    };
    shown(&place);
    let release = ["release", EVIL, "--scope", "sc\u{1b}ope", "--reason", "be\u{1b}cause\u{7}", "--yes"];
    assert!(is_harmless(&place.run(&release).done()));
    shown(&place);
    assert!(place.run(&["audit"]).done().contains(r"be\u{1b}cause\u{7}"));
    server.stop();
    let ran = run(&["list", "--db", "/no/such/\u{1b}[2Jfile"], "");
    assert!(is_harmless(&ran.failed(1)));
}

#[test]
fn programs_get_the_key_as_it_is() {
    let place = place();
    let listed = place.run(&["list", "--json"]).lines();
    assert_eq!(listed[0]["key"], EVIL);
    assert_eq!(place.run(&["show", EVIL, "--json"]).json()["key"], EVIL);
}
