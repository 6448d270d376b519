//! This crate, with its defaults (but for the cache, which everybody gets, and the sweep: nothing expires here).

use super::CACHE_BYTES;
use crate::{
    engine::timed,
    load::{self, REQUEST, Request},
    slice::block_on,
    system::{Answer, Awaited, Awaiting, Caller, System},
};
use idemstore::{Begin, Fingerprint, Key, Lease, Options, OutcomeKind, Store};
use std::{
    fs,
    future::Future,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// Payments in flight while the store is filled; its queue takes 4096 commands.
const IN_FLIGHT: u64 = 2000;
const WEEK: Duration = Duration::from_hours(7 * 24);

pub struct Idemstore {
    store: Store,
    /// Whether the callers are tasks of one thread.
    awaited: bool,
}

struct StoreCaller<'s> {
    store: &'s Store,
    lease: Option<Lease>,
}

fn key(id: &str) -> Key {
    Key::new("payments", id).unwrap()
}

impl Idemstore {
    pub fn open(directory: &std::path::Path, records: u64, awaited: bool) -> Self {
        fs::create_dir(directory).unwrap();
        let options = Options::new().sweep_interval(None).cache_bytes(CACHE_BYTES);
        let store = options.create(directory.join("payments.idem")).unwrap();
        timed("idemstore", records, || fill(&store, 0..records));
        Self { store, awaited }
    }
}

impl System for Idemstore {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(StoreCaller { store: &self.store, lease: None })
    }

    fn awaited(&self) -> Option<&dyn Awaited> {
        self.awaited.then_some(self)
    }
}

impl Awaited for Idemstore {
    fn block_on(&self, tasks: Pin<&mut dyn Future<Output = ()>>) {
        block_on(tasks);
    }

    fn pay<'s>(&'s self, id: &'s str, request: &'s Request, payload: &'s [u8]) -> Awaiting<'s, ()> {
        Box::pin(async move {
            let begin = self.store.begin_async(&key(id), Fingerprint::from_bytes(*request));
            fresh(begin.await.unwrap()).complete_async(payload).await.unwrap();
        })
    }

    fn begin<'s>(&'s self, id: &'s str, request: &'s Request) -> Awaiting<'s, Answer> {
        Box::pin(async move { answer(self.store.begin_async(&key(id), Fingerprint::from_bytes(*request)).await.unwrap()).0 })
    }
}

fn answer(begin: Begin) -> (Answer, Option<Lease>) {
    match begin {
        Begin::Fresh(lease) => (Answer::Fresh, Some(lease)),
        Begin::Replay(outcome) => (Answer::Replay(outcome.payload().to_vec()), None),
        Begin::InFlight { .. } => (Answer::Running, None),
        Begin::Mismatch => (Answer::Mismatch, None),
        other @ Begin::Takeover(_) => panic!("no lease ends here: {other:?}"),
    }
}

impl Caller for StoreCaller<'_> {
    fn begin(&mut self, id: &str, request: &Request) -> Answer {
        let (answer, lease) = answer(self.store.begin(&key(id), Fingerprint::from_bytes(*request)).unwrap());
        self.lease = lease.or(self.lease.take());
        answer
    }

    fn complete(&mut self, id: &str, payload: &[u8]) {
        let lease = self.lease.take().expect("begun by this caller");
        assert_eq!(lease.key().id(), id);
        lease.complete(payload).unwrap();
    }
}

/// Completes new keys, thousands to a commit.
pub fn fill(store: &Store, records: Range<u64>) {
    for first in records.clone().step_by(usize::try_from(IN_FLIGHT).unwrap()) {
        let numbers = first..records.end.min(first + IN_FLIGHT);
        let begin = |number| Box::pin(store.begin_async(&key(&load::id(number)), Fingerprint::from_bytes(REQUEST)));
        let mut begins: Vec<_> = numbers.clone().map(begin).collect();
        // The first poll submits.
        let early: Vec<_> = begins.iter_mut().map(|begin| poll_once(begin.as_mut())).collect();
        let answers = begins.into_iter().zip(early).map(|(begin, early)| match early {
            Poll::Ready(answer) => answer.unwrap(),
            Poll::Pending => block_on(begin).unwrap(),
        });
        let leases: Vec<Lease> = answers.map(fresh).collect();
        let end = |(lease, number): (&Lease, u64)| {
            let payload = load::payload(number);
            store.end_async(lease.key(), lease.token(), OutcomeKind::Completed, &payload, Some(WEEK))
        };
        let ends: Vec<_> = leases.iter().zip(numbers).map(end).collect();
        for end in ends {
            end.wait().unwrap();
        }
    }
}

fn fresh(answer: Begin) -> Lease {
    match answer {
        Begin::Fresh(lease) => lease,
        other => panic!("a new key is fresh, not {other:?}"),
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
