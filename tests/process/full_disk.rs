//! A full disk refuses new keys and still lets old ones end; with space it works again.

use crate::{child, jobs, journal::say, key, options};
use idemstore::{Begin, ErrorKind, Lease, ManualClock, Store, Timestamp};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const MIB: usize = 1 << 20;
const HELD: usize = 20;
const PAYLOAD_BYTES: usize = 64 * 1024;
/// More than the disk, or the limit on the file, has room for.
const NEW_MAX: usize = 1_000;

/// A small file system of its own; unmounted when this goes.
struct Tmpfs {
    at: tempfile::TempDir,
}

impl Tmpfs {
    /// Returns `None`, and says so where nobody can miss it, if this process may not mount.
    fn mount(mib: usize) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { at });
        }
        skipped("a full tmpfs: mounting one is not permitted");
        None
    }

    /// Leaves no room.
    fn fill(&self) -> PathBuf {
        let path = self.at.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        let mut piece = vec![7; MIB];
        while !piece.is_empty() {
            if file.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.at.path()).status();
    }
}

/// Says that something was not tested, past the capture of the test harness.
pub(crate) fn skipped(what: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: 1 test: {what}\n").as_bytes());
}

fn begin(store: &Store, id: &str) -> idemstore::Result<Lease> {
    match store.begin(&key(id), jobs::fingerprint(id))? {
        Begin::Fresh(lease) => Ok(lease),
        other => panic!("{id}: {other:?}"),
    }
}

fn hold_some(store: &Store) -> Vec<Lease> {
    (0..HELD).map(|number| begin(store, &format!("held-{number}")).unwrap()).collect()
}

/// Begins and completes new keys until one is refused; returns the completed ones' names and the refusal.
fn use_up(store: &Store) -> (Vec<String>, idemstore::Error) {
    let mut done = Vec::new();
    for number in 0..NEW_MAX {
        let id = format!("new-{number}");
        let ended = begin(store, &id).and_then(|lease| lease.complete(vec![b'n'; PAYLOAD_BYTES]));
        match ended {
            Ok(_) => done.push(id),
            Err(error) => return (done, error),
        }
    }
    panic!("{NEW_MAX} keys went in where there is no room for them");
}

#[test]
fn a_full_disk_refuses_new_keys_and_lets_old_ones_end() {
    let Some(disk) = Tmpfs::mount(24) else { return };
    let (path, clock) = (disk.at.path().join("s.idem"), ManualClock::new(Timestamp::from_millis(1_000_000)));
    let options = options().reserve_bytes(4 * MIB as u64).clock(clock.clone());
    let store = options.open(&path).unwrap();
    let held = hold_some(&store);
    let filler = disk.fill();

    let (done, refused) = use_up(&store);
    assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
    assert_eq!(begin(&store, "one-more").unwrap_err().kind(), ErrorKind::Full);
    for lease in &held {
        lease.complete(vec![b'h'; PAYLOAD_BYTES]).unwrap();
    }
    assert!(!store.stats().unwrap().is_poisoned);

    fs::remove_file(filler).unwrap();
    clock.advance(Duration::from_secs(2));
    begin(&store, "one-more").unwrap().complete("there is room again").unwrap();
    assert!(disk.at.path().join("s.idem.reserve").exists(), "the reserve is taken up again");
    store.close().unwrap();

    let store = options.open(&path).unwrap();
    assert_replays(&store, held.iter().map(|lease| lease.key().id()), b'h');
    assert_replays(&store, done.iter().map(String::as_str), b'n');
    println!("{} keys before the disk was full, {HELD} ended after", done.len());
}

fn assert_replays<'k>(store: &Store, ids: impl Iterator<Item = &'k str>, byte: u8) {
    for id in ids {
        let Begin::Replay(outcome) = store.begin(&key(id), jobs::fingerprint(id)).unwrap() else { panic!("{id} was lost") };
        assert_eq!(outcome.payload(), vec![byte; PAYLOAD_BYTES]);
    }
}

/// The child's part of the next test: works until the file may not grow, and says what was acknowledged.
pub(crate) fn fill(path: &Path) {
    let store = options().open(path).unwrap();
    let held = hold_some(&store);
    let (done, refused) = use_up(&store);
    let ended = held.iter().filter(|lease| lease.complete(vec![b'h'; PAYLOAD_BYTES]).is_ok());
    let ended: Vec<&str> = ended.map(|lease| lease.key().id()).collect();
    say(&format!("DONE {}", done.join(" ")));
    say(&format!("ENDED {}", ended.join(" ")));
    say(&format!("KIND {:?} poisoned={}", refused.kind(), store.stats().unwrap().is_poisoned));
}

#[test]
fn a_file_that_may_not_grow_refuses_new_keys_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.idem");
    // In blocks of 512 or 1024 bytes, as the shell has it. Without the trap the signal would end the process.
    let child = child::start(&["sh", "-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""], "fill", &path, &[]);
    let (status, lines) = child.wait();
    assert!(status.success(), "{status}: {lines:?}");
    let words = |start: &str| -> Vec<&str> {
        let line = lines.iter().find_map(|line| line.strip_prefix(start)).unwrap_or_else(|| panic!("no {start}: {lines:?}"));
        line.split_ascii_whitespace().collect()
    };
    assert_eq!(words("@ KIND"), ["Full", "poisoned=false"]);
    let (done, ended) = (words("@ DONE"), words("@ ENDED"));
    assert!(done.len() > 10, "{} keys is no load", done.len());

    let store = options().open(&path).unwrap();
    assert_replays(&store, done.iter().copied(), b'n');
    assert_replays(&store, ended.iter().copied(), b'h');
    begin(&store, "one-more").unwrap().complete("the limit is gone").unwrap();
    println!("{} keys before the limit, {} of {HELD} ended after", done.len(), ended.len());
}
