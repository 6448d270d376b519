//! A client's body, with an end to the wait for it.

use crate::server::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// Breaks off when nothing comes for too long.
pub(super) struct ClientBody<B = Incoming> {
    body: B,
    silence_max: Duration,
    /// Runs while nothing comes.
    silent: Option<Pin<Box<Sleep>>>,
}

impl<B> ClientBody<B> {
    pub(super) fn new(body: B, silence_max: Duration) -> Self {
        Self { body, silence_max, silent: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ClientBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.silent = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let silence_max = this.silence_max;
        let silent = this.silent.get_or_insert_with(|| Box::pin(sleep(silence_max)));
        silent.as_mut().poll(context).map(|()| Some(Err("the client does not send its body".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
