use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Returns what `future` comes to, or `None` if `end` is ready before it.
pub(super) async fn until<F: Future>(future: F, end: impl Future<Output = ()>) -> Option<F::Output> {
    let (mut future, mut end) = (pin!(future), pin!(end));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => end.as_mut().poll(context).map(|()| None),
    })
    .await
}
