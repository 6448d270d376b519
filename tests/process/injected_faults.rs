//! Disks that fail as the operating system reports it: `strace` answers a system call of the child with an error.

use crate::{
    child,
    full_disk::skipped,
    history::History,
    jobs::{ROUND, SEED},
    journal, options,
    random::Random,
};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

const ROUNDS: u64 = 5;
/// Answers after which a child has worked enough, whatever they were.
const ACKS: u64 = 2500;

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
    /// The most that one thread has met.
    injections_per_thread: usize,
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
    work_under_in(None, call, fault, random)
}

/// As [`work_under`], with failing calls on one of the store's files only: the end of its name.
fn work_under_in(file: Option<&str>, call: &str, fault: &str, random: &mut Random) -> Faulted {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.idem");
    options().create(&path).unwrap().close().unwrap();
    let log = directory.path().join("strace.log");
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:{fault}"));
    let only = file.map(|file| format!("{}{file}", path.display()));
    let mut wrapper = vec!["strace", "-f", "-qq", "-e", &trace, "-e", &inject, "-o", log.to_str().unwrap()];
    wrapper.extend(only.iter().flat_map(|file| ["-P", file]));
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
    let mut by_thread: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(log).unwrap().lines().filter(|line| line.contains("(INJECTED)")) {
        *by_thread.entry(line.split(' ').next().unwrap().to_owned()).or_default() += 1;
    }
    let (injections, injections_per_thread) = (by_thread.values().sum(), by_thread.into_values().max().unwrap_or_default());
    Faulted { history, injections, injections_per_thread, refused_open }
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
            // The other thread may be in a sync at the same instant.
            assert_eq!(found.injections_per_thread, 1, "after a failed sync there is no further one");
            assert!(found.history.errors("Indeterminate") > 0, "nobody was told");
        }
    }
    assert!(refused_opens > 0 && poisoned > 0, "{refused_opens} opens refused, {poisoned} stores poisoned");
}

/// Of the journal in the writer, and of the store file in a checkpoint in the background.
#[test]
fn a_failed_sync_of_either_file_stops_all_writes() {
    if !can_inject() {
        return;
    }
    let seed = Random::seed();
    println!("IDEMSTORE_SEED={seed}");
    let mut random = Random::new(seed);
    // An open syncs each of them a few times, on a thread of its own that counts for itself.
    for (file, first) in [(".journal-0", 5), (".journal-1", 5), ("", 7)] {
        let mut poisoned = 0;
        for nth in first..first + ROUNDS {
            let found = work_under_in(Some(file), "fdatasync", &format!("error=EIO:when={nth}+"), &mut random);
            println!("s.idem{file}: EIO from sync {nth}: {} failed, {} errors", found.injections, found.errors());
            if !found.refused_open && found.injections > 0 {
                assert_eq!(found.injections_per_thread, 1, "after a failed sync there is no further one");
                assert!(found.history.errors("Indeterminate") + found.history.errors("Poisoned") > 0, "nobody was told");
                poisoned += 1;
            }
        }
        assert!(poisoned > 0, "no sync of s.idem{file} failed at work");
    }
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
            assert_eq!(found.injections_per_thread, 1, "the fault was never met");
        }
    }
}
