//! Fields that are about one connection, and end with it.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, EXPECT, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA},
};

/// RFC 9110, section 7.6.1, and the fields of proxies that keep accounts. `Trailer` is not one: what it announces is passed on.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];
const TRAILERS: &str = "trailers";

/// Returns whether the connection's options claim one of these fields. Such a field would vanish on the way here, before anybody
/// looks at it: a payment without its key is one that nothing protects.
pub(super) fn claims(headers: &HeaderMap, fields: &[HeaderName]) -> bool {
    list(headers, &CONNECTION).any(|option| fields.iter().any(|name| option.eq_ignore_ascii_case(name.as_str().as_bytes())))
}

/// Removes the fields of the connection that a request came by. That it may be answered with trailers is said anew.
pub(super) fn end_request(headers: &mut HeaderMap) {
    let takes_trailers = list(headers, &TE).any(|coding| coding.eq_ignore_ascii_case(TRAILERS.as_bytes()));
    end_response(headers);
    // The client's wish to be asked for its body was met by whoever reads it here.
    headers.remove(EXPECT);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static(TRAILERS));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Removes the fields of the connection that a response came by.
pub(super) fn end_response(headers: &mut HeaderMap) {
    let named: Vec<_> = list(headers, &CONNECTION).filter_map(|option| HeaderName::from_bytes(option).ok()).collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Says that the message came through here (RFC 9110, section 7.6.3), in which version of HTTP.
pub(super) fn add_via(headers: &mut HeaderMap, version: http::Version) {
    let via = if version == http::Version::HTTP_10 { "1.0 idemstore" } else { "1.1 idemstore" };
    headers.append(VIA, HeaderValue::from_static(via));
}

/// The members of a field that is a list.
fn list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_about_the_connection_ends_with_it() {
        let mut seen = headers(&[
            ("connection", "close, X-Hop"),
            ("connection", "x-other ,, ?"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-authenticate", "Basic"),
            ("proxy-authentication-info", "x"),
            ("te", "gzip;q=0.5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("trailer", "x-sum"),
            ("x-end", "1"),
        ]);
        end_request(&mut seen);
        assert_eq!(seen, headers(&[("trailer", "x-sum"), ("x-end", "1")]));
    }

    #[test]
    fn trailers_may_still_be_sent() {
        for te in ["trailers", "gzip, Trailers"] {
            let mut seen = headers(&[("te", te), ("connection", "TE, close")]);
            end_request(&mut seen);
            assert_eq!(seen, headers(&[("te", "trailers"), ("connection", "te")]), "{te}");
        }
        let mut response = headers(&[("te", "trailers")]);
        end_response(&mut response);
        assert!(response.is_empty());
    }

    #[test]
    fn via_is_added_to_what_is_there() {
        let mut seen = headers(&[("via", "1.1 edge")]);
        add_via(&mut seen, http::Version::HTTP_10);
        add_via(&mut seen, http::Version::HTTP_11);
        assert_eq!(seen.get_all(VIA).iter().collect::<Vec<_>>(), ["1.1 edge", "1.0 idemstore", "1.1 idemstore"]);
    }
}
