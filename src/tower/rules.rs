//! Which headers and trailers of a response are recorded. The one table.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that are never recorded, so that a replay has none of them unless the server adds it anew.
///
/// | | why |
/// |---|---|
/// | `Set-Cookie` | a session of the first caller |
/// | `WWW-Authenticate`, `Authentication-Info`, `Proxy-*` | an exchange with the first caller |
/// | `Connection`, `Keep-Alive`, `TE`, `Transfer-Encoding`, `Upgrade`, and what `Connection` names | about one connection (RFC 9110, section 7.6.1) |
/// | `Content-Length` | whoever sends the replay knows its body: a length from elsewhere could be another one's |
/// | `Date`, `Age` | when *this* message was made: the server sets its own |
/// | `Alt-Svc` | about the server of that moment |
/// | the replay's own marks | set anew on each replay |
pub const NEVER_RECORDED: [HeaderName; 19] = [
    header::SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("authentication-info"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::DATE,
    header::AGE,
    header::ALT_SVC,
    IDEMPOTENT_REPLAYED,
    X_IDEMPOTENT_REPLAY,
];

/// The mark of a replay in the IETF's and Stripe's contracts.
pub(super) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The mark of a replay in Lift's.
pub(super) const X_IDEMPOTENT_REPLAY: HeaderName = HeaderName::from_static("x-idempotent-replay");

/// Returns what of a response's headers or trailers is recorded, in order; `also_not` names more that is not.
pub(super) fn recorded<'h>(
    headers: &'h HeaderMap,
    also_not: &'h [HeaderName],
) -> impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)> {
    headers.iter().filter(move |(name, _)| {
        !NEVER_RECORDED.contains(name) && !also_not.contains(name) && !is_named_by_connection(headers, name)
    })
}

/// Returns the headers or trailers of a replay. A record may come from a version whose table was shorter, from another machine, or
/// from an operator's hand: what is never recorded is never replayed either.
pub(super) fn replayed(recorded_fields: &HeaderMap) -> HeaderMap {
    recorded(recorded_fields, &[]).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let named = headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    named.into_iter().any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
}
