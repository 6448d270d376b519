//! The threads of a store under a scheduler that tries many interleavings: hand-off of commands, wake-up of waiters,
//! shutdown. Run with `RUSTFLAGS="--cfg shuttle" cargo test --test shuttle`.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::similar_names, missing_docs)]

use idemstore::{
    Begin, BeginOptions, ErrorKind, Fingerprint, Key, Lease, ManualClock, Options, Result, Store, Timestamp,
    disk::{Disk, DiskFile, FileId},
};
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler},
    sync::{Condvar, Mutex, atomic::AtomicBool},
    thread,
};
use std::{
    collections::BTreeMap,
    future::Future as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex as PlainMutex, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

const WAIT: Duration = Duration::from_secs(10);

/// Files in memory behind locks that the scheduler does not see: redb calls them while it holds locks of its own.
#[derive(Clone, Debug, Default)]
struct PlainDisk(Arc<PlainMutex<BTreeMap<String, (u64, PlainFile)>>>);

#[derive(Clone, Debug, Default)]
struct PlainFile(Arc<PlainMutex<Vec<u8>>>, u64);

impl Disk for PlainDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let files = self.0.lock().unwrap();
        let (_, file) = files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(file.clone()))
    }
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.0.lock().unwrap();
        let id = files.values().map(|(id, _)| id + 1).max().unwrap_or_default();
        let file = PlainFile(Arc::default(), id);
        files.insert(name.to_owned(), (id, file.clone()));
        Ok(Arc::new(file))
    }
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.rename_over(from, to)
    }
    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn id(&self, name: &str) -> io::Result<FileId> {
        let files = self.0.lock().unwrap();
        files.get(name).map(|(id, _)| FileId(0, *id)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn check_private(&self) -> io::Result<()> {
        Ok(())
    }
    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl DiskFile for PlainFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(place(len), 0);
        Ok(())
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let end = place(offset) + into.len();
        into.copy_from_slice(bytes.get(place(offset)..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let end = place(offset) + new.len();
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[place(offset)..end].copy_from_slice(new);
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
    fn id(&self) -> io::Result<FileId> {
        Ok(FileId(0, self.1))
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Runs `f` under many schedules: half of them switch at random everywhere, half run one thread as far as it gets and switch
/// at few points, which finds what needs a long delay at one place. On a failure the schedule is printed, and
/// `IDEMSTORE_SEED` brings all of them back.
fn check(f: impl Fn() + Send + Sync + 'static) {
    let (seed, schedules) = (setting("IDEMSTORE_SEED", 1), setting("IDEMSTORE_SCHEDULES", 200));
    let half = usize::try_from(schedules / 2).unwrap();
    let f = Arc::new(f);
    let (first, second) = (f.clone(), f);
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    let random = Runner::new(RandomScheduler::new_from_seed(seed, half), config.clone()).run(move || first());
    let few_switches = Runner::new(PctScheduler::new_from_seed(seed, 3, half), config).run(move || second());
    assert_eq!((random, few_switches), (half, half), "every schedule ran");
}

fn store() -> (Store, ManualClock) {
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let options = Options::new().clock(clock.clone()).cache_bytes(1 << 20).reserve_bytes(0).sweep_interval(None);
    (options.create_on(PlainDisk::default(), "store.idem").unwrap(), clock)
}

fn key() -> Key {
    Key::new("shop", "pay").unwrap()
}

fn request() -> Fingerprint {
    Fingerprint::of(&[b"100 EUR"])
}

fn begin(store: &Store) -> Result<Begin> {
    store.begin(&key(), request())
}

fn begin_waiting(store: &Store) -> Result<Begin> {
    store.begin_with(&key(), request(), BeginOptions::new().wait(WAIT))
}

fn fresh(store: &Store) -> Lease {
    match begin(store).unwrap() {
        Begin::Fresh(lease) => lease,
        other => panic!("{other:?}"),
    }
}

/// Runs something on a thread of the scheduler.
fn start<T: Send + 'static>(store: &Store, run: impl FnOnce(&Store) -> T + Send + 'static) -> thread::JoinHandle<T> {
    let store = store.clone();
    thread::spawn(move || run(&store))
}

fn is_closed<T>(result: &Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Closed)
}

#[test]
fn of_two_begins_of_one_key_one_is_fresh() {
    check(|| {
        let (store, _clock) = store();
        let callers = [(); 2].map(|()| start(&store, |store| begin(store).unwrap()));
        let answers = callers.map(|caller| caller.join().unwrap());
        let fresh = answers.iter().filter(|answer| matches!(answer, Begin::Fresh(_))).count();
        let in_flight = answers.iter().filter(|answer| matches!(answer, Begin::InFlight { .. })).count();
        assert_eq!((fresh, in_flight), (1, 1));
    });
}

#[test]
fn a_waiter_around_the_moment_of_completion_always_gets_the_outcome() {
    check(|| {
        let (store, _clock) = store();
        let lease = fresh(&store);
        let waiters = [(); 2].map(|()| start(&store, begin_waiting));
        lease.complete("receipt").unwrap();
        for waiter in waiters {
            assert!(matches!(waiter.join().unwrap(), Ok(Begin::Replay(_))));
        }
        assert_eq!(store.stats().unwrap().waiting, 0);
    });
}

#[test]
fn a_release_lets_one_waiter_run_and_the_other_wait_for_it() {
    check(|| {
        let (store, _clock) = store();
        let lease = fresh(&store);
        let waiters = [(); 2].map(|()| {
            start(&store, |store| match begin_waiting(store).unwrap() {
                Begin::Fresh(lease) => {
                    lease.complete("receipt").unwrap();
                    true
                }
                Begin::Replay(_) => false,
                other => panic!("{other:?}"),
            })
        });
        lease.release().unwrap();
        assert_eq!(waiters.map(|waiter| waiter.join().unwrap()).into_iter().filter(|&ran| ran).count(), 1);
    });
}

#[test]
fn a_lease_that_lapses_ends_the_wait_of_every_waiter() {
    check(|| {
        let (store, clock) = store();
        drop(fresh(&store));
        let waiters = [(); 2].map(|()| {
            start(&store, |store| {
                let answer = begin_waiting(store).unwrap();
                if let Begin::Takeover(lease) = &answer {
                    lease.complete("receipt").unwrap();
                }
                answer
            })
        });
        // Longer than the lease and longer than the wait: whoever waits has to look again.
        clock.advance(Duration::from_secs(31));
        let answers = waiters.map(|waiter| waiter.join().unwrap());
        assert!(answers.iter().all(|answer| !matches!(answer, Begin::Fresh(_) | Begin::Mismatch)), "{answers:?}");
        let taken = answers.iter().filter(|answer| matches!(answer, Begin::Takeover(_))).count();
        let replayed = answers.iter().filter(|answer| matches!(answer, Begin::Replay(_))).count();
        assert!(taken == 1 || (taken, replayed) == (0, 0), "{answers:?}");
    });
}

#[test]
fn every_call_that_races_with_a_close_returns() {
    check(|| {
        let (store, _clock) = store();
        let lease = fresh(&store);
        let waiter = start(&store, begin_waiting);
        let submitter = thread::spawn(move || lease.complete("receipt").map(drop));
        let closer = start(&store, Store::close);
        let ended = submitter.join().unwrap();
        let waited = waiter.join().unwrap();
        closer.join().unwrap().unwrap();
        assert!(ended.is_ok() || is_closed(&ended), "{ended:?}");
        assert!(matches!(waited, Ok(Begin::Replay(_))) || is_closed(&waited), "{waited:?}");
        assert!(!matches!(waited, Ok(Begin::Replay(_))) || ended.is_ok(), "a replay of what was not done");
        assert!(is_closed(&begin(&store)));
    });
}

#[test]
fn two_closes_at_once_both_return_after_what_was_queued_is_done() {
    check(|| {
        let (store, _clock) = store();
        let ticket = fresh(&store).complete_async("receipt");
        let closers = [(); 2].map(|()| start(&store, |store| store.close().is_ok() && is_closed(&begin(store))));
        for closer in closers {
            assert!(closer.join().unwrap());
        }
        ticket.wait().unwrap();
    });
}

#[test]
fn a_lease_kept_alive_is_completed_once_and_not_lost() {
    check(|| {
        let (store, clock) = store();
        let lease = fresh(&store);
        let guard = lease.keep_alive();
        let lost = guard.lost();
        let mover = thread::spawn(move || {
            for _ in 0..3 {
                clock.advance(Duration::from_secs(10));
            }
        });
        lease.complete("receipt").unwrap();
        mover.join().unwrap();
        assert!(!guard.is_lost());
        drop(guard);
        assert!(!lost.wait());
        assert!(matches!(begin(&store).unwrap(), Begin::Replay(_)));
    });
}

#[test]
fn listeners_of_a_lease_are_answered_when_the_store_closes() {
    check(|| {
        let (store, clock) = store();
        let lease = fresh(&store);
        let guard = lease.keep_alive();
        let lost = guard.lost();
        let mover = thread::spawn(move || clock.advance(Duration::from_secs(10)));
        let listener = thread::spawn(move || lost.wait());
        store.close().unwrap();
        mover.join().unwrap();
        assert!(!listener.join().unwrap() && !guard.is_lost());
    });
}

#[test]
fn a_begin_that_is_dropped_frees_its_key() {
    check(|| {
        let (store, _clock) = store();
        let dropper = start(&store, |store| {
            let mut future = store.begin_async(&key(), request());
            match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(Begin::Fresh(lease))) => lease.release().unwrap(),
                Poll::Ready(other) => panic!("{other:?}"),
                Poll::Pending => drop(future),
            }
        });
        dropper.join().unwrap();
        // Two rounds through the queue: the grant is before the first, its release before the second.
        store.sweep().unwrap();
        store.sweep().unwrap();
        fresh(&store);
    });
}

#[test]
fn concurrent_commands_share_commits_and_all_are_answered() {
    check(|| {
        let (store, _clock) = store();
        let callers: Vec<_> = (0..3)
            .map(|n| {
                start(&store, move |store| {
                    let key = Key::new("shop", n.to_string()).unwrap();
                    let Begin::Fresh(lease) = store.begin(&key, request()).unwrap() else { panic!("a new key") };
                    lease.complete("receipt").unwrap();
                    lease.token()
                })
            })
            .collect();
        let mut tokens: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap().get()).collect();
        tokens.sort_unstable();
        assert_eq!(tokens, [1, 2, 3]);
        assert_eq!(store.stats().unwrap().completed, 3);
    });
}

/// Also when nobody but the caller is there, so that it may write on its own thread.
#[test]
fn what_a_caller_has_queued_is_done_before_what_it_asks_for_then() {
    check(|| {
        let (store, _clock) = store();
        let lease = fresh(&store);
        let first = lease.complete_async("receipt");
        assert_eq!(lease.complete("another").unwrap_err().kind(), ErrorKind::LeaseLost);
        first.wait().unwrap();
    });
}

/// Closes the store on whatever thread wakes it.
struct Closer {
    store: PlainMutex<Option<Store>>,
    is_done: Mutex<bool>,
    done: Condvar,
}

impl std::task::Wake for Closer {
    fn wake(self: Arc<Self>) {
        let store = self.store.lock().unwrap().take();
        if let Some(store) = store {
            store.close().unwrap();
            drop(store);
            *self.is_done.lock().unwrap() = true;
            self.done.notify_all();
        }
    }
}

/// The writer thread cannot wait for itself there, so the close has to wait for the caller in another way.
#[test]
fn a_close_in_a_waker_loses_nothing_of_a_caller_that_writes_on_its_own_thread() {
    check(|| {
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let options = Options::new().clock(clock).cache_bytes(1 << 20).reserve_bytes(0).sweep_interval(None);
        let disk = PlainDisk::default();
        let store = options.create_on(disk.clone(), "store.idem").unwrap();
        let token = fresh(&store).token();
        let closer =
            Arc::new(Closer { store: PlainMutex::new(Some(store.clone())), is_done: Mutex::new(false), done: Condvar::new() });
        let waker = Waker::from(closer.clone());
        let mut stale = store.complete_async(&key(), idemstore::FencingToken::new(999), "stale");
        let is_pending = Pin::new(&mut stale).poll(&mut Context::from_waker(&waker)).is_pending();
        let caller = start(&store, move |store| store.complete(&key(), token, "receipt"));
        let ended = caller.join().unwrap();
        if is_pending {
            let mut is_done = closer.is_done.lock().unwrap();
            while !*is_done {
                is_done = closer.done.wait(is_done).unwrap();
            }
        }
        drop((stale, waker, closer, store));
        assert!(ended.is_ok() || is_closed(&ended), "{ended:?}");
        let store = options.open_on(disk, "store.idem").unwrap();
        let state = store.get(&key()).unwrap().map(|record| record.state());
        assert_eq!(state == Some(idemstore::State::Completed), ended.is_ok(), "{state:?}");
    });
}

/// Nobody writes while the file is copied, whichever thread writes.
#[test]
fn a_compaction_beside_callers_loses_nothing() {
    check(|| {
        let (store, _clock) = store();
        let compaction = start(&store, |store| store.compact(|_| std::ops::ControlFlow::Continue(())));
        fresh(&store).complete("receipt").unwrap();
        compaction.join().unwrap().unwrap();
        assert!(matches!(begin(&store).unwrap(), Begin::Replay(_)));
        store.close().unwrap();
    });
}

/// The mistake that waiters must not make: look first, join afterwards.
#[test]
fn the_scheduler_finds_a_lost_wake_up() {
    fn model(joins_first: bool) {
        let ended = Arc::new(AtomicBool::new(false));
        let waiting = Arc::new((Mutex::new(false), Condvar::new()));
        let (ends, wakes) = (ended.clone(), waiting.clone());
        let ender = thread::spawn(move || {
            ends.store(true, Ordering::SeqCst);
            let _joined = wakes.0.lock().unwrap();
            wakes.1.notify_all();
        });
        if joins_first {
            let mut joined = waiting.0.lock().unwrap();
            while !ended.load(Ordering::SeqCst) {
                joined = waiting.1.wait(joined).unwrap();
            }
        } else if !ended.load(Ordering::SeqCst) {
            let joined = waiting.0.lock().unwrap();
            drop(waiting.1.wait(joined).unwrap());
        }
        ender.join().unwrap();
    }
    check(|| model(true));
    let caught = std::panic::catch_unwind(|| check(|| model(false)));
    let message = caught.expect_err("the mistake is found");
    let message = message.downcast_ref::<String>().map_or("", |message| message);
    assert!(message.contains("deadlock"), "{message}");
}
