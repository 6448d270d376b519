//! A request's body on its way to the upstream, and word of its progress: an upload may take long as long as it moves.

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// What is known of a body that is being sent.
#[derive(Debug, Default)]
pub(super) struct Progress {
    moved: Notify,
    /// The client has not sent what is to be passed on.
    waits_for_client: AtomicBool,
}

impl Progress {
    /// Waits for the answer; `None` when the upstream is silent for `silence_max` and nothing is still to be taken from the client.
    pub(super) async fn answer<F: Future>(&self, answer: F, silence_max: Duration) -> Option<F::Output> {
        let mut answer = pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return Some(answer),
                () = self.moved.notified() => (),
                // How long a client may be silent is for its body to say.
                () = sleep(silence_max) => if !self.waits_for_client.load(Relaxed) { return None },
            }
        }
    }
}

pin_project! {
    /// A body whose pieces are told to a [`Progress`].
    #[derive(Debug)]
    pub(super) struct Sending<B> {
        #[pin]
        body: B,
        progress: Arc<Progress>,
    }
}

impl<B> Sending<B> {
    pub(super) fn new(body: B) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        (Self { body, progress: progress.clone() }, progress)
    }
}

impl<B: Body> Body for Sending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.progress.waits_for_client.store(true, Relaxed);
        let frame = ready!(this.body.poll_frame(context));
        this.progress.waits_for_client.store(false, Relaxed);
        this.progress.moved.notify_one();
        Poll::Ready(frame)
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
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Empty};
    use std::{convert::Infallible, future::pending};

    const SILENCE: Duration = Duration::from_secs(60);

    /// Time that passes when everybody waits.
    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    /// A body that gives a piece each 50 s, as often as told, and then ends or hangs.
    struct Slow(u32, bool, Option<Pin<Box<tokio::time::Sleep>>>);

    impl Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.0 == 0 {
                return if self.1 { Poll::Ready(None) } else { Poll::Pending };
            }
            let pause = self.2.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(50))));
            ready!(pause.as_mut().poll(context));
            (self.0, self.2) = (self.0 - 1, None);
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[test]
    fn an_upload_that_moves_may_take_longer_than_silence() {
        let sent = run(async {
            let (body, progress) = Sending::new(Slow(10, true, None));
            progress.answer(async { body.collect().await.unwrap().to_bytes().len() }, SILENCE).await
        });
        assert_eq!(sent, Some(10));
    }

    #[test]
    fn an_upstream_that_is_silent_is_given_up() {
        let answer = run(async {
            let (body, progress) = Sending::new(Empty::<Bytes>::new());
            let sent = async {
                let _ = body.collect().await;
                pending::<()>().await;
            };
            progress.answer(sent, SILENCE).await
        });
        assert_eq!(answer, None);
    }

    #[test]
    fn an_upstream_is_not_blamed_for_its_client() {
        let is_given_up = run(async {
            let (body, progress) = Sending::new(Slow(1, false, None));
            tokio::time::timeout(SILENCE * 10, progress.answer(body.collect(), SILENCE)).await.is_ok()
        });
        assert!(!is_given_up);
    }
}
