//! The server behind the proxy, as a service.

use super::{
    buffer::{BrokeOff, ReadAhead},
    failure::UpstreamFailure,
    progress::Sending,
    request::prepare_response,
};
use crate::{
    server::{Body, BoxError},
    tower::Attempt,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, Uri,
    header::{CONNECTION, TE, TRANSFER_ENCODING},
    uri::{Authority, Scheme},
};
use http_body::Body as _;
use hyper_util::{
    client::legacy::{
        Client, Error as ClientError,
        connect::{HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt,
    future::Future,
    pin::Pin,
    str::FromStr,
    task::{Context, Poll},
    time::Duration,
};
use tower_service::Service;

/// Header fields of a response.
const HEADERS_MAX: usize = 1000;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection of safe requests is kept for the next one: shorter than any server's patience that is known.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a connection on which nothing comes is looked at, so that a machine that is gone is noticed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An HTTP server, by its address, and how it is spoken to. Cloning shares its connections.
///
/// ```
/// use idemstore::server::proxy::Upstream;
/// use std::time::Duration;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # let _context = runtime.enter();
/// let upstream: Upstream = "http://127.0.0.1:3000".parse()?;
/// let upstream = upstream.timeout(Duration::from_secs(20));
/// # let _ = upstream;
/// assert!("https://127.0.0.1:3000".parse::<Upstream>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Upstream {
    authority: Authority,
    /// For requests that may have an effect: each has a connection of its own.
    single: Client<HttpConnector, Sending<Body>>,
    /// For the others.
    pooled: Client<HttpConnector, Sending<Body>>,
    timeout: Duration,
    response_bytes_max: u64,
    is_marked: bool,
}

/// The text is no address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError(&'static str);

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let uri = Uri::from_str(text).map_err(|_| UpstreamError("it is no URL: give http://HOST:PORT"))?;
        let parts = uri.into_parts();
        match parts.scheme {
            Some(scheme) if scheme == Scheme::HTTP => (),
            Some(_) => return Err(UpstreamError("only plain HTTP is spoken to an upstream: give http://HOST:PORT")),
            None => return Err(UpstreamError("the scheme is missing: give http://HOST:PORT")),
        }
        let authority = parts.authority.ok_or(UpstreamError("the host is missing: give http://HOST:PORT"))?;
        if authority.as_str().contains('@') {
            return Err(UpstreamError("it has a user's name: give http://HOST:PORT, and have clients send their credentials"));
        }
        if parts.path_and_query.is_some_and(|path| path != "/") {
            return Err(UpstreamError("it has a path, and paths stay as clients send them: give http://HOST:PORT"));
        }
        Ok(Self::new(authority))
    }
}

impl Upstream {
    fn new(authority: Authority) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT);
        // What the money moved for is not to be lost to a blemish that RFC 9112, section 5, has a proxy mend.
        builder.http1_max_headers(HEADERS_MAX).http1_ignore_invalid_headers_in_responses(true);
        builder.http1_allow_obsolete_multiline_headers_in_responses(true).http1_allow_spaces_after_header_name_in_responses(true);
        // What this tries again was never written to a connection: hyper gives it back unused.
        let pooled = builder.retry_canceled_requests(true).build(connector.clone());
        let single = builder.retry_canceled_requests(false).pool_max_idle_per_host(0).build(connector);
        Self { authority, single, pooled, timeout: Duration::from_secs(60), response_bytes_max: 1024 * 1024, is_marked: false }
    }

    /// Sets how long the head of a response may take, and the silence in the body of one that is recorded: 60 s unless set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many bytes of a response that is recorded are read before the client gets any: 1 MiB unless set. It is to be what the
    /// layer records at most.
    #[must_use]
    pub fn response_bytes_max(mut self, bytes: u64) -> Self {
        self.response_bytes_max = bytes;
        self
    }

    /// Sets whether a checkpoint is stored before a request is sent; not unless set. With
    /// [`Takeover::RerunUnlessCheckpointed`](crate::tower::Takeover::RerunUnlessCheckpointed) a request that was never sent is then
    /// known from one that may have been, at the price of another sync.
    #[must_use]
    pub fn mark_before_sending(mut self, marks: bool) -> Self {
        self.is_marked = marks;
        self
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        match self.try_answer(request).await {
            Ok(response) => response,
            Err(failure) => failure.response(),
        }
    }

    async fn try_answer(self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamFailure> {
        let attempt = request.extensions_mut().remove::<Attempt>();
        if let Some(attempt) = attempt.as_ref().filter(|_| self.is_marked) {
            attempt.checkpoint("sent").await.map_err(|_| UpstreamFailure::NotMarked)?;
        }
        let is_single = attempt.is_some() || !request.method().is_safe();
        if is_single {
            end_connection_after(request.headers_mut());
        }
        *request.uri_mut() = self.uri_of(request.uri()).ok_or(UpstreamFailure::Unreachable)?;
        let (mut parts, body) = request.into_parts();
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            // Without a length and this hyper's client drops the body of a request that has none as a rule, such as GET.
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let (body, progress) = Sending::new(body);
        let mut request = Request::from_parts(parts, body);
        let connection = capture_connection(&mut request);
        let client = if is_single { &self.single } else { &self.pooled };
        let response = match progress.answer(client.request(request), self.timeout).await {
            Some(response) => response.map_err(|error| failure_of(&error))?,
            // A request is sent only after its connection was noted.
            None if connection.connection_metadata().is_none() => return Err(UpstreamFailure::Unreachable),
            None => return Err(UpstreamFailure::Failed),
        };
        let (mut parts, body) = response.into_parts();
        if parts.status.is_informational() {
            // It changed to a protocol that nobody asked for.
            return Err(UpstreamFailure::Failed);
        }
        prepare_response(&mut parts);
        let body = match attempt {
            Some(_) => {
                let read = ReadAhead::read(body, self.response_bytes_max, self.timeout).await;
                Body::new(read.map_err(|BrokeOff| UpstreamFailure::Failed)?)
            }
            None => Body::new(body),
        };
        Ok(Response::from_parts(parts, body))
    }

    /// Where a path is at the upstream. The client of hyper sends only the path of it.
    fn uri_of(&self, path: &Uri) -> Option<Uri> {
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone());
        uri.path_and_query(path.path_and_query()?.clone()).build().ok()
    }
}

/// Says that no other request follows on this connection.
fn end_connection_after(headers: &mut HeaderMap) {
    let options = if headers.contains_key(TE) { "te, close" } else { "close" };
    headers.insert(CONNECTION, HeaderValue::from_static(options));
}

/// Whatever is not known to have come before the request was sent may have come after it.
fn failure_of(error: &ClientError) -> UpstreamFailure {
    if error.is_connect() {
        return UpstreamFailure::Unreachable;
    }
    let cause = error.source().and_then(|cause| cause.downcast_ref::<hyper::Error>());
    if cause.is_some_and(hyper::Error::is_user) { UpstreamFailure::RequestBroken } else { UpstreamFailure::Failed }
}

impl<B> Service<Request<B>> for Upstream
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move { Ok(upstream.answer(request.map(Body::new)).await) })
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("authority", &self.authority).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for UpstreamError {}
