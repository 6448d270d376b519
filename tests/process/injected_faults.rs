//! Disks that fail as the operating system reports it: `strace` answers a system call of the child with an error.

use crate::{
    child,
    full_disk::skipped,
    history::History,
    jobs::{ROUND, SEED},
    journal, options,
    random::Random,
};
use std::{fs, path::Path, process::Command};

const ROUNDS: u64 = 5;
/// Answers after which a child has worked enough, whatever they were.
const ACKS: u64 = 300;

/// Whether this machine has a `strace` that may trace.
fn can_inject() -> bool {
    let probe = ["-f", "-qq", "-e", "inject=fdatasync:error=EIO:when=1", "-o", "/dev/null", "true"];
    let can = Command::new("strace").args(probe).output().is_ok_and(|output| output.status.success());
    if !can {
        skipped("failing system calls: strace is missing or may not trace");
    }
    can
}

/// What a child under a fault has shown.
struct Faulted {
    history: History,
    injections: usize,
    refused_open: bool,
}

impl Faulted {
    fn errors(&self) -> u64 {
        ["Indeterminate", "Poisoned", "Io", "Full"].iter().map(|kind| self.history.errors(kind)).sum()
    }
}

/// Runs the load with system calls that fail, opens the store again without them, and asserts that it holds exactly what
/// was acknowledged, and nothing of what was answered with "not done".
fn work_under(call: &str, fault: &str, random: &mut Random) -> Faulted {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.idem");
    options().create(&path).unwrap().close().unwrap();
    let log = directory.path().join("strace.log");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}"));
    let wrapper = ["strace", "-f", "-qq", "-e", &trace, "-e", &inject, "-o", log.to_str().unwrap()];
    let child = child::start(&wrapper, "load", &path, &[(ROUND, "0".to_owned()), (SEED, random.next().to_string())]);
    let mut lines = child.work(ACKS);
    let (status, rest) = child.finish();
    assert!(status.success(), "{status}: {:?}", rest.last());
    lines.extend(rest);
    let refused_open = lines.iter().any(|line| line.starts_with("@ REFUSED Io"));

    let mut history = History::new();
    for line in lines {
        history.feed(journal::parse(&line).unwrap()).unwrap();
    }
    history.cut().unwrap();
    check(&path, &mut history);
    let injections = fs::read_to_string(log).unwrap().matches("(INJECTED)").count();
    Faulted { history, injections, refused_open }
}

fn check(path: &Path, history: &mut History) {
    let store = options().open(path).unwrap();
    let mut violations = Vec::new();
    history.check(&store, &mut violations);
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn a_failed_sync_is_indeterminate_and_stops_all_writes() {
    if !can_inject() {
        return;
    }
    let seed = Random::seed();
    println!("IDEMSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    let (mut refused_opens, mut poisoned) = (0, 0);
    // The first few are those of the open; each thread counts its own.
    for nth in 1..=12 {
        let found = work_under("fdatasync", &format!("error=EIO:when={nth}+"), &mut random);
        println!("EIO from sync {nth}: {} failed, {} errors", found.injections, found.errors());
        assert!(found.injections > 0, "the fault was never met");
        if found.refused_open {
            refused_opens += 1;
        } else {
            poisoned += 1;
            assert_eq!(found.injections, 1, "after a failed sync there is no further one");
            assert!(found.history.errors("Indeterminate") > 0, "nobody was told");
        }
    }
    assert!(refused_opens > 0 && poisoned > 0, "{refused_opens} opens refused, {poisoned} stores poisoned");
}

#[test]
fn a_write_that_fails_for_good_loses_nothing_and_is_reported() {
    if !can_inject() {
        return;
    }
    let seed = Random::seed();
    println!("IDEMSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    for error in ["ENOSPC", "EIO"] {
        for _ in 0..ROUNDS {
            let nth = 100 + random.below(300);
            let found = work_under("pwrite64", &format!("error={error}:when={nth}+"), &mut random);
            println!("{error} from write {nth}: {} failed, {} errors", found.injections, found.errors());
            assert!(found.injections > 0 && found.errors() > 0, "the fault was never met");
        }
    }
}

#[test]
fn a_write_that_fails_once_loses_nothing() {
    if !can_inject() {
        return;
    }
    let seed = Random::seed();
    println!("IDEMSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    for error in ["ENOSPC", "EIO"] {
        for _ in 0..ROUNDS {
            let nth = 100 + random.below(300);
            let found = work_under("pwrite64", &format!("error={error}:when={nth}"), &mut random);
            println!("{error} at write {nth}: {} failed, {} errors", found.injections, found.errors());
            assert_eq!(found.injections, 1, "the fault was never met");
        }
    }
}
