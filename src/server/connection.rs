use super::{Body, BoxError, Limits, stall::Watched};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioTimer;
use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{Notify, futures::OwnedNotified, watch},
    time::{Instant, Sleep, sleep_until, timeout},
};

/// Who a request comes from: an extension of every request that [`serve`](super::serve) hands to its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// A client over TCP, and its address.
    Tcp(SocketAddr),
    /// A client over a unix socket: a process that may open its file.
    Unix,
    /// This process.
    Process,
}

/// How long what a client still sends is read after its last answer: closing at once would reset the connection, and the client
/// might lose the answer.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024;

/// What a connection shares with the others.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) limits: Arc<Limits>,
    /// Told when others wait to be accepted: the connection that has been idle for longest hears it.
    pub(super) make_room: Arc<Notify>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Serves one connection to its end.
pub(super) async fn run<S, H, F>(stream: S, peer: Peer, handler: H, common: Common)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let phase = Arc::new(Phase::default());
    let service = service_fn(|mut request: Request<Incoming>| {
        let turn = Turn::begin(&phase);
        request.extensions_mut().insert(peer);
        let answering = handler(request);
        Box::pin(async move { Ok::<_, Infallible>(answering.await.map(|body| Answering { body, _turn: turn })) })
    });
    let stream = Watched::new(stream, phase.clone(), common.limits.write_wait);
    let mut builder = http1::Builder::new();
    // The clock of the phases bounds the head, and unlike hyper's it does not run while a connection is idle.
    builder.timer(TokioTimer::new()).header_read_timeout(None);
    let head_bytes_max = common.limits.head_bytes_max.max(Limits::HEAD_BYTES_MIN);
    // The second bounds what is read ahead, in steps; the first is exact.
    builder.max_header_size(head_bytes_max).max_buf_size(head_bytes_max);
    let mut connection = builder.serve_connection(stream, service);
    let mut alarm = Alarm::new(&phase, &common);
    let is_stopped = {
        let mut stop = pin!(stopped(common.stop.clone()));
        let mut is_stopped = false;
        let has_ended = poll_fn(|context| {
            if !is_stopped && stop.as_mut().poll(context).is_ready() {
                is_stopped = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            match connection.poll_without_shutdown(context) {
                Poll::Ready(ended) => Poll::Ready(ended.is_ok()),
                Poll::Pending => alarm.poll(context).map(|()| false),
            }
        });
        // A client that broke off, or was cut off, gets no farewell.
        !has_ended.await || is_stopped
    };
    if !is_stopped {
        farewell(connection.into_parts().io.into_inner()).await;
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the server is gone altogether.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let draining = async {
        stream.shutdown().await?;
        let mut unread = vec![0; LINGER_BYTES];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    // Whatever happens to it now, the client has its answer or is gone.
    let _ = timeout(LINGER, draining).await;
}

/// What a connection is waiting for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The first byte of a request.
    Request,
    /// The rest of its head.
    Head,
    /// Its answer.
    Answer,
}

/// Where a connection stands. Everything about one connection happens in one task, so nothing is ordered by this.
#[derive(Default)]
pub(super) struct Phase(AtomicU64);

impl Phase {
    const STEP: u64 = 4;

    /// Notes that the client has sent something.
    pub(super) fn heard(&self) {
        if self.waiting() == Waiting::Request {
            self.enter(Waiting::Head);
        }
    }

    fn enter(&self, waiting: Waiting) {
        let number = self.0.load(Relaxed) / Self::STEP + 1;
        let code = match waiting {
            Waiting::Request => 0,
            Waiting::Head => 1,
            Waiting::Answer => 2,
        };
        self.0.store(number * Self::STEP + code, Relaxed);
    }

    fn waiting(&self) -> Waiting {
        match self.0.load(Relaxed) % Self::STEP {
            0 => Waiting::Request,
            1 => Waiting::Head,
            _ => Waiting::Answer,
        }
    }
}

/// The time from a request's head to the end of its response.
struct Turn(Arc<Phase>);

impl Turn {
    fn begin(phase: &Arc<Phase>) -> Self {
        phase.enter(Waiting::Answer);
        Self(phase.clone())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.enter(Waiting::Request);
    }
}

/// The body of a response that is being sent.
struct Answering {
    body: Body,
    _turn: Turn,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Rings when a connection has been in its phase for too long, or is idle and others need its place.
struct Alarm<'c> {
    phase: &'c Phase,
    common: &'c Common,
    armed: u64,
    deadline: Pin<Box<Sleep>>,
    make_room: Option<Pin<Box<OwnedNotified>>>,
}

impl<'c> Alarm<'c> {
    fn new(phase: &'c Phase, common: &'c Common) -> Self {
        let mut alarm = Self { phase, common, armed: 0, deadline: Box::pin(sleep_until(Instant::now())), make_room: None };
        alarm.arm();
        alarm
    }

    fn arm(&mut self) {
        self.armed = self.phase.0.load(Relaxed);
        let waiting = self.phase.waiting();
        let wait = match waiting {
            Waiting::Request => self.common.limits.idle_wait,
            Waiting::Head => self.common.limits.head_wait,
            Waiting::Answer => Duration::ZERO,
        };
        self.deadline.as_mut().reset(Instant::now() + wait);
        let is_idle = waiting == Waiting::Request;
        self.make_room = is_idle.then(|| Box::pin(self.common.make_room.clone().notified_owned()));
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.armed != self.phase.0.load(Relaxed) {
            self.arm();
        }
        // The handler answers for itself, and for the body that it reads.
        if self.phase.waiting() == Waiting::Answer {
            return Poll::Pending;
        }
        let is_asked = self.make_room.as_mut().is_some_and(|make_room| make_room.as_mut().poll(context).is_ready());
        if is_asked { Poll::Ready(()) } else { self.deadline.as_mut().poll(context) }
    }
}
