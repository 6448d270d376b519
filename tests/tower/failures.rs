//! What is not known is said to be unknown, and is not run again by itself.

use crate::support::*;
use idemstore::{
    ErrorKind, Fingerprint, Key, OutcomeKind, Resolution,
    tower::{Conclusion, Hooks, StoreFailure},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[test]
fn a_handler_that_fails_leaves_its_outcome_unknown() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |_, _| Err("the provider hung up".into()));
    assert_eq!(lab.try_send(&shop, post("a", "100")).unwrap_err().to_string(), "the provider hung up");
    lab.advance(LEFT);
    for _ in 0..3 {
        let retry = lab.send(&shop, post("a", "100"));
        retry.is(503, "idempotency_outcome_unknown");
        assert_eq!(retry.header("retry-after"), Some("1"));
        lab.advance(LEFT);
    }
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_handler_that_panics_leaves_its_outcome_unknown() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |charge, _| {
        assert!(charge > 1, "a bug in the shop");
        Ok(receipt(charge))
    });
    lab.send(&shop, post("a", "100")).is(500, "idempotency_handler_panicked");
    lab.advance(LEFT);
    lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_response_that_breaks_off_leaves_its_outcome_unknown() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |charge, _| Ok(receipt(charge).map(|body| body.failure("cut"))));
    assert_eq!(lab.try_send(&shop, post("a", "100")).unwrap_err().to_string(), "cut");
    lab.advance(LEFT);
    lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn failures_that_mean_nothing_happened_can_free_the_key() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer().on_handler_failure(Conclusion::Release), async |charge, _| match charge {
        1 => Err("no connection".into()),
        2 => panic!("a bug in the shop"),
        3 => Ok(receipt(charge).map(|body| body.failure("cut"))),
        _ => Ok(receipt(charge)),
    });
    lab.try_send(&shop, post("a", "100")).unwrap_err();
    lab.send(&shop, post("a", "100")).is(500, "idempotency_handler_panicked");
    lab.try_send(&shop, post("a", "100")).unwrap_err();
    assert_eq!(lab.send(&shop, post("a", "100")).body, "receipt 4");
}

#[test]
fn a_store_that_cannot_answer_closes_the_shop() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    lab.store.close().unwrap();
    let refused = lab.send(&shop, post("a", "100"));
    refused.is(503, "idempotency_unavailable");
    assert_eq!((refused.header("retry-after"), lab.charges()), (Some("1"), 0));
}

#[test]
fn a_full_store_refuses_new_keys_and_still_replays() {
    let lab = Lab::with(|options| options.records_max(1));
    let shop = lab.shop(&lab.layer());
    lab.send(&shop, post("a", "100"));
    lab.send(&shop, post("b", "100")).is(503, "idempotency_unavailable");
    assert!(lab.send(&shop, post("a", "100")).is_replay());
}

#[test]
fn a_shop_that_fails_open_runs_without_protection() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().on_store_failure(StoreFailure::Open));
    lab.store.close().unwrap();
    assert_eq!(lab.send(&shop, post("a", "100")).body, "receipt 1");
    assert_eq!(lab.send(&shop, post("a", "100")).body, "receipt 2");
}

#[test]
fn a_shop_that_fails_open_still_refuses_a_key_that_is_known_to_be_used() {
    let lab = Lab::with(|options| options.attempts_max(1));
    let shop = lab.shop_of(&lab.layer().on_store_failure(StoreFailure::Open), async |_, _| Err("the provider hung up".into()));
    lab.try_send(&shop, post("a", "100")).unwrap_err();
    lab.advance(LEFT);
    lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_client_gets_its_response_though_it_could_not_be_recorded_and_somebody_is_told() {
    let lab = Lab::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let store = lab.store.clone();
    let layer = lab.layer().hooks(Hooks::new().on_unrecorded(move |_, error| telling.lock().unwrap().push(error.kind())));
    let shop = lab.shop_of(&layer, move |charge, _| {
        store.close().unwrap();
        async move { Ok(receipt(charge)) }
    });
    assert_eq!(lab.send(&shop, post("a", "100")).body, "receipt 1");
    assert_eq!(*told.lock().unwrap(), [ErrorKind::Closed]);
}

#[test]
fn a_record_of_somebody_else_is_an_error_and_not_a_response() {
    let lab = Lab::new();
    let layer = lab.layer().fingerprint_by(|_, body| Fingerprint::of(&[body]));
    let shop = lab.shop(&layer);
    let key = Key::new("tenant-7 POST /payments", "a").unwrap();
    let idemstore::Begin::Fresh(lease) = lab.store.begin(&key, Fingerprint::of(&[b"100"])).unwrap() else { panic!() };
    lease.complete("not a response").unwrap();
    lab.send(&shop, post("a", "100")).is(500, "idempotency_record_unreadable");
    assert_eq!(lab.charges(), 0);
}

#[test]
fn what_an_operator_found_out_is_what_a_retry_is_told() {
    for (kind, payload, status, told) in [
        (OutcomeKind::Completed, "", 410, "idempotency_response_unknown"),
        (OutcomeKind::Failed, "", 410, "idempotency_response_unknown"),
        #[cfg(feature = "json")]
        (OutcomeKind::Completed, r#"{"status":201,"body":"charge 1"}"#, 201, "charge 1"),
    ] {
        let lab = Lab::new();
        let shop = lab.shop_of(&lab.layer(), async |_, _| Err("the provider hung up".into()));
        lab.try_send(&shop, post("a", "100")).unwrap_err();
        lab.advance(LEFT);
        lab.send(&shop, post("a", "100")).is(503, "idempotency_outcome_unknown");
        lab.advance(LEFT);
        let key = Key::new("tenant-7 POST /payments", "a").unwrap();
        let resolution = match kind {
            OutcomeKind::Completed => Resolution::Completed(payload.as_bytes()),
            OutcomeKind::Failed => Resolution::Failed(payload.as_bytes()),
        };
        lab.store.resolve(&key, resolution, "asked the provider").unwrap();
        let retry = lab.send(&shop, post("a", "100"));
        assert_eq!(retry.status, status);
        assert!(retry.body.contains(told), "{}", retry.body);
    }
}

#[test]
fn a_setting_out_of_range_is_the_servers_fault_and_runs_nothing() {
    let lab = Lab::new();
    for layer in [lab.layer().lease(Duration::ZERO), lab.layer().retention(Duration::ZERO), lab.layer().wait(LEASE * 1000)] {
        lab.send(&lab.shop(&layer), post("a", "100")).is(500, "idempotency_misconfigured");
    }
    assert_eq!(lab.charges(), 0);
}
