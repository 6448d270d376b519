//! Who may ask: whoever has the token; and no page of another site in the operator's browser.

use super::{Peer, Problem};
use http::{HeaderMap, Method, Request, StatusCode, Version, header, uri::Authority};
use std::{fmt, net::IpAddr};

const SEC_FETCH_SITE: &str = "sec-fetch-site";
const SEC_FETCH_MODE: &str = "sec-fetch-mode";

/// What a request has to show before it is looked at.
///
/// With a token: `Authorization: Bearer` and the token. Always: that no page of another site sent it, because a browser on the
/// operator's machine reaches addresses that its pages must not act on. Without a token, over TCP: a `Host` that is an IP address or
/// `localhost`, because any other name may be one that a foreign page has made point here (DNS rebinding).
#[derive(Clone, Default)]
pub struct Guard {
    /// Digests are compared, so that the time it takes tells nothing about the token, its length included.
    token: Option<blake3::Hash>,
}

impl Guard {
    /// Lets everybody in who is not a page of another site.
    pub fn open() -> Self {
        Self::default()
    }

    /// Lets in who has this token.
    pub fn with_token(token: impl AsRef<[u8]>) -> Self {
        Self { token: Some(blake3::hash(token.as_ref())) }
    }

    /// Refuses a request that may not ask. A request without a [`Peer`] counts as one over TCP.
    ///
    /// ```
    /// use http::Request;
    /// use idemstore::server::Guard;
    ///
    /// let guard = Guard::with_token("s3cret");
    /// let request = |token| Request::get("/v1/stats").header("host", "shop.internal").header("authorization", token).body(());
    /// assert!(guard.check(&request("Bearer s3cret")?).is_ok());
    /// assert_eq!(guard.check(&request("Bearer guess")?).unwrap_err().status(), 401);
    ///
    /// let foreign = Request::post("/v1/sweep").header("host", "127.0.0.1:4040").header("origin", "https://evil.example").body(())?;
    /// assert_eq!(Guard::open().check(&foreign).unwrap_err().status(), 403);
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// # Errors
    /// A [`Problem`]: 400 without the one `Host` that HTTP/1.1 demands, 401, 403.
    pub fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let host = host(request)?;
        check_site(request.headers(), host.as_ref())?;
        self.check_client(request, host)
    }

    /// As [`check`](Guard::check), for what has no data in it and does nothing: a link on another site, in an alert say, may lead
    /// to it.
    pub(super) fn check_visit<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let is_link =
            request.method() == Method::GET && request.headers().get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
        if is_link { self.check_client(request, host(request)?) } else { self.check(request) }
    }

    fn check_client<B>(&self, request: &Request<B>, host: Option<Authority>) -> Result<(), Problem> {
        let peer = request.extensions().get::<Peer>();
        match self.token {
            Some(token) => check_token(request.headers(), token),
            None if matches!(peer, Some(Peer::Unix | Peer::Process)) || host.is_none_or(|host| is_literal(&host)) => Ok(()),
            None => Err(forbidden(
                "host is a name, which a foreign page could have made point here: ask by IP address, or set a token",
            )),
        }
    }
}

/// Returns whom the client believes to talk to. Only HTTP/1.0, and this process, may leave it out.
fn host<B>(request: &Request<B>) -> Result<Option<Authority>, Problem> {
    let invalid = |detail| Problem::new(StatusCode::BAD_REQUEST, "invalid_input", detail);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 || request.extensions().get() == Some(&Peer::Process) => None,
        (None, _) => return Err(invalid("host is missing: send one")),
        (Some(_), Some(_)) => return Err(invalid("host is there more than once: send one")),
        (Some(host), None) => {
            let host = Authority::try_from(host.as_bytes());
            Some(host.map_err(|_| invalid("host is not one: send a name or an address, and a port"))?)
        }
    };
    // An absolute target goes before the header (RFC 9112, section 3.2.2).
    Ok(request.uri().authority().cloned().or(named))
}

fn check_site(headers: &HeaderMap, host: Option<&Authority>) -> Result<(), Problem> {
    if headers.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site") {
        return Err(forbidden("request comes from a page of another site"));
    }
    let is_own = |origin: &str| {
        let own = host.map(Authority::as_str);
        origin.split_once("://").zip(own).is_some_and(|((_, origin), own)| origin.eq_ignore_ascii_case(own))
    };
    if headers.get_all(header::ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own)) {
        return Ok(());
    }
    Err(forbidden("origin is not this server: only its own page may send requests from a browser"))
}

fn check_token(headers: &HeaderMap, token: blake3::Hash) -> Result<(), Problem> {
    let unauthorized = |detail| {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        problem.header(header::WWW_AUTHENTICATE, "Bearer")
    };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let given = given.ok_or_else(|| unauthorized("token is missing: send `Authorization: Bearer` and the token"))?;
    // Equality of hashes takes constant time.
    if blake3::hash(given) == token { Ok(()) } else { Err(unauthorized("token is not the server's: ask whoever runs it")) }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

fn is_literal(host: &Authority) -> bool {
    let name = host.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

fn forbidden(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

/// Shows whether there is a token, never anything of it.
impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("has_token", &self.token.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, peer: Option<Peer>, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::get("/v1/stats");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        guard.check(&request).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_the_token_opens_a_guard_with_one() {
        let guard = Guard::with_token("s3cret");
        let with = |authorization| status(&guard, None, &[("host", "shop"), ("authorization", authorization)]);
        for good in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert_eq!(with(good), 200, "{good}");
        }
        for bad in ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Bearer S3CRET", "Basic s3cret", "s3cret"] {
            assert_eq!(with(bad), 401, "{bad}");
        }
        assert_eq!(status(&guard, None, &[("host", "shop")]), 401);
        assert!(!format!("{guard:?}").contains("s3cret"));
    }

    #[test]
    fn a_link_on_another_site_leads_to_what_has_no_data_and_nothing_else_does() {
        let visit = |method: &str, headers: &[(&str, &str)]| {
            let request = Request::builder().method(method).uri("/").header(SEC_FETCH_SITE, "cross-site");
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            Guard::open().check_visit(&request.body(()).unwrap()).map_or_else(|problem| problem.status().as_u16(), |()| 200)
        };
        let (host, link) = (("host", "127.0.0.1:4040"), (SEC_FETCH_MODE, "navigate"));
        assert_eq!(visit("GET", &[host, link]), 200);
        assert_eq!(visit("POST", &[host, link]), 403, "a form");
        assert_eq!(visit("GET", &[host, (SEC_FETCH_MODE, "no-cors")]), 403, "an image, say");
        assert_eq!(visit("GET", &[host]), 403);
        assert_eq!(visit("GET", &[("host", "evil.example"), link]), 403, "a name that was made to point here");
        assert_eq!(status(&Guard::open(), None, &[host, link, (SEC_FETCH_SITE, "cross-site")]), 403, "anything but the page");
    }

    #[test]
    fn a_page_of_another_site_is_refused_with_and_without_a_token() {
        let host = ("host", "127.0.0.1:4040");
        for guard in [Guard::open(), Guard::with_token("s3cret")] {
            let with = |headers: &[(&str, &str)]| {
                let token = [host, ("authorization", "Bearer s3cret")];
                status(&guard, None, &[&token[..], headers].concat())
            };
            for origin in ["https://evil.example", "null", "http://127.0.0.1:3000", "http://127.0.0.1", "127.0.0.1:4040", ""] {
                assert_eq!(with(&[("origin", origin)]), 403, "{origin}");
            }
            assert_eq!(with(&[("sec-fetch-site", "cross-site")]), 403);
            assert_eq!(with(&[("origin", "http://127.0.0.1:4040"), ("sec-fetch-site", "same-origin")]), 200);
            assert_eq!(with(&[("sec-fetch-site", "none")]), 200);
        }
    }

    #[test]
    fn without_a_token_a_name_is_refused_over_tcp_only() {
        let tcp = Peer::Tcp(([127, 0, 0, 1], 5).into());
        let with = |peer, host| status(&Guard::open(), peer, &[("host", host)]);
        for host in ["127.0.0.1:4040", "[::1]:4040", "localhost", "LOCALHOST:1", "10.0.0.7"] {
            assert_eq!(with(Some(tcp), host), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:4040", "127.0.0.1.evil.example"] {
            assert_eq!((with(Some(tcp), host), with(None, host)), (403, 403), "{host}");
            assert_eq!(with(Some(Peer::Unix), host), 200);
        }
        assert_eq!(status(&Guard::open(), Some(tcp), &[]), 400);
        assert_eq!(status(&Guard::open(), Some(tcp), &[("host", "a"), ("host", "127.0.0.1")]), 400);
        assert_eq!(status(&Guard::open(), Some(Peer::Process), &[]), 200);
    }
}
