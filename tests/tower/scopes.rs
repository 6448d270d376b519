//! A key belongs to a principal, a method and a route; a request is what its fingerprint covers.

use crate::support::*;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use idemstore::Fingerprint;
use std::sync::atomic::Ordering::SeqCst;
use tower::{Layer, ServiceExt};

fn to(uri: &str, key: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = post(key, body);
    *request.uri_mut() = uri.parse().unwrap();
    request
}

#[test]
fn a_principal_cannot_replay_or_block_another_ones_key() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    let mine = lab.send(&shop, post("a", "100").map_header("tenant", "mine"));
    let theirs = lab.send(&shop, post("a", "999").map_header("tenant", "theirs"));
    assert_eq!((&mine.body[..], &theirs.body[..]), ("receipt 1", "receipt 2"));
    assert!(lab.send(&shop, post("a", "100").map_header("tenant", "mine")).is_replay());
}

#[test]
fn a_request_of_nobody_is_refused() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    lab.send(&shop, post("a", "100").map_header("tenant", "\u{e9}")).is(403, "idempotency_principal_unknown");
    assert_eq!(lab.charges(), 0);
}

#[test]
fn a_key_of_one_route_says_nothing_about_another() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    lab.send(&shop, to("/payments", "a", "100"));
    assert_eq!(lab.send(&shop, to("/refunds", "a", "100")).body, "receipt 2");
    // One route, if the application says so: then the path is part of what must match.
    let shop = lab.shop(&lab.layer().route_by(|_| "/accounts/{id}/payments".to_owned()));
    lab.send(&shop, to("/accounts/1/payments", "b", "100"));
    lab.send(&shop, to("/accounts/2/payments", "b", "100")).is(422, "idempotency_conflict");
}

#[test]
fn principals_of_any_length_and_form_stay_apart() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer());
    let tenants = ["a".repeat(600), "a".repeat(601), "a b".to_owned(), "a%20b".to_owned(), "a POST /payments".to_owned()];
    for tenant in &tenants {
        assert!(!lab.send(&shop, post("a", tenant).map_header("tenant", tenant)).is_replay(), "{tenant}");
        assert!(lab.send(&shop, post("a", tenant).map_header("tenant", tenant)).is_replay(), "{tenant}");
    }
    assert_eq!(lab.charges(), tenants.len());
}

#[test]
fn another_body_query_or_chosen_header_is_another_request() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().fingerprint_headers([header::ACCEPT, header::FROM]));
    let first = || to("/p?x=1", "a", "100").map_header("accept", "text/plain");
    lab.send(&shop, first());
    for other in [
        to("/p?x=1", "a", "101").map_header("accept", "text/plain"),
        to("/p?x=2", "a", "100").map_header("accept", "text/plain"),
        to("/p", "a", "100").map_header("accept", "text/plain"),
        to("/p?x=1", "a", "100"),
        to("/p?x=1", "a", "100").map_header("accept", "text/html"),
        to("/p?x=1", "a", "100").map_header("from", "text/plain"),
        first().map_header("accept", "text/html"),
    ] {
        let refused = lab.send(&shop, other);
        refused.is(422, "idempotency_conflict");
        assert!(!refused.body.contains("receipt"), "nothing stored is revealed");
    }
    assert!(lab.send(&shop, first().map_header("user-agent", "another")).is_replay());
    assert_eq!(lab.charges(), 1);
}

#[test]
fn the_fingerprint_can_leave_the_body_out_or_be_a_function() {
    let lab = Lab::new();
    let shop = lab.shop(&lab.layer().fingerprint_without_body());
    lab.send(&shop, post("a", "sent at 12:00"));
    assert!(lab.send(&shop, post("a", "sent at 12:01")).is_replay());
    let shop =
        lab.shop(&lab.layer().fingerprint_by(|_, body| Fingerprint::of(&[body.split(|byte| *byte == b' ').next().unwrap()])));
    lab.send(&shop, post("b", "100 at 12:00"));
    assert!(lab.send(&shop, post("b", "100 at 12:01")).is_replay());
    lab.send(&shop, post("b", "999 at 12:01")).is(422, "idempotency_conflict");
}

/// The path of a nested route is cut for what is nested.
#[test]
fn nested_routes_stay_apart_under_a_layer_outside_or_with_names() {
    use axum::{Router, body::Body, routing::post as on_post};
    for (inside, outside, replays) in [(true, false, false), (false, true, false), (false, false, true)] {
        let lab = Lab::new();
        let nested = |name: &'static str| {
            let charges = lab.charges.clone();
            let pay = on_post(move || async move { format!("{name} {}", charges.fetch_add(1, SeqCst) + 1) });
            let router = Router::new().route("/pay", pay);
            match (inside, outside) {
                (true, _) => router.layer(lab.layer().route_by(move |parts| format!("{name}{}", parts.uri.path()))),
                (_, true) => router,
                _ => router.layer(lab.layer()),
            }
        };
        let shop = Router::new().nest("/a", nested("a")).nest("/b", nested("b"));
        let shop = if outside { shop.layer(lab.layer()) } else { shop };
        let mut answers = Vec::new();
        for uri in ["/a/pay", "/b/pay"] {
            let shop = shop.clone();
            let request = to(uri, "k", "100").map(Body::new);
            let sent = async move { shop.oneshot(request).await.map_err(|never| match never {}) };
            answers.push(lab.runtime.block_on(answer_of(sent)).unwrap());
        }
        assert_eq!(answers[1].is_replay(), replays, "inside: {inside}, outside: {outside}");
    }
}

/// A body whose length is announced is digested as it comes, another one when it is there: the fingerprint is one.
#[test]
fn the_fingerprint_does_not_depend_on_how_a_body_comes() {
    let lab = Lab::new();
    let charges = lab.charges.clone();
    let shop = layer_on(lab.store.clone(), &lab.runtime).layer(tower::service_fn(move |_: Request<_>| {
        let charge = charges.fetch_add(1, SeqCst) + 1;
        async move { Ok::<_, BoxError>(receipt(charge)) }
    }));
    let covered: [&[u8]; 5] = [b"http", b"POST", b"/payments", b"", b"100 EUR"];
    let all = Fingerprint::of(&covered);
    for (pieces, announced) in [
        (vec!["100 EUR"], Some(7)),
        (vec!["1", "", "00", " EUR"], Some(7)),
        (vec!["100", " EUR"], None),
        (vec!["100 EUR"], Some(3)),
        (vec!["100 ", "EUR"], Some(9)),
    ] {
        let body = Announced(pieces.iter().fold(Frames::default(), |body, piece| body.data(piece)), announced);
        let request = Request::post("/payments").header("idempotency-key", "a").body(body).unwrap();
        let answer = lab.runtime.block_on(answer_of(shop.clone().oneshot(request))).unwrap();
        assert_eq!((answer.status.as_u16(), lab.charges()), (201, 1), "{pieces:?} {announced:?}");
    }
    let key = idemstore::Key::new("tenant-7 POST /payments", "a").unwrap();
    assert_eq!(lab.store.get(&key).unwrap().unwrap().fingerprint(), all);
}

/// A body that announces a length, which may be a lie.
struct Announced(Frames, Option<u64>);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(context)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.1.map_or_else(http_body::SizeHint::default, http_body::SizeHint::with_exact)
    }
}
