//! A shop behind the layer, on a store in memory whose time stands still, and a runtime that runs tasks only when it is driven.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use idemstore::{
    ManualClock, Options, Store, Timestamp,
    tower::{IdempotencyLayer, RequestBody, Spawn, Task},
};
use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt, service_fn};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Asked = Request<RequestBody<Full<Bytes>>>;
pub const MS: Duration = Duration::from_millis(1);
pub const LEASE: Duration = Duration::from_secs(30);
/// A moment after which a lease that was left has lapsed.
pub const LEFT: Duration = Duration::from_millis(10);

/// Runs what was spawned, when it is asked to.
#[derive(Clone, Default)]
pub struct Runtime(Arc<Mutex<Vec<Task>>>);

impl Runtime {
    pub fn spawn(&self) -> Spawn {
        let tasks = self.0.clone();
        Spawn::new(move |task| tasks.lock().unwrap().push(task))
    }

    /// Polls each task once, with this context.
    pub fn step(&self, context: &mut Context<'_>) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap());
        tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
        self.0.lock().unwrap().append(&mut tasks);
    }

    pub fn is_idle(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    /// Drops the tasks, as a runtime does that shuts down.
    pub fn abort(&self) {
        drop(std::mem::take(&mut *self.0.lock().unwrap()));
    }

    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            let before = self.0.lock().unwrap().len();
            self.step(&mut context);
            // A task that ended may have readied the future without waking this thread anew.
            if self.0.lock().unwrap().len() == before {
                thread::park();
            }
        }
    }

    /// Runs all tasks to their end.
    pub fn finish(&self) {
        self.block_on(std::future::poll_fn(|context| {
            if self.is_idle() {
                return Poll::Ready(());
            }
            self.step(context);
            if self.is_idle() { Poll::Ready(()) } else { Poll::Pending }
        }));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A store, a runtime, and how often the shop charged.
pub struct Lab {
    pub clock: ManualClock,
    pub store: Store,
    pub runtime: Runtime,
    pub charges: Arc<AtomicUsize>,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(|options| options)
    }

    pub fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let options = Options::new().clock(clock.clone()).cache_bytes(1 << 20).sweep_interval(None);
        let store = change(options).in_memory().unwrap();
        Self { clock, store, runtime: Runtime::default(), charges: Arc::default() }
    }

    /// A layer in the IETF's contract, whose principal is what the header `tenant` says, or "tenant-7".
    pub fn layer(&self) -> IdempotencyLayer<Store> {
        layer_on(self.store.clone(), &self.runtime)
    }

    pub fn charges(&self) -> usize {
        self.charges.load(SeqCst)
    }

    /// A shop that counts its charges and answers with their number.
    pub fn shop(&self, layer: &IdempotencyLayer<Store>) -> impl Shop + use<> {
        self.shop_of(layer, async |charge, _| Ok(receipt(charge)))
    }

    pub fn shop_of<F, H>(&self, layer: &IdempotencyLayer<Store>, handler: H) -> impl Shop + use<F, H>
    where
        H: Fn(usize, Asked) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<Frames>, BoxError>> + Send + 'static,
    {
        let charges = self.charges.clone();
        layer.layer(service_fn(move |request: Asked| {
            let charge = charges.fetch_add(1, SeqCst) + 1;
            handler(charge, request)
        }))
    }

    /// A service that answers when the gate is open.
    pub fn gated_shop<A>(&self, layer: &IdempotencyLayer<Store>, answer: A) -> (impl Shop + use<A>, Gate)
    where
        A: Fn(usize) -> Response<Frames> + Clone + Send + 'static,
    {
        let gate = Gate::default();
        let held = gate.clone();
        let shop = self.shop_of(layer, move |charge, _| {
            let (held, answer) = (held.clone(), answer.clone());
            async move {
                held.pass().await;
                Ok(answer(charge))
            }
        });
        (shop, gate)
    }

    /// Sends a request and reads the answer.
    pub fn send(&self, shop: &impl Shop, request: Request<Full<Bytes>>) -> Answer {
        self.try_send(shop, request).unwrap()
    }

    pub fn try_send(&self, shop: &impl Shop, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        self.runtime.block_on(answer_of(shop.clone().oneshot(request)))
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

pub fn layer_on<S: idemstore::IdempotencyStore>(store: S, runtime: &Runtime) -> IdempotencyLayer<S> {
    IdempotencyLayer::new(store, runtime.spawn(), |parts| match parts.headers.get("tenant") {
        Some(tenant) => tenant.to_str().ok().map(str::to_owned),
        None => Some("tenant-7".to_owned()),
    })
}

pub trait Shop:
    Service<Request<Full<Bytes>>, Response = Response<Self::Body>, Error = BoxError, Future: Send> + Clone + Send + 'static
{
    type Body: Body<Data = Bytes, Error = BoxError> + Send;
}

impl<S, B> Shop for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = BoxError, Future: Send> + Clone + Send + 'static,
    B: Body<Data = Bytes, Error = BoxError> + Send,
{
    type Body = B;
}

/// What a client got.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }

    #[track_caller]
    pub fn is(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.contains(code), "{self:?}");
    }
}

pub async fn answer_of<B: Body<Data = Bytes>>(
    response: impl Future<Output = Result<Response<B>, BoxError>>,
) -> Result<Answer, BoxError>
where
    B::Error: Into<BoxError>,
{
    let (parts, body) = response.await?.into_parts();
    let body = body.collect().await.map_err(Into::into)?;
    let trailers = body.trailers().cloned();
    let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
    Ok(Answer { status: parts.status, headers: parts.headers, body, trailers })
}

pub fn post(key: &str, body: &str) -> Request<Full<Bytes>> {
    without_key(body).map_header("idempotency-key", key)
}

pub fn without_key(body: &str) -> Request<Full<Bytes>> {
    Request::post("/payments").body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

pub trait MapHeader {
    fn map_header(self, name: &'static str, value: &str) -> Self;
}

pub trait MapResponseHeader {
    fn map_response_header(self, name: &'static str, value: &str) -> Self;
}

impl<B> MapResponseHeader for Response<B> {
    fn map_response_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers_mut().append(name, value.parse().unwrap());
        self
    }
}

impl<B> MapHeader for Request<B> {
    fn map_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers_mut().append(name, value.parse().unwrap());
        self
    }
}

pub fn receipt(charge: usize) -> Response<Frames> {
    response(201, &format!("receipt {charge}"))
}

pub fn response(status: u16, body: &str) -> Response<Frames> {
    let mut response = Response::new(Frames::of(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A body of frames; before each it may have the reader wait once.
#[derive(Default)]
pub struct Frames {
    left: VecDeque<Result<Frame<Bytes>, BoxError>>,
    waits: bool,
    has_waited: bool,
}

impl Frames {
    pub fn of(body: &str) -> Self {
        Self::default().data(body)
    }

    pub fn data(mut self, data: &str) -> Self {
        self.left.push_back(Ok(Frame::data(Bytes::copy_from_slice(data.as_bytes()))));
        self
    }

    pub fn trailer(mut self, name: &'static str, value: &str) -> Self {
        self.left.push_back(Ok(Frame::trailers(HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))));
        self
    }

    pub fn failure(mut self, error: &str) -> Self {
        self.left.push_back(Err(error.into()));
        self
    }

    pub fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.waits && !std::mem::replace(&mut self.has_waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_waited = false;
        Poll::Ready(self.left.pop_front())
    }
}

/// Gives others a turn.
pub async fn yield_now() {
    let mut has_yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Stays shut until it is opened.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    pub fn open(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        state.1.drain(..).for_each(Waker::wake);
    }

    pub async fn pass(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// A request that was sent and is not yet answered.
pub type Sent = Pin<Box<dyn Future<Output = Result<Answer, BoxError>>>>;

impl Lab {
    /// Sends a request and drives it until its handler has begun.
    pub fn begin(&self, shop: &impl Shop, request: Request<Full<Bytes>>) -> Sent {
        let (before, shop) = (self.charges(), shop.clone());
        let mut sent: Sent = Box::pin(async move { answer_of(shop.oneshot(request)).await });
        self.runtime.block_on(std::future::poll_fn(|context| {
            assert!(sent.as_mut().poll(context).is_pending(), "the handler is still running");
            self.runtime.step(context);
            if self.charges() > before { Poll::Ready(()) } else { Poll::Pending }
        }));
        sent
    }
}
