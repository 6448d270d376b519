use super::{
    budget::{Permit, counted},
    collect::{Collected, Read},
};
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

pin_project! {
    /// The body of a request as the service behind the layer sees it: the client's, or what was read of it.
    pub struct RequestBody<B> {
        #[pin]
        body: Either<B>,
    }
}

pin_project! {
    /// The body of a response as it leaves the layer: the service's own, what was read of it and perhaps a rest, or a recorded one.
    pub struct ResponseBody<B: Body> {
        #[pin]
        body: Either<B>,
        // What was read when more follows.
        rest: Option<Pin<Box<B>>>,
        failure: Option<B::Error>,
    }
}

pin_project! {
    #[project = EitherProjection]
    enum Either<B> {
        Own { #[pin] body: B },
        Read { frames: VecDeque<Frame<Bytes>>, bytes: u64 },
    }
}

impl<B> Either<B> {
    fn read(data: impl IntoIterator<Item = Bytes>, trailers: Option<HeaderMap>) -> Self {
        let data = data.into_iter().filter(|data| !data.is_empty()).map(Frame::data);
        let frames: VecDeque<_> = data.chain(trailers.map(Frame::trailers)).collect();
        let bytes = frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        Self::Read { frames, bytes }
    }
}

impl<B> RequestBody<B> {
    pub(super) fn own(body: B) -> Self {
        Self { body: Either::Own { body } }
    }

    pub(super) fn read(read: Read) -> Self {
        Self { body: Either::read([read.data], read.trailers) }
    }
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn own(body: B) -> Self {
        Self { body: Either::Own { body }, rest: None, failure: None }
    }

    pub(super) fn whole(data: Bytes, trailers: Option<HeaderMap>, permit: Option<Permit>) -> Self {
        let data = match permit {
            Some(permit) => counted(data, &Arc::new(permit)),
            None => data,
        };
        Self { body: Either::read([data], trailers), rest: None, failure: None }
    }

    pub(super) fn collected(collected: Collected<B>, permit: Permit) -> Self {
        let Collected { data, trailers, rest, failure } = collected;
        let permit = Arc::new(permit);
        let data = data.into_iter().map(|data| counted(data, &permit));
        Self { body: Either::read(data, trailers), rest, failure }
    }
}

impl<B: Body> Body for Either<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            EitherProjection::Own { body } => Poll::Ready(ready!(body.poll_frame(context)).map(|frame| frame.map(into_bytes))),
            EitherProjection::Read { frames, bytes } => {
                let frame = frames.pop_front();
                *bytes -= frame.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body } => body.is_end_stream(),
            Self::Read { frames, .. } => frames.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body } => body.size_hint(),
            // HTTP/1.1 has no trailers where a length is known before.
            Self::Read { frames, bytes, .. } if frames.back().is_some_and(Frame::is_trailers) => {
                let mut hint = SizeHint::new();
                hint.set_lower(*bytes);
                hint
            }
            Self::Read { bytes, .. } => SizeHint::with_exact(*bytes),
        }
    }
}

/// Copies nothing if the data is `Bytes` already.
pub(super) fn into_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

impl<B: Body> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(frame) = ready!(this.body.poll_frame(context)) {
            return Poll::Ready(Some(frame));
        }
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        match this.rest {
            Some(rest) => Poll::Ready(ready!(rest.as_mut().poll_frame(context)).map(|frame| frame.map(into_bytes))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.failure.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let (first, Some(rest)) = (self.body.size_hint(), &self.rest) else {
            // A body that is about to fail has no known length.
            return if self.failure.is_some() { SizeHint::default() } else { self.body.size_hint() };
        };
        let rest = rest.size_hint();
        let mut sum = SizeHint::new();
        sum.set_lower(first.lower().saturating_add(rest.lower()));
        if let Some(upper) = first.upper().zip(rest.upper()).and_then(|(first, rest)| first.checked_add(rest)) {
            sum.set_upper(upper);
        }
        sum
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestBody")
    }
}

impl<B: Body> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseBody")
    }
}
