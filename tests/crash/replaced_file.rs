//! Files that are lost, swapped, cut, foreign, newer, older or already open: refused or reported, never taken for an empty
//! store.

use super::{
    ledger::{fingerprint, key},
    sim::SimDisk,
    workload::{NAME, options},
};
use idemstore::{
    Begin, Error, ErrorKind, ManualClock, Store, Timestamp,
    disk::{Disk, FsDisk},
};
use std::ops::ControlFlow;

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_800_000_000_000))
}

fn create(disk: &SimDisk) -> Store {
    options(&clock()).create_on(disk.clone(), NAME).unwrap()
}

fn open(disk: &SimDisk) -> Result<Store, Error> {
    options(&clock()).open_on(disk.clone(), NAME)
}

fn refusal(disk: &SimDisk) -> ErrorKind {
    let refused = open(disk).unwrap_err().kind();
    // Creating one in its place is refused as well, or the keys would all be new.
    let created = options(&clock()).create_on(disk.clone(), NAME).unwrap_err().kind();
    assert!(matches!(created, ErrorKind::AlreadyExists | ErrorKind::NotFound), "{created:?}");
    let either = options(&clock()).create_if_missing(true).open_on(disk.clone(), NAME).unwrap_err().kind();
    assert_eq!(either, refused);
    refused
}

fn begin_fresh(store: &Store, number: usize) -> u64 {
    match store.begin(&key(number), fingerprint(number)).unwrap() {
        Begin::Fresh(lease) => lease.token().get(),
        other => panic!("key {number}: {other:?}"),
    }
}

/// A store with one completed key and one in flight, closed.
fn used_disk() -> SimDisk {
    let disk = SimDisk::default();
    let store = create(&disk);
    let token = begin_fresh(&store, 0);
    store.complete(&key(0), idemstore::FencingToken::new(token), b"done").unwrap();
    begin_fresh(&store, 1);
    store.close().unwrap();
    disk
}

/// After `swap`, no write is acknowledged; after `restore` all that was acknowledged is there.
fn assert_no_write_into_nowhere(swap: impl FnOnce(&SimDisk), restore: impl FnOnce(&SimDisk)) {
    let disk = SimDisk::default();
    let store = create(&disk);
    let token = begin_fresh(&store, 0);
    store.complete(&key(0), idemstore::FencingToken::new(token), b"done").unwrap();
    swap(&disk);
    let first = store.begin(&key(1), fingerprint(1)).unwrap_err();
    assert!(matches!(first.kind(), ErrorKind::Indeterminate | ErrorKind::Poisoned), "{first:?}");
    let second = store.begin(&key(2), fingerprint(2)).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Poisoned);
    assert!(store.stats().unwrap().is_poisoned);
    drop(store);
    restore(&disk);
    let store = open(&disk).unwrap();
    assert!(matches!(store.begin(&key(0), fingerprint(0)).unwrap(), Begin::Replay(outcome) if outcome.payload() == b"done"));
    begin_fresh(&store, 2);
}

#[test]
fn a_file_removed_while_open_takes_no_acknowledged_write() {
    let copy = std::cell::RefCell::new(Vec::new());
    let swap = |disk: &SimDisk| {
        *copy.borrow_mut() = disk.bytes(NAME);
        disk.remove(NAME).unwrap();
    };
    assert_no_write_into_nowhere(swap, |disk| disk.put(NAME, &copy.borrow()));
}

#[test]
fn a_file_moved_away_while_open_takes_no_acknowledged_write() {
    let away = |disk: &SimDisk| disk.rename_over(NAME, "elsewhere").unwrap();
    assert_no_write_into_nowhere(away, |disk| disk.rename_over("elsewhere", NAME).unwrap());
}

#[test]
fn a_file_replaced_while_open_takes_no_acknowledged_write() {
    let swap = |disk: &SimDisk| {
        let copy = disk.bytes(NAME);
        disk.put("copy", &copy);
        disk.rename_over("copy", NAME).unwrap();
    };
    assert_no_write_into_nowhere(swap, |_| ());
}

#[test]
fn an_empty_file_is_refused() {
    let disk = used_disk();
    disk.put(NAME, b"");
    assert_eq!(refusal(&disk), ErrorKind::UnsupportedFormat);
    assert!(disk.bytes(NAME).is_empty(), "a refused file is left alone");
}

#[test]
fn a_file_cut_short_is_refused() {
    let whole = used_disk().bytes(NAME);
    let cuts = [1, 511, 512, 4096, 8192, 8193, 12_288, 20_000, 4096 * 20, whole.len() / 2, whole.len() - 4096, whole.len() - 1];
    let mut opened = 0;
    for len in cuts {
        let disk = used_disk();
        let bytes = disk.bytes(NAME);
        disk.put(NAME, &bytes[..len]);
        match open(&disk) {
            Err(error) => {
                let kind = error.kind();
                assert!(matches!(kind, ErrorKind::UnsupportedFormat | ErrorKind::Corrupted | ErrorKind::Io), "{len}: {error:?}");
                assert_eq!(disk.bytes(NAME).len(), len, "a refused file is left alone: {error}");
            }
            // The part that was cut off was free, or what needs it says so.
            Ok(store) => {
                opened += 1;
                for number in 0..2 {
                    let begun = store.begin(&key(number), fingerprint(number));
                    assert!(!matches!(begun, Ok(Begin::Fresh(_))), "{len}: {begun:?}");
                }
            }
        }
    }
    assert!(opened < cuts.len() / 2, "{opened} of {} opened", cuts.len());
}

#[test]
fn foreign_files_are_refused() {
    let mut redb = b"redb\x1A\x0A\xA9\x0D\x0A".to_vec();
    redb.resize(1 << 20, 0);
    let text = "a plain text file, such as a configuration\n".repeat(1000).into_bytes();
    for foreign in [redb, text, vec![0; 100_000], b"short".to_vec()] {
        let disk = SimDisk::default();
        disk.put(NAME, &foreign);
        assert_eq!(refusal(&disk), ErrorKind::UnsupportedFormat);
        assert_eq!(disk.bytes(NAME), foreign, "a refused file is left alone");
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let disk = used_disk();
    let mut bytes = disk.bytes(NAME);
    bytes[16..20].copy_from_slice(&2u32.to_le_bytes());
    disk.put(NAME, &bytes);
    assert_eq!(refusal(&disk), ErrorKind::UnsupportedFormat);
    assert!(open(&disk).unwrap_err().to_string().contains("format 2"));
}

#[test]
fn a_missing_file_is_refused_unless_it_is_to_be_created() {
    let disk = SimDisk::default();
    assert_eq!(open(&disk).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(disk.freeze().names.is_empty());
    begin_fresh(&options(&clock()).create_if_missing(true).open_on(disk, NAME).unwrap(), 0);
}

#[test]
fn a_lost_file_is_not_replaced_by_an_empty_store() {
    let disk = used_disk();
    disk.remove(NAME).unwrap();
    assert_eq!(refusal(&disk), ErrorKind::NotFound);
    assert!(open(&disk).unwrap_err().to_string().contains("payments.idem.owner"));
    for file in ["owner", "journal-0", "journal-1"] {
        assert_eq!(refusal(&disk), ErrorKind::NotFound);
        disk.remove(&format!("{NAME}.{file}")).unwrap();
    }
    begin_fresh(&create(&disk), 0);
}

#[test]
fn an_open_store_is_not_opened_twice() {
    let disk = used_disk();
    let store = open(&disk).unwrap();
    let second = open(&disk).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Locked);
    assert!(second.to_string().contains("this process"), "{second}");
    begin_fresh(&store, 5);
    drop(store);
    open(&disk).unwrap();
}

#[test]
fn an_older_copy_is_refused_until_it_is_accepted() {
    let disk = used_disk();
    let older = disk.bytes(NAME);
    let store = open(&disk).unwrap();
    let newest = begin_fresh(&store, 2);
    store.close().unwrap();
    disk.put(NAME, &older);
    assert_eq!(refusal(&disk), ErrorKind::Restored);
    assert_eq!(refusal(&disk), ErrorKind::Restored, "a refusal does not wear off");
    assert_accepted(&disk, newest);
}

#[test]
fn an_older_copy_of_the_same_open_is_refused() {
    let disk = used_disk();
    let store = open(&disk).unwrap();
    begin_fresh(&store, 2);
    // Taken while the store is open, as a snapshot of the file system would be.
    let older = disk.bytes(NAME);
    begin_fresh(&store, 3);
    store.close().unwrap();
    disk.put(NAME, &older);
    assert_eq!(refusal(&disk), ErrorKind::Restored);
}

#[test]
fn the_file_of_another_store_is_refused() {
    let (disk, other) = (used_disk(), used_disk());
    disk.put(NAME, &other.bytes(NAME));
    assert_eq!(refusal(&disk), ErrorKind::Restored);
}

#[test]
fn a_file_beside_an_unreadable_note_is_refused() {
    let disk = used_disk();
    disk.put(&format!("{NAME}.owner"), b"not a note");
    assert_eq!(refusal(&disk), ErrorKind::Restored);
}

#[test]
fn a_backup_is_refused_until_it_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join(NAME), directory.path().join("copy.idem"));
    let store = options(&clock()).create(&path).unwrap();
    let token = begin_fresh(&store, 0);
    store.complete(&key(0), idemstore::FencingToken::new(token), b"done").unwrap();
    begin_fresh(&store, 1);
    store.backup(&copy, |_| ControlFlow::Continue(())).unwrap();
    let newest = begin_fresh(&store, 2);
    let again = store.backup(&copy, |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    store.close().unwrap();

    let elsewhere = options(&clock()).open_on(FsDisk::new(directory.path()), "copy.idem").unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::Restored);
    let disk = SimDisk::default();
    disk.put(NAME, &std::fs::read(&copy).unwrap());
    assert_eq!(refusal(&disk), ErrorKind::Restored);
    assert_accepted(&disk, newest);
}

/// Opens the copy on purpose: it knows what it knew, and no token is given out twice.
fn assert_accepted(disk: &SimDisk, newest: u64) {
    let store = options(&clock()).accept_restored(true).open_on(disk.clone(), NAME).unwrap();
    assert!(matches!(store.begin(&key(0), fingerprint(0)).unwrap(), Begin::Replay(outcome) if outcome.payload() == b"done"));
    let Begin::Takeover(lease) = store.begin(&key(1), fingerprint(1)).unwrap() else { panic!("an orphan is a takeover") };
    assert!(lease.token().get() > newest);
    assert!(begin_fresh(&store, 2) > newest);
    drop((lease, store));
    open(disk).unwrap();
}
