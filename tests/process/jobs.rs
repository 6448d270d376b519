//! What a child does. The job, the store and the settings come in environment variables.

use crate::{
    history::History,
    journal::{self, Ack, Change, End, Intent, say},
    key,
    lying_disk::LyingDisk,
    options,
    random::Random,
};
use idemstore::{Begin, BeginOptions, Error, ErrorKind, Fingerprint, Lease, Store, disk::FsDisk};
use std::{
    env, fs,
    io::Read,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

/// The test that does a job when it is given one.
pub(crate) const TEST: &str = "jobs::a_process_without_a_job_is_a_plain_test_run";
pub(crate) const JOB: &str = "IDEMSTORE_JOB";
pub(crate) const STORE: &str = "IDEMSTORE_JOB_STORE";
/// Which child of the run this is: keeps keys and operations of different children apart.
pub(crate) const ROUND: &str = "IDEMSTORE_JOB_ROUND";
pub(crate) const SEED: &str = "IDEMSTORE_JOB_SEED";
/// A file with keys of earlier children, one a line.
pub(crate) const OLD_KEYS: &str = "IDEMSTORE_JOB_OLD_KEYS";
/// Said by the load after each checkpoint of the journal, or several.
pub(crate) const CHECKPOINTED: &str = "CHECKPOINTED";
/// A file with the journal so far.
const JOURNAL: &str = "IDEMSTORE_JOB_JOURNAL";
/// Set when the disk only says that it syncs.
const LIES: &str = "IDEMSTORE_JOB_LIES";

const THREADS: u64 = 16;
const SLOTS: usize = 24;
pub(crate) const LEASE_SHORT: Duration = Duration::from_millis(10);
const LEASE_LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_process_without_a_job_is_a_plain_test_run() {
    let Ok(job) = env::var(JOB) else {
        assert!(env::var(STORE).is_err(), "a store without a job");
        return;
    };
    let store = PathBuf::from(env::var(STORE).expect(STORE));
    match job.as_str() {
        "create" => options().create(&store).unwrap().close().unwrap(),
        "load" => load(&store),
        "hold" => hold(&store),
        "fill" => crate::full_disk::fill(&store),
        "verify" => verify(&store),
        other => panic!("there is no job {other:?}"),
    }
    process::exit(0);
}

/// Ends the process when its parent has gone, or has closed the pipe.
fn end_with_parent() {
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        process::exit(0);
    });
}

/// Holds the store open until the parent closes the pipe.
fn hold(store: &Path) {
    let opened = crate::options().reserve_bytes(1 << 16).open(store);
    match opened {
        Ok(_store) => {
            say("READY");
            let _ = std::io::stdin().read(&mut [0]);
        }
        Err(error) => say(&format!("REFUSED {:?} {error}", error.kind())),
    }
}

/// Checks the store against the journal of everything that was acknowledged.
fn verify(store: &Path) {
    let mut history = History::new();
    let text = fs::read_to_string(env::var(JOURNAL).expect(JOURNAL)).unwrap();
    let mut violations = Vec::new();
    for line in text.lines().filter_map(journal::parse) {
        history.feed_tolerantly(line, &mut violations);
    }
    // A store that never acknowledged anything may have died in its creation; then it can be created again.
    match options().create_if_missing(history.acks() == 0).open(store) {
        Ok(store) => history.check(&store, &mut violations),
        Err(error) => violations.push(format!("the store does not open: {error}")),
    }
    for violation in violations.iter().take(10) {
        say(&format!("VIOLATION {violation}"));
    }
    let (acks, keys) = (history.acks(), history.keys());
    say(&format!("VERIFIED violations={} acks={acks} keys={keys}", violations.len()));
}

/// Works on the store from several threads until it is killed, the parent goes, or the store is poisoned.
fn load(path: &Path) {
    end_with_parent();
    let opened = if env::var(LIES).is_ok() {
        let disk = LyingDisk(FsDisk::new(path.parent().unwrap()));
        options().open_on(disk, path.file_name().unwrap().to_str().unwrap())
    } else {
        options().open(path)
    };
    let store = match opened {
        Ok(store) => store,
        Err(error) => return say(&format!("REFUSED {:?} {error}", error.kind())),
    };
    let old = env::var(OLD_KEYS).map(|path| fs::read_to_string(path).unwrap()).unwrap_or_default();
    let (round, seed) = (crate::count(ROUND, 0), crate::count(SEED, 0));
    let checkpoints = AtomicU64::new(0);
    let generations: Vec<AtomicU64> = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
    let old: Vec<&str> = old.lines().collect();
    say("READY");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, generations, old, checkpoints) = (&store, &generations, &old, &checkpoints);
            let random = Random::new(seed ^ (thread << 56));
            let caller = Caller { store, generations, old, checkpoints, random, round, thread, operations: 0 };
            scope.spawn(move || caller.run());
        }
        if round % 2 == 1 {
            scope.spawn(|| maintain(&store));
        }
    });
    say("STOPPED");
}

/// Rewrites the file underneath the callers, again and again.
fn maintain(store: &Store) {
    loop {
        say("COMPACTING");
        match store.compact(|_| ControlFlow::Continue(())) {
            Ok(()) => say("COMPACTED"),
            Err(error) => return say(&format!("COMPACTION {:?} {error}", error.kind())),
        }
    }
}

/// One thread of the load.
struct Caller<'l> {
    store: &'l Store,
    /// A slot's key changes when its attempt has ended, or was abandoned.
    generations: &'l [AtomicU64],
    old: &'l [&'l str],
    /// Of the journal, as far as they were said.
    checkpoints: &'l AtomicU64,
    random: Random,
    round: u64,
    thread: u64,
    operations: u64,
}

impl Caller<'_> {
    fn run(mut self) {
        while self.turn().is_some() {
            let done = self.store.stats().map_or(0, |stats| stats.journal.checkpoints);
            if self.checkpoints.fetch_max(done, Ordering::SeqCst) < done {
                say(CHECKPOINTED);
            }
        }
    }

    /// Works on one key; `None` when the store takes no more writes.
    fn turn(&mut self) -> Option<()> {
        if !self.old.is_empty() && self.random.percent(25) {
            let at = usize::try_from(self.random.below(self.old.len() as u64)).unwrap();
            let id = self.old[at].to_owned();
            return self.attempt(&id).map(|_| ());
        }
        let slot = usize::try_from(self.random.below(SLOTS as u64)).unwrap();
        let generation = self.generations[slot].load(Ordering::SeqCst);
        let is_over = self.attempt(&format!("r{}-s{slot}-g{generation}", self.round))?;
        if is_over {
            let next = (generation, generation + 1, Ordering::SeqCst, Ordering::SeqCst);
            let _ = self.generations[slot].compare_exchange(next.0, next.1, next.2, next.3);
        }
        Some(())
    }

    /// Returns whether nobody needs to come back to this key.
    fn attempt(&mut self, id: &str) -> Option<bool> {
        let is_short = self.random.percent(15);
        let (op, intent) = (self.op(), Intent::Begin { key: id.to_owned(), is_short });
        say(&format!("I {op} {}", intent.text()));
        let lease = BeginOptions::new().lease(if is_short { LEASE_SHORT } else { LEASE_LONG });
        let begun = self.store.begin_with(&key(id), fingerprint(id), lease);
        say(&format!("A {op} {}", begin_ack(&begun).text()));
        match begun {
            Ok(Begin::Fresh(lease) | Begin::Takeover(lease)) => self.hold(&lease, is_short),
            Ok(Begin::Replay(_)) => Some(true),
            Ok(_) => Some(false),
            Err(error) => survivable(&error).map(|()| false),
        }
    }

    /// Does what a holder does.
    fn hold(&mut self, lease: &Lease, is_short: bool) -> Option<bool> {
        for nth in 0..self.random.below(3) {
            let mark = format!("mark-{}-{nth}", lease.token());
            self.change(lease, &Change::Checkpoint(mark))?;
        }
        if self.random.percent(10) {
            self.change(lease, &Change::Renew)?;
        }
        if is_short && self.random.percent(50) {
            // Becomes a holder whose lease has lapsed, so that others take over.
            thread::sleep(LEASE_SHORT + Duration::from_millis(2));
        }
        let change = match self.random.below(100) {
            0..55 => Change::End(End::Complete),
            55..70 => Change::End(End::Fail),
            70..85 => Change::Release,
            // Abandoned: others find it in flight.
            _ => return Some(!is_short),
        };
        self.change(lease, &change)?;
        Some(matches!(change, Change::End(_)))
    }

    fn change(&mut self, lease: &Lease, change: &Change) -> Option<()> {
        let (op, id, token) = (self.op(), lease.key().id(), lease.token().get());
        let intent = Intent::Change { key: id.to_owned(), token, change: change.clone() };
        say(&format!("I {op} {}", intent.text()));
        let result = apply(lease, change);
        say(&format!("A {op} {}", change_ack(&result).text()));
        result.or_else(|error| survivable(&error).ok_or(error)).ok()
    }

    fn op(&mut self) -> String {
        self.operations += 1;
        format!("{}.{}.{}", self.round, self.thread, self.operations)
    }
}

pub(crate) fn fingerprint(id: &str) -> Fingerprint {
    Fingerprint::of(&[id.as_bytes()])
}

/// Does to the store what a journal line says.
pub(crate) fn apply(lease: &Lease, change: &Change) -> idemstore::Result<()> {
    let ending = |end| journal::payload(lease.key().id(), lease.token().get(), end);
    match change {
        Change::End(End::Complete) => lease.complete(ending(End::Complete)).map(|_| ()),
        Change::End(End::Fail) => lease.fail(ending(End::Fail)).map(|_| ()),
        Change::Release => lease.release(),
        Change::Checkpoint(data) => lease.checkpoint(data),
        Change::Renew => lease.renew(LEASE_SHORT).map(|_| ()),
    }
}

/// Returns `None` for an error after which the store takes no more writes.
fn survivable(error: &Error) -> Option<()> {
    (!matches!(error.kind(), ErrorKind::Indeterminate | ErrorKind::Poisoned | ErrorKind::Closed)).then_some(())
}

pub(crate) fn begin_ack(begun: &idemstore::Result<Begin>) -> Ack {
    match begun {
        Ok(Begin::Fresh(lease)) => Ack::Fresh { token: lease.token().get() },
        Ok(Begin::Takeover(lease)) => {
            let checkpoint = lease.earlier_checkpoint().map(|mark| String::from_utf8_lossy(mark).into_owned());
            Ack::Takeover { token: lease.token().get(), attempt: lease.attempt(), checkpoint }
        }
        Ok(Begin::Replay(outcome)) => {
            let end = if outcome.is_completed() { End::Complete } else { End::Fail };
            Ack::Replay { end, payload: String::from_utf8_lossy(outcome.payload()).into_owned() }
        }
        Ok(Begin::InFlight { .. }) => Ack::InFlight,
        Ok(Begin::Mismatch) => Ack::Error("Mismatch".to_owned()),
        Err(error) => Ack::Error(format!("{:?}", error.kind())),
    }
}

pub(crate) fn change_ack(result: &idemstore::Result<()>) -> Ack {
    match result {
        Ok(()) => Ack::Done,
        Err(error) if error.kind() == ErrorKind::LeaseLost => Ack::LeaseLost,
        Err(error) => Ack::Error(format!("{:?}", error.kind())),
    }
}
