//! Any sequence of operations, with clean and unclean ends between them, is answered as a small model answers it.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use idemstore::{
    Begin, Ended, ErrorKind, FencingToken, Fingerprint, Key, ListFilter, ManualClock, Options, OutcomeKind, Resolution, Result,
    State, Store, disk::MemoryDisk,
};
use idemstore_fuzz::{START, crash_image, ensure, wrong};
use libfuzzer_sys::fuzz_target;
use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

const NAME: &str = "fuzz.idem";
const OPS_MAX: usize = 60;
const LEASE_MS: u64 = 10_000;
const RETENTION_MS: u64 = 60_000;
const FAILED_RETENTION_MS: u64 = 30_000;
const ATTEMPTS_MAX: u32 = 3;
/// Few, so that operations meet.
const KEYS: u8 = 4;
const RECORDS_MAX: usize = 3;
const SCOPE_RECORDS_MAX: usize = 2;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    Begin { key: u8, request: bool },
    End { key: u8, age: u8, completed: bool, payload: u8 },
    Release { key: u8, age: u8 },
    Renew { key: u8, age: u8, seconds: u8 },
    Checkpoint { key: u8, age: u8, data: u8 },
    Resolve { key: u8, how: u8, payload: u8 },
    Get { key: u8 },
    Advance { millis: u16, times: u8 },
    Sweep,
    Reopen,
    Crash,
    Compact,
    Check,
}

/// What the store must hold for a key.
#[derive(Clone)]
struct Held {
    state: State,
    request: bool,
    token: FencingToken,
    attempt: u32,
    /// `None`: the holder died with its process.
    deadline: Option<u64>,
    expires: u64,
    mark: Option<Vec<u8>>,
    payload: Vec<u8>,
}

struct World {
    store: Store,
    disk: MemoryDisk,
    options: Options,
    clock: ManualClock,
    /// Milliseconds since the start.
    now: u64,
    held: BTreeMap<u8, Held>,
    /// All grants of a key, the latest last.
    grants: BTreeMap<u8, Vec<FencingToken>>,
    last_token: u64,
}

// Until the bytes run out: a derived vector asks for a bit before each element and would mostly be short.
fuzz_target!(|data: &[u8]| {
    let (mut data, mut world) = (Unstructured::new(data), World::new());
    for _ in 0..OPS_MAX {
        match data.arbitrary() {
            Ok(op) if !data.is_empty() => world.run(op),
            _ => break,
        }
    }
    world.check();
});

fn key(number: u8) -> Key {
    Key::new(format!("scope {}", number % 2), format!("key {number}")).unwrap()
}

fn fingerprint(request: bool) -> Fingerprint {
    Fingerprint::of(&[&[request.into()]])
}

fn bytes(seed: u8) -> Vec<u8> {
    vec![seed; [0, 7, 400, 5000][usize::from(seed % 4)]]
}

impl Held {
    fn is_expired(&self, now: u64) -> bool {
        self.state != State::InFlight && self.expires <= now
    }

    fn is_lapsed(&self, now: u64) -> bool {
        self.deadline.is_none_or(|deadline| deadline <= now)
    }

    fn is_sweepable(&self, now: u64) -> bool {
        match self.state {
            State::InFlight => self.mark.is_none() && self.is_lapsed(now) && self.expires <= now,
            _ => self.is_expired(now),
        }
    }
}

impl World {
    fn new() -> Self {
        let (disk, clock) = (MemoryDisk::new(), ManualClock::new(START));
        let options = Options::new()
            .clock(clock.clone())
            .lease(Duration::from_millis(LEASE_MS))
            .retention(Duration::from_millis(RETENTION_MS))
            .failed_retention(Duration::from_millis(FAILED_RETENTION_MS))
            .downtime_max(Duration::from_secs(366 * 86_400))
            .attempts_max(ATTEMPTS_MAX)
            .records_max(RECORDS_MAX as u64)
            .scope_records_max(SCOPE_RECORDS_MAX as u64)
            .sweep_interval(None)
            .sweep_batch(2)
            .reserve_bytes(0)
            .journal_bytes(16 << 10)
            .background_checkpoints(false)
            .cache_bytes(1 << 20);
        let store = options.create_on(disk.clone(), NAME).unwrap();
        let (held, grants) = Default::default();
        Self { store, disk, options, clock, now: 0, held, grants, last_token: 0 }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Begin { key, request } => self.begin(key % KEYS, request),
            Op::End { key, age, completed, payload } => self.end(key % KEYS, age, completed, bytes(payload)),
            Op::Release { key, age } => self.release(key % KEYS, age),
            Op::Renew { key, age, seconds } => self.renew(key % KEYS, age, u64::from(seconds) * 1000),
            Op::Checkpoint { key, age, data } => self.checkpoint(key % KEYS, age, bytes(data % 2)),
            Op::Resolve { key, how, payload } => self.resolve(key % KEYS, how % 3, bytes(payload)),
            Op::Get { key } => self.get(key % KEYS),
            Op::Advance { millis, times } => self.advance(u64::from(millis) * u64::from(times % 4)),
            Op::Sweep => self.sweep(),
            Op::Reopen => self.reopen(false),
            Op::Crash => self.reopen(true),
            Op::Compact => {
                self.store.compact(|_| ControlFlow::Continue(())).unwrap_or_else(|error| wrong(format_args!("{error}")))
            }
            Op::Check => self.check(),
        }
    }

    fn begin(&mut self, number: u8, request: bool) {
        let now = self.now;
        let answer = self.store.begin(&key(number), fingerprint(request));
        let live = self.held.get(&number).filter(|held| !held.is_expired(now)).cloned();
        let kind = answer.as_ref().map_err(idemstore::Error::kind);
        match (live, kind) {
            (None, Ok(Begin::Fresh(lease))) => {
                ensure!(self.has_room(number), "key {number} is granted in a full store");
                ensure!(lease.attempt() == 1 && lease.earlier_checkpoint().is_none(), "{lease:?} is not fresh");
                self.grant(number, request, lease.token(), 1, None);
            }
            (None, Err(ErrorKind::Full)) => ensure!(!self.has_room(number), "key {number} is refused, but there is room"),
            (Some(held), Ok(Begin::Mismatch)) => ensure!(held.request != request, "a retry does not match"),
            (Some(held), Ok(Begin::Replay(outcome))) => {
                let is_right = held.request == request && State::from(outcome.kind()) == held.state;
                ensure!(is_right && outcome.payload() == held.payload, "key {number} replays {outcome:?}");
            }
            (Some(held), Ok(Begin::InFlight { retry_after, .. })) => {
                let left = held.deadline.unwrap_or(now).saturating_sub(now);
                let is_right = held.request == request && held.state == State::InFlight && left > 0;
                ensure!(is_right && retry_after.as_millis() == left.into(), "{answer:?}, not {left} ms");
            }
            (Some(held), Ok(Begin::Takeover(lease))) => {
                let is_due = held.request == request && held.state == State::InFlight && held.is_lapsed(now);
                let is_next = lease.attempt() == held.attempt + 1 && held.attempt < ATTEMPTS_MAX;
                ensure!(is_due && is_next && lease.earlier_checkpoint() == held.mark.as_deref(), "{lease:?} takes over");
                self.grant(number, request, lease.token(), held.attempt + 1, held.mark);
            }
            (Some(held), Err(ErrorKind::TooManyAttempts)) => {
                let is_due = held.request == request && held.state == State::InFlight && held.is_lapsed(now);
                ensure!(is_due && held.attempt >= ATTEMPTS_MAX, "{answer:?}");
            }
            _ => wrong(format_args!("key {number} was answered {answer:?}")),
        }
    }

    fn has_room(&self, number: u8) -> bool {
        let in_scope = self.held.keys().filter(|&&other| other % 2 == number % 2).count();
        self.held.contains_key(&number) || (self.held.len() < RECORDS_MAX && in_scope < SCOPE_RECORDS_MAX)
    }

    fn grant(&mut self, number: u8, request: bool, token: FencingToken, attempt: u32, mark: Option<Vec<u8>>) {
        ensure!(token.get() > self.last_token, "token {token} after {}", self.last_token);
        self.last_token = token.get();
        self.grants.entry(number).or_default().push(token);
        let (state, deadline) = (State::InFlight, Some(self.now + LEASE_MS));
        let expires = self.now + LEASE_MS + RETENTION_MS;
        self.held.insert(number, Held { state, request, token, attempt, deadline, expires, mark, payload: Vec::new() });
    }

    /// A token of the key: the latest, an earlier one, or one that was never given.
    fn token(&self, number: u8, age: u8) -> FencingToken {
        let grants = self.grants.get(&number).map_or(&[][..], |grants| &grants[..]);
        let place = grants.len().checked_sub(usize::from(age % 4) + 1);
        place.map_or(FencingToken::new(self.last_token + 1000), |place| grants[place])
    }

    fn current(&mut self, number: u8, token: FencingToken) -> Option<&mut Held> {
        self.held.get_mut(&number).filter(|held| held.token == token)
    }

    fn in_flight(&mut self, number: u8, token: FencingToken) -> Option<&mut Held> {
        self.current(number, token).filter(|held| held.state == State::InFlight)
    }

    fn end(&mut self, number: u8, age: u8, completed: bool, payload: Vec<u8>) {
        let (token, now) = (self.token(number, age), self.now);
        let (kind, retention) = match completed {
            true => (OutcomeKind::Completed, RETENTION_MS),
            false => (OutcomeKind::Failed, FAILED_RETENTION_MS),
        };
        let answer = self.store.end(&key(number), token, kind, &payload, None);
        let state = State::from(kind);
        let Some(held) = self.current(number, token) else { return lost(&answer) };
        if held.state == State::InFlight {
            *held = Held { state, expires: now + retention, mark: None, payload, ..held.clone() };
        } else if held.state != state || held.payload != payload {
            return lost(&answer);
        }
        let expires_at = START.saturating_add(Duration::from_millis(held.expires));
        ensure!(answer.as_ref().is_ok_and(|&ended| ended == Ended { kind, expires_at }), "{answer:?}, not until {expires_at}");
    }

    fn release(&mut self, number: u8, age: u8) {
        let token = self.token(number, age);
        let answer = self.store.release(&key(number), token);
        match self.in_flight(number, token) {
            None => lost(&answer),
            Some(_) => {
                ensure!(answer.is_ok(), "{answer:?}");
                self.held.remove(&number);
            }
        }
    }

    fn renew(&mut self, number: u8, age: u8, millis: u64) {
        let (token, now) = (self.token(number, age), self.now);
        let answer = self.store.renew(&key(number), token, Duration::from_millis(millis));
        if millis == 0 {
            return ensure!(answer.is_err_and(|error| error.kind() == ErrorKind::InvalidInput), "a lease of no length");
        }
        match self.in_flight(number, token) {
            None => lost(&answer),
            Some(held) => {
                ensure!(answer.is_ok(), "{answer:?}");
                (held.deadline, held.expires) = (Some(now + millis), now + millis + RETENTION_MS);
            }
        }
    }

    fn checkpoint(&mut self, number: u8, age: u8, data: Vec<u8>) {
        let token = self.token(number, age);
        let answer = self.store.checkpoint(&key(number), token, &data);
        match self.in_flight(number, token) {
            None => lost(&answer),
            Some(held) => {
                ensure!(answer.is_ok(), "{answer:?}");
                held.mark = Some(data);
            }
        }
    }

    fn resolve(&mut self, number: u8, how: u8, payload: Vec<u8>) {
        let (resolution, ending) = match how {
            0 => (Resolution::Completed(&payload), Some((State::Completed, RETENTION_MS))),
            1 => (Resolution::Failed(&payload), Some((State::Failed, FAILED_RETENTION_MS))),
            _ => (Resolution::Released, None),
        };
        let answer = self.store.resolve(&key(number), resolution, "because");
        let now = self.now;
        let expected = match self.held.get(&number).filter(|held| !held.is_expired(now)) {
            None => Err(ErrorKind::NotFound),
            Some(held) if held.state != State::InFlight => Err(ErrorKind::InvalidInput),
            Some(held) if !held.is_lapsed(now) => Err(ErrorKind::InFlight),
            Some(_) => Ok(()),
        };
        let answer = answer.map_err(|error| error.kind());
        ensure!(answer == expected, "{answer:?}, not {expected:?}");
        if expected.is_err() {
            return;
        }
        match (ending, self.held.get_mut(&number)) {
            (Some((state, retention)), Some(held)) => {
                *held = Held { state, expires: now + retention, mark: None, payload, ..held.clone() };
            }
            _ => drop(self.held.remove(&number)),
        }
    }

    fn get(&self, number: u8) {
        let record = self.store.get(&key(number)).unwrap_or_else(|error| wrong(format_args!("{error}")));
        let held = self.held.get(&number).filter(|held| !held.is_expired(self.now));
        ensure!(record.is_some() == held.is_some(), "key {number} has {record:?}");
        let (Some(record), Some(held)) = (record, held) else { return };
        let is_right = record.state() == held.state
            && record.fingerprint() == fingerprint(held.request)
            && record.token() == held.token
            && record.attempt() == held.attempt
            && record.checkpoint() == held.mark.as_deref()
            && record.outcome().is_none_or(|outcome| outcome.payload() == held.payload);
        ensure!(is_right, "key {number} has {record:?}");
    }

    fn advance(&mut self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
        self.now += millis;
    }

    fn sweep(&mut self) {
        let before = self.held.len();
        let now = self.now;
        self.held.retain(|_, held| !held.is_sweepable(now));
        let report = self.store.sweep();
        let removed = (before - self.held.len()) as u64;
        ensure!(report.as_ref().is_ok_and(|report| report.removed == removed && !report.paused), "{report:?}, not {removed}");
    }

    fn reopen(&mut self, crash: bool) {
        let disk = if crash { crash_image(&self.disk, NAME) } else { self.disk.clone() };
        ensure!(self.store.close().is_ok(), "the store is poisoned");
        self.disk = disk;
        self.store = self.options.open_on(self.disk.clone(), NAME).unwrap_or_else(|error| wrong(format_args!("{error}")));
        self.held.values_mut().for_each(|held| held.deadline = None);
    }

    fn check(&self) {
        (0..KEYS).for_each(|number| self.get(number));
        let report = self.store.verify(|_| ControlFlow::Continue(())).unwrap();
        let is_sound = report.is_sound() && report.astray == 0 && report.records == self.held.len() as u64;
        ensure!(is_sound && report.counts_match == Some(true), "{report:?} of {}", self.held.len());
        let stats = self.store.stats().unwrap();
        let count = |state| self.held.values().filter(|held| held.state == state).count() as u64;
        let counts = [count(State::InFlight), count(State::Completed), count(State::Failed)];
        ensure!([stats.in_flight, stats.completed, stats.failed] == counts, "{stats:?}, not {counts:?}");
        for state in [State::InFlight, State::Completed, State::Failed] {
            let page = self.store.list(&ListFilter::new().state(state), None).unwrap();
            ensure!(page.records.len() as u64 == count(state) && page.next.is_none(), "{page:?}");
        }
    }
}

fn lost<T: std::fmt::Debug>(answer: &Result<T>) {
    let is_lost = answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::LeaseLost);
    ensure!(is_lost, "a token that is not current gets {answer:?}");
}
