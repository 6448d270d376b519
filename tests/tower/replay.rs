//! A replay is the response as it was sent: status, headers in order, body, trailers; and nothing that was for the first client only.

use crate::support::*;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use idemstore::tower::{NEVER_RECORDED, Replayed};
use tower::ServiceExt;

fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

#[test]
fn status_headers_body_and_trailers_come_back_as_they_were() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |_, _| {
        let mut response =
            response(203, "first ").map(|body| body.data("second").trailer("grpc-status", "0").trailer("checksum", "9"));
        let headers = response.headers_mut();
        headers.append("x-b", "1".parse().unwrap());
        headers.append("x-a", "2".parse().unwrap());
        headers.append("x-b", "3".parse().unwrap());
        headers.append("link", "<a>; rel=next".parse().unwrap());
        headers.append("x-raw", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        headers.append("x-empty", "".parse().unwrap());
        Ok(response)
    });
    let first = lab.send(&shop, post("a", "100"));
    let mut again = lab.send(&shop, post("a", "100"));
    assert_eq!(again.headers.remove("idempotent-replayed").unwrap(), "true");
    assert_eq!(fields(&first.headers), fields(&again.headers));
    assert_eq!(fields(&first.headers).len(), 6);
    assert_eq!(
        (first.status, &first.body[..], fields(first.trailers.as_ref().unwrap()).len()),
        (again.status, "first second", 2)
    );
    assert_eq!(first.trailers, again.trailers);
    assert_eq!(again.body, "first second");
}

#[test]
fn what_was_for_the_first_client_or_connection_only_is_not_replayed() {
    let lab = Lab::new();
    let layer = lab.layer().never_record([header::SERVER]);
    let shop = lab.shop_of(&layer, async |_, _| {
        let mut response = response(200, "x");
        let headers = response.headers_mut();
        for name in NEVER_RECORDED {
            headers.append(name, "secret".parse().unwrap());
        }
        headers.append("connection", "close, X-Hop".parse().unwrap());
        headers.append("x-hop", "secret".parse().unwrap());
        headers.append("server", "secret".parse().unwrap());
        headers.append("set-cookie", "session=secret".parse().unwrap());
        headers.append("etag", "\"kept\"".parse().unwrap());
        Ok(response)
    });
    let first = lab.send(&shop, post("a", "100"));
    assert!(first.header("set-cookie").is_some(), "the first client gets all of it");
    assert_eq!(first.headers.get_all("set-cookie").iter().count(), 2);
    let again = lab.send(&shop, post("a", "100"));
    let names: Vec<_> = again.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["etag", "idempotent-replayed"]);
}

/// Another version or an operator may have written what this one does not.
#[test]
fn what_is_never_recorded_is_not_replayed_from_a_record_that_has_it() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |_, _| Err("the provider hung up".into()));
    #[cfg(feature = "json")]
    let by_hand: &[u8] =
        br#"{"status":200,"headers":{"Content-Length":"2","Connection":"x-hop","X-Hop":"1","X-A":"1"},"body":"ok and more"}"#;
    let by_another: &[u8] = b"\x01\x00\xc8\x00\x02\x00\x0e\x00content-length\x01\x00\x00\x002\x03\x00x-a\x01\x00\x00\x001\xff\xff\x0b\x00\x00\x00ok and more";
    for (key, payload) in [
        #[cfg(feature = "json")]
        ("a", by_hand),
        ("b", by_another),
    ] {
        lab.try_send(&shop, post(key, "100")).unwrap_err();
        lab.advance(LEASE);
        let key_of = idemstore::Key::new("tenant-7 POST /payments", key).unwrap();
        lab.store.resolve(&key_of, idemstore::Resolution::Completed(payload), "found out").unwrap();
        let replay = lab.send(&shop, post(key, "100"));
        assert_eq!((replay.status.as_u16(), replay.body.as_str(), replay.header("x-a")), (200, "ok and more", Some("1")));
        assert!(replay.header("content-length").is_none() && replay.header("x-hop").is_none(), "{replay:?}");
    }
}

#[test]
fn an_empty_body_and_no_trailers_are_replayed_as_such() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer(), async |_, _| Ok(response(204, "")));
    lab.send(&shop, post("a", "100"));
    let again = lab.runtime.block_on(shop.clone().oneshot(post("a", "100"))).unwrap();
    assert!(http_body::Body::is_end_stream(again.body()));
    assert_eq!(http_body::Body::size_hint(again.body()).exact(), Some(0));
    let replayed = *again.extensions().get::<Replayed>().unwrap();
    assert!(replayed.expires_at > replayed.ended_at);
    assert!(lab.runtime.block_on(again.into_body().collect()).unwrap().trailers().is_none());
}

#[test]
fn a_response_over_the_limit_goes_to_its_client_and_is_never_run_again() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer().response_bytes_max(10), async |_, _| {
        Ok(response(200, "12345").map(|body| body.data("67890").data("1").data("the rest").trailer("checksum", "9").waiting()))
    });
    let first = lab.send(&shop, post("a", "100"));
    assert_eq!((&first.body[..], first.trailers.is_some()), ("12345678901the rest", true));
    for _ in 0..2 {
        let again = lab.send(&shop, post("a", "100"));
        again.is(410, "idempotency_response_not_stored");
        assert!(again.body.contains("status 200"));
    }
    lab.send(&shop, post("a", "999")).is(422, "idempotency_conflict");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_response_that_the_store_refuses_is_never_run_again() {
    let lab = Lab::with(|options| options.payload_bytes_max(100));
    let shop = lab.shop_of(&lab.layer(), async |_, _| Ok(response(200, &"x".repeat(200))));
    assert_eq!(lab.send(&shop, post("a", "100")).body.len(), 200);
    lab.send(&shop, post("a", "100")).is(410, "idempotency_response_not_stored");
    assert_eq!(lab.charges(), 1);
}

#[test]
fn a_response_of_exactly_the_limit_is_stored() {
    let lab = Lab::new();
    let shop = lab.shop_of(&lab.layer().response_bytes_max(10), async |_, _| Ok(response(200, "1234567890")));
    lab.send(&shop, post("a", "100"));
    assert_eq!(lab.send(&shop, post("a", "100")).body, "1234567890");
}

#[test]
fn the_record_is_durable_before_the_client_sees_the_response() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    let response = lab.runtime.block_on(shop.clone().oneshot(post("a", "100"))).unwrap();
    // Nothing of the body was read yet, and a retry is answered already.
    assert!(lab.send(&shop, post("a", "100")).is_replay());
    drop(response);
}
