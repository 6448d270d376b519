//! The required behaviour of the payment-identifier extension, line by line.

use crate::support::*;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idemstore::{
    tower::{IdempotencyLayer, Profile, Takeover},
    x402::{
        PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER, X_PAYMENT_HEADER, X_PAYMENT_RESPONSE_HEADER,
        encode_header,
    },
};
use serde_json::{Value, json};
use std::time::Duration;

const ID: &str = "pay_7d5d747be160e280504c099d984bcfe0";

fn layer(lab: &Lab) -> IdempotencyLayer<idemstore::Store> {
    lab.layer().profile(Profile::X402).wait(Duration::ZERO)
}

fn payload(id: impl Into<Value>, nonce: &str) -> Value {
    let id = id.into();
    json!({"x402Version": 2, "payload": {"nonce": nonce}, "extensions": {"payment-identifier": {"info": {"required": true, "id": id}}}})
}

fn get() -> Request<Full<Bytes>> {
    Request::get("/report?year=2026").body(Full::default()).unwrap()
}

fn paid_with(payload: &Value) -> Request<Full<Bytes>> {
    get().map_header(PAYMENT_SIGNATURE_HEADER, &encode_header(payload).unwrap())
}

fn paid() -> Request<Full<Bytes>> {
    paid_with(&payload(ID, "0x1"))
}

fn settled(charge: usize) -> Response<Frames> {
    with_receipt(200, &format!("report {charge}"), &json!({"success": true, "transaction": "0x12"}))
}

fn with_receipt(status: u16, body: &str, receipt: &Value) -> Response<Frames> {
    response(status, body).map_response_header(PAYMENT_RESPONSE_HEADER, &encode_header(receipt).unwrap())
}

/// A seller behind a paygate: who has not paid is asked to.
fn seller(lab: &Lab, layer: &IdempotencyLayer<idemstore::Store>) -> impl Shop + use<> {
    lab.shop_of(layer, async |charge, request| {
        let has_paid = [PAYMENT_SIGNATURE_HEADER, X_PAYMENT_HEADER].iter().any(|name| request.headers().contains_key(*name));
        Ok(if has_paid { settled(charge) } else { response(402, "pay").map_response_header(PAYMENT_REQUIRED_HEADER, "e30=") })
    })
}

#[test]
fn a_malformed_payment_header_or_id_is_400() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab));
    let bad_header = |value: &str| get().map_header(PAYMENT_SIGNATURE_HEADER, value);
    lab.send(&seller, bad_header("not base64")).is(400, "error");
    lab.send(&seller, bad_header("W10=")).is(400, "error");
    lab.send(&seller, paid().map_header(PAYMENT_SIGNATURE_HEADER, "e30=")).is(400, "more than once");
    for id in [json!("short"), json!("pay_with a blank in it"), json!(7), json!(format!("{ID}\n"))] {
        lab.send(&seller, paid_with(&payload(id, "0x1"))).is(400, "error");
    }
    assert_eq!(lab.charges(), 0);
}

#[test]
fn two_payments_of_one_request_are_400() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab));
    let other = encode_header(&payload(ID, "0x2")).unwrap();
    lab.send(&seller, paid().map_header(X_PAYMENT_HEADER, &other)).is(400, "two payments");
    lab.send(&seller, paid().map_header(X_PAYMENT_HEADER, "not base64")).is(400, "two payments");
    assert_eq!(lab.charges(), 0);
}

#[test]
fn a_required_id_that_is_missing_is_400() {
    let lab = Lab::new();
    let none = paid_with(&payload(Value::Null, "0x1"));
    let seller_that_requires = seller(&lab, &layer(&lab).require_key());
    lab.send(&seller_that_requires, none.clone()).is(400, "idempotency_key_required");
    assert_eq!(lab.charges(), 0);
    let seller = seller(&lab, &layer(&lab));
    assert_eq!(lab.send(&seller, none).body, "report 1");
}

#[test]
fn a_key_that_is_derived_is_that_of_the_payment() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab).derive_key());
    let first = lab.send(&seller, paid_with(&payload(Value::Null, "0x1")));
    assert_eq!(lab.send(&seller, paid_with(&payload(Value::Null, "0x1"))), first);
    // Whoever pays, or pretends to, is to be verified: nobody gets what another one has paid for.
    let other = lab.send(&seller, paid_with(&payload(Value::Null, "0x2")));
    assert_eq!((&first.body[..], &other.body[..], lab.charges()), ("report 1", "report 2", 2));
}

#[test]
fn a_request_without_a_payment_passes_through_to_the_paygate() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab).require_key());
    for _ in 0..2 {
        let challenge = lab.send(&seller, get());
        assert_eq!((challenge.status.as_u16(), challenge.header(PAYMENT_REQUIRED_HEADER)), (402, Some("e30=")));
    }
    assert_eq!(lab.charges(), 2);
}

#[test]
fn the_same_payment_gets_the_response_as_sent_with_its_receipt() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab));
    let first = lab.send(&seller, paid());
    // Another encoding of the same payload.
    let other = format!(
        r#"{{ "extensions":{{"payment-identifier":{{"info":{{"id":"{ID}","required":true}}}}}},"payload":{{"nonce":"0\u00781"}},"x402Version":2.0}}"#
    );
    let other = get().map_header(PAYMENT_SIGNATURE_HEADER, &base64(&other));
    for again in [paid(), other] {
        let again = lab.send(&seller, again);
        assert_eq!(again, first);
        assert!(again.header(PAYMENT_RESPONSE_HEADER).is_some());
    }
    assert_eq!((lab.charges(), &first.body[..]), (1, "report 1"));
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.as_bytes().chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        (0..4).map(move |digit| if digit > chunk.len() { '=' } else { char::from(ALPHABET[bits >> (18 - 6 * digit) & 63]) })
    });
    digits.collect()
}

#[test]
fn the_same_id_with_any_other_payload_is_409_and_reveals_nothing() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab));
    lab.send(&seller, paid());
    let mut other_query = paid();
    *other_query.uri_mut() = "/report?year=2025".parse().unwrap();
    for other in [paid_with(&payload(ID, "0x2")), other_query] {
        let refused = lab.send(&seller, other);
        assert_eq!((refused.status.as_u16(), refused.header("content-type")), (409, Some("application/json")));
        assert!(refused.body.starts_with(r#"{"error":"payment identifier already used with different payload","#), "{refused:?}");
        assert!(refused.body.ends_with(&format!(r#""paymentId":"{ID}"}}"#)), "{refused:?}");
        assert_eq!(refused.header(PAYMENT_RESPONSE_HEADER), None);
        assert_eq!(refused.header("retry-after"), None);
    }
    assert_eq!(lab.charges(), 1);
}

#[test]
fn the_same_id_in_flight_waits_or_is_409_with_retry_after_and_never_402() {
    let lab = Lab::new();
    let gate = Gate::default();
    let opened = gate.clone();
    let handler = move |charge, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            Ok(settled(charge))
        }
    };
    let hasty = lab.shop_of(&layer(&lab), handler.clone());
    let patient = lab.shop_of(&lab.layer().profile(Profile::X402), handler);
    let first = lab.begin(&hasty, paid());
    let refused = lab.send(&hasty, paid());
    refused.is(409, ID);
    assert_eq!(refused.header("retry-after"), Some("1"));
    let waiting = {
        let patient = patient.clone();
        // A thread that runs none of the shop's tasks: those are driven below.
        std::thread::spawn(move || Runtime::default().block_on(answer_of(tower::ServiceExt::oneshot(patient, paid()))).unwrap())
    };
    while lab.store.stats().unwrap().waiting == 0 {
        std::thread::yield_now();
    }
    opened.open();
    let first = lab.runtime.block_on(first).unwrap();
    assert_eq!(waiting.join().unwrap(), first);
    assert_eq!((lab.charges(), &first.body[..]), (1, "report 1"));
}

#[test]
fn the_same_id_after_its_expiry_runs_again() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab).retention(Duration::from_secs(3600)));
    lab.send(&seller, paid());
    lab.advance(Duration::from_secs(3600));
    assert_eq!(lab.send(&seller, paid()).body, "report 2");
}

#[test]
fn an_unknown_outcome_is_503_with_retry_after_and_not_run_again() {
    let lab = Lab::new();
    let seller = lab.shop_of(&layer(&lab), async |_, _| Err("crashed".into()));
    lab.try_send(&seller, paid()).unwrap_err();
    lab.advance(LEFT);
    let unknown = lab.send(&seller, paid());
    unknown.is(503, ID);
    assert_eq!((unknown.header("retry-after"), lab.charges()), (Some("1"), 1));
}

#[test]
fn a_store_that_is_down_or_full_is_503() {
    let lab = Lab::with(|options| options.records_max(1));
    let seller = seller(&lab, &layer(&lab));
    lab.send(&seller, paid());
    lab.send(&seller, paid_with(&payload("pay_another_id_0123", "0x2"))).is(503, "error");
    lab.store.close().unwrap();
    lab.send(&seller, paid()).is(503, "error");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_payment_that_failed_frees_its_id() {
    let failed = json!({"success": false, "errorReason": "insufficient_funds", "transaction": ""});
    for answer in [|_: &Value| response(402, "pay"), |failed: &Value| with_receipt(402, "{}", failed)] {
        let lab = Lab::new();
        let failed = failed.clone();
        let seller = lab.shop_of(&layer(&lab), move |charge, _| {
            let failed = answer(&failed);
            async move { Ok(if charge == 1 { failed } else { settled(charge) }) }
        });
        assert_eq!(lab.send(&seller, paid()).status, 402);
        assert_eq!(lab.send(&seller, paid()).body, "report 2");
    }
}

#[test]
fn a_settlement_that_is_pending_stays_unknown() {
    let lab = Lab::new();
    let pending = json!({"success": false, "errorReason": "settlement_pending", "transaction": "0x12"});
    let seller = lab.shop_of(&layer(&lab), move |_, _| {
        let pending = with_receipt(402, "{}", &pending);
        async move { Ok(pending) }
    });
    assert_eq!(lab.send(&seller, paid()).status, 402);
    lab.advance(LEFT);
    lab.send(&seller, paid()).is(503, "idempotency_outcome_unknown");
    assert_eq!(lab.charges(), 1);
}

/// Two layers of a server that both settle, or a proxy that retries: one receipt alone does not say what became of the money.
#[test]
fn several_receipts_end_a_payment_only_if_they_agree() {
    let (ok, failed) = (json!({"success": true}), json!({"success": false, "errorReason": "insufficient_funds"}));
    for (receipts, runs) in [([&failed, &ok], 1), ([&ok, &failed], 1), ([&failed, &failed], 2)] {
        for second in [PAYMENT_RESPONSE_HEADER, X_PAYMENT_RESPONSE_HEADER] {
            let lab = Lab::new();
            let [first, other] = receipts.map(|receipt| encode_header(receipt).unwrap());
            let seller = lab.shop_of(&layer(&lab), move |_, _| {
                let answer = response(402, "{}").map_response_header(PAYMENT_RESPONSE_HEADER, &first);
                let answer = answer.map_response_header(second, &other);
                async move { Ok(answer) }
            });
            lab.send(&seller, paid());
            lab.advance(LEFT);
            let again = lab.send(&seller, paid());
            assert_eq!((lab.charges(), again.status == 503), (runs, runs == 1), "{receipts:?} {second}");
        }
    }
}

#[test]
fn without_a_receipt_success_is_stored_and_a_clients_error_frees_the_id() {
    for (status, runs) in [(200, 1), (404, 2)] {
        let lab = Lab::new();
        let seller = lab.shop_of(&layer(&lab), move |_, _| async move { Ok(response(status, "x")) });
        lab.send(&seller, paid());
        assert_eq!(lab.send(&seller, paid()).status.as_u16(), status);
        assert_eq!(lab.charges(), runs, "{status}");
    }
}

/// The official server answers 502 when it cannot read what the facilitator says, though the money has moved.
#[test]
fn a_servers_error_without_a_receipt_leaves_the_outcome_unknown() {
    for status in [500, 502] {
        let lab = Lab::new();
        let seller = lab.shop_of(&layer(&lab), move |_, _| async move { Ok(response(status, "x")) });
        assert_eq!(lab.send(&seller, paid()).status.as_u16(), status);
        lab.advance(LEFT);
        lab.send(&seller, paid()).is(503, "idempotency_outcome_unknown");
        assert_eq!(lab.charges(), 1, "{status}");
    }
}

#[test]
fn a_payment_of_version_1_has_no_id_and_passes_through() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab));
    let v1 = || get().map_header(X_PAYMENT_HEADER, &encode_header(&json!({"x402Version": 1, "scheme": "exact"})).unwrap());
    assert_eq!(lab.send(&seller, v1()).body, "report 1");
    assert_eq!(lab.send(&seller, v1()).body, "report 2");
}

#[test]
fn an_id_of_one_principal_or_route_says_nothing_about_another() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab));
    lab.send(&seller, paid());
    assert_eq!(lab.send(&seller, paid().map_header("tenant", "another")).body, "report 2");
}

#[test]
fn the_same_id_for_another_request_or_while_in_flight_is_409_or_another_operation() {
    let lab = Lab::new();
    let (seller, gate) = lab.gated_shop(&layer(&lab), settled);
    let first = lab.begin(&seller, paid());
    // Not told to wait: it would wait for a response that is not its own.
    let other = lab.send(&seller, paid_with(&payload(ID, "0x2")));
    other.is(409, "different payload");
    assert_eq!(other.header("retry-after"), None);
    gate.open();
    let first = lab.runtime.block_on(first).unwrap();
    let mut with_body = paid();
    *with_body.body_mut() = Full::new(Bytes::from_static(b"{}"));
    lab.send(&seller, with_body).is(409, "different payload");
    // The payload says which header it belongs in, not what it pays for.
    let by_the_other_header = get().map_header(X_PAYMENT_HEADER, &encode_header(&payload(ID, "0x1")).unwrap());
    assert_eq!(lab.send(&seller, by_the_other_header), first);
    let mut other_path = paid();
    *other_path.uri_mut() = "/another?year=2026".parse().unwrap();
    let mut other_method = paid();
    *other_method.method_mut() = http::Method::POST;
    assert_eq!(
        (lab.send(&seller, other_path).body, lab.send(&seller, other_method).body),
        ("report 2".into(), "report 3".into())
    );
}

#[test]
fn ids_at_their_limits_and_payloads_that_readers_see_differently() {
    let lab = Lab::new();
    let seller = seller(&lab, &layer(&lab).require_key());
    let text = |id: &str| format!(r#"{{"x402Version":2,"extensions":{{"payment-identifier":{{"info":{{"id":"{id}"}}}}}}}}"#);
    let send = |value: &str| lab.send(&seller, get().map_header(PAYMENT_SIGNATURE_HEADER, value));
    let long = |bytes| "a".repeat(bytes);
    for id in [long(16), long(128), "\\u0061".repeat(16)] {
        assert_eq!(send(&base64(&text(&id))).status, 200, "{id}");
    }
    assert_eq!(lab.charges(), 2);
    for id in
        [long(15), long(129), "\\ud800aaaaaaaaaaaaaaaaaaaa".into(), "\u{430}aaaaaaaaaaaaaaaaaaa".into(), long(20) + "\\u0000"]
    {
        send(&base64(&text(&id))).is(400, "error");
    }
    let good = text(ID);
    let twice = good.replace("\"info\"", "\"info\":{},\"info\"");
    let escaped_twice = good.replace("\"x402Version\"", "\"x402\\u0056ersion\":1,\"x402Version\"");
    let large = good.replace(":2,", ":2,\"amount\":9007199254740993,");
    let deep = good.replace(":2,", &format!(":2,\"a\":{}{},", "[".repeat(200), "]".repeat(200)));
    for bad in [&format!("\u{feff}{good}"), &twice, &escaped_twice, &large, &deep, &format!("{good}{good}"), &format!("[{good}]")]
    {
        send(&base64(bad)).is(400, "error");
    }
    // With a blank, so that it ends in padding.
    let good = base64(&format!("{good} "));
    for bad in [good.trim_end_matches('='), &format!("{good},{good}"), &format!("{good} "), "", &good.replace('=', "%3D")] {
        assert_ne!(bad, good);
        send(bad).is(400, "error");
    }
    assert_eq!(lab.charges(), 2);
}

#[test]
fn money_that_has_moved_ends_the_payment_whatever_the_status() {
    for status in [402, 404, 500] {
        let lab = Lab::new();
        let seller = lab.shop_of(&layer(&lab), move |_, _| async move {
            Ok(with_receipt(status, "sorry", &json!({"success": true, "transaction": "0x12"})))
        });
        let first = lab.send(&seller, paid());
        assert_eq!((lab.send(&seller, paid()), lab.charges()), (first, 1));
    }
}

/// The first attempt settled and died; the paygate refuses the second, for its used nonce. That says nothing about the first.
#[test]
fn a_refusal_after_a_takeover_does_not_free_the_id_for_another_payment() {
    let lab = Lab::new();
    let seller = lab.shop_of(&layer(&lab).takeover(Takeover::Rerun), async |charge, _| match charge {
        1 => Err("crashed".into()),
        _ => Ok(response(402, "nonce used")),
    });
    lab.try_send(&seller, paid()).unwrap_err();
    lab.advance(LEFT);
    assert_eq!(lab.send(&seller, paid()).body, "nonce used");
    lab.send(&seller, paid_with(&payload(ID, "0x2"))).is(409, "different payload");
    assert_eq!(lab.charges(), 2);
}
