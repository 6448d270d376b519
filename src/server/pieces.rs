use super::{Body, BoxError};
use crate::tower::Permit;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

const PIECE_BYTES: usize = 64 * 1024;

/// A long answer in pieces, with its part of the bytes that may be in memory.
///
/// A connection takes the next piece when its client has read most of the one before. In one piece it would have it all at once, and
/// nobody would know how long it holds on to that.
pub(super) struct Pieces {
    rest: Bytes,
    _permit: Permit,
}

impl Pieces {
    /// Returns whether an answer is long enough for it to matter who does not read it.
    pub(super) fn are_worth_it(body: &Body) -> bool {
        bytes_of(body) > PIECE_BYTES
    }

    /// Makes pieces of an answer that is in memory as a whole.
    pub(super) async fn of(body: Body, permit: Permit) -> Result<Body, BoxError> {
        let rest = http_body_util::BodyExt::collect(body).await?.to_bytes();
        Ok(Body::new(Self { rest, _permit: permit }))
    }
}

/// Returns how many bytes an answer has that is in memory as a whole.
pub(super) fn bytes_of(body: &Body) -> usize {
    let bytes = http_body::Body::size_hint(body).exact().unwrap_or_default();
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
