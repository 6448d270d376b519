//! A damaged page refuses what it holds and not the whole store: filters can be done without, and of the records in flight only
//! those of the page are lost. None of them is taken for new.

use super::{
    ledger::{fingerprint, key},
    sim::SimDisk,
    workload::{NAME, options},
};
use idemstore::{Begin, ErrorKind, ManualClock, State, Store, Timestamp};

const BLOCK: usize = 4096;
/// Many pages of each.
const IN_FLIGHT: usize = 300;
const ENDED: usize = 900;

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_800_000_000_000))
}

/// The file of a closed store.
fn build() -> Vec<u8> {
    let disk = SimDisk::default();
    let store = options(&clock()).journal_bytes(1 << 20).create_on(disk.clone(), NAME).unwrap();
    for number in 0..IN_FLIGHT + ENDED {
        let Begin::Fresh(lease) = store.begin(&key(number), fingerprint(number)).unwrap() else { panic!("{number} is new") };
        if number >= IN_FLIGHT {
            lease.complete("receipt").unwrap();
        }
    }
    store.close().unwrap();
    disk.bytes(NAME)
}

#[derive(Debug, Default)]
struct Figures {
    blocks: usize,
    refused: usize,
    in_flight: usize,
    ended: usize,
    in_flight_damaged: usize,
    ended_damaged: usize,
}

fn check(store: &Store, figures: &mut Figures) {
    for number in 0..IN_FLIGHT + ENDED {
        let is_in_flight = number < IN_FLIGHT;
        match store.get(&key(number)) {
            Ok(Some(record)) if (record.state() == State::InFlight) == is_in_flight => {
                *(if is_in_flight { &mut figures.in_flight } else { &mut figures.ended }) += 1;
            }
            Err(error) if error.kind() == ErrorKind::Corrupted => {
                let begun = store.begin(&key(number), fingerprint(number));
                assert_eq!(begun.unwrap_err().kind(), ErrorKind::Corrupted, "key {number}");
                *(if is_in_flight { &mut figures.in_flight_damaged } else { &mut figures.ended_damaged }) += 1;
            }
            other => panic!("key {number}: {other:?}"),
        }
    }
}

#[test]
fn a_damaged_page_refuses_what_it_holds_and_not_the_store() {
    let (bytes, mut figures) = (build(), Figures::default());
    for block in 2..bytes.len() / BLOCK {
        // Blocks that were never written belong to nobody.
        if bytes[block * BLOCK..][..BLOCK].iter().all(|&byte| byte == 0) {
            continue;
        }
        figures.blocks += 1;
        let (disk, mut bytes) = (SimDisk::default(), bytes.clone());
        bytes[block * BLOCK + 99] ^= 1;
        disk.put(NAME, &bytes);
        match options(&clock()).open_on(disk, NAME) {
            Ok(store) => check(&store, &mut figures),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupted, "block {block}: {error}");
                figures.refused += 1;
            }
        }
    }
    println!("{figures:?}");
    assert!(figures.in_flight_damaged > IN_FLIGHT / 2 && figures.ended_damaged > ENDED / 2, "{figures:?}");
    assert!(figures.blocks > 40 && figures.refused < figures.blocks / 4, "{figures:?}");
}
