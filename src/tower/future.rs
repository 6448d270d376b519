use super::ResponseBody;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A request under way under the layer, boxed because a store's futures have no names.
type Protected<RB, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<RB>>, E>> + Send>>;

pin_project! {
    /// The response to come. Dropping it does not stop a handler that has begun.
    pub struct ResponseFuture<F, RB: Body, E> {
        #[pin]
        state: State<F, RB, E>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, RB: Body, E> {
        Passing { #[pin] future: F },
        Protected { future: Protected<RB, E> },
    }
}

impl<F, RB: Body, E> ResponseFuture<F, RB, E> {
    pub(super) fn passing(future: F) -> Self {
        Self { state: State::Passing { future } }
    }

    pub(super) fn protected(future: impl Future<Output = Result<Response<ResponseBody<RB>>, E>> + Send + 'static) -> Self {
        Self { state: State::Protected { future: Box::pin(future) } }
    }
}

impl<F, RB, E> Future for ResponseFuture<F, RB, E>
where
    F: Future<Output = Result<Response<RB>, E>>,
    RB: Body,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Passing { future } => {
                Poll::Ready(ready!(future.poll(context)).map(|response| response.map(ResponseBody::own)))
            }
            StateProjection::Protected { future } => future.as_mut().poll(context),
        }
    }
}

impl<F, RB: Body, E> fmt::Debug for ResponseFuture<F, RB, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
