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
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may keep others waiting before it has sent anything, and at any later time at most.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What a client has to send for each second that it is waited for: a body that comes in drops ends as one that does not come.
const BYTES_PER_SECOND: u32 = 1024;

/// Breaks off when the client has used up the time that it is given, and has earned by what it sent. Time in which nobody asks for
/// more is not its own.
pub(super) struct ClientBody<B = Incoming> {
    body: B,
    left: Duration,
    /// Runs while nothing comes.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<B> ClientBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, left: WAIT_MAX, waiting: None }
    }

    fn settle(&mut self, bytes: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(1).saturating_mul(bytes) / BYTES_PER_SECOND;
        self.left = self.left.saturating_add(earned).min(WAIT_MAX);
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
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            this.settle(data.map_or(0, Bytes::len));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let left = this.left;
        let (_, waiting) = this.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        waiting.as_mut().poll(context).map(|()| Some(Err("the client does not send its body".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use std::{convert::Infallible, task::ready};

    /// Gives a piece of so many bytes after each pause of so many seconds, and never ends.
    struct Pausing {
        pause_s: u64,
        bytes: usize,
        pause: Option<Pin<Box<Sleep>>>,
    }

    impl Body for Pausing {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let pause_s = self.pause_s;
            ready!(self.pause.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(pause_s)))).as_mut().poll(context));
            self.pause = None;
            Poll::Ready(Some(Ok(Frame::data(vec![0; self.bytes].into()))))
        }
    }

    /// Returns how many pieces are taken until the body breaks off, up to a thousand, and the seconds that took.
    fn taken(pause_s: u64, bytes: usize, asks_after_s: u64) -> (usize, u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (started, mut pieces) = (Instant::now(), 0);
            let mut body = ClientBody::new(Pausing { pause_s, bytes, pause: None });
            while pieces < 1000 && body.frame().await.unwrap().is_ok() {
                pieces += 1;
                sleep(Duration::from_secs(asks_after_s)).await;
            }
            (pieces, started.elapsed().as_secs())
        })
    }

    #[test]
    fn a_client_that_is_silent_is_not_waited_for() {
        assert_eq!(taken(31, 1 << 20, 0), (0, 30));
    }

    #[test]
    fn a_client_that_dribbles_is_not_waited_for_either() {
        assert_eq!(taken(1, 1, 0), (30, 30));
        assert_eq!(taken(10, 1024, 0).0, 3);
    }

    #[test]
    fn a_client_that_is_slow_and_steady_may_take_its_time() {
        assert_eq!(taken(10, 10 * 1024, 0), (1000, 10_000));
    }

    #[test]
    fn time_in_which_nobody_asks_is_not_the_clients() {
        assert_eq!(taken(1, 1024, 600).0, 1000);
    }
}
