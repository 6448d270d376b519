//! What a request is for: its target and its host (RFC 9112, section 3).

use http::{
    HeaderValue, Method, Uri, Version,
    header::{HOST, MAX_FORWARDS},
    request::Parts,
    uri::{Authority, PathAndQuery},
};

/// What is to be done with a request, from its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It is for the upstream; its target is a path.
    Upstream,
    /// It asks about the server that it reached, which is this one.
    Here,
    /// The method is none that a reverse proxy can serve.
    RefusedMethod,
    /// It has no host, or several, or what is none, as RFC 9112, section 3.2, wants to be refused; or its target has a user's name.
    RefusedHost,
    /// Its `Connection` claims a field that is not the connection's.
    RefusedConnection,
}

/// Makes the target a path, and `Host` the host that the target named, if it did.
pub(super) fn resolve(parts: &mut Parts) -> Target {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Target::RefusedMethod;
    }
    let hosts = parts.headers.get_all(HOST).iter().count();
    let are_hosts = parts.headers.get_all(HOST).iter().all(is_host);
    if hosts > 1 || !are_hosts || (hosts == 0 && parts.version != Version::HTTP_10) {
        return Target::RefusedHost;
    }
    if parts.method == Method::OPTIONS && (parts.uri.path() == "*" || is_last_hop(parts)) {
        return Target::Here;
    }
    if let Some(authority) = parts.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str()).ok().filter(is_host);
        let Some(host) = host else { return Target::RefusedHost };
        parts.headers.insert(HOST, host);
    }
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = Uri::from(path);
    Target::Upstream
}

/// Returns whether this is a host and perhaps a port, or nothing, as where the target has no host. A user's name, which RFC 9110,
/// section 4.2.4, has treated as an error, would go to the upstream as a part of it.
fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

/// Counts a hop down (RFC 9110, section 7.6.2); returns whether there are none left.
fn is_last_hop(parts: &mut Parts) -> bool {
    let left = parts.headers.get(MAX_FORWARDS).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match left {
        Some(0) => true,
        Some(left) => {
            parts.headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            false
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn an_absolute_target_becomes_a_path_and_says_the_host() {
        for (target, path, host) in [
            ("http://pay.example:81/a?b=c", "/a?b=c", "pay.example:81"),
            ("http://pay.example", "/", "pay.example"),
            ("/a?b=c", "/a?b=c", "other.example"),
        ] {
            let mut parts = parts("POST", target, &[("host", "other.example")]);
            assert_eq!(resolve(&mut parts), Target::Upstream);
            assert_eq!((parts.uri.to_string().as_str(), parts.headers[HOST].to_str().unwrap()), (path, host));
        }
    }

    #[test]
    fn a_request_has_one_host_unless_it_is_of_old() {
        assert_eq!(resolve(&mut parts("GET", "/", &[])), Target::RefusedHost);
        assert_eq!(resolve(&mut parts("GET", "/", &[("host", "a"), ("host", "a")])), Target::RefusedHost);
        for host in ["a/b", "me@a", "me:secret@a", "a b", "a?b", "a\\b"] {
            assert_eq!(resolve(&mut parts("GET", "/", &[("host", host)])), Target::RefusedHost, "{host}");
        }
        for host in ["", "a", "a:1", "a_b.example", "[::1]:1", "127.0.0.1"] {
            assert_eq!(resolve(&mut parts("GET", "/", &[("host", host)])), Target::Upstream, "{host}");
        }
        assert_eq!(resolve(&mut parts("GET", "http://me:secret@a/b", &[("host", "a")])), Target::RefusedHost);
        let mut old = parts("GET", "/", &[]);
        old.version = Version::HTTP_10;
        assert_eq!(resolve(&mut old), Target::Upstream);
    }

    #[test]
    fn no_tunnel_is_opened_and_no_request_is_echoed() {
        assert_eq!(resolve(&mut parts("CONNECT", "a.example:443", &[("host", "a.example")])), Target::RefusedMethod);
        assert_eq!(resolve(&mut parts("TRACE", "/", &[("host", "a.example")])), Target::RefusedMethod);
    }

    #[test]
    fn options_for_this_server_are_answered_here() {
        let host = ("host", "a.example");
        assert_eq!(resolve(&mut parts("OPTIONS", "*", &[host])), Target::Here);
        assert_eq!(resolve(&mut parts("OPTIONS", "/a", &[host, ("max-forwards", "0")])), Target::Here);
        let mut further = parts("OPTIONS", "/a", &[host, ("max-forwards", "2")]);
        assert_eq!(resolve(&mut further), Target::Upstream);
        assert_eq!(further.headers[MAX_FORWARDS], "1");
        // It means nothing for other methods.
        assert_eq!(resolve(&mut parts("GET", "/a", &[host, ("max-forwards", "0")])), Target::Upstream);
    }
}
