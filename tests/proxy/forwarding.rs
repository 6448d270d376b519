//! What the upstream sees of a request, and the client of a response (RFC 9110, section 7; RFC 9112, section 3).

use super::{After, Upstream, exchange, shop};
use crate::{
    message::{Message, connect},
    program::Proxy,
};
use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
};

/// Sends a request through a proxy and returns what the upstream saw and what the client got.
fn through(request: &str, response: &'static str) -> (Message, Message) {
    let upstream = Upstream::start(move |request| request.answer(response));
    let proxy = Proxy::start(&upstream.url(), &[]);
    let answer = exchange(proxy.address, request);
    (upstream.seen().pop().unwrap(), answer)
}

const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn headers(message: &Message) -> Vec<(&str, &str)> {
    let mut headers: Vec<_> = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.sort_unstable();
    headers
}

#[test]
fn a_request_ends_its_hop_and_the_next_one_says_where_it_came_from() {
    let request = "POST /a%20b?c=d&e HTTP/1.1\r\nHost: shop.example:81\r\nConnection: close, X-Hop, X-Forwarded-For\r\nX-Hop: 1\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authorization: Basic eA==\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\n\
        X-Forwarded-For: forged\r\nX-Forwarded-Proto: https\r\nVia: 1.1 edge\r\nX-End: 1\r\nX-End: 2\r\nContent-Length: 2\r\n\r\nhi";
    let (seen, _) = through(request, EMPTY);
    assert_eq!((seen.start.as_str(), seen.text().as_str()), ("POST /a%20b?c=d&e HTTP/1.1", "hi"));
    let expected = [
        ("connection", "te, close"),
        ("content-length", "2"),
        ("host", "shop.example:81"),
        ("te", "trailers"),
        ("via", "1.1 edge"),
        ("via", "1.1 idemstore"),
        ("x-end", "1"),
        ("x-end", "2"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "shop.example:81"),
        ("x-forwarded-proto", "https, http"),
    ];
    assert_eq!(headers(&seen), expected);
}

#[test]
fn a_response_ends_its_hop() {
    let response = "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n\
        Upgrade: h2c\r\nVia: 1.1 inner\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
        Content-Length: 2\r\n\r\nhi";
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\n\r\n"] {
        let (_, answer) = through(request, response);
        let expected = [
            ("content-length", "2"),
            ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("via", "1.1 idemstore"),
            ("via", "1.1 inner"),
        ];
        assert_eq!(headers(&answer), expected, "{request}");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hi"));
    }
}

#[test]
fn a_body_without_a_length_passes_whatever_the_method() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST"] {
        let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let (seen, answer) = through(&format!("{method} /a HTTP/1.1\r\nHost: h\r\n{chunked}"), EMPTY);
        assert_eq!((seen.text().as_str(), seen.is_whole, answer.status()), ("abcde", true, 204), "{method}");
    }
    let (seen, _) = through("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", EMPTY);
    assert_eq!((seen.header("transfer-encoding"), seen.header("content-length")), (None, None), "none where there is none");
}

#[test]
fn a_target_in_absolute_form_becomes_a_path_and_its_host_counts() {
    let (seen, _) = through("GET http://shop.example:81/a?b HTTP/1.1\r\nHost: other.example\r\n\r\n", EMPTY);
    assert_eq!((seen.start.as_str(), seen.header("host").as_deref()), ("GET /a?b HTTP/1.1", Some("shop.example:81")));
}

#[test]
fn a_client_of_http_1_0_is_served() {
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (seen, answer) = through("GET /old HTTP/1.0\r\n\r\n", response);
    assert_eq!((seen.start.as_str(), seen.header("via").as_deref()), ("GET /old HTTP/1.1", Some("1.0 idemstore")));
    assert!(seen.header("host").is_some());
    assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("hello", None));
}

#[test]
fn an_upstream_of_http_1_0_is_understood() {
    let upstream = Upstream::start(|request| {
        request.write("HTTP/1.0 200 OK\r\n\r\nuntil the end");
        After::Close
    });
    let proxy = Proxy::start(&upstream.url(), &[]);
    let keyed = "POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\n\r\n";
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", keyed, keyed] {
        let answer = exchange(proxy.address, request);
        assert_eq!((answer.start.as_str(), answer.text().as_str()), ("HTTP/1.1 200 OK", "until the end"));
    }
    assert_eq!(upstream.count(), 2, "it was recorded");
}

#[test]
fn trailers_reach_a_client_that_takes_them_and_its_retry() {
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n";
    let upstream = Upstream::start(move |request| request.answer(response));
    let proxy = Proxy::start(&upstream.url(), &[]);
    let keyed = "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\nIdempotency-Key: a\r\n\r\n";
    for request in ["GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: TE\r\n\r\n", keyed, keyed] {
        let answer = exchange(proxy.address, request);
        assert_eq!(
            (answer.text().as_str(), answer.trailers.as_slice()),
            ("hi", &[("x-sum".to_owned(), "7".to_owned())][..]),
            "{request}"
        );
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let (upstream, proxy) = shop(&[]);
    let mut connection = connect(proxy.address);
    let head = "POST /payments HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    connection.get_mut().write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    connection.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.get_mut().write_all(b"100").unwrap();
    assert_eq!(Message::read(&mut connection, true).unwrap().text(), "charge 1");
    assert_eq!((upstream.seen()[0].text().as_str(), upstream.seen()[0].header("expect")), ("100", None));
}

#[test]
fn a_response_without_a_body_keeps_the_length_that_it_speaks_of() {
    let upstream = Upstream::start(|request| request.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
    let proxy = Proxy::start(&upstream.url(), &[]);
    let mut connection = connect(proxy.address);
    connection.get_mut().write_all(b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.to_ascii_lowercase().contains("content-length: 1000\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

/// What follows the length would be read as the answer to whatever is asked next on the connection.
#[test]
fn a_length_that_the_coding_overrules_reaches_no_client() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n19\r\nokHTTP/1.1 200 Forged\r\n\r\n\r\n0\r\n\r\n";
    let upstream = Upstream::start(move |request| request.answer(response));
    let proxy = Proxy::start(&upstream.url(), &[]);
    let keyed = "POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\n\r\n";
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\n\r\n", keyed, keyed] {
        let answer = exchange(proxy.address, request);
        assert_eq!((answer.status(), answer.text().len(), answer.is_whole), (200, 0x19, true), "{request}: {answer:?}");
        assert_ne!(answer.header("content-length").as_deref(), Some("2"), "{request}");
    }
    assert_eq!(upstream.count(), 3);
}

#[test]
fn a_header_that_is_folded_or_blemished_costs_no_response() {
    let (_, answer) = through(
        "POST / HTTP/1.1\r\nHost: h\r\nIdempotency-Key: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Long: one\r\n two\r\nX-Spaced : 1\r\nContent-Length: 2\r\n\r\nhi",
    );
    assert_eq!((answer.status(), answer.text().as_str(), answer.header("x-spaced").as_deref()), (200, "hi", Some("1")));
}

#[test]
fn what_is_no_request_for_an_upstream_is_answered_here() {
    let (upstream, proxy) = shop(&[]);
    let status = |request: &str, to: SocketAddr| exchange(to, request).status();
    let cases = [
        ("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 204),
        ("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n", 204),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET http://me:secret@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a/b\r\nIdempotency-Key: a\r\nContent-Length: 0\r\n\r\n", 400),
        ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
    ];
    for (request, expected) in cases {
        assert_eq!(status(request, proxy.address), expected, "{request}");
    }
    assert_eq!(upstream.count(), 0);
}

#[test]
fn the_proxys_own_routes_are_not_on_the_public_address() {
    let (upstream, proxy) = shop(&[]);
    for path in ["/_idemstore/health", "/_idemstore/metrics", "/_idemstore/", "/", "/v1/stats", "/metrics"] {
        exchange(proxy.address, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(upstream.seen().last().unwrap().start, format!("GET {path} HTTP/1.1"));
    }
}
