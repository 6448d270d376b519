//! The layer's own answers have the form of the contract that was chosen.

use crate::support::*;
use bytes::Bytes;
use http::{Response, StatusCode};
use idemstore::tower::Refusal;

#[test]
fn the_ietfs_answers_are_problem_details() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().require_key());
    let refused = lab.send(&shop, without_key("100"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("retry-after"), None);
    assert_eq!(
        refused.body,
        r#"{"type":"https://docs.rs/idemstore/latest/idemstore/tower/enum.Refusal.html","title":"Bad Request","status":400,"detail":"This operation needs an idempotency key.","code":"idempotency_key_required"}"#
    );
}

#[cfg(feature = "json")]
#[test]
fn every_answer_is_json_whatever_the_profile() {
    use idemstore::tower::Profile;

    let refusals = [post("\"\\", "100"), post("a\"'\\", "100"), post("", "100"), post("a", &"x".repeat(101))];
    for profile in [Profile::Ietf, Profile::Stripe, Profile::Lift] {
        let lab = Lab::new();
        let shop = lab.shop(&lab.layer().profile(profile).request_bytes_max(100));
        for request in &refusals {
            let refused = lab.send(&shop, request.clone());
            assert!(refused.status.is_client_error(), "{refused:?}");
            idemstore::json::read(refused.body.as_bytes()).unwrap();
        }
    }
}

#[test]
fn a_call_of_grpc_is_refused_with_a_status_of_grpc() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    let call = |body: &str| post("a", body).map_header("content-type", "application/grpc+proto");
    lab.send(&shop, call("100"));
    let refused = lab.send(&shop, call("999"));
    assert_eq!((refused.status, refused.header("grpc-status")), (StatusCode::OK, Some("9")));
    assert_eq!(refused.header("content-type"), Some("application/grpc"));
    assert!(refused.header("grpc-message").unwrap().starts_with("idempotency_conflict: "));
    assert_eq!(refused.body, "");
}

#[test]
fn an_application_can_answer_by_itself() {
    let lab = Lab::new();
    let layer = lab.layer().require_key().answers(|refusal| {
        let own = |body: &'static str| Response::builder().status(418).body(Bytes::from_static(body.as_bytes())).unwrap();
        (*refusal == Refusal::KeyRequired).then(|| own("a key, please"))
    });
    let shop = lab.shop(&layer);
    lab.send(&shop, without_key("100")).is(418, "a key, please");
    lab.send(&shop, post("", "100")).is(400, "idempotency_key_invalid");
}

#[test]
fn retry_after_is_in_whole_seconds_and_at_least_one() {
    for (after, says) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (30_000, "30")] {
        let lab = Lab::new();
        let shop = lab.shop(&lab.layer().retry_after(MS * after));
        lab.store.close().unwrap();
        assert_eq!(lab.send(&shop, post("a", "100")).header("retry-after"), Some(says));
    }
}

#[test]
fn every_refusal_has_a_code_of_its_own_and_a_status_of_an_error() {
    let all = [
        Refusal::KeyRequired,
        Refusal::PrincipalUnknown,
        Refusal::InFlight,
        Refusal::Mismatch,
        Refusal::OutcomeUnknown,
        Refusal::ResponseNotStored(StatusCode::OK),
        Refusal::ResponseUnknown(idemstore::OutcomeKind::Completed),
        Refusal::RecordUnreadable,
        Refusal::BodyTooLarge { bytes_max: 1 },
        Refusal::BodyBroken,
        Refusal::Overloaded,
        Refusal::StoreUnavailable,
        Refusal::HandlerPanicked,
        Refusal::Misconfigured,
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(Refusal::code).collect();
    assert_eq!(codes.len(), all.len());
    for refusal in all {
        assert!(refusal.status().as_u16() >= 400, "{refusal:?}");
        assert!(!refusal.is_temporary() || matches!(refusal.status().as_u16(), 409 | 503), "{refusal:?}");
    }
}
