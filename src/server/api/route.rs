use super::super::Problem;
use http::{Method, StatusCode, header};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Begin,
    Complete,
    Fail,
    Renew,
    Checkpoint,
    Release,
    Resolve,
    Record,
    Records,
    Audit,
    Stats,
    Sweep,
    Metrics,
    Health,
    Page,
}

/// Paths, and the names that figures have.
const ROUTES: [(&str, &str, Route); 15] = [
    ("/v1/begin", "begin", Route::Begin),
    ("/v1/complete", "complete", Route::Complete),
    ("/v1/fail", "fail", Route::Fail),
    ("/v1/renew", "renew", Route::Renew),
    ("/v1/checkpoint", "checkpoint", Route::Checkpoint),
    ("/v1/release", "release", Route::Release),
    ("/v1/resolve", "resolve", Route::Resolve),
    ("/v1/record", "record", Route::Record),
    ("/v1/records", "records", Route::Records),
    ("/v1/audit", "audit", Route::Audit),
    ("/v1/stats", "stats", Route::Stats),
    ("/v1/sweep", "sweep", Route::Sweep),
    ("/metrics", "metrics", Route::Metrics),
    ("/health", "health", Route::Health),
    ("/", "page", Route::Page),
];

impl Route {
    /// The name of what is no route, for figures.
    pub(super) const UNKNOWN: &str = "unknown";

    /// Finds the route of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        ROUTES.iter().find(|(known, _, _)| *known == path).map(|(_, _, route)| *route)
    }

    /// Returns its name, for figures.
    pub(super) fn name(self) -> &'static str {
        ROUTES.iter().find(|(_, _, route)| *route == self).map_or(Self::UNKNOWN, |(_, name, _)| *name)
    }

    /// Returns the parameters that its target may have.
    pub(super) fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Record => &["scope", "key", "payload"],
            Self::Records => &["state", "scope", "older_ms", "limit", "after"],
            Self::Audit => &["scope", "key", "from", "limit"],
            _ => &[],
        }
    }

    /// Returns whether it is what the holder of an attempt asks.
    pub(super) fn is_of_holders(self) -> bool {
        matches!(self, Self::Complete | Self::Fail | Self::Renew | Self::Checkpoint | Self::Release)
    }

    /// Refuses other methods than the route's.
    pub(super) fn check(self, method: &Method) -> Result<(), Problem> {
        let (is_known, allow) = match self {
            Self::Begin
            | Self::Complete
            | Self::Fail
            | Self::Renew
            | Self::Checkpoint
            | Self::Release
            | Self::Resolve
            | Self::Sweep => (method == Method::POST, "POST"),
            Self::Record | Self::Records | Self::Audit | Self::Stats | Self::Metrics | Self::Health | Self::Page => {
                (method == Method::GET || method == Method::HEAD, "GET, HEAD")
            }
        };
        if is_known {
            return Ok(());
        }
        let detail = format!("method is not one of this route: use {allow}");
        Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).header(header::ALLOW, allow))
    }
}

/// What is asked of a path that is no route.
pub(super) fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_route", "path is not one of this server: look at its documentation")
}
