use super::{RequestBody, ResponseBody, ResponseFuture, admit::Admission, identify::Named, settings::Settings};
use crate::IdempotencyStore;
use http::{Request, Response};
use http_body::Body;
use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// A service with idempotency, made by [`IdempotencyLayer`](super::IdempotencyLayer).
pub struct Idempotency<S, St> {
    inner: S,
    store: Arc<St>,
    settings: Arc<Settings>,
}

impl<S, St> Idempotency<S, St> {
    pub(super) fn new(inner: S, store: Arc<St>, settings: Arc<Settings>) -> Self {
        Self { inner, store, settings }
    }
}

impl<S, St, B, RB> Service<Request<B>> for Idempotency<S, St>
where
    St: IdempotencyStore,
    S: Service<Request<RequestBody<B>>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Body + Send + 'static,
    RB: Body + Send + 'static,
    RB::Error: Send,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, RB, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let named = self.settings.named(&parts);
        if let Ok(Named::Nothing) = named {
            return ResponseFuture::passing(self.inner.call(Request::from_parts(parts, RequestBody::own(body))));
        }
        // The one that was polled ready is the one to be called.
        let next = self.inner.clone();
        let inner = mem::replace(&mut self.inner, next);
        let admission = Admission { inner, store: self.store.clone(), settings: self.settings.clone() };
        ResponseFuture::protected(admission.answer(parts, body, named))
    }
}

impl<S: Clone, St> Clone for Idempotency<S, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), store: self.store.clone(), settings: self.settings.clone() }
    }
}

impl<S, St> fmt::Debug for Idempotency<S, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Idempotency")
    }
}
