//! What the tests share: a store in memory whose time stands still until it is moved.

use idemstore::{
    Begin, ErrorKind, Fingerprint, Key, Lease, ManualClock, Options, Outcome, Result, Store, Timestamp,
    disk::{Disk as _, MemoryDisk},
};
use std::{
    future::Future,
    ops::ControlFlow,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

pub const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub const LEASE: Duration = Duration::from_secs(30);
pub const DAY: Duration = Duration::from_secs(86_400);
pub const MS: Duration = Duration::from_millis(1);
pub const NAME: &str = "store.idem";
/// All that a store consists of.
pub const FILES: [&str; 4] = [NAME, "store.idem.owner", "store.idem.journal-0", "store.idem.journal-1"];

/// A disk, a clock, and how the store on them is opened.
pub struct Lab {
    pub disk: MemoryDisk,
    pub clock: ManualClock,
    pub options: Options,
}

impl Lab {
    pub fn new() -> Self {
        let clock = ManualClock::new(START);
        // A short journal, so that records are in all of its generations and in the table.
        let options = Options::new().journal_bytes(16 << 10).background_checkpoints(false);
        let options = options.clock(clock.clone()).cache_bytes(1 << 20).reserve_bytes(0).sweep_interval(None).lease(LEASE);
        Self { disk: MemoryDisk::new(), clock, options }
    }

    /// As [`new`](Lab::new), with further options.
    pub fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let lab = Self::new();
        Self { options: change(lab.options.clone()), ..lab }
    }

    pub fn create(&self) -> Store {
        self.options.create_on(self.disk.clone(), NAME).unwrap()
    }

    pub fn open(&self) -> Store {
        self.options.open_on(self.disk.clone(), NAME).unwrap()
    }
}

/// The whole of a file.
pub fn bytes(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Puts a file there, whatever was there before.
pub fn put(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
    let _ = disk.remove(name);
    disk.create(name).unwrap().write_at(0, bytes).unwrap();
}

/// What a crash at this instant would leave: a copy of the files, taken while the store is open and does nothing.
pub fn crash_image(disk: &MemoryDisk) -> MemoryDisk {
    let image = MemoryDisk::new();
    for name in FILES {
        put(&image, name, &bytes(disk, name));
    }
    image
}

pub fn key(id: &str) -> Key {
    Key::new("shop/POST /payments", id).unwrap()
}

pub fn request(name: &str) -> Fingerprint {
    Fingerprint::of(&[name.as_bytes()])
}

pub fn begin(store: &Store, id: &str) -> Result<Begin> {
    store.begin(&key(id), request(id))
}

pub fn fresh(store: &Store, id: &str) -> Lease {
    match begin(store, id).unwrap() {
        Begin::Fresh(lease) => lease,
        other => panic!("{id}: expected fresh, got {other:?}"),
    }
}

pub fn takeover(store: &Store, id: &str) -> Lease {
    match begin(store, id).unwrap() {
        Begin::Takeover(lease) => lease,
        other => panic!("{id}: expected takeover, got {other:?}"),
    }
}

pub fn replay(store: &Store, id: &str) -> Outcome {
    match begin(store, id).unwrap() {
        Begin::Replay(outcome) => outcome,
        other => panic!("{id}: expected replay, got {other:?}"),
    }
}

pub fn in_flight(store: &Store, id: &str) -> Duration {
    match begin(store, id).unwrap() {
        Begin::InFlight { retry_after, .. } => retry_after,
        other => panic!("{id}: expected in flight, got {other:?}"),
    }
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) -> String {
    let error = result.expect_err("the call is refused");
    assert_eq!(error.kind(), kind, "{error}");
    error.to_string()
}

/// Begins many keys with few commits.
pub fn begin_all(store: &Store, ids: impl Iterator<Item = String>) -> Vec<Lease> {
    let mut context = Context::from_waker(Waker::noop());
    let mut begun: Vec<_> = ids.map(|id| (Box::pin(store.begin_async(&key(&id), request(&id))), None)).collect();
    for (future, answer) in &mut begun {
        if let Poll::Ready(ready) = future.as_mut().poll(&mut context) {
            *answer = Some(ready);
        }
    }
    let answers = begun.into_iter().map(|(future, answer)| answer.unwrap_or_else(|| block_on(future)));
    answers
        .map(|answer| match answer.unwrap() {
            Begin::Fresh(lease) => lease,
            other => panic!("expected fresh, got {other:?}"),
        })
        .collect()
}

/// Lets other threads run until they have got somewhere. The condition has to come true, so no time is measured.
pub fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Goes on with long work.
pub fn go_on(_: idemstore::Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Runs a future on this thread, without any runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
