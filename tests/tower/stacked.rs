//! The layer around itself, as when a router and one of its routes both have it.

use crate::support::*;
use idemstore::tower::Attempt;
use std::sync::{Arc, Mutex};
use tower::Layer;

#[test]
fn a_layer_within_itself_runs_the_request_once_and_replays_it() {
    let lab = Lab::new();
    let charges = lab.charges.clone();
    let twice = lab.layer().layer(lab.layer().layer(tower::service_fn(move |_| {
        let charge = charges.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move { Ok::<_, BoxError>(receipt(charge)) }
    })));
    lab.send(&twice, post("a", "100")).is(201, "receipt 1");
    assert!(lab.send(&twice, post("a", "100")).is_replay());
    assert_eq!(lab.charges(), 1);
}

/// Who keeps a request's attempt and sends it along later gets no second run for it.
#[test]
fn an_attempt_that_ended_opens_nothing() {
    let lab = Lab::new();
    let kept = Arc::new(Mutex::new(None));
    let keeping = kept.clone();
    let shop = lab.shop_of(&lab.layer(), move |charge, request| {
        keeping.lock().unwrap().replace(request.extensions().get::<Attempt>().unwrap().clone());
        async move { Ok(receipt(charge)) }
    });
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
    let mut again = post("a", "100");
    again.extensions_mut().insert(kept.lock().unwrap().take().unwrap());
    assert!(lab.send(&shop, again).is_replay());
    assert_eq!(lab.charges(), 1);
}
