//! What was asked for wrongly is refused with 2, and nothing is touched; what cannot be done ends with 1.

use crate::support::*;

#[track_caller]
fn refused(place: &Place, arguments: &[&str], hint: &str) {
    let before = place.names();
    let said = place.run(arguments).failed(2);
    assert!(said.contains(hint), "{arguments:?}: {said}");
    assert_eq!(place.names(), before);
}

#[test]
fn wrong_arguments_end_with_2_and_touch_nothing() {
    let place = Place::filled();
    refused(&place, &["list", "--state", "pending"], "in-flight");
    refused(&place, &["list", "--older", "30"], "30s");
    refused(&place, &["list", "--limit", "0"], "--limit");
    refused(&place, &["list", "--all", "--limit", "3"], "--all");
    refused(&place, &["show"], "KEY");
    refused(&place, &["stuck", "--older", "five"], "5m");
    refused(&place, &["resolve", "started"], "--scope");
    let resolve = ["resolve", "started", "--scope", SCOPE, "--reason", "because"];
    let with = |more: &[&'static str]| [&resolve[..], more].concat();
    refused(&place, &with(&["--yes"]), "--completed");
    refused(&place, &with(&["--completed", "1", "--failed", "1", "--yes"]), "--failed");
    refused(&place, &with(&["--completed", "not json", "--yes"]), "quotes");
    refused(&place, &with(&["--completed", "1"]), "--yes");
    refused(&place, &["release", "started", "--scope", SCOPE, "--reason", "because"], "--yes");
    refused(&place, &["release", "started", "--scope", SCOPE, "--yes"], "--reason");
    refused(&place, &["release", "started", "--scope", SCOPE, "--yes", "--reason", ""], "1024");
    refused(&place, &["release", "started", "--scope", SCOPE, "--yes", "--reason", &"x".repeat(1025)], "1024");
    refused(&place, &["backup"], "TO");
    refused(&place, &["import"], "FILE");
    refused(&place, &["frobnicate"], "frobnicate");
    assert!(run(&["list"], "").failed(2).contains("--db"));
    assert!(run(&["completions", "tcsh"], "").failed(2).contains("bash"));
    // None of them did anything.
    assert_eq!(place.run(&["audit", "--json"]).done(), "");
}

#[test]
fn what_cannot_be_done_ends_with_1() {
    let place = Place::filled();
    for arguments in [
        &["show", "unknown"][..],
        &["show", "unknown", "--scope", SCOPE],
        &["show", "done", "--scope", "elsewhere"],
        &["release", "done", "--scope", SCOPE, "--yes", "--reason", "because"],
        &["release", "unknown", "--scope", SCOPE, "--yes", "--reason", "because"],
        &["resolve", "started", "--scope", SCOPE, "--yes", "--reason", "because", "--completed", "@/no/such/file"],
        &["import", "/no/such/file"],
        &["backup", "/no/such/directory/file"],
        &["export", "/no/such/directory/file"],
    ] {
        let said = place.run(arguments).failed(1);
        assert!(said.contains("idemstore: "), "{arguments:?}: {said}");
    }
}

#[test]
fn no_command_makes_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let db = directory.path().join("lost.idem");
    for arguments in [&["list"][..], &["stats"], &["sweep"], &["verify"], &["compact"], &["export"], &["import", "-"], &["audit"]]
    {
        let said = run(&[arguments, &["--db", db.to_str().unwrap()]].concat(), "").failed(1);
        assert!(said.contains("--db"), "{said}");
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    let said = run(&["list", "--db", directory.path().to_str().unwrap()], "").failed(1);
    assert!(said.contains("not a store file"), "{said}");
    std::fs::write(&db, "something else").unwrap();
    assert!(run(&["list", "--db", db.to_str().unwrap()], "").failed(1).contains("lost.idem"));
    assert_eq!(std::fs::read(&db).unwrap(), b"something else");
}

#[test]
fn a_lost_store_is_told_from_one_that_never_was() {
    let place = Place::filled();
    std::fs::rename(&place.db, place.path("moved")).unwrap();
    assert!(place.run(&["list"]).failed(1).contains("is gone"));
}

#[test]
fn the_store_can_be_named_in_the_environment() {
    let place = Place::filled();
    let output = program().args(["list", "--json"]).env("IDEMSTORE_DB", &place.db).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4);
}

#[test]
fn help_is_there_for_every_command_and_names_the_exit_codes() {
    let help = run(&["--help"], "").done();
    assert!(help.contains("Exit codes: 0 done; 1 "), "{help}");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    for wanted in
        ["list", "show", "stuck", "resolve", "release", "stats", "sweep", "verify", "backup", "export", "import", "audit"]
    {
        assert!(commands.contains(&wanted), "{wanted}: {commands:?}");
    }
    for command in commands.into_iter().filter(|command| !matches!(*command, "" | "help")) {
        let help = run(&[command, "--help"], "").done();
        assert!(help.contains("Usage: idemstore"), "{command}: {help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{command}: {help}");
    }
}
