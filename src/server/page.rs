//! The operator's page.

use super::Body;
use http::Response;

/// Answers with the page. There is no data in it: it asks for that with the token that it is given.
pub(super) fn answer() -> Response<Body> {
    Response::new(Body::empty())
}
