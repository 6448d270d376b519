//! What those expect who come from something else.

use crate::support::*;
use idemstore::tower::{Profile, Recording};

#[test]
fn as_with_flask_a_key_is_demanded_and_replays_and_keys_are_independent() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().require_key());
    lab.send(&shop, without_key("100")).is(400, "idempotency_key_required");
    assert_eq!(lab.charges(), 0);
    let first = lab.send(&shop, post("a", "100"));
    let again = lab.send(&shop, post("a", "100"));
    assert_eq!((first.status.as_u16(), &first.body[..], first.is_replay()), (201, "receipt 1", false));
    assert_eq!((again.status.as_u16(), &again.body[..], again.is_replay()), (201, "receipt 1", true));
    assert_eq!(lab.send(&shop, post("b", "100")).body, "receipt 2");
}

#[test]
fn as_with_lift_failures_are_stored_and_replays_marked_and_duplicates_told_to_wait() {
    let lab = Lab::new();
    let (shop, opened) =
        lab.gated_shop(&lab.layer().profile(Profile::Lift), |charge| response(402, &format!("declined {charge}")));
    let first = lab.begin(&shop, post("a", "100"));
    let duplicate = lab.send(&shop, post("a", "100"));
    duplicate.is(409, "idempotency_in_flight");
    assert_eq!(duplicate.header("retry-after"), Some("1"));
    opened.open();
    let first = lab.runtime.block_on(first).unwrap();
    let again = lab.send(&shop, post("a", "100"));
    assert_eq!((first.status.as_u16(), &first.body[..], first.header("x-idempotent-replay")), (402, "declined 1", None));
    assert_eq!((again.status.as_u16(), &again.body[..], again.header("x-idempotent-replay")), (402, "declined 1", Some("true")));
    assert_eq!(lab.charges(), 1);
}

#[test]
fn as_with_a_redis_lock_only_successes_are_stored_and_a_key_is_derived() {
    let lab = Lab::new();
    let layer = lab.layer().recording(Recording::successes()).derive_key();
    let (shop, opened) =
        lab.gated_shop(&layer, |charge| response(if charge == 1 { 500 } else { 201 }, &format!("answer {charge}")));
    let first = lab.begin(&shop, without_key("100"));
    lab.send(&shop, without_key("100")).is(409, "idempotency_in_flight");
    opened.open();
    assert_eq!(lab.runtime.block_on(first).unwrap().status, 500);
    let second = lab.send(&shop, without_key("100"));
    assert_eq!((&second.body[..], second.is_replay()), ("answer 2", false), "the failure freed the key");
    let third = lab.send(&shop, without_key("100"));
    assert_eq!((&third.body[..], third.is_replay()), ("answer 2", true));
    assert_eq!(lab.send(&shop, without_key("200")).body, "answer 3");
}

#[test]
fn a_derived_key_cannot_be_sent_by_a_client() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().derive_key());
    lab.send(&shop, without_key("100"));
    let mut records = lab.store.list(&idemstore::ListFilter::new(), None).unwrap().records;
    let derived = records.remove(0).key;
    let guessed = lab.send(&shop, post(derived.id(), "100"));
    assert_eq!((&guessed.body[..], guessed.is_replay()), ("receipt 2", false));
}

#[test]
fn as_with_stripe_server_errors_are_saved_and_parameters_compared() {
    let lab = Lab::new();
    let shop =
        lab.shop_of(&lab.layer().profile(Profile::Stripe), async |charge, _| Ok(response(500, &format!("error {charge}"))));
    let first = lab.send(&shop, post("a", "100"));
    let again = lab.send(&shop, post("a", "100"));
    assert_eq!((first.status.as_u16(), &first.body[..], first.is_replay()), (500, "error 1", false));
    assert_eq!((again.status.as_u16(), &again.body[..], again.is_replay()), (500, "error 1", true));
    let other = lab.send(&shop, post("a", "999"));
    other.is(400, r#""type":"idempotency_error""#);
    assert!(!other.body.contains("error 1"), "nothing stored is revealed");
    assert_eq!(lab.send(&shop, post(&"k".repeat(255), "100")).status, 500);
    lab.send(&shop, post(&"k".repeat(256), "100")).is(400, "longer than 255 bytes");
    assert_eq!(lab.charges(), 2);
}
