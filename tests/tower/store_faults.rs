//! A store that fails at one verb: what runs, what the client gets, and what a retry is told.

use crate::support::*;
use idemstore::{
    Begin, BeginOptions, Ended, FencingToken, Fingerprint, Grant, IdempotencyStore, KeepAlive, Key, OutcomeKind, Result, Store,
    Timestamp,
    tower::{Attempt, Conclusion, StoreFailure},
};
use std::{sync::atomic::Ordering::SeqCst, time::Duration};
use tower::{Layer, service_fn};

#[derive(Clone, Copy, PartialEq)]
enum Verb {
    Begin,
    End,
    Release,
    Renew,
    Checkpoint,
}

/// A store of which one verb goes to another store, one that is closed.
#[derive(Clone)]
struct Faulty {
    whole: Store,
    closed: Store,
    fault: Verb,
}

impl Faulty {
    fn at(&self, verb: Verb) -> &Store {
        if self.fault == verb { &self.closed } else { &self.whole }
    }
}

impl IdempotencyStore for Faulty {
    type KeepAlive = KeepAlive;

    async fn begin(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> Result<Begin<Grant>> {
        IdempotencyStore::begin(self.at(Verb::Begin), key, fingerprint, options).await
    }

    async fn end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> Result<Ended> {
        IdempotencyStore::end(self.at(Verb::End), key, token, kind, payload, retention).await
    }

    async fn release(&self, key: &Key, token: FencingToken) -> Result<()> {
        IdempotencyStore::release(self.at(Verb::Release), key, token).await
    }

    async fn renew(&self, key: &Key, token: FencingToken, lease: Duration) -> Result<Timestamp> {
        IdempotencyStore::renew(self.at(Verb::Renew), key, token, lease).await
    }

    async fn checkpoint(&self, key: &Key, token: FencingToken, data: &[u8]) -> Result<()> {
        IdempotencyStore::checkpoint(self.at(Verb::Checkpoint), key, token, data).await
    }

    fn keep_alive(&self, key: &Key, token: FencingToken, lease: Duration) -> KeepAlive {
        IdempotencyStore::keep_alive(&self.whole, key, token, lease)
    }
}

/// A shop over a store that fails at this verb; it checkpoints, charges, and concludes as it is told.
fn shop(lab: &Lab, fault: Verb, failure: StoreFailure, conclusion: Conclusion) -> impl Shop + use<> {
    let closed = Store::in_memory().unwrap();
    closed.close().unwrap();
    let store = Faulty { whole: lab.store.clone(), closed, fault };
    let charges = lab.charges.clone();
    layer_on(store, &lab.runtime).on_store_failure(failure).layer(service_fn(move |request: Asked| {
        let charges = charges.clone();
        async move {
            if let Some(attempt) = request.extensions().get::<Attempt>().cloned()
                && attempt.checkpoint("charging").await.is_err()
            {
                let mut refused = response(503, "not charged");
                refused.extensions_mut().insert(Conclusion::Release);
                return Ok(refused);
            }
            let mut receipt = receipt(charges.fetch_add(1, SeqCst) + 1);
            receipt.extensions_mut().insert(conclusion);
            Ok::<_, BoxError>(receipt)
        }
    }))
}

/// What a retry is told a moment after the first, when nobody is at work any more.
fn retry(lab: &Lab, shop: &impl Shop) -> Answer {
    lab.advance(LEFT);
    lab.send(shop, post("a", "100"))
}

#[test]
fn at_begin_it_runs_nothing_unless_it_is_to_fail_open() {
    let lab = Lab::new();
    let closed = shop(&lab, Verb::Begin, StoreFailure::Closed, Conclusion::Complete);
    lab.send(&closed, post("a", "100")).is(503, "idempotency_unavailable");
    assert_eq!(lab.charges(), 0);
    let open = shop(&lab, Verb::Begin, StoreFailure::Open, Conclusion::Complete);
    lab.send(&open, post("a", "100")).is(201, "receipt 1");
}

#[test]
fn at_the_end_the_client_has_its_response_and_a_retry_is_told_that_nobody_knows() {
    for failure in [StoreFailure::Closed, StoreFailure::Open] {
        let lab = Lab::new();
        let shop = shop(&lab, Verb::End, failure, Conclusion::Complete);
        lab.send(&shop, post("a", "100")).is(201, "receipt 1");
        retry(&lab, &shop).is(503, "idempotency_outcome_unknown");
        assert_eq!(lab.charges(), 1);
    }
}

#[test]
fn at_a_release_the_client_has_its_response_and_a_retry_is_told_that_nobody_knows() {
    let lab = Lab::new();
    let shop = shop(&lab, Verb::Release, StoreFailure::Open, Conclusion::Release);
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
    retry(&lab, &shop).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn at_a_renewal_an_outcome_that_is_left_is_in_flight_until_its_lease_lapses() {
    let lab = Lab::new();
    let shop = shop(&lab, Verb::Renew, StoreFailure::Open, Conclusion::Unknown);
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
    retry(&lab, &shop).is(409, "idempotency_in_flight");
    lab.advance(LEASE);
    retry(&lab, &shop).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn at_a_checkpoint_nothing_is_charged_and_the_key_is_free() {
    let lab = Lab::new();
    let shop = shop(&lab, Verb::Checkpoint, StoreFailure::Open, Conclusion::Complete);
    for _ in 0..2 {
        lab.send(&shop, post("a", "100")).is(503, "not charged");
    }
    assert_eq!((lab.charges(), lab.store.stats().unwrap().answers.fresh), (0, 2));
}
