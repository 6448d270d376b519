use crate::{
    server::{Body, Problem},
    tower::Conclusion,
};
use http::{Response, StatusCode};
use std::time::Duration;

/// After which a client may try again when nothing was sent.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the proxy answers instead of the upstream. The answer carries it in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UpstreamFailure {
    /// There was no connection to it, so nothing was sent.
    Unreachable,
    /// It was sent the request, or a part, and did not answer: it closed, was silent for too long, or spoke no HTTP.
    Failed,
    /// Nothing was sent, because the store could not take the mark that comes before.
    NotMarked,
    /// The client did not send its body to the end.
    RequestBroken,
}

impl UpstreamFailure {
    /// Returns the status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::Failed => StatusCode::GATEWAY_TIMEOUT,
            Self::NotMarked => StatusCode::SERVICE_UNAVAILABLE,
            Self::RequestBroken => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the kind, which is part of the answer's body.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Unreachable => "upstream_unreachable",
            Self::Failed => "upstream_failed",
            Self::NotMarked => "busy",
            Self::RequestBroken => "request_broken",
        }
    }

    /// Returns what becomes of the key, if the request has one.
    pub fn conclusion(self) -> Conclusion {
        match self {
            Self::Unreachable | Self::NotMarked => Conclusion::Release,
            Self::Failed | Self::RequestBroken => Conclusion::Unknown,
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "the server behind this proxy cannot be reached, and nothing was sent: send the request again later"
            }
            Self::Failed => {
                "the server behind this proxy was sent the request and did not answer, so it may have taken effect: send the same request with the same key to learn what became of it"
            }
            Self::NotMarked => "the request could not be noted as sent, so it was not sent: send it again later",
            Self::RequestBroken => "the body broke off: send the request again",
        }
    }

    pub(super) fn response(self) -> Response<Body> {
        let problem = Problem::new(self.status(), self.kind(), self.detail());
        let is_free = self.conclusion() == Conclusion::Release;
        let mut response = if is_free { problem.retry_after(RETRY_AFTER) } else { problem }.into_response();
        response.extensions_mut().insert(self);
        response.extensions_mut().insert(self.conclusion());
        response
    }
}
