use super::ClientError;
use http::Response;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

/// The response to come, after as many sends as it takes. Dropping it ends the request: nothing more is sent.
#[must_use = "futures do nothing unless they are polled"]
pub struct ResponseFuture<R>(Pin<Box<dyn Future<Output = Result<Response<R>, ClientError>> + Send>>);

impl<R> ResponseFuture<R> {
    pub(super) fn new(run: impl Future<Output = Result<Response<R>, ClientError>> + Send + 'static) -> Self {
        Self(Box::pin(run))
    }
}

impl<R> Future for ResponseFuture<R> {
    type Output = Result<Response<R>, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<R> fmt::Debug for ResponseFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

/// Waits for `work`, or returns None when `deadline` ends before it. What is there at the deadline counts.
pub(super) async fn within<W: Future>(mut deadline: Pin<&mut impl Future<Output = ()>>, work: W) -> Option<W::Output> {
    let mut work = std::pin::pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => deadline.as_mut().poll(context).map(|()| None),
    })
    .await
}
