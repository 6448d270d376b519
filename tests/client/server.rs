//! A server that follows a script and notes what it was sent.

use crate::time::Time;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use idemstore::{
    Clock,
    client::{ClientBody, ClientError, IdempotentClientLayer, SentKey},
};
use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tower_layer::Layer;
use tower_service::Service;

/// What the server does with one send.
#[derive(Clone, Debug)]
pub enum Step {
    Answer(u16, Vec<(&'static str, String)>),
    BreakConnection,
    NeverAnswer,
}

pub fn answer(status: u16) -> Step {
    Step::Answer(status, Vec::new())
}

pub fn answer_with(status: u16, name: &'static str, value: &str) -> Step {
    Step::Answer(status, vec![(name, value.to_owned())])
}

/// One send, as it arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: Duration,
    pub headers: HeaderMap,
    pub chunks: Vec<Bytes>,
    pub trailers: Option<HeaderMap>,
    pub exact_size: Option<u64>,
}

impl Arrival {
    pub fn key(&self) -> Option<HeaderValue> {
        self.headers.get("idempotency-key").cloned()
    }

    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

#[derive(Clone)]
pub struct Server {
    pub time: Time,
    script: Arc<Mutex<VecDeque<Step>>>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    /// A request may be sent only by a service that was made ready for it.
    is_ready: bool,
    /// How often it can be made ready.
    pub lives: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct ConnectionReset;

impl fmt::Display for ConnectionReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection reset")
    }
}

impl Error for ConnectionReset {}

impl Server {
    pub fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { time: Time::new(), script, arrivals: Arc::default(), is_ready: false, lives: usize::MAX }
    }

    /// Sends a request through a new layer, and drives it to its end.
    pub fn send<B>(&self, layer: &IdempotentClientLayer<SleepFn>, request: Request<B>) -> Result<Response<()>, ClientError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let mut client = layer.layer(self.clone());
        self.time.run(async {
            poll_fn(|context| Service::<Request<B>>::poll_ready(&mut client, context)).await?;
            client.call(request).await
        })
    }

    /// The sends so far. All that the script has must have happened.
    #[track_caller]
    pub fn arrivals(&self) -> Vec<Arrival> {
        assert!(self.script.lock().unwrap().is_empty(), "the script was played to its end: {:?}", self.script);
        self.so_far()
    }

    pub fn so_far(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// The times between the sends.
    #[track_caller]
    pub fn waits(&self) -> Vec<Duration> {
        self.arrivals().windows(2).map(|pair| pair[1].at.abs_diff(pair[0].at)).collect()
    }
}

pub type SleepFn = Box<dyn Fn(Duration) -> crate::time::Sleep + Send + Sync>;

/// A layer on the server's time. Its waits are the longest that the random numbers allow.
pub fn layer(server: &Server) -> IdempotentClientLayer<SleepFn> {
    let time = server.time.clone();
    let sleep: SleepFn = Box::new(move |wait| time.sleep(wait));
    IdempotentClientLayer::new(sleep).clock(server.time.clock.clone()).jitter(|| u64::MAX)
}

pub fn post(body: &'static [u8]) -> Request<Chunks> {
    Request::post("https://api.example/payments").body(Chunks::new([body])).unwrap()
}

pub fn sent_key(response: &Response<()>) -> Option<&SentKey> {
    response.extensions().get()
}

impl<B> Service<Request<ClientBody<B>>> for Server
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    type Response = Response<()>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Some(lives) = self.lives.checked_sub(1) else { return Poll::Ready(Err("closed for good".into())) };
        (self.lives, self.is_ready) = (lives, true);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ClientBody<B>>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "the service was not made ready");
        let server = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let exact_size = body.size_hint().exact();
            let (mut chunks, mut trailers, mut body) = (Vec::new(), None, pin!(body));
            while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
                match frame.map_err(Into::into)?.into_data() {
                    Ok(data) => chunks.push(data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            assert!(body.is_end_stream());
            let arrival = Arrival { at: server.time.clock.monotonic(), headers: parts.headers, chunks, trailers, exact_size };
            server.arrivals.lock().unwrap().push(arrival);
            let step = server.script.lock().unwrap().pop_front();
            match step.expect("a send that is not in the script") {
                Step::Answer(status, headers) => {
                    let mut response = Response::new(());
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    for (name, value) in headers {
                        response.headers_mut().append(name, HeaderValue::from_str(&value).unwrap());
                    }
                    Ok(response)
                }
                Step::BreakConnection => Err(ConnectionReset.into()),
                Step::NeverAnswer => pending().await,
            }
        })
    }
}

/// A body of given pieces.
#[derive(Debug)]
pub struct Chunks {
    pub frames: VecDeque<Piece>,
    pub knows_its_size: bool,
}

#[derive(Clone, Debug)]
pub enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    Break,
    Never,
}

impl Chunks {
    pub fn new(data: impl IntoIterator<Item = &'static [u8]>) -> Self {
        Self::of(data.into_iter().map(|data| Piece::Data(Bytes::from_static(data))))
    }

    pub fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self { frames: pieces.into_iter().collect(), knows_its_size: true }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = ConnectionReset;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ConnectionReset>>> {
        if let Some(Piece::Never) = self.frames.front() {
            return Poll::Pending;
        }
        Poll::Ready(match self.frames.pop_front() {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Piece::Break) => Some(Err(ConnectionReset)),
            Some(Piece::Never) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.knows_its_size {
            return SizeHint::default();
        }
        let len = |piece: &Piece| if let Piece::Data(data) = piece { data.len() as u64 } else { 0 };
        SizeHint::with_exact(self.frames.iter().map(len).sum())
    }
}
