//! Requests and answers in JSON.

use super::Answer;
use crate::{cli::failure::Failure, server::Body};
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// As `application/problem+json` has them.
#[derive(Deserialize)]
pub(super) struct Problem {
    kind: String,
    detail: String,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused { kind: problem.kind, detail: problem.detail }
    }
}

/// Everything but what RFC 3986 calls unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Returns a path with a query of those names that have a value.
pub(in crate::cli) fn query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut whole = path.to_owned();
    let given = pairs.iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    for (number, (name, value)) in given.enumerate() {
        whole.push(if number == 0 { '?' } else { '&' });
        whole.extend([name, "="]);
        whole.extend(utf8_percent_encode(value, ESCAPED));
    }
    whole
}

pub(super) fn get(path: &str) -> Result<Request<Body>, Failure> {
    build(Method::GET, path, Body::empty())
}

pub(super) fn post(path: &str, order: &impl Serialize) -> Result<Request<Body>, Failure> {
    let body = serde_json::to_vec(order).map_err(|error| Failure::new(format_args!("writing the request: {error}")))?;
    build(Method::POST, path, Body::full(body))
}

pub(super) fn build(method: Method, path: &str, body: Body) -> Result<Request<Body>, Failure> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
    request.map_err(|error| Failure::new(format_args!("making the request: {error}")))
}

/// Reads an answer to its end; a problem is a failure.
pub(super) async fn whole(answer: Answer) -> Result<Bytes, Failure> {
    let is_success = answer.status().is_success();
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| broken(&*error))?.to_bytes();
    if is_success {
        return Ok(body);
    }
    let problem = serde_json::from_slice::<Problem>(&body);
    Err(problem.map_or_else(|_| Failure::new(format_args!("the owner answered {status} without saying why")), Failure::from))
}

pub(super) fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::new(format_args!("the owner's answer broke off, ask again: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_carries_any_text() {
        let whole = query("/v1/record", &[("scope", Some("a/b c&d=é")), ("none", None), ("key", Some("\n"))]);
        assert_eq!(whole, "/v1/record?scope=a%2Fb%20c%26d%3D%C3%A9&key=%0A");
        assert_eq!(query("/v1/records", &[("state", None)]), "/v1/records");
    }
}
