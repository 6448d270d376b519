use super::{BoxError, ClientBody, ClientError, ClientErrorKind, ResponseFuture, exchange::Exchange, settings::Settings};
use http::{Request, Response};
use http_body::Body;
use std::{
    fmt,
    future::Future,
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower_service::Service;

/// The client that [`IdempotentClientLayer`](super::IdempotentClientLayer) makes.
///
/// Clones share nothing but the settings; requests do not wait for each other.
#[derive(Clone)]
pub struct IdempotentClient<S, T> {
    inner: S,
    settings: Arc<Settings>,
    sleep: Arc<T>,
}

impl<S, T> IdempotentClient<S, T> {
    pub(super) fn new(inner: S, settings: Arc<Settings>, sleep: Arc<T>) -> Self {
        Self { inner, settings, sleep }
    }
}

impl<S, B, R, T, F> Service<Request<B>> for IdempotentClient<S, T>
where
    S: Service<Request<ClientBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError> + Send,
    R: Send + 'static,
    T: Fn(Duration) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    type Response = Response<R>;
    type Error = ClientError;
    type Future = ResponseFuture<R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        self.inner.poll_ready(context).map_err(|error| ClientError::new(ClientErrorKind::Service, None, 0, Some(error.into())))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<R> {
        // The request gets the service that is ready; the next one has to make its own ready.
        let unready = self.inner.clone();
        let ready = mem::replace(&mut self.inner, unready);
        let exchange = Exchange::new(ready, Arc::clone(&self.settings), Arc::clone(&self.sleep));
        ResponseFuture::new(exchange.run(request))
    }
}

impl<S: fmt::Debug, T> fmt::Debug for IdempotentClient<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotentClient").field("inner", &self.inner).field("settings", &self.settings).finish()
    }
}
