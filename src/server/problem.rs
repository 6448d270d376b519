use super::Body;
use crate::{Error, ErrorKind};
use http::{
    HeaderValue, Response, StatusCode,
    header::{self, HeaderName},
};
use serde::Serialize;
use std::time::Duration;

/// Why a request was not answered as asked: a status and a body of `application/problem+json` (RFC 9457).
///
/// Its `kind` is the [`ErrorKind`] in snake case, or one of the server's own: `unauthorized`, `forbidden`, `unknown_route`,
/// `method_not_allowed`, `too_large`, `timeout`.
///
/// ```
/// use idemstore::{Key, server::Problem};
///
/// let problem = Problem::from(Key::new("tenant-7", "").unwrap_err());
/// assert_eq!((problem.status().as_u16(), problem.kind()), (400, "invalid_input"));
/// let response = problem.into_response();
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// No browser is to take what a client has stored for a page or a script.
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// After which a client may try again when nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Fields<'p> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'p str,
    kind: &'p str,
}

impl Problem {
    /// Makes a problem; `detail` says what is wrong and what to do, without secrets.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), headers: Vec::new() }
    }

    /// Adds a header to the response.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        // A value that is none would only lack: the problem is told all the same.
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// Says when to try again, in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        self.header(header::RETRY_AFTER, retry_after_seconds(wait))
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the kind.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns what is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Writes the body of the response.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let fields = Fields {
            r#type: format!("urn:idemstore:problem:{}", self.kind),
            title: self.kind.replace('_', " "),
            status: self.status.as_u16(),
            detail: &self.detail,
            kind: self.kind,
        };
        // Strings and a number: there is nothing in it that could not be written.
        serde_json::to_vec(&fields).unwrap_or_default()
    }

    /// Makes the response.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::full(self.to_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        response
    }
}

/// The value of `Retry-After`: never "at once".
pub(super) fn retry_after_seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, kind) = status_and_kind(error.kind());
        let problem = Self::new(status, kind, error.to_string());
        // What is poisoned or damaged stays so until somebody acts; the contract has the header on every 503 all the same.
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(RETRY_AFTER) } else { problem }
    }
}

fn status_and_kind(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::InvalidInput => (StatusCode::BAD_REQUEST, "invalid_input"),
        ErrorKind::LeaseLost => (StatusCode::CONFLICT, "lease_lost"),
        ErrorKind::AttemptChanged => (StatusCode::CONFLICT, "attempt_changed"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        ErrorKind::AlreadyExists => (StatusCode::CONFLICT, "already_exists"),
        ErrorKind::InFlight => (StatusCode::CONFLICT, "in_flight"),
        ErrorKind::TooManyAttempts => (StatusCode::CONFLICT, "too_many_attempts"),
        ErrorKind::Full => (StatusCode::SERVICE_UNAVAILABLE, "full"),
        ErrorKind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
        ErrorKind::Locked => (StatusCode::SERVICE_UNAVAILABLE, "locked"),
        ErrorKind::UnsupportedFormat => (StatusCode::SERVICE_UNAVAILABLE, "unsupported_format"),
        ErrorKind::Restored => (StatusCode::SERVICE_UNAVAILABLE, "restored"),
        ErrorKind::Corrupted => (StatusCode::SERVICE_UNAVAILABLE, "corrupted"),
        ErrorKind::Io => (StatusCode::SERVICE_UNAVAILABLE, "io"),
        ErrorKind::Indeterminate => (StatusCode::SERVICE_UNAVAILABLE, "indeterminate"),
        ErrorKind::Poisoned => (StatusCode::SERVICE_UNAVAILABLE, "poisoned"),
        ErrorKind::Closed => (StatusCode::SERVICE_UNAVAILABLE, "closed"),
        ErrorKind::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
    }
}
