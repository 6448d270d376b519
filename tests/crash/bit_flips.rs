//! Flipped bits in the store file: an answer is right or an error, never a guess, and never "new".

use super::{
    block_on::{block_on, poll_once},
    content::PAGE_BYTES,
    ledger::{fingerprint, key},
    rng::{Rng, from_env, seed},
    sim::{Frozen, SimDisk},
    workload::{NAME, options},
};
use idemstore::{Begin, Error, ErrorKind, ManualClock, Outcome, State, Store, Timestamp, disk::Disk};
use std::{
    backtrace::Backtrace,
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
};

const KEYS: usize = 300;

/// What the store was told about one key.
#[derive(Clone, Debug)]
struct Told {
    state: State,
    token: u64,
    checkpoint: Option<Vec<u8>>,
    payload: Vec<u8>,
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_800_000_000_000))
}

/// A closed store with keys in all states.
fn build() -> (Frozen, Vec<Told>) {
    build_of(KEYS)
}

fn build_of(keys: usize) -> (Frozen, Vec<Told>) {
    let disk = SimDisk::default();
    let store = options(&clock()).create_on(disk.clone(), NAME).unwrap();
    // One by one, so that every run lays the file out in the same way.
    let told = (0..keys).map(|number| tell(number, store.begin(&key(number), fingerprint(number)).unwrap())).collect();
    store.close().unwrap();
    (disk.freeze(), told)
}

thread_local! {
    /// Where this thread panicked last, while its panics are expected.
    static LAST_PANIC: RefCell<Option<(String, Backtrace)>> = const { RefCell::new(None) };
}

/// Keeps the panics of this thread and of stores' threads quiet: damage makes the library underneath panic, by the thousand,
/// which the store has to catch.
fn quieten_panics() {
    let this = std::thread::current().id();
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        if thread.id() == this {
            LAST_PANIC.set(Some((info.to_string(), Backtrace::force_capture())));
        } else if !thread.name().is_some_and(|name| name.starts_with("idemstore-")) {
            loud(info);
        }
    }));
}

fn tell(number: usize, begun: Begin) -> Told {
    let Begin::Fresh(lease) = begun else { panic!("key {number}: {begun:?}") };
    let token = lease.token().get();
    let bytes: Vec<u8> = (0..number * 7 % 900).map(|at| (at * 31 + number) as u8).collect();
    let told = |state, checkpoint, payload| Told { state, token, checkpoint, payload };
    match number % 8 {
        0 => told(State::InFlight, None, vec![]),
        1 => {
            lease.checkpoint(&bytes).unwrap();
            told(State::InFlight, Some(bytes), vec![])
        }
        2 | 3 => {
            lease.fail(&bytes).unwrap();
            told(State::Failed, None, bytes)
        }
        _ => {
            lease.complete(&bytes).unwrap();
            told(State::Completed, None, bytes)
        }
    }
}

/// How a mutant answered.
#[derive(Debug, Default)]
struct Figures {
    mutants: u64,
    refused: u64,
    noticed: u64,
    harmless: u64,
    right_answers: u64,
    errors: BTreeMap<String, u64>,
}

impl Figures {
    fn note(&mut self, error: &Error) -> Result<(), String> {
        use ErrorKind::{Corrupted, Indeterminate, Io, Poisoned, UnsupportedFormat};
        *self.errors.entry(format!("{:?}", error.kind())).or_default() += 1;
        match error.kind() {
            Corrupted | Io | UnsupportedFormat | Indeterminate | Poisoned => Ok(()),
            _ => Err(format!("{error:?}")),
        }
    }
}

fn check_outcome(told: &Told, outcome: Option<Outcome>) -> Result<(), String> {
    let Some(outcome) = outcome else { return Err("an outcome is gone".into()) };
    let is_right = State::from(outcome.kind()) == told.state && outcome.payload() == told.payload;
    if is_right { Ok(()) } else { Err(format!("a wrong outcome: {outcome:?}")) }
}

fn check_get(store: &Store, number: usize, told: &Told, figures: &mut Figures) -> Result<(), String> {
    let record = match store.get(&key(number)) {
        Err(error) => return figures.note(&error),
        Ok(record) => record.ok_or("the record is gone")?,
    };
    let shown = (record.state(), record.token().get(), record.fingerprint(), record.checkpoint());
    if shown != (told.state, told.token, fingerprint(number), told.checkpoint.as_deref()) {
        return Err(format!("a wrong record: {record:?}"));
    }
    figures.right_answers += 1;
    if told.state == State::InFlight { Ok(()) } else { check_outcome(told, record.outcome()) }
}

fn check_begin(told: &Told, begun: Result<Begin, Error>, figures: &mut Figures) -> Result<(), String> {
    let begun = match begun {
        Err(error) => return figures.note(&error),
        Ok(begun) => begun,
    };
    figures.right_answers += 1;
    match (told.state, begun) {
        (State::InFlight, Begin::Takeover(lease)) => {
            let is_right = lease.attempt() == 2 && lease.earlier_checkpoint() == told.checkpoint.as_deref();
            if is_right { Ok(()) } else { Err(format!("a wrong takeover: {lease:?}")) }
        }
        (State::Completed | State::Failed, Begin::Replay(outcome)) => check_outcome(told, Some(outcome)),
        (_, begun) => Err(format!("a wrong answer: {begun:?}")),
    }
}

/// Opens a file and asks it about every key; returns whether anything was noticed.
fn check(disk: &SimDisk, told: &[Told], figures: &mut Figures) -> Result<bool, String> {
    let errors_before: u64 = figures.errors.values().sum();
    let store = match options(&clock()).open_on(disk.clone(), NAME) {
        Ok(store) => store,
        Err(error) => {
            figures.refused += 1;
            figures.note(&error)?;
            return Ok(true);
        }
    };
    for (number, told) in told.iter().enumerate() {
        check_get(&store, number, told, figures).map_err(|what| format!("get of {number}: {what}"))?;
    }
    let mut begins: Vec<_> = (0..told.len()).map(|number| store.begin_async(&key(number), fingerprint(number))).collect();
    let polled: Vec<_> = begins.iter_mut().map(poll_once).collect();
    for ((number, told), (begin, polled)) in told.iter().enumerate().zip(begins.into_iter().zip(polled)) {
        let begun = if let Poll::Ready(begun) = polled { begun } else { block_on(begin) };
        check_begin(told, begun, figures).map_err(|what| format!("begin of {number}: {what}"))?;
    }
    Ok(figures.errors.values().sum::<u64>() > errors_before)
}

/// Flips up to three bits: anywhere, or where there is something.
fn mutate(disk: &SimDisk, rng: &mut Rng, biased: bool) -> Vec<usize> {
    let file = disk.open(NAME).unwrap();
    let len = file.len().unwrap() as usize;
    let mut flipped = Vec::new();
    for _ in 0..=rng.below(3) {
        let mut byte = [0];
        let mut at = rng.below(len);
        file.read_at(at as u64, &mut byte).unwrap();
        while biased && byte == [0] {
            at = rng.below(len);
            file.read_at(at as u64, &mut byte).unwrap();
        }
        byte[0] ^= 1 << rng.below(8);
        file.write_at(at as u64, &byte).unwrap();
        flipped.push(at);
    }
    flipped
}

fn escaped_panic() -> String {
    let (panic, backtrace) = LAST_PANIC.take().expect("a panic was noted");
    format!("a panic escaped: {panic}\n{backtrace}")
}

/// Fails the test although its panics are quiet.
fn fail(what: &str) -> ! {
    drop(std::panic::take_hook());
    panic!("{what}");
}

#[test]
fn flipped_bits_are_an_error_or_harmless_and_never_a_wrong_answer() {
    let mutants = from_env("IDEMSTORE_MUTANTS", 2000);
    let (frozen, told) = build();
    let mut figures = Figures::default();
    quieten_panics();
    assert_eq!(check(&SimDisk::of(frozen.clone()), &told, &mut figures), Ok(false), "the file is sound");
    for number in 0..mutants {
        let seed = seed() + number;
        let disk = SimDisk::of(frozen.clone());
        let flipped = mutate(&disk, &mut Rng::new(seed), seed.is_multiple_of(2));
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&disk, &told, &mut figures)));
        let outcome = outcome.unwrap_or_else(|_| Err(escaped_panic()));
        match outcome {
            Ok(true) => figures.noticed += 1,
            Ok(false) => figures.harmless += 1,
            Err(what) => fail(&format!("IDEMSTORE_SEED={seed}, bytes {flipped:?} (pages of {PAGE_BYTES}): {what}")),
        }
        figures.mutants += 1;
    }
    println!("{figures:?}");
    assert_eq!(figures.mutants, mutants);
    assert!(figures.noticed >= mutants / 10 && figures.harmless >= mutants / 20, "{figures:?}");
    assert!(figures.noticed > figures.refused, "damage never got past the open: {figures:?}");
}

#[test]
fn a_swapped_payload_is_noticed_by_the_checker() {
    let (frozen, mut told) = build();
    let (one, other) = (4, 5);
    assert_eq!((told[one].state, told[other].state), (State::Completed, State::Completed));
    let payload = std::mem::take(&mut told[one].payload);
    told[one].payload = std::mem::replace(&mut told[other].payload, payload);
    let noticed = check(&SimDisk::of(frozen.clone()), &told, &mut Figures::default());
    assert!(noticed.is_err_and(|what| what.contains("a wrong outcome")));
    // And a key that the store has never seen.
    let (_, mut more) = build();
    more.push(more[0].clone());
    let noticed = check(&SimDisk::of(frozen), &more, &mut Figures::default());
    assert!(noticed.is_err_and(|what| what.contains("gone")));
}

/// Whatever the open gets to, giving up is as safe as going on.
#[test]
fn damage_to_any_two_blocks_never_lets_a_panic_out_of_the_open() {
    let (frozen, told) = build_of(12);
    quieten_panics();
    let blocks = SimDisk::of(frozen.clone()).bytes(NAME).len() / PAGE_BYTES;
    let (mut opened, mut refused) = (0, 0);
    for (one, other) in (0..blocks).flat_map(|one| (one..blocks).map(move |other| (one, other))) {
        let disk = SimDisk::of(frozen.clone());
        let file = disk.open(NAME).unwrap();
        for block in [one, other] {
            file.write_at((block * PAGE_BYTES + 100) as u64, &[0xA5; 300]).unwrap();
        }
        drop(file);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let store = options(&clock()).open_on(disk.clone(), NAME)?;
            check_get(&store, 4, &told[4], &mut Figures::default()).unwrap();
            store.close()
        }));
        match outcome {
            Ok(Ok(())) => opened += 1,
            Ok(Err(_)) => refused += 1,
            Err(_) => fail(&format!("blocks {one} and {other} of {blocks}: {}", escaped_panic())),
        }
    }
    println!("{blocks} blocks: {opened} pairs opened, {refused} refused");
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused");
}
