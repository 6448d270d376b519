use http::{header::HOST, request::Parts};

/// Names a route by host and path, for [`IdempotencyLayer::route_by`](crate::tower::IdempotencyLayer::route_by): several hosts may
/// be served behind one address, and what one of them answered is nothing to a client of another, though the key be the same.
///
/// The host is in lower case and without a default port, 80 or 443. A client that comes to the same server by another name is told
/// apart from itself; so its retries have to go where its first request went. This holds for x402 too: a payment's id is for the
/// resource that it was first sent to, and another host's is another one.
///
/// ```
/// use http::Request;
/// use idemstore::server::proxy::route_of_host;
///
/// let of = |host: &str| route_of_host(&Request::post("/payments?a=b").header("host", host).body(()).unwrap().into_parts().0);
/// assert_eq!(of("Shop.example:80"), "shop.example/payments");
/// assert_ne!(of("shop.example"), of("other.example"));
/// ```
pub fn route_of_host(parts: &Parts) -> String {
    // A request whose host is none does not come as far as this.
    let host = parts.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).to_ascii_lowercase());
    let host = host.unwrap_or_default();
    let name = [":80", ":443", ":"].iter().find_map(|port| host.strip_suffix(port)).unwrap_or(&host);
    format!("{name}{}", parts.uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn ways_to_write_a_host_are_one_and_hosts_are_not() {
        let of = |host: &str| route_of_host(&Request::post("/a").header(HOST, host).body(()).unwrap().into_parts().0);
        for (host, route) in [
            ("shop.example", "shop.example/a"),
            ("SHOP.example:80", "shop.example/a"),
            ("shop.example:443", "shop.example/a"),
            ("shop.example:", "shop.example/a"),
            ("shop.example:8080", "shop.example:8080/a"),
            ("[::80]", "[::80]/a"),
            ("[::1]:80", "[::1]/a"),
            ("", "/a"),
        ] {
            assert_eq!(of(host), route, "{host}");
        }
        assert_eq!(route_of_host(&Request::post("/a").body(()).unwrap().into_parts().0), "/a");
    }
}
