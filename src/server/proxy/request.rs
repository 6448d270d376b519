//! A request as the upstream is to get it.

use super::{hop, target, target::Target};
use crate::tower::IDEMPOTENCY_KEY;
use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    request::Parts,
};
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What no `Connection` may claim, besides what the proxy is told by [`Proxy::end_to_end`](super::Proxy::end_to_end).
pub(super) const END_TO_END: [HeaderName; 6] = [
    HOST,
    CONTENT_LENGTH,
    AUTHORIZATION,
    IDEMPOTENCY_KEY,
    HeaderName::from_static("payment-signature"),
    HeaderName::from_static("x-payment"),
];

/// Makes a client's request one that can be passed on; `client` is where it came from, and `end_to_end` is what it has to keep.
pub(super) fn prepare(parts: &mut Parts, client: Option<IpAddr>, end_to_end: &[HeaderName]) -> Target {
    if hop::claims(&parts.headers, end_to_end) {
        return Target::RefusedConnection;
    }
    let target = target::resolve(parts);
    if target != Target::Upstream {
        return target;
    }
    let headers = &mut parts.headers;
    // Before anything is added: the client must not be able to have it removed.
    hop::end_request(headers);
    hop::add_via(headers, parts.version);
    if let Some(client) = client.and_then(|client| HeaderValue::from_str(&client.to_canonical().to_string()).ok()) {
        add(headers, &X_FORWARDED_FOR, &client);
    }
    if let Some(host) = headers.get(HOST).cloned() {
        add(headers, &X_FORWARDED_HOST, &host);
    }
    add(headers, &X_FORWARDED_PROTO, &HeaderValue::from_static("http"));
    parts.version = Version::HTTP_11;
    target
}

/// Makes a response one that can be passed on. Where it is recorded, this is what is recorded.
pub(super) fn prepare_response(parts: &mut http::response::Parts) {
    // Such a body ends where its coding says, and the length is a lie (RFC 9112, section 6.3). It would outlive the coding, which is
    // about the connection.
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        parts.headers.remove(CONTENT_LENGTH);
    }
    hop::end_response(&mut parts.headers);
    hop::add_via(&mut parts.headers, parts.version);
    parts.version = Version::HTTP_11;
}

/// Adds a member to a field that is a list, in one line: many servers read only one.
fn add(headers: &mut HeaderMap, name: &HeaderName, member: &HeaderValue) {
    let members: Vec<_> = headers.get_all(name).iter().chain([member]).map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&members.join(&b", "[..])) {
        headers.insert(name, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn prepared(headers: &[(&str, &str)], client: &str) -> HeaderMap {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(prepare(&mut parts, Some(client.parse().unwrap()), &END_TO_END), Target::Upstream);
        parts.headers
    }

    #[test]
    fn the_upstream_hears_who_asked_for_what() {
        let seen = prepared(&[("host", "shop.example")], "::ffff:192.0.2.7");
        assert_eq!(seen["host"], "shop.example");
        assert_eq!(seen["x-forwarded-for"], "192.0.2.7");
        assert_eq!(seen["x-forwarded-host"], "shop.example");
        assert_eq!(seen["x-forwarded-proto"], "http");
        assert_eq!(seen["via"], "1.1 idemstore");
    }

    #[test]
    fn what_proxies_before_said_stays_in_front() {
        let before =
            [("host", "h"), ("x-forwarded-for", "a"), ("x-forwarded-for", "b"), ("x-forwarded-proto", "https"), ("via", "2 cdn")];
        let seen = prepared(&before, "192.0.2.7");
        assert_eq!(seen["x-forwarded-for"], "a, b, 192.0.2.7");
        assert_eq!(seen["x-forwarded-proto"], "https, http");
        assert_eq!(seen.get_all("via").iter().collect::<Vec<_>>(), ["2 cdn", "1.1 idemstore"]);
    }

    #[test]
    fn a_client_cannot_have_removed_what_is_added() {
        let named = ("connection", "x-forwarded-for, via, x-forwarded-host, x-forwarded-proto");
        let seen = prepared(&[("host", "h"), named, ("x-forwarded-for", "forged")], "192.0.2.7");
        assert_eq!(seen["x-forwarded-for"], "192.0.2.7");
        assert!(seen.contains_key("via") && seen.contains_key("x-forwarded-host") && seen.contains_key("x-forwarded-proto"));
    }
    #[test]
    fn what_is_end_to_end_is_not_the_connections_to_claim() {
        for (claimed, expected) in [
            ("close, Host", Target::RefusedConnection),
            ("content-length", Target::RefusedConnection),
            ("x,IDEMPOTENCY-Key ,y", Target::RefusedConnection),
            ("X-Payment", Target::RefusedConnection),
            ("x-host, te, keep-alive", Target::Upstream),
        ] {
            let mut parts = Request::post("/").header(HOST, "h").header("connection", claimed).body(()).unwrap().into_parts().0;
            assert_eq!(prepare(&mut parts, None, &END_TO_END), expected, "{claimed}");
        }
    }
}
