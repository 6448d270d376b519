//! Power cuts while the writer appends and the checkpoint thread commits, with several callers.

use super::{
    super::{
        checker::is_change,
        ledger::{fingerprint, key},
        power_cut::Cuts,
        rng::{Rng, from_env, seed},
        sim::{Frozen, Lie, SimDisk, Unsynced},
        workload::{NAME, options},
    },
    SEGMENTS, Shown, check_sound, clock, file, open, payload, shown,
};
use idemstore::{Begin, Store};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

const CALLERS: usize = 4;
const KEYS_PER_CALLER: usize = 6;

/// One key: what was acknowledged, and what is being asked.
#[derive(Clone, Debug)]
struct Entry {
    settled: Shown,
    pending: Option<Shown>,
    token: u64,
}

impl Entry {
    fn unseen() -> Self {
        Self { settled: Shown::Unseen, pending: None, token: 0 }
    }
}

type Accounts = BTreeMap<usize, Entry>;

#[derive(Debug, Default)]
struct Figures {
    images: u64,
    in_a_commit: u64,
    in_an_append: u64,
    in_both: u64,
    took_effect: u64,
    checkpoints: u64,
}

impl Figures {
    fn saw(&mut self, frozen: &Frozen) {
        let (commits, appends) = at_work(frozen);
        self.images += 1;
        self.in_a_commit += u64::from(commits);
        self.in_an_append += u64::from(appends);
        self.in_both += u64::from(commits && appends);
    }
}

/// Whether a commit of the checkpoint thread and an append of the writer are under way.
fn at_work(frozen: &Frozen) -> (bool, bool) {
    let has = |name, is: fn(&Unsynced) -> bool| file(frozen, name).is_some_and(|file| file.unsynced.iter().any(is));
    let appends = SEGMENTS.iter().any(|name| has(name, |change| matches!(change, Unsynced::Write(at, _) if *at > 0)));
    (has(NAME, |_| true), appends)
}

/// One caller, who has keys of its own.
struct Caller<'c> {
    store: &'c Store,
    accounts: &'c Mutex<Accounts>,
    rng: Rng,
    first: usize,
}

impl Caller<'_> {
    /// Goes through the life of one key: begun, then ended or released.
    fn turn(&mut self) {
        let number = self.first + self.rng.below(KEYS_PER_CALLER);
        let settled = self.accounts.lock().unwrap().entry(number).or_insert_with(Entry::unseen).settled.clone();
        match settled {
            Shown::Unseen => {
                self.pend(number, Shown::InFlight);
                let Ok(Begin::Fresh(lease)) = self.store.begin(&key(number), fingerprint(number)) else {
                    panic!("key {number} is unseen")
                };
                self.settle(number, Shown::InFlight, lease.token().get());
            }
            Shown::InFlight if self.rng.chance(1, 2) => {
                self.pend(number, Shown::Unseen);
                let token = self.token(number);
                self.store.release(&key(number), token).unwrap();
                self.settle(number, Shown::Unseen, token.get());
            }
            Shown::InFlight => {
                let payload = payload(number, self.rng.below(700));
                self.pend(number, Shown::Ended(payload.clone()));
                let token = self.token(number);
                self.store.complete(&key(number), token, &payload).unwrap();
                self.settle(number, Shown::Ended(payload), token.get());
            }
            // Its retention outlives the run.
            Shown::Ended(_) => self.first += CALLERS * KEYS_PER_CALLER,
        }
    }

    fn token(&self, number: usize) -> idemstore::FencingToken {
        idemstore::FencingToken::new(self.accounts.lock().unwrap()[&number].token)
    }

    fn pend(&self, number: usize, pending: Shown) {
        self.accounts.lock().unwrap().get_mut(&number).unwrap().pending = Some(pending);
    }

    fn settle(&self, number: usize, settled: Shown, token: u64) {
        self.accounts.lock().unwrap().insert(number, Entry { settled, pending: None, token });
    }
}

/// Lets callers and the checkpoint thread work until there are enough images of disk and accounts at one instant.
fn images(seed: u64, wanted: usize, lie: Lie) -> (Vec<(Frozen, Accounts)>, u64) {
    let disk = SimDisk::default();
    let store = options(&clock()).background_checkpoints(true).create_on(disk.clone(), NAME).unwrap();
    let (accounts, kept) = (Arc::new(Mutex::new(Accounts::new())), Arc::new(Mutex::new(Vec::new())));
    let enough = Arc::new(AtomicBool::new(false));
    let (keep, seen, full, mut rng) = (kept.clone(), accounts.clone(), enough.clone(), Rng::new(!seed));
    disk.tap(move |operation, now| {
        let mut keep = keep.lock().unwrap();
        // Above all the moments at which both are at work.
        let kept_of_16 = if at_work(now) == (true, true) { 8 } else { 1 };
        if is_change(operation) && keep.len() < wanted && rng.chance(kept_of_16, 16) {
            keep.push((now.clone(), seen.lock().unwrap().clone()));
        }
        full.store(keep.len() >= wanted, Ordering::Relaxed);
    });
    disk.lie(lie);
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (store, accounts, enough) = (&store, &*accounts, &enough);
            let first = caller * KEYS_PER_CALLER;
            let mut caller = Caller { store, accounts, rng: Rng::new(seed + caller as u64), first };
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    caller.turn();
                }
            });
        }
    });
    disk.untap();
    let checkpoints = store.stats().unwrap().journal.checkpoints;
    drop(store);
    (std::mem::take(&mut *kept.lock().unwrap()), checkpoints)
}

fn check_cut(frozen: &Frozen, accounts: &Accounts, rng: &mut Rng, figures: &mut Figures) -> Result<(), String> {
    let disk = frozen.cut(rng, &mut Cuts::default());
    let store = open(&disk).map_err(|error| format!("the store does not open: {error}"))?;
    check_sound(&store)?;
    let mut token_max = 0;
    for (&number, entry) in accounts {
        let found = shown(&store, number).map_err(|error| error.to_string())?;
        let is_pending = entry.pending.as_ref() == Some(&found);
        if found != entry.settled && !is_pending {
            return Err(format!("key {number} shows {found:?} where {entry:?} is allowed"));
        }
        figures.took_effect += u64::from(is_pending);
        token_max = token_max.max(entry.token);
    }
    let new = 1_000_000;
    match store.begin(&key(new), fingerprint(new)) {
        Ok(Begin::Fresh(lease)) if lease.token().get() > token_max => Ok(()),
        other => Err(format!("a new key is answered {other:?} where {token_max} was granted")),
    }
}

fn run(seed: u64, wanted: usize, lie: Lie) -> Result<Figures, String> {
    let (images, checkpoints) = images(seed, wanted, lie);
    let (mut figures, mut rng) = (Figures { checkpoints, ..Figures::default() }, Rng::new(seed));
    for (frozen, accounts) in &images {
        figures.saw(frozen);
        check_cut(frozen, accounts, &mut rng, &mut figures)?;
    }
    Ok(figures)
}

#[test]
fn cuts_while_a_checkpoint_runs_beside_the_writer_lose_nothing() {
    let (seed, wanted) = (seed(), from_env("IDEMSTORE_CRASH_IMAGES", 20_000) as usize / 50);
    let figures = run(seed, wanted, Lie::None).unwrap_or_else(|violation| panic!("IDEMSTORE_SEED={seed}: {violation}"));
    println!("{figures:?}");
    assert!(figures.images >= wanted as u64 && figures.checkpoints > 3, "{figures:?}");
    assert!(figures.in_both > 10 && figures.took_effect > 10, "{figures:?}");
}

#[test]
fn a_disk_that_drops_syncs_under_two_threads_is_noticed() {
    let noticed = (0..10).find_map(|offset| run(seed() + offset, 300, Lie::Files(20)).err());
    println!("{noticed:?}");
    assert!(noticed.is_some(), "every twentieth sync does nothing, and nobody noticed");
}
