//! Reading ahead: a response that is to be recorded is looked at to its end before its head goes to the client, as far as the limit
//! allows, so that one that breaks off can still be answered as such.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;

/// The body of an upstream's response, of which some may be read already.
#[derive(Debug)]
pub(super) struct ReadAhead<B> {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<B>,
}

/// The response broke off, or nothing more came for too long.
#[derive(Debug)]
pub(super) struct BrokeOff;

impl<B: Body<Data = Bytes> + Unpin> ReadAhead<B> {
    /// Reads until the body ends or has more than `bytes_max`.
    pub(super) async fn read(mut body: B, bytes_max: u64, silence_max: Duration) -> Result<Self, BrokeOff> {
        let mut frames = VecDeque::new();
        let mut bytes = 0;
        // A length that was announced and is too long need not be tried.
        while bytes.max(body.size_hint().lower()) <= bytes_max {
            let frame = timeout(silence_max, poll_fn(|context| Pin::new(&mut body).poll_frame(context)));
            match frame.await.map_err(|_| BrokeOff)? {
                None => return Ok(Self { frames, rest: None }),
                Some(frame) => {
                    let frame = frame.map_err(|_| BrokeOff)?;
                    bytes += data_bytes(&frame);
                    frames.push_back(frame);
                }
            }
        }
        Ok(Self { frames, rest: Some(body) })
    }
}

fn data_bytes(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReadAhead<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        match (this.frames.pop_front(), &mut this.rest) {
            (Some(frame), _) => Poll::Ready(Some(Ok(frame))),
            (None, Some(rest)) => Pin::new(rest).poll_frame(context),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.frames.iter().map(data_bytes).sum();
        let Some(rest) = &self.rest else { return SizeHint::with_exact(read) };
        let rest = rest.size_hint();
        let mut sum = SizeHint::new();
        sum.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            sum.set_upper(upper);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use http_body_util::BodyExt as _;
    use std::{future::Future, io};

    const SILENCE: Duration = Duration::from_secs(60);

    /// Time that passes when everybody waits.
    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    type Piece = Result<Frame<Bytes>, io::Error>;

    /// A body of these pieces, after which it ends or hangs.
    struct Pieces {
        left: VecDeque<Piece>,
        ends: bool,
        announced: u64,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Piece>> {
            match self.left.pop_front() {
                Some(piece) => Poll::Ready(Some(piece)),
                None if self.ends => Poll::Ready(None),
                None => Poll::Pending,
            }
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.announced);
            hint
        }
    }

    fn pieces(pieces: impl IntoIterator<Item = Piece>, ends: bool) -> Pieces {
        Pieces { left: pieces.into_iter().collect(), ends, announced: 0 }
    }

    fn data(text: &'static str) -> Frame<Bytes> {
        Frame::data(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_response_within_the_limit_is_read_to_its_end_and_is_whole() {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("7"));
        let body = pieces([Ok(data("ab")), Ok(data("cd")), Ok(Frame::trailers(trailers.clone()))], true);
        let read = run(ReadAhead::read(body, 4, SILENCE)).unwrap();
        assert_eq!(read.size_hint().exact(), Some(4));
        let collected = run(read.collect()).unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "abcd");
    }

    #[test]
    fn no_more_is_read_ahead_than_it_takes_to_exceed_the_limit() {
        let read = run(ReadAhead::read(pieces([Ok(data("ab")), Ok(data("cde")), Ok(data("f"))], true), 4, SILENCE)).unwrap();
        assert_eq!(read.frames.len(), 2);
        assert_eq!((read.size_hint().lower(), read.size_hint().upper()), (5, None));
        assert_eq!(run(read.collect()).unwrap().to_bytes(), "abcdef");
        let announced = Pieces { announced: 5, ..pieces([Ok(data("abcde"))], true) };
        assert_eq!(run(ReadAhead::read(announced, 4, SILENCE)).unwrap().frames.len(), 0);
    }

    #[test]
    fn a_response_that_breaks_off_or_hangs_within_the_limit_is_found_out() {
        let broken = pieces([Ok(data("ab")), Err(io::Error::other("reset"))], true);
        assert!(run(ReadAhead::read(broken, 4, SILENCE)).is_err());
        assert!(run(ReadAhead::read(pieces([Ok(data("ab"))], false), 4, SILENCE)).is_err());
        // Beyond the limit it is the client's to see.
        let late = pieces([Ok(data("abcde")), Err(io::Error::other("reset"))], true);
        let read = run(ReadAhead::read(late, 4, SILENCE)).unwrap();
        assert!(run(read.collect()).is_err());
    }
}
