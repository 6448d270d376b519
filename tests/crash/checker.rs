//! Opens what a crash left and compares it with the ledger.

use super::{
    ledger::{Held, Ledger, fingerprint, key},
    power_cut::Cuts,
    rng::Rng,
    sim::{Frozen, Operation, SimDisk},
    workload::{KEYS, NAME, options},
};
use idemstore::{Begin, ErrorKind, Fingerprint, ManualClock, Store, Timestamp, disk::Disk};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

/// How often power is cut again while the store recovers from the cut before.
const CUTS_DURING_RECOVERY_MAX: u32 = 3;

/// What was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) images: u64,
    pub(crate) cuts: Cuts,
    pub(crate) second_cuts: u64,
    pub(crate) cuts_after_recovery: u64,
    pub(crate) without_file: u64,
    pub(crate) took_effect: u64,
    pub(crate) did_not_take_effect: u64,
    pub(crate) takeovers: u64,
    pub(crate) replays: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.cuts += other.cuts;
        self.second_cuts += other.second_cuts;
        self.cuts_after_recovery += other.cuts_after_recovery;
        self.without_file += other.without_file;
        self.took_effect += other.took_effect;
        self.did_not_take_effect += other.did_not_take_effect;
        self.takeovers += other.takeovers;
        self.replays += other.replays;
    }
}

type Checked<T = ()> = Result<T, String>;

/// Cuts the power at that instant, and checks what is left.
pub(crate) fn check_cut(frozen: &Frozen, ledger: &Ledger, rng: &mut Rng, tally: &mut Tally) -> Checked {
    check_cut_again(frozen, ledger, rng, tally, 0)
}

fn check_cut_again(frozen: &Frozen, ledger: &Ledger, rng: &mut Rng, tally: &mut Tally, cuts_before: u32) -> Checked {
    let disk = frozen.cut(rng, &mut tally.cuts);
    tally.images += 1;
    let second = (cuts_before < CUTS_DURING_RECOVERY_MAX && rng.chance(1, 4)).then(|| freeze_at(&disk, rng.below(40)));
    check(&disk, ledger, rng, tally)?;
    if let Some(frozen) = second.and_then(|second| second.lock().unwrap().take()) {
        tally.second_cuts += 1;
        check_cut_again(&frozen, ledger, rng, tally, cuts_before + 1)?;
    }
    Ok(())
}

/// Remembers the disk as it is before one of the next changes.
fn freeze_at(disk: &SimDisk, mut changes: usize) -> Arc<Mutex<Option<Frozen>>> {
    let slot = Arc::new(Mutex::new(None));
    let kept = slot.clone();
    disk.tap(move |operation, now| {
        if is_change(operation) {
            if changes == 0 {
                *kept.lock().unwrap() = Some(now.clone());
            }
            changes = changes.wrapping_sub(1);
        }
    });
    slot
}

/// Whether a power cut before or after this operation can differ.
pub(crate) fn is_change(operation: Operation) -> bool {
    !matches!(operation, Operation::Open | Operation::Identify | Operation::Length | Operation::Read)
}

/// Opens the store and compares. The disk's tap ends when it is open.
pub(crate) fn check(disk: &SimDisk, ledger: &Ledger, rng: &mut Rng, tally: &mut Tally) -> Checked {
    let clock = ManualClock::new(Timestamp::from_millis(ledger.now));
    if !ledger.exists && disk.id(NAME).is_err() {
        tally.without_file += 1;
        disk.untap();
        return check_creatable(disk, &clock);
    }
    let opened = options(&clock).open_on(disk.clone(), NAME);
    disk.untap();
    let store = opened.map_err(|error| format!("the store does not open: {error}"))?;
    check_sound(&store, ledger)?;
    let held = check_records(&store, ledger, tally)?;
    check_begins(&store, ledger, &held, rng, tally)?;
    if rng.chance(1, 8) {
        tally.cuts_after_recovery += 1;
        check_probe_survives(disk, &store, &clock, rng, tally)?;
    }
    Ok(())
}

fn check_creatable(disk: &SimDisk, clock: &ManualClock) -> Checked {
    match options(clock).open_on(disk.clone(), NAME) {
        Err(error) if error.kind() == ErrorKind::NotFound => (),
        other => return Err(format!("without a file, opening says {other:?}")),
    }
    let created = options(clock).create_on(disk.clone(), NAME);
    created.map(drop).map_err(|error| format!("creating it again fails: {error}"))
}

fn check_sound(store: &Store, ledger: &Ledger) -> Checked {
    let report = store.verify(|_| ControlFlow::Continue(())).map_err(|error| format!("verifying: {error}"))?;
    if !report.is_sound() || report.counts_match != Some(true) || report.astray > 0 {
        return Err(format!("not sound: {report:?}"));
    }
    let rows = store.audit(0, 1000).map_err(|error| format!("audit: {error}"))?.len();
    if rows < ledger.audit_rows.0 || rows > ledger.audit_rows.1 {
        return Err(format!("{rows} audit rows, where {:?} are allowed", ledger.audit_rows));
    }
    Ok(())
}

fn check_records(store: &Store, ledger: &Ledger, tally: &mut Tally) -> Checked<Vec<Held>> {
    let mut found = Vec::with_capacity(KEYS);
    for number in 0..KEYS {
        let record = store.get(&key(number)).map_err(|error| format!("key {number}: {error}"))?;
        let held = ledger.recognise(number, record.as_ref())?;
        let entry = &ledger.entries[&number];
        if !entry.pending.is_empty() {
            let is_old = held == entry.settled;
            tally.did_not_take_effect += u64::from(is_old);
            tally.took_effect += u64::from(!is_old);
        }
        found.push(held);
    }
    Ok(found)
}

/// Begins some keys, and one that nobody has seen.
fn check_begins(store: &Store, ledger: &Ledger, held: &[Held], rng: &mut Rng, tally: &mut Tally) -> Checked {
    let mut token_max = ledger.token_max;
    let known = held.iter().map(|held| match held {
        Held::InFlight(attempt) => attempt.token.unwrap_or_default(),
        Held::Ended(end) => end.token.unwrap_or_default(),
        Held::Unseen => 0,
    });
    token_max = known.fold(token_max, u64::max);
    for number in (0..KEYS).chain([KEYS]) {
        if number < KEYS && !rng.chance(1, 3) {
            continue;
        }
        let held = held.get(number).unwrap_or(&Held::Unseen).live(ledger.now);
        let begun = store.begin(&key(number), fingerprint(number)).map_err(|error| format!("begin of {number}: {error}"))?;
        let lease = match (held, begun) {
            (Held::Unseen, Begin::Fresh(lease)) if lease.attempt() == 1 => lease,
            (Held::InFlight(attempt), Begin::Takeover(lease))
                if lease.attempt() == attempt.number + 1 && lease.earlier_checkpoint() == attempt.checkpoint.as_deref() =>
            {
                tally.takeovers += 1;
                lease
            }
            (Held::Ended(end), Begin::Replay(outcome)) if outcome.payload() == end.payload && outcome.kind() == end.kind => {
                tally.replays += 1;
                continue;
            }
            (held, begun) => return Err(format!("begin of {number}: {begun:?}, where the store showed {held:?}")),
        };
        if lease.token().get() <= token_max {
            return Err(format!("token {} was given out before: {token_max} was", lease.token()));
        }
        token_max = lease.token().get();
    }
    let other = store.begin(&key(KEYS), Fingerprint::of(&[b"another request"]));
    match other {
        Ok(Begin::Mismatch) => Ok(()),
        other => Err(format!("another request for the same key: {other:?}")),
    }
}

/// What the recovered store acknowledged survives as well.
fn check_probe_survives(disk: &SimDisk, store: &Store, clock: &ManualClock, rng: &mut Rng, tally: &mut Tally) -> Checked {
    let after = disk.freeze().cut(rng, &mut tally.cuts);
    let token = store.get(&key(KEYS)).ok().flatten().map(|record| record.token());
    let again = options(clock).open_on(after, NAME).map_err(|error| format!("the recovered store does not open: {error}"))?;
    match again.begin(&key(KEYS), fingerprint(KEYS)) {
        Ok(Begin::Takeover(lease)) if Some(lease.token()) > token => Ok(()),
        other => Err(format!("a key that was begun after recovery: {other:?}")),
    }
}

/// Nothing is stored but what the store counts, once a sweep has had an opportunity to tidy up.
pub(crate) fn assert_nothing_left_over(store: &Store) {
    store.sweep().unwrap();
    let (mut copied, mut counted) = (0, 0);
    let compacted = store.compact(|progress| {
        (copied, counted) = (progress.records, progress.total);
        ControlFlow::Continue(())
    });
    compacted.unwrap();
    let left = store.stats().unwrap();
    // Where time goes on, merges beside the compaction leave out what has expired since the sweep.
    let least = left.in_flight + left.completed + left.failed;
    assert!((least..=counted).contains(&copied), "{copied} records were copied, of {least} to {counted}");
}
