use super::{Upstream, client_body::ClientBody, request::prepare, target::Target};
use crate::{
    IdempotencyStore,
    server::{Api, Body, Peer, Problem},
    tower::{Idempotency, IdempotencyLayer},
};
use http::{HeaderValue, Request, Response, StatusCode, header::ALLOW};
use hyper::body::Incoming;
use std::{fmt, time::Instant};
use tower_layer::Layer as _;
use tower_service::Service as _;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The proxy: the layer, in front of the upstream. Hand its answers to [`serve`](crate::server::serve).
///
/// ```
/// use idemstore::{
///     Store,
///     server::{Limits, Listener, proxy::{Proxy, principal_of_headers}, serve},
///     tower::{IdempotencyLayer, Spawn},
/// };
/// use std::sync::Arc;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// # let store = Store::in_memory()?;
/// let layer = IdempotencyLayer::new(store, Spawn::new(|task| drop(tokio::spawn(task))), principal_of_headers([]));
/// let proxy = Arc::new(Proxy::new(&layer, "http://127.0.0.1:3000".parse()?));
/// let answer = move |request| {
///     let proxy = proxy.clone();
///     async move { proxy.answer(request).await }
/// };
/// let listener = Listener::tcp("127.0.0.1:0".parse()?).await?;
/// let stop = async { /* until a signal comes */ };
/// serve(vec![listener], Limits::new(), answer, stop).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Proxy<St> {
    service: Idempotency<Upstream, St>,
    counted_by: Option<Api>,
}

impl<St: IdempotencyStore> Proxy<St> {
    /// Puts the layer in front of the upstream.
    pub fn new(layer: &IdempotencyLayer<St>, upstream: Upstream) -> Self {
        Self { service: layer.layer(upstream), counted_by: None }
    }

    /// Has this API's figures count requests and how long they took, as the route `proxy`.
    #[must_use]
    pub fn counted_by(mut self, api: Api) -> Self {
        self.counted_by = Some(api);
        self
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let response = self.forward(request).await;
        if let Some(api) = &self.counted_by {
            api.count("proxy", response.status().as_u16(), started.elapsed());
        }
        response
    }

    async fn forward(&self, request: Request<Incoming>) -> Response<Body> {
        let client = match request.extensions().get::<Peer>() {
            Some(Peer::Tcp(address)) => Some(address.ip()),
            _ => None,
        };
        let (mut parts, body) = request.into_parts();
        match prepare(&mut parts, client) {
            Target::Upstream => (),
            Target::Here => return here(),
            Target::RefusedMethod => return refused_method(),
            Target::RefusedHost => return refused_host(),
        }
        // An upstream is always ready: it makes a connection when there is none.
        let call = self.service.clone().call(Request::from_parts(parts, ClientBody::new(body)));
        let Ok(response) = call.await;
        response.map(Body::new)
    }
}

fn here() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
    response
}

fn refused_method() -> Response<Body> {
    let detail = "a reverse proxy opens no tunnels and echoes no requests: use another method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).header(ALLOW, METHODS).into_response()
}

fn refused_host() -> Response<Body> {
    let detail = "the request has no Host, or several: send one";
    Problem::new(StatusCode::BAD_REQUEST, "invalid_input", detail).into_response()
}

impl<St> fmt::Debug for Proxy<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy")
    }
}
