//! The payments that the benchmarks make, and a way to have many of them quickly.

use idemstore::{Begin, Fingerprint, Key, Lease, Store};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::Duration,
};

/// Bytes of an outcome: what an x402 facilitator answers, roughly.
pub const PAYLOAD_BYTES: usize = 352;
/// Tickets in flight while a store is filled; the store's queue takes 4096 commands.
const IN_FLIGHT: u64 = 2000;

/// Gives keys that were never given before in this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A key id of 36 bytes, spread like a random UUID.
pub fn id(number: u64) -> String {
    // A bijection (the finaliser of SplitMix64): no two numbers share an id.
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    format!("pay_{mixed:016x}{number:016x}")
}

pub fn key(number: u64) -> Key {
    Key::new("tenant-7/POST /payments", id(number)).unwrap()
}

pub fn new_key() -> Key {
    key(NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn request() -> Fingerprint {
    Fingerprint::of(&[b"POST", b"/payments", b"100 EUR"])
}

pub fn payload() -> Vec<u8> {
    vec![0x5a; PAYLOAD_BYTES]
}

pub fn fresh(answer: Begin) -> Lease {
    match answer {
        Begin::Fresh(lease) => lease,
        other => panic!("a new key is fresh, not {other:?}"),
    }
}

/// One payment by a caller that blocks.
pub fn pay(store: &Store, request: Fingerprint, payload: &[u8]) {
    fresh(store.begin(&new_key(), request).unwrap()).complete(payload).unwrap();
}

/// Completes `records` new keys, thousands to a commit; their outcomes are kept for `retention`.
pub fn fill(store: &Store, records: u64, retention: Duration) {
    let (request, payload) = (request(), payload());
    let mut left = records;
    while left > 0 {
        let piece = left.min(IN_FLIGHT);
        left -= piece;
        let mut begins: Vec<_> = (0..piece).map(|_| Box::pin(store.begin_async(&new_key(), request))).collect();
        // The first poll submits.
        let early: Vec<_> = begins.iter_mut().map(|begin| poll_once(begin.as_mut())).collect();
        let leases: Vec<_> = begins
            .into_iter()
            .zip(early)
            .map(|(begin, early)| match early {
                Poll::Ready(answer) => fresh(answer.unwrap()),
                Poll::Pending => fresh(block_on(begin).unwrap()),
            })
            .collect();
        let ends: Vec<_> = leases
            .iter()
            .map(|lease| {
                store.end_async(lease.key(), lease.token(), idemstore::OutcomeKind::Completed, &payload, Some(retention))
            })
            .collect();
        for end in ends {
            end.wait().unwrap();
        }
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
