use crate::server::{Chunks, Server, Step, answer, layer, post, sent_key};
use http::{HeaderName, HeaderValue, Method, Request};
use idemstore::client::{ClientErrorKind, KeyFormat, SentKey};

fn key_text(server: &Server) -> String {
    server.arrivals()[0].key().unwrap().to_str().unwrap().to_owned()
}

fn is_generated(key: &str) -> bool {
    key.strip_prefix("idem_").is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[test]
fn a_new_key_is_quoted_unless_it_is_to_be_bare() {
    let server = Server::new([answer(200)]);
    server.send(&layer(&server), post(b"")).unwrap();
    assert!(is_generated(key_text(&server).trim_matches('"')) && key_text(&server).len() == 39);

    let server = Server::new([answer(200)]);
    server.send(&layer(&server).key_format(KeyFormat::Bare), post(b"")).unwrap();
    assert!(is_generated(&key_text(&server)));
}

#[test]
fn a_key_of_the_callers_own_is_kept_for_any_method() {
    let server = Server::new([Step::BreakConnection, answer(200)]);
    let mut request = post(b"");
    *request.method_mut() = Method::PUT;
    request.headers_mut().insert("idempotency-key", HeaderValue::from_static("order-7"));
    let response = server.send(&layer(&server), request).unwrap();
    assert_eq!(server.arrivals().len(), 2);
    assert!(server.arrivals().iter().all(|arrival| arrival.key().unwrap() == "order-7"));
    assert_eq!(sent_key(&response).unwrap().value(), "order-7");
}

#[test]
fn a_caller_goes_on_with_an_earlier_key() {
    let server = Server::new([Step::BreakConnection, answer(200)]);
    let layer = layer(&server).retries_max(0);
    let error = server.send(&layer, post(b"")).unwrap_err();
    let mut again = post(b"");
    again.extensions_mut().insert(error.key().unwrap().clone());
    let response = server.send(&layer, again).unwrap();
    assert_eq!(server.arrivals()[0].key(), server.arrivals()[1].key());
    assert_eq!(sent_key(&response), error.key());
}

#[test]
fn a_header_goes_before_an_earlier_key() {
    let server = Server::new([answer(200)]);
    let mut request = post(b"");
    request.headers_mut().insert("idempotency-key", HeaderValue::from_static("mine"));
    let earlier = SentKey::new(HeaderName::from_static("idempotency-key"), HeaderValue::from_static("other"));
    request.extensions_mut().insert(earlier);
    server.send(&layer(&server), request).unwrap();
    assert_eq!(key_text(&server), "mine");
}

#[test]
fn a_method_that_is_idempotent_passes_through_once() {
    let server = Server::new([Step::BreakConnection]);
    let request = Request::get("https://api.example/payments").body(Chunks::new([])).unwrap();
    let error = server.send(&layer(&server), request).unwrap_err();
    assert_eq!((error.kind(), error.sends(), error.key()), (ClientErrorKind::Service, 1, None));
    assert_eq!(server.arrivals().len(), 1);
    assert_eq!(server.arrivals()[0].key(), None);
    assert_eq!(server.time.timers(), 0);
}

#[test]
fn the_methods_the_header_and_the_keys_can_be_set() {
    let server = Server::new([answer(503), answer(200)]);
    let layer = layer(&server).methods([Method::DELETE]).header(HeaderName::from_static("request-key"));
    let layer = layer.make_key(|parts| format!("{} of {}", parts.method, parts.uri.path()));
    let request = Request::delete("https://api.example/orders/7").body(Chunks::new([])).unwrap();
    let response = server.send(&layer, request).unwrap();
    assert_eq!(sent_key(&response).unwrap().name(), "request-key");
    assert!(server.arrivals().iter().all(|arrival| arrival.headers["request-key"] == "\"DELETE of /orders/7\""));
    assert_eq!(server.arrivals().len(), 2);
}

#[test]
fn a_key_that_is_none_sends_nothing() {
    let server = Server::new([]);
    for (key, format) in [("", KeyFormat::Quoted), ("a\nb", KeyFormat::Quoted), ("a b", KeyFormat::Bare)] {
        let layer = layer(&server).key_format(format).make_key(|_| key.to_owned());
        let error = server.send(&layer, post(b"")).unwrap_err();
        assert_eq!((error.kind(), error.sends()), (ClientErrorKind::Key, 0));
    }
    assert_eq!(server.arrivals().len(), 0);
}

#[test]
fn a_key_is_not_shown() {
    let server = Server::new([answer(200)]);
    let response = server.send(&layer(&server), post(b"")).unwrap();
    let key = sent_key(&response).unwrap();
    let whole = key.value().to_str().unwrap();
    assert!(!format!("{key:?}").contains(&whole[10..]), "{key:?}");
    assert!(!format!("{:?}", server.arrivals()[0].headers).contains("idem_"));
}
