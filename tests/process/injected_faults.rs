//! A sync that fails on the way to the disk, as the operating system reports it: `strace` answers the system call with EIO.

use crate::{
    child,
    full_disk::skipped,
    history::History,
    jobs::{ROUND, SEED},
    journal, options,
    random::Random,
};
use std::{path::Path, process::Command};

/// Whether this machine has a `strace` that may trace.
fn can_inject() -> bool {
    let probe =
        Command::new("strace").args(["-f", "-qq", "-e", "inject=fdatasync:error=EIO:when=1", "-o", "/dev/null", "true"]).output();
    let can = probe.is_ok_and(|output| output.status.success());
    if !can {
        skipped("a failed fdatasync: strace is missing or may not trace");
    }
    can
}

/// Runs the load until a sync fails; returns the child's journal.
fn fail_a_sync(store: &Path, call: &str, nth: u64, seed: u64) -> Vec<String> {
    let injection = format!("inject={call}:error=EIO:when={nth}+");
    let trace = format!("trace={call}");
    let wrapper = ["strace", "-f", "-qq", "-e", &trace, "-e", &injection, "-o", "/dev/null"];
    let child = child::start(&wrapper, "load", store, &[(ROUND, nth.to_string()), (SEED, seed.to_string())]);
    let (status, lines) = child.wait();
    assert!(status.success(), "{status}: {:?}", lines.last());
    lines
}

#[test]
fn a_failed_sync_is_indeterminate_and_stops_all_writes() {
    if !can_inject() {
        return;
    }
    let seed = Random::seed();
    println!("IDEMSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    for _ in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.idem");
        options().create(&path).unwrap().close().unwrap();
        let mut history = History::new();
        // Past the syncs of the open.
        for line in fail_a_sync(&path, "fdatasync", 40 + random.below(200), random.next()) {
            history.feed(journal::parse(&line).unwrap()).unwrap();
        }
        history.cut().unwrap();
        assert!(history.acks() > 20, "{} acknowledgments is no load", history.acks());
        assert!(history.errors("Indeterminate") > 0, "the fault was never met");

        let store = options().open(&path).unwrap();
        let mut violations = Vec::new();
        history.check(&store, &mut violations);
        assert!(violations.is_empty(), "{violations:#?}");
    }
}
