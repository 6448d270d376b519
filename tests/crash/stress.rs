//! Everything at once: payments from several threads while runs are merged, sweeps and compactions and backups run, and the store
//! is closed and opened again beside them. What was acknowledged is there, and no key is new twice.

use super::{
    checker::assert_nothing_left_over,
    rng::{Rng, from_env, seed},
};
use idemstore::{Begin, ErrorKind, Fingerprint, Key, ManualClock, Options, Store, Timestamp, disk::MemoryDisk};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const NAME: &str = "payments.idem";
const PAYERS: u64 = 3;
const HOUR: Duration = Duration::from_secs(3600);
/// Longer than a run of the test takes by its clock.
const LONG: Duration = Duration::from_secs(90 * 86_400);

/// Payments that were acknowledged for long, and their payloads.
type Book = BTreeMap<String, Vec<u8>>;

/// What all threads share.
struct Office {
    clock: ManualClock,
    book: Mutex<Book>,
    figures: Figures,
}

#[derive(Debug, Default)]
struct Figures {
    payments: AtomicU64,
    replays: AtomicU64,
    swept: AtomicU64,
    compactions: AtomicU64,
    backups: AtomicU64,
    checkpoints: AtomicU64,
}

fn count(figure: &AtomicU64, by: u64) {
    figure.fetch_add(by, Ordering::Relaxed);
}

impl Office {
    /// With a journal so short that checkpoints and merges go on all the time, and a rewrite takes many commits.
    fn options(&self) -> Options {
        let options = Options::new().clock(self.clock.clone()).journal_bytes(16 << 10).cache_bytes(1 << 20);
        options.reserve_bytes(0).sweep_interval(None).queue_wait(HOUR).lease(HOUR)
    }
}

fn key(id: &str) -> Key {
    Key::new(["shop", "till", "kiosk"][id.len() % 3], id).unwrap()
}

fn begin(store: &Store, id: &str) -> Begin {
    store.begin(&key(id), Fingerprint::of(&[id.as_bytes()])).unwrap_or_else(|error| panic!("{id}: {error}"))
}

fn assert_replayed(store: &Store, id: &str, payload: &[u8]) {
    match begin(store, id) {
        Begin::Replay(outcome) => assert_eq!(outcome.payload(), payload, "{id}"),
        other => panic!("{id} was acknowledged, and a begin says {other:?}"),
    }
}

/// New payments, some of which expire soon, and now and then an old one again.
fn pay(office: &Office, store: &Store, name: &str, payments: u64, rng: &mut Rng) {
    for number in 0..payments {
        let id = format!("{name}-{number}");
        let Begin::Fresh(lease) = begin(store, &id) else { panic!("{id} is new") };
        let len = [0, 20, 300, 1500][rng.below(4)];
        let payload = rng.bytes(len);
        let is_long = rng.chance(1, 2);
        lease.complete_for(&payload, if is_long { LONG } else { HOUR }).unwrap();
        count(&office.figures.payments, 1);
        let old = {
            let mut book = office.book.lock().unwrap();
            is_long.then(|| book.insert(id, payload));
            let at = rng.below(book.len().max(1));
            book.iter().nth(at).map(|(id, payload)| (id.clone(), payload.clone()))
        };
        if let Some((id, payload)) = old {
            assert_replayed(store, &id, &payload);
            count(&office.figures.replays, 1);
        }
    }
}

/// Does something again and again until the store is closed.
fn until_closed(mut act: impl FnMut() -> idemstore::Result<()>) {
    loop {
        if let Err(error) = act() {
            return assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        }
    }
}

fn sweep(office: &Office, store: &Store) {
    until_closed(|| {
        office.clock.advance(HOUR / 4);
        store.sweep().map(|report| count(&office.figures.swept, report.removed))
    });
}

fn compact(office: &Office, store: &Store) {
    until_closed(|| store.compact(|_| ControlFlow::Continue(())).map(|()| count(&office.figures.compactions, 1)));
}

fn back_up(office: &Office, store: &Store, directory: &Path) {
    until_closed(|| {
        let number = office.figures.backups.load(Ordering::Relaxed);
        let path = directory.join(format!("{number}.idem"));
        let before = office.book.lock().unwrap().clone();
        store.backup(&path, |_| ControlFlow::Continue(()))?;
        count(&office.figures.backups, 1);
        let copy = office.options().accept_restored(true).open(&path).unwrap();
        check(&copy, &before);
        drop(copy);
        std::fs::remove_file(&path).unwrap();
        Ok(())
    });
}

/// All that was acknowledged is there, and what is stored is what is counted.
fn check(store: &Store, book: &Book) {
    for (id, payload) in book {
        assert_replayed(store, id, payload);
    }
    let report = store.verify(|_| ControlFlow::Continue(())).unwrap();
    assert!(report.is_sound() && report.counts_match == Some(true) && report.astray == 0, "{report:?}");
    assert_nothing_left_over(store);
}

/// Enough to have been in the way of everything else.
const SWEPT_LEAST: u64 = 100;

#[test]
fn payments_beside_merges_sweeps_compactions_backups_and_closes_are_kept() {
    let (seed, rounds, payments) = (seed(), from_env("IDEMSTORE_STRESS_ROUNDS", 4), 100);
    let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
    let office = Office { clock, book: Mutex::default(), figures: Figures::default() };
    let (disk, directory) = (MemoryDisk::new(), tempfile::tempdir().unwrap());
    office.options().create_on(disk.clone(), NAME).unwrap();
    // How much a sweep finds in a round depends on the machine.
    let has_swept = || office.figures.swept.load(Ordering::Relaxed) >= SWEPT_LEAST;
    let mut round = 0;
    while round < rounds || (!has_swept() && round < 10 * rounds) {
        let store = office.options().open_on(disk.clone(), NAME).unwrap();
        thread::scope(|scope| {
            let (office, store) = (&office, &store);
            scope.spawn(|| sweep(office, store));
            scope.spawn(|| compact(office, store));
            scope.spawn(|| back_up(office, store, directory.path()));
            let payers: Vec<_> = (0..PAYERS)
                .map(|payer| {
                    let mut rng = Rng::new(seed + round * PAYERS + payer);
                    scope.spawn(move || pay(office, store, &format!("{round}-{payer}"), payments, &mut rng))
                })
                .collect();
            let paid: Vec<_> = payers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            count(&office.figures.checkpoints, store.stats().map_or(0, |stats| stats.journal.checkpoints));
            // Beside a sweep, a compaction and a backup, which end with it, whatever came of the payers.
            store.close().unwrap();
            for paid in paid {
                paid.unwrap();
            }
        });
        drop(store);
        check(&office.options().open_on(disk.clone(), NAME).unwrap(), &office.book.lock().unwrap());
        round += 1;
    }
    println!("{:?}", office.figures);
    let Figures { payments: paid, swept, compactions, backups, checkpoints, .. } = office.figures;
    assert_eq!(paid.into_inner(), round * PAYERS * payments);
    for (what, figure, least) in
        [("swept", swept, SWEPT_LEAST), ("compactions", compactions, rounds), ("backups", backups, rounds)]
    {
        let figure = figure.into_inner();
        assert!(figure >= least, "{what}: {figure}");
    }
    assert!(checkpoints.into_inner() >= rounds * 4);
}
