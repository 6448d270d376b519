//! The routes of the HTTP API, as a service over a [`Store`].

mod attempt;
mod begin;
mod fields;
mod look;
mod operate;
mod query;
mod route;
mod show;
mod stats;

use super::{
    Body, Guard, Limits, Problem,
    body::receive,
    figures::Figures,
    page,
    pieces::{self, Pieces},
    problem::NOSNIFF,
};
use crate::{Clock as _, Error, ErrorKind, OutcomeKind, Store, SystemClock, Timestamp, tower::Budget};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use query::Query;
use route::Route;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Semaphore, watch},
    time::interval,
};

/// Bytes in memory at a time of the bodies of holders, and of everybody else's and of long answers. However many ask, an attempt under
/// way can end.
const BUFFERED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Of a request's body, what is not its payload: names, a scope and a key, however they are escaped.
const BODY_OVERHEAD_BYTES: usize = 64 * 1024;
const BODY_BYTES_MIN: usize = 1024 * 1024;
/// What waits for the disk at a time: each may hold a payload that nobody has counted yet.
const BLOCKING_MAX: usize = 16;

/// The HTTP API of a store. Clones share the store and the figures.
///
/// It answers over any transport: as the handler of [`serve`](super::serve), or called by this process itself.
///
/// ```
/// use idemstore::{Store, server::{Api, Body, Peer}};
/// use http::Request;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
///
/// let api = Api::new(Store::in_memory()?);
/// let request = Request::post("/v1/begin").extension(Peer::Process);
/// let body = r#"{"scope": "shop", "key": "pay_1", "request": {"amount": 100}}"#;
/// let response = api.answer(request.body(Body::full(body))?).await;
/// assert_eq!(response.status(), 201);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # When a client goes away
///
/// The future that makes its answer is dropped. A begin that has not been granted is withdrawn, and so is a fresh key that is
/// granted meanwhile. Once it is granted and the answer is on its way nobody can know whether it came: the key stays in flight until
/// its lease lapses, and the next caller is told of a takeover. Commands of a holder happen whether or not anybody hears the answer.
#[derive(Clone)]
pub struct Api {
    store: Store,
    guard: Guard,
    figures: Arc<Figures>,
    buffered: Buffered,
    blocking: Arc<Semaphore>,
    /// Places of begins that wait.
    waits: Arc<Semaphore>,
    body_bytes_max: usize,
    body_wait: Duration,
    stop: Arc<watch::Sender<bool>>,
    started_at: Timestamp,
}

impl Api {
    /// Serves `store` to whoever can connect: see [`guard`](Api::guard).
    pub fn new(store: Store) -> Self {
        let body_bytes_max = BODY_BYTES_MIN.max(store.payload_bytes_max() + BODY_OVERHEAD_BYTES);
        Self {
            store,
            guard: Guard::open(),
            figures: Arc::default(),
            buffered: Buffered::new(BUFFERED_BYTES_MAX, body_bytes_max),
            blocking: Arc::new(Semaphore::new(BLOCKING_MAX)),
            waits: waits(Limits::new().connections_max / 2),
            body_bytes_max,
            body_wait: Limits::new().body_wait,
            stop: Arc::new(watch::channel(false).0),
            started_at: SystemClock::new().wall(),
        }
    }

    /// Sets who may ask.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// Sets the longest body of a request in bytes: the longest payload and 64 KiB, or 1 MiB if that is more, unless set.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self.buffered_bytes_max(BUFFERED_BYTES_MAX)
    }

    /// Sets how many bytes of bodies of the requests of holders may be in memory at a time, and as many of all other requests' and of
    /// long answers: 128 MiB unless set, and never less than the longest body has. When they are, further ones are told to come back.
    #[must_use]
    pub fn buffered_bytes_max(mut self, bytes: usize) -> Self {
        self.buffered = Buffered::new(bytes, self.body_bytes_max);
        self
    }

    /// Sets how many begins may wait at a time for another attempt to end: 512 unless set. A further one is told at once that the
    /// attempt is in flight, and when to ask again.
    ///
    /// Each that waits keeps its connection. With as many as [`Limits::connections_max`] the holder that they wait for could not come
    /// through to end its attempt: set half of that, or less.
    #[must_use]
    pub fn waits_max(mut self, waits_max: usize) -> Self {
        self.waits = waits(waits_max);
        self
    }

    /// Sets how long a request's body may take to come: 30 s unless set.
    #[must_use]
    pub fn body_wait(mut self, wait: Duration) -> Self {
        self.body_wait = wait;
        self
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers a request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
    {
        let started = Instant::now();
        let route = Route::of(request.uri().path());
        let response = match self.dispatch(route, request).await {
            Ok(response) => self.account(response).await,
            Err(problem) => Err(problem),
        };
        let mut response = response.unwrap_or_else(Problem::into_response);
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        let name = route.map_or(Route::UNKNOWN, Route::name);
        self.figures.answered(name, response.status().as_u16(), started.elapsed());
        response
    }

    /// Counts an answer of another handler over the same store.
    pub(in crate::server) fn count(&self, route: &'static str, status: u16, took: Duration) {
        self.figures.answered(route, status, took);
    }

    /// Lets those who wait for another attempt know at once how it stands: the server stops.
    pub fn stop_waiting(&self) {
        self.stop.send_replace(true);
    }

    /// Samples the store's counters from now on, so that rates are there when they are asked for. Never ends.
    pub async fn keep_rates(self) {
        let mut ticks = interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let _ = self.figures.sample(Instant::now(), self.store.answers());
        }
    }

    async fn dispatch<B>(&self, route: Option<Route>, request: Request<B>) -> Result<Response<Body>, Problem>
    where
        B: http_body::Body<Data = Bytes>,
    {
        // Whoever looks after the machine has no token, and learns nothing.
        match route {
            Some(Route::Health) => (),
            Some(Route::Page) => {
                if let Err(problem) = self.guard.check_visit(&request) {
                    return refused_page(&request, problem);
                }
            }
            _ => self.guard.check(&request)?,
        }
        let route = route.ok_or_else(route::unknown)?;
        route.check(request.method())?;
        let (head, body) = request.into_parts();
        if route == Route::Health {
            // Probes add parameters of their own, against caches say.
            return self.health();
        }
        let query = Query::read(head.uri.query(), route.parameters())?;
        match route {
            Route::Record => return self.record(&query).await,
            Route::Records => return self.records(&query).await,
            Route::Audit => return self.audit(&query).await,
            Route::Stats => return self.stats().await,
            Route::Metrics => return self.metrics().await,
            Route::Page => return Ok(page::answer()),
            _ => (),
        }
        let received = receive(body, self.body_bytes_max, self.body_wait, self.buffered.of(route)).await?;
        let body = &received.bytes;
        match route {
            Route::Begin => self.begin(received).await,
            Route::Complete => self.end(OutcomeKind::Completed, body).await,
            Route::Fail => self.end(OutcomeKind::Failed, body).await,
            Route::Renew => self.renew(body).await,
            Route::Checkpoint => self.checkpoint(body).await,
            Route::Release => self.release(body).await,
            Route::Resolve => self.resolve(body.clone()).await,
            Route::Sweep => self.sweep(body.clone()).await,
            _ => Err(route::unknown()),
        }
    }

    /// Takes the bytes of a long answer from the budget until its client has read it. Only what can be asked for again is long: a grant
    /// never is, so none is refused here.
    async fn account(&self, response: Response<Body>) -> Result<Response<Body>, Problem> {
        if !Pieces::are_worth_it(response.body()) {
            return Ok(response);
        }
        let busy = || Error::new(ErrorKind::Busy, "answering: too much is in memory already; ask again later");
        let permit = self.buffered.of_others.take(pieces::bytes_of(response.body())).ok_or_else(busy)?;
        let (head, body) = response.into_parts();
        let body = Pieces::of(body, permit).await;
        let body = body.map_err(|error| Error::new(ErrorKind::Io, format!("answering: {error}")))?;
        Ok(Response::from_parts(head, body))
    }

    /// Ready when the server stops.
    async fn stopping(&self) {
        // The sender is here: it cannot be gone.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Does what waits for the disk where it holds up nobody else.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        // Given back by the work itself: it goes on when its client has gone.
        let place = self.blocking.clone().acquire_owned().await;
        let work = move || {
            let done = work(&store);
            drop(place);
            done
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(Error::new(ErrorKind::Indeterminate, "answering: the work broke off").into()))
    }
}

/// What bodies and long answers may take.
#[derive(Clone, Debug)]
struct Buffered {
    of_holders: Budget,
    of_others: Budget,
}

impl Buffered {
    fn new(bytes_max: usize, body_bytes_max: usize) -> Self {
        let budget = || Budget::new(bytes_max.max(body_bytes_max));
        Self { of_holders: budget(), of_others: budget() }
    }

    fn of(&self, route: Route) -> &Budget {
        if route.is_of_holders() { &self.of_holders } else { &self.of_others }
    }
}

fn waits(waits_max: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(waits_max.min(Semaphore::MAX_PERMITS)))
}

/// A browser without a token gets the page, which has no data in it and asks for the token.
fn refused_page<B>(request: &Request<B>, problem: Problem) -> Result<Response<Body>, Problem> {
    let accepts = |value: &http::HeaderValue| value.to_str().is_ok_and(|accept| accept.contains("text/html"));
    if problem.status() != StatusCode::UNAUTHORIZED || !request.headers().get_all(header::ACCEPT).iter().any(accepts) {
        return Err(problem);
    }
    let mut page = page::answer();
    *page.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(page)
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("store", &self.store).field("guard", &self.guard).finish_non_exhaustive()
    }
}
