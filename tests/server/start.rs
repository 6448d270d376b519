//! What the program starts with, and what it refuses to start with.

use crate::program::{Place, run};
use std::fs;

/// Ends with this code, and a message that says what to do.
#[track_caller]
fn check_refused(place: &Place, arguments: &[&str], code: i32, says: &[&str]) {
    let output = run(&place.db(), arguments);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty());
    for part in says {
        assert!(message.contains(part), "{part:?} is missing: {message}");
    }
}

#[test]
fn a_public_address_needs_a_token() {
    let place = Place::new();
    for address in ["0.0.0.0:0", "[::]:0", "10.1.2.3:4040", "192.168.1.1:80"] {
        check_refused(&place, &["--listen", address], 2, &["--token-file", "loopback"]);
        assert!(!place.db().exists(), "nothing was opened");
    }
    let file = place.path("token");
    fs::write(&file, "s3cret").unwrap();
    let program = place.serve(&["--listen", "0.0.0.0:0", "--token-file", file.to_str().unwrap()]);
    assert!(program.address.ip().is_unspecified());
}

#[test]
fn a_token_file_has_to_hold_a_token() {
    let place = Place::new();
    let file = place.path("token");
    let arguments = ["--token-file", file.to_str().unwrap()];
    check_refused(&place, &arguments, 1, &["token file", "No such file"]);
    for text in ["", "\n", "two words\n", "a\nb\n", "\u{fc}"] {
        fs::write(&file, text).unwrap();
        check_refused(&place, &arguments, 1, &["token file"]);
    }
    fs::write(&file, "x".repeat(5000)).unwrap();
    check_refused(&place, &arguments, 1, &["4096"]);
    assert!(!place.db().exists());
}

#[test]
fn arguments_that_are_wrong_end_with_2() {
    let place = Place::new();
    for arguments in [
        &["--listen", "nowhere"][..],
        &["--listen", "127.0.0.1"],
        &["--listen", "127.0.0.1:99999"],
        &["--lease", "soon"],
        &["--retention", "5"],
        &["--max-payload", "1 parsec"],
        &["--max-records", "-1"],
        &["--unknown"],
    ] {
        let output = run(&place.db(), arguments);
        assert_eq!((output.status.code(), output.stderr.is_empty()), (Some(2), false), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_done_ends_with_1() {
    let place = Place::new();
    let program = place.serve(&[]);
    check_refused(&place, &[], 1, &["has it open"]);
    let taken = program.address.to_string();
    let other = Place::new();
    check_refused(&other, &["--listen", &taken], 1, &[&taken]);
    check_refused(&other, &["--lease", "1ms"], 1, &["lease"]);
    check_refused(&other, &["--max-payload", "17MiB"], 1, &["payload"]);
    fs::write(other.path("payments.idem"), "not a store").unwrap();
    check_refused(&other, &[], 1, &[]);
    assert_eq!(fs::read(other.path("payments.idem")).unwrap(), b"not a store");
}

#[test]
fn one_line_says_where_it_listens() {
    let place = Place::new();
    let program = place.serve(&[]);
    assert!(program.address.ip().is_loopback() && program.address.port() > 0);
    assert_eq!(program.line, format!("listening on http://{}\n", program.address));
    assert_eq!(program.get("/health").status, 200);
    program.signal("TERM");
    let (status, rest) = program.ended();
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}
