//! A client that goes away, at whatever moment, does not stop what has begun: it runs to its end, once, and is recorded.

use crate::support::*;
use idemstore::{
    Begin, BeginOptions, Ended, FencingToken, Fingerprint, Grant, IdempotencyStore, KeepAlive, Key, OutcomeKind, Result, Store,
    Timestamp,
};
use std::{
    pin::pin,
    sync::atomic::Ordering::SeqCst,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tower::{Layer, ServiceExt, service_fn};

/// A store whose answers take a turn to come and a turn to be seen, always the same number, so that polls can be counted.
#[derive(Clone)]
struct Slow(Store);

impl IdempotencyStore for Slow {
    type KeepAlive = KeepAlive;

    async fn begin(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> Result<Begin<Grant>> {
        yield_now().await;
        let answer = self.0.begin_with(key, fingerprint, options)?.map(idemstore::Lease::into_grant);
        Ok(answer)
    }

    async fn end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> Result<Ended> {
        yield_now().await;
        let ended = self.0.end(key, token, kind, payload, retention);
        yield_now().await;
        ended
    }

    async fn release(&self, key: &Key, token: FencingToken) -> Result<()> {
        self.0.release(key, token)
    }

    async fn renew(&self, key: &Key, token: FencingToken, lease: Duration) -> Result<Timestamp> {
        self.0.renew(key, token, lease)
    }

    async fn checkpoint(&self, key: &Key, token: FencingToken, data: &[u8]) -> Result<()> {
        self.0.checkpoint(key, token, data)
    }

    fn keep_alive(&self, key: &Key, token: FencingToken, lease: Duration) -> KeepAlive {
        IdempotencyStore::keep_alive(&self.0, key, token, lease)
    }
}

/// What happened when the client went away after so many polls.
struct Observed {
    was_answered: bool,
    charges: usize,
    retry: Answer,
    charges_after_retry: usize,
}

fn leave_after(polls: usize) -> Observed {
    let lab = Lab::new();
    let charges = lab.charges.clone();
    let shop = layer_on(Slow(lab.store.clone()), &lab.runtime).layer(service_fn(move |_: Asked| {
        let charges = charges.clone();
        async move {
            yield_now().await;
            let charge = charges.fetch_add(1, SeqCst) + 1;
            yield_now().await;
            Ok::<_, BoxError>(receipt(charge).map(Frames::waiting))
        }
    }));
    // One turn of the spawned task for each of the client's.
    let mut context = Context::from_waker(Waker::noop());
    let mut was_answered = false;
    {
        let mut sent = pin!(answer_of(shop.clone().oneshot(post("a", "100"))));
        for _ in 0..polls {
            if sent.as_mut().poll(&mut context).is_ready() {
                was_answered = true;
                break;
            }
            lab.runtime.step(&mut context);
        }
    }
    lab.runtime.finish();
    let charges = lab.charges();
    let retry = lab.runtime.block_on(answer_of(shop.clone().oneshot(post("a", "100")))).unwrap();
    Observed { was_answered, charges, retry, charges_after_retry: lab.charges() }
}

#[test]
fn a_client_that_goes_away_at_any_moment_finds_one_charge_and_its_receipt() {
    let (mut before, mut during) = (0, 0);
    for polls in 0.. {
        assert!(polls < 100, "it is answered at some time");
        let observed = leave_after(polls);
        assert_eq!(observed.charges_after_retry, 1, "left after {polls} polls");
        assert_eq!(observed.retry.body, "receipt 1", "left after {polls} polls");
        // What had begun when the client left was recorded without it.
        assert_eq!(observed.retry.is_replay(), observed.charges == 1, "left after {polls} polls");
        if observed.was_answered {
            assert_eq!(observed.charges, 1);
            break;
        }
        if observed.charges == 0 { before += 1 } else { during += 1 }
    }
    assert!(before >= 2, "left {before} times before the handler began");
    assert!(during >= 5, "left {during} times after it had begun");
}

#[test]
fn work_that_its_runtime_drops_is_unknown_and_not_run_again() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |_, _| std::future::pending().await);
    let sent = lab.begin(&shop, post("a", "100"));
    lab.runtime.abort();
    lab.runtime.block_on(sent).unwrap().is(503, "idempotency_outcome_unknown");
    lab.send(&shop, post("a", "100")).is(409, "idempotency_in_flight");
    lab.advance(LEASE);
    lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_client_that_leaves_while_it_waits_in_line_disturbs_nobody() {
    let lab = Lab::new();
    let (shop, opened) = lab.gated_shop(&lab.layer().wait(Duration::from_secs(60)), receipt);
    let first = lab.begin(&shop, post("a", "100"));
    let mut waited = 0;
    {
        let mut second = pin!(shop.clone().oneshot(post("a", "100")));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(matches!(second.as_mut().poll(&mut context), Poll::Pending));
            waited += 1;
        }
    }
    assert_eq!((waited, lab.store.stats().unwrap().waiting), (3, 0));
    opened.open();
    assert_eq!(lab.runtime.block_on(first).unwrap().body, "receipt 1");
    assert!(lab.send(&shop, post("a", "100")).is_replay());
}
