use crate::server::{Api, Body};
use bytes::Bytes;
use http::{Request, Response, Uri, uri::PathAndQuery};

/// In front of every route here, so that a path says whose it is when several services are looked after in one place.
const PREFIX: &str = "/_idemstore";
/// What somebody who looks after a proxy may ask for. The verbs of holders are not among it: the proxy is the only one.
const ROUTES: [&str; 9] =
    ["/", "/health", "/metrics", "/v1/audit", "/v1/record", "/v1/records", "/v1/resolve", "/v1/stats", "/v1/sweep"];

/// What a proxy shows its operator: the page, what that asks of the [`Api`], health and metrics. For an address of its own.
///
/// Each route is there with `/_idemstore` before it and without.
///
/// ```
/// use idemstore::{Store, server::{Api, Body, Peer, proxy::Admin}};
/// use http::Request;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
///
/// let admin = Admin::new(Api::new(Store::in_memory()?));
/// let status = async |path: &str| {
///     let request = Request::get(path).extension(Peer::Process).body(Body::empty()).unwrap();
///     admin.answer(request).await.status().as_u16()
/// };
/// assert_eq!(status("/_idemstore/health").await, 200);
/// assert_eq!(status("/v1/begin").await, 404);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    api: Api,
}

impl Admin {
    /// Shows what `api` has.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// Answers a request.
    pub async fn answer<B>(&self, mut request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        if let Some(uri) = in_api(request.uri()) {
            *request.uri_mut() = uri;
        }
        self.api.answer(request).await
    }
}

/// Where the API has what is asked for; where it has nothing, for what is not to be had here.
fn in_api(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let asked = match path.strip_prefix(PREFIX) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    };
    let path = if ROUTES.contains(&asked) { asked.to_owned() } else { format!("{PREFIX}{asked}") };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path + &query).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &'static str) -> String {
        in_api(&Uri::from_static(target)).unwrap().to_string()
    }

    #[test]
    fn each_route_is_there_with_the_prefix_and_without() {
        for route in ROUTES {
            for target in [route.to_owned(), format!("{PREFIX}{route}")] {
                assert_eq!(in_api(&target.parse().unwrap()).unwrap().path(), route);
            }
        }
        assert_eq!([asked("/_idemstore"), asked("/_idemstore/v1/records?limit=1")], ["/", "/v1/records?limit=1"]);
        assert_eq!(asked("http://127.0.0.1:1/_idemstore/health"), "http://127.0.0.1:1/health");
    }

    #[test]
    fn what_is_for_holders_is_nowhere() {
        for target in ["/v1/begin", "/_idemstore/v1/begin", "/v1/complete", "/_idemstorehealth", "/_idemstore//health"] {
            assert!(asked(target).starts_with(PREFIX), "{target}");
        }
    }
}
