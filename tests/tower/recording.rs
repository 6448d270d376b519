//! Which responses are stored, which free the key, and which leave it unknown.

use crate::support::*;
use idemstore::{
    Key, State,
    tower::{Conclusion, Recording},
};
use std::time::Duration;

/// What becomes of a key whose handler answered like this, and how often the shop was asked after a retry.
fn after(recording: Recording, answer: fn() -> http::Response<Frames>) -> (Option<State>, usize) {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer().recording(recording), move |_, _| async move { Ok(answer()) });
    let first = lab.send(&shop, post("a", "100"));
    assert!(!first.is_replay());
    let key = Key::new("tenant-7 POST /payments", "a").unwrap();
    let state = lab.store.get(&key).unwrap().map(|record| record.state());
    lab.advance(LEFT);
    let retry = lab.send(&shop, post("a", "100"));
    match state {
        Some(State::InFlight) => retry.is(503, "idempotency_outcome_unknown"),
        Some(_) => assert!(retry.is_replay() && retry.status == first.status && retry.body == first.body),
        None => assert!(!retry.is_replay()),
    }
    (state, lab.charges())
}

const COMPLETED: (Option<State>, usize) = (Some(State::Completed), 1);
const FAILED: (Option<State>, usize) = (Some(State::Failed), 1);
const RELEASED: (Option<State>, usize) = (None, 2);
const UNKNOWN: (Option<State>, usize) = (Some(State::InFlight), 1);

#[test]
fn everything_is_stored_by_default() {
    assert_eq!(after(Recording::everything(), || response(201, "")), COMPLETED);
    assert_eq!(after(Recording::everything(), || response(303, "")), COMPLETED);
    assert_eq!(after(Recording::everything(), || response(422, "")), FAILED);
    assert_eq!(after(Recording::everything(), || response(500, "")), FAILED);
}

#[test]
fn successes_only_frees_the_key_otherwise() {
    assert_eq!(after(Recording::successes(), || response(200, "")), COMPLETED);
    assert_eq!(after(Recording::successes(), || response(400, "")), RELEASED);
    assert_eq!(after(Recording::successes(), || response(502, "")), RELEASED);
}

#[test]
fn a_status_of_grpc_counts_in_trailers_and_in_headers() {
    assert_eq!(after(Recording::successes(), || response(200, "x").map(|body| body.trailer("grpc-status", "0"))), COMPLETED);
    assert_eq!(after(Recording::successes(), || response(200, "x").map(|body| body.trailer("grpc-status", "14"))), RELEASED);
    assert_eq!(after(Recording::everything(), || response(200, "").map_response_header("grpc-status", "5")), FAILED);
}

#[test]
fn a_function_decides_by_status() {
    let recording = || {
        Recording::by(|answered| match answered.status.as_u16() {
            200..400 => Conclusion::Complete,
            400..500 => Conclusion::Release,
            _ => Conclusion::Unknown,
        })
    };
    assert_eq!(after(recording(), || response(200, "")), COMPLETED);
    assert_eq!(after(recording(), || response(404, "")), RELEASED);
    assert_eq!(after(recording(), || response(504, "")), UNKNOWN);
}

#[test]
fn the_handler_has_the_last_word() {
    let saying = |conclusion: Conclusion| {
        let lab = Lab::new();
        let shop = lab.shop_of(&lab.layer(), move |_, _| async move {
            let mut response = response(200, "");
            response.extensions_mut().insert(conclusion);
            Ok(response)
        });
        lab.send(&shop, post("a", "100"));
        let key = Key::new("tenant-7 POST /payments", "a").unwrap();
        lab.store.get(&key).unwrap().map(|record| record.state())
    };
    assert_eq!(saying(Conclusion::Complete), Some(State::Completed));
    assert_eq!(saying(Conclusion::Fail), Some(State::Failed));
    assert_eq!(saying(Conclusion::Release), None);
    assert_eq!(saying(Conclusion::Unknown), Some(State::InFlight));
}

#[test]
fn a_response_lasts_for_the_layers_retention() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().retention(Duration::from_secs(60)));
    lab.send(&shop, post("a", "100"));
    lab.advance(Duration::from_secs(60).saturating_sub(MS));
    assert!(lab.send(&shop, post("a", "100")).is_replay());
    lab.advance(MS);
    assert_eq!(lab.send(&shop, post("a", "100")).body, "receipt 2");
}
