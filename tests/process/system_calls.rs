//! What a commit asks of the operating system, as `strace` sees it.

use crate::{
    child,
    full_disk::skipped,
    jobs::{ROUND, SEED},
    options,
};
use std::{fs, process::Command};

const ACKS: u64 = 2000;

/// The calls on the journal's files, by a child that works for a while.
fn calls() -> Option<Vec<String>> {
    let can = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output().is_ok_and(|out| out.status.success());
    if !can {
        skipped("counting system calls: strace is missing or may not trace");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.idem");
    options().create(&path).unwrap().close().unwrap();
    let log = directory.path().join("strace.log");
    let wrapper = ["strace", "-f", "-qq", "-y", "-e", "trace=fdatasync,fstat,statx,newfstatat", "-o", log.to_str().unwrap()];
    let child = child::start(&wrapper, "load", &path, &[(ROUND, "0".to_owned()), (SEED, "1".to_owned())]);
    child.work(ACKS);
    let (status, _) = child.finish();
    assert!(status.success());
    let log = fs::read_to_string(log).unwrap();
    Some(log.lines().filter(|line| line.contains("s.idem.journal-")).map(str::to_owned).collect())
}

/// Whoever asks for a file's times makes its next write change the inode, since Linux 6.13, and some file systems write that with each
/// sync: a commit would cost half as much again.
#[test]
fn a_commit_does_not_ask_for_the_times_of_the_journal() {
    let Some(calls) = calls() else { return };
    let syncs = calls.iter().filter(|call| call.contains("fdatasync(")).count();
    let (of_inode, others): (Vec<_>, Vec<_>) =
        calls.iter().filter(|call| !call.contains("fdatasync(")).partition(|call| call.contains("STATX_INO,"));
    println!("{syncs} syncs, {} looks at the inode alone, {} others", of_inode.len(), others.len());
    assert!(syncs > 100, "{syncs} syncs say nothing");
    assert!(of_inode.len() > syncs / 2, "each commit looks whether its file is still in its place");
    // Those of an open and of the checkpoints, of which this child makes many.
    assert!(others.len() < of_inode.len() / 2, "{:#?}", &others[..20]);
}
