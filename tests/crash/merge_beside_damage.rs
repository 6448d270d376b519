//! Removing records next to a damaged page must not make the records of that page vanish: when a page gets too empty, the
//! storage engine merges it with its neighbour, and a neighbour that cannot be read must stop that.

use idemstore::{
    Begin, Error, ErrorKind, Fingerprint, Key, ManualClock, Options, Store, Timestamp,
    disk::{Disk, MemoryDisk},
};
use std::time::Duration;

const NAME: &str = "payments.idem";
const KEYS: usize = 360;
/// Neighbours in the file: about two pages of them expire, the next two pages stay.
const RUN: usize = 14;
const BLOCK: usize = 4096;
const HOUR: Duration = Duration::from_secs(3600);

fn options(clock: &ManualClock) -> Options {
    Options::new().clock(clock.clone()).sweep_interval(None).reserve_bytes(0).cache_bytes(1 << 20)
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_800_000_000_000))
}

fn key(number: usize) -> Key {
    Key::new("shop", format!("pay-{number:04}")).unwrap()
}

fn stays(number: usize) -> bool {
    (number / RUN).is_multiple_of(2)
}

fn payload(number: usize) -> String {
    format!("receipt {number} ").repeat(20)
}

/// The file of a closed store.
fn build() -> Vec<u8> {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let store = options(&clock).create_on(disk.clone(), NAME).unwrap();
    for number in 0..KEYS {
        let Begin::Fresh(lease) = begin(&store, number).unwrap() else { panic!("{number} is new") };
        let retention = if stays(number) { HOUR * 100 } else { HOUR };
        lease.complete_for(payload(number), retention).unwrap();
    }
    store.close().unwrap();
    let file = disk.open(NAME).unwrap();
    let mut bytes = vec![0; file.len().unwrap().try_into().unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn begin(store: &Store, number: usize) -> Result<Begin, Error> {
    store.begin(&key(number), Fingerprint::of(&[b"100 EUR"]))
}

#[derive(Default, Debug)]
struct Figures {
    stores: usize,
    removed: u64,
    replayed: usize,
    damaged: usize,
}

/// Every key that stays is replayed or refused as damaged.
fn check(store: &Store, figures: &mut Figures) {
    for number in (0..KEYS).filter(|&number| stays(number)) {
        match begin(store, number) {
            Ok(Begin::Replay(outcome)) if outcome.payload() == payload(number).as_bytes() => figures.replayed += 1,
            Err(error) if error.kind() == ErrorKind::Corrupted => figures.damaged += 1,
            other => panic!("key {number}: {other:?}"),
        }
    }
}

fn damage_and_sweep(bytes: &[u8], block: usize, is_cached: bool, figures: &mut Figures) {
    let (disk, clock) = (MemoryDisk::new(), clock());
    let mut bytes = bytes.to_vec();
    bytes[block * BLOCK + 99] ^= 1;
    disk.create(NAME).unwrap().write_at(0, &bytes).unwrap();
    clock.advance(HOUR);
    // A block that the open needs is none whose neighbours can be merged with it.
    let Ok(store) = options(&clock).open_on(disk.clone(), NAME) else { return };
    figures.stores += 1;
    if is_cached {
        check(&store, &mut Figures::default());
    }
    figures.removed += store.sweep().map_or(0, |report| report.removed);
    check(&store, figures);
    drop(store);
    check(&options(&clock).open_on(disk, NAME).unwrap(), figures);
}

#[test]
fn removals_beside_a_damaged_page_take_nothing_with_them() {
    let bytes = build();
    let mut figures = Figures::default();
    for block in 2..bytes.len() / BLOCK {
        // Blocks that were never written, and the checks of free ones, belong to nobody.
        if bytes[block * BLOCK..][..BLOCK].iter().any(|&byte| byte != 0) {
            for is_cached in [false, true] {
                damage_and_sweep(&bytes, block, is_cached, &mut figures);
            }
        }
    }
    println!("{figures:?}");
    assert!(figures.stores > 60 && figures.removed > 2000 && figures.damaged > 500 && figures.replayed > 5000, "{figures:?}");
}
