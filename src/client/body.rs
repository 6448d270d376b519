use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The body of a request as the inner service gets it: what was read of the caller's body, then what was not, if there is more.
pub struct ClientBody<B> {
    read: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    rest: Option<Pin<Box<B>>>,
}

/// A body that was read to its end. Cloning copies no data.
#[derive(Clone)]
pub(super) struct Whole {
    chunks: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Whole {
    pub(super) fn to_body<B>(&self) -> ClientBody<B> {
        let Self { chunks, trailers } = self.clone();
        ClientBody { read: chunks, trailers, rest: None }
    }
}

impl<B: Body> ClientBody<B> {
    /// Takes a body as it is, to be sent once.
    pub(super) fn unread(body: B) -> Self {
        Self { read: VecDeque::new(), trailers: None, rest: Some(Box::pin(body)) }
    }

    /// Reads a body that is to be sent more than once. Of one that is longer than `bytes_max` only so much is read that this is
    /// known; it comes back without its [`Whole`].
    pub(super) async fn read(body: B, bytes_max: usize) -> Result<(Self, Option<Whole>), B::Error> {
        let mut unread = Self::unread(body);
        let Some(mut rest) = unread.rest.take() else { return Ok((unread, None)) };
        let (mut len, mut is_over) = (0_usize, rest.size_hint().lower() > bytes_max as u64);
        while !is_over {
            let Some(frame) = poll_fn(|context| rest.as_mut().poll_frame(context)).await else {
                let whole = Whole { chunks: unread.read, trailers: unread.trailers };
                return Ok((whole.to_body(), Some(whole)));
            };
            match into_bytes(frame?).into_data() {
                Ok(data) => {
                    len = len.saturating_add(data.len());
                    is_over = len > bytes_max;
                    unread.read.push_back(data);
                }
                Err(frame) => unread.trailers = frame.into_trailers().ok().or(unread.trailers),
            }
        }
        Ok((Self { rest: Some(rest), ..unread }, None))
    }
}

/// Copies nothing if the data is `Bytes` already.
fn into_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

impl<B: Body> Body for ClientBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if let Some(data) = this.read.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut this.rest {
            Some(rest) => Poll::Ready(ready!(rest.as_mut().poll_frame(context)).map(|frame| frame.map(into_bytes))),
            None => Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.trailers.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.iter().fold(0_u64, |sum, data| sum.saturating_add(data.len() as u64));
        let mut hint = SizeHint::new();
        let Some(rest) = self.rest.as_ref().map(Body::size_hint) else {
            hint.set_lower(read);
            // HTTP/1.1 has no trailers where a length is known before.
            if self.trailers.is_none() {
                hint.set_upper(read);
            }
            return hint;
        };
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> fmt::Debug for ClientBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientBody")
    }
}
