//! An attempt that never ended is faced, and only run again where somebody decided that it may be.

use crate::support::*;
use bytes::Bytes;
use http::Response;
use idemstore::tower::{Attempt, Conclusion, Reconcile, Reconciled, Takeover};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

/// A shop whose first charge is never heard of again; with a checkpoint, if so asked.
fn shop(lab: &Lab, takeover: Takeover, marks: bool) -> impl Shop + use<> {
    lab.shop_of(&lab.layer().takeover(takeover), move |charge, request| async move {
        let attempt = request.extensions().get::<Attempt>().unwrap().clone();
        if charge > 1 {
            assert_eq!(attempt.earlier_checkpoint(), marks.then_some(&b"charging"[..]));
            return Ok(receipt(charge));
        }
        if marks {
            attempt.checkpoint("charging").await?;
        }
        Err("the provider hung up".into())
    })
}

/// The answer to a retry after the first charge was lost.
fn retry(lab: &Lab, shop: &impl Shop) -> Answer {
    lab.try_send(shop, post("a", "100")).unwrap_err();
    lab.advance(LEFT);
    lab.send(shop, post("a", "100"))
}

#[test]
fn by_default_nothing_runs_again() {
    let lab = Lab::new();
    retry(&lab, &shop(&lab, Takeover::Refuse, false)).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn it_runs_again_where_that_does_no_harm() {
    let lab = Lab::new();
    retry(&lab, &shop(&lab, Takeover::Rerun, true)).is(201, "receipt 2");
}

#[test]
fn it_runs_again_unless_the_effect_may_have_started() {
    let lab = Lab::new();
    retry(&lab, &shop(&lab, Takeover::RerunUnlessCheckpointed, false)).is(201, "receipt 2");
    let lab = Lab::new();
    retry(&lab, &shop(&lab, Takeover::RerunUnlessCheckpointed, true)).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

fn asking(found: fn() -> Reconciled) -> (Takeover, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = asked.clone();
    let reconcile = Reconcile::new(move |unresolved| {
        asking.fetch_add(1, SeqCst);
        async move {
            yield_now().await;
            assert_eq!((unresolved.attempt.number(), &unresolved.request.body()[..]), (2, &b"100"[..]));
            assert_eq!(unresolved.attempt.earlier_checkpoint(), Some(&b"charging"[..]));
            found()
        }
    });
    (Takeover::Reconcile(reconcile), asked)
}

#[test]
fn what_reconciliation_finds_is_recorded_and_answered() {
    let lab = Lab::new();
    let (takeover, asked) = asking(|| Reconciled::Completed(Response::new(Bytes::from_static(b"the provider has it"))));
    let shop = shop(&lab, takeover, true);
    let found = retry(&lab, &shop);
    assert_eq!((&found.body[..], found.is_replay()), ("the provider has it", false));
    let again = lab.send(&shop, post("a", "100"));
    assert_eq!((&again.body[..], again.is_replay()), ("the provider has it", true));
    assert_eq!((lab.charges(), asked.load(SeqCst)), (1, 1));
}

#[test]
fn a_failure_that_reconciliation_finds_is_recorded_as_failed() {
    let lab = Lab::new();
    let (takeover, _) = asking(|| Reconciled::Failed(Response::builder().status(402).body(Bytes::new()).unwrap()));
    let shop = shop(&lab, takeover, true);
    assert_eq!(retry(&lab, &shop).status, 402);
    assert!(lab.send(&shop, post("a", "100")).is_replay());
    assert_eq!(lab.store.stats().unwrap().failed, 1);
}

#[test]
fn it_runs_again_when_reconciliation_finds_that_nothing_happened() {
    let lab = Lab::new();
    let (takeover, _) = asking(|| Reconciled::Rerun);
    retry(&lab, &shop(&lab, takeover, true)).is(201, "receipt 2");
}

#[test]
fn what_reconciliation_does_not_find_or_panics_over_stays_unknown() {
    for found in [|| Reconciled::Unknown, || panic!("a bug in the reconciliation")] {
        let lab = Lab::new();
        let (takeover, asked) = asking(found);
        retry(&lab, &shop(&lab, takeover, true)).is(503, "idempotency_outcome_unknown");
        assert_eq!((lab.charges(), asked.load(SeqCst)), (1, 1));
    }
}

#[test]
fn a_refused_takeover_does_not_pass_for_somebody_at_work() {
    let lab = Lab::new();
    let shop = shop(&lab, Takeover::Refuse, false);
    lab.try_send(&shop, post("a", "100")).unwrap_err();
    for _ in 0..5 {
        lab.advance(LEFT);
        lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
    }
}

#[test]
fn a_duplicate_that_waits_is_told_when_the_outcome_is_unknown() {
    let lab = Lab::new();
    let gate = Gate::default();
    let opened = gate.clone();
    let shop = lab.shop_of(&lab.layer().wait(Duration::from_secs(60)), move |_, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            let mut response = response(202, "pending");
            response.extensions_mut().insert(Conclusion::Unknown);
            Ok(response)
        }
    });
    let first = lab.begin(&shop, post("a", "100"));
    opened.open();
    assert_eq!(lab.runtime.block_on(first).unwrap().status, 202);
    lab.advance(LEFT);
    lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
}
