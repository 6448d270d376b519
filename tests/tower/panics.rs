//! A function of the user's that panics costs nobody a response, and nobody a second charge.

use crate::support::*;
use idemstore::tower::{Hooks, Recording};

fn panicking_hooks() -> Hooks {
    Hooks::new()
        .on_duplicate(|_, _| panic!("a bug in the hook"))
        .on_takeover(|_, _| panic!("a bug in the hook"))
        .on_mismatch(|_| panic!("a bug in the hook"))
        .on_unrecorded(|_, _| panic!("a bug in the hook"))
}

#[test]
fn a_hook_that_panics_changes_no_answer() {
    let lab = Lab::new();
    let layer = lab.layer().hooks(panicking_hooks());
    let shop = lab.shop(&layer);
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
    assert!(lab.send(&shop, post("a", "100")).is_replay());
    lab.send(&shop, post("a", "999")).is(422, "idempotency_conflict");
    let failing = lab.shop_of(&layer, async |_, _| Err("the provider hung up".into()));
    lab.try_send(&failing, post("b", "100")).unwrap_err();
    for _ in 0..2 {
        lab.advance(LEFT);
        lab.send(&failing, post("b", "100")).is(503, "idempotency_outcome_unknown");
    }
    assert_eq!(lab.charges(), 2);
}

#[test]
fn a_hook_that_panics_keeps_no_response_from_its_client() {
    let lab = Lab::new();
    let store = lab.store.clone();
    let shop = lab.shop_of(&lab.layer().hooks(panicking_hooks()), move |charge, _| {
        store.close().unwrap();
        async move { Ok(receipt(charge)) }
    });
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
}

#[test]
fn a_recording_that_panics_leaves_the_outcome_unknown_and_the_response_to_its_client() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().recording(Recording::by(|_| panic!("a bug in the rule"))));
    lab.send(&shop, post("a", "100")).is(201, "receipt 1");
    lab.advance(LEFT);
    lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}
