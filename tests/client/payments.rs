use crate::server::{Chunks, Server, Step, answer, answer_with, layer, post, sent_key};
use http::{HeaderValue, Request};
use idemstore::x402::{PAYMENT_SIGNATURE_HEADER, encode_header};
use serde_json::json;

fn payment(extensions: &serde_json::Value) -> HeaderValue {
    let payload = json!({"x402Version": 2, "payload": {"signature": "0x2d6a"}, "extensions": extensions});
    HeaderValue::from_str(&encode_header(&payload).unwrap()).unwrap()
}

#[test]
fn a_payment_with_an_id_is_its_own_key() {
    let server = Server::new([answer_with(409, "retry-after", "1"), Step::BreakConnection, answer(200)]);
    let payment = payment(&json!({"payment-identifier": {"info": {"id": "pay_0123456789abcdef", "required": true}}}));
    let request = Request::get("https://api.example/report").header(PAYMENT_SIGNATURE_HEADER, &payment);
    let response = server.send(&layer(&server), request.body(Chunks::new([])).unwrap()).unwrap();
    assert_eq!(server.arrivals().len(), 3);
    for arrival in server.arrivals() {
        assert_eq!((arrival.key(), &arrival.headers[PAYMENT_SIGNATURE_HEADER]), (None, &payment));
    }
    let key = sent_key(&response).unwrap();
    assert_eq!((key.name().as_str(), key.value()), (PAYMENT_SIGNATURE_HEADER, &payment));
}

#[test]
fn an_id_that_was_used_for_another_payment_is_not_retried() {
    let server = Server::new([answer(409)]);
    let mut request = post(b"");
    let payment = payment(&json!({"payment-identifier": {"info": {"id": "pay_0123456789abcdef", "required": true}}}));
    request.headers_mut().insert(PAYMENT_SIGNATURE_HEADER, payment);
    assert_eq!(server.send(&layer(&server), request).unwrap().status(), 409);
    assert_eq!(server.arrivals().len(), 1);
}

#[test]
fn a_payment_without_an_id_is_a_request_like_any_other() {
    for payment in [payment(&json!({})), HeaderValue::from_static("not base64")] {
        let server = Server::new([answer(200)]);
        let mut request = post(b"");
        request.headers_mut().insert(PAYMENT_SIGNATURE_HEADER, payment);
        server.send(&layer(&server), request).unwrap();
        assert!(server.arrivals()[0].key().is_some());
    }
}
