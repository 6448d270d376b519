//! What the layer costs: requests through a service alone, through the layer with new keys, and as replays.
//!
//! `cargo bench --features tower --bench layer [-- --quick]`. The first table has a store that answers at once, so that what is left
//! is the layer's own work; the second the embedded store, in memory; the third the same around an axum route.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::cast_precision_loss, unreachable_pub)]
// What the other benches use.
#![allow(dead_code)]

mod support;

use axum::{Router, routing::post};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use idemstore::{
    Begin, BeginOptions, Ended, FencingToken, Fingerprint, Grant, IdempotencyStore, Key, Options, Outcome, OutcomeKind, Renewing,
    Result, Timestamp,
    tower::{IdempotencyLayer, Spawn, Task},
};
use std::{
    convert::Infallible,
    fmt::Debug,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};
use support::{
    Call,
    alternate::{self, Contender, Slice},
};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

const BODY: &[u8] = br#"{"amount":1900,"currency":"EUR","to":"shop-7"}"#;
const RECEIPT: &[u8] = br#"{"receipt":"rcpt_7d5d747be160e280","amount":1900}"#;

fn main() {
    let call = Call::read();
    if !call.is_bench {
        return;
    }
    let (rounds, slice) = (call.rounds(9), Duration::from_millis(200));
    alternate::run("the layer alone, requests per second", rounds, slice, contenders(Immediate::default));
    let store = || Options::new().sweep_interval(None).in_memory().unwrap();
    alternate::run("with the embedded store in memory, requests per second", rounds, slice, contenders(store));
    alternate::run("an axum route, the store in memory, requests per second", rounds, slice, of_a_route(store));
}

fn shop<B: Send + 'static>()
-> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone + Send {
    service_fn(|request: Request<B>| async move {
        black_box(request);
        Ok(Response::new(Full::new(Bytes::from_static(RECEIPT))))
    })
}

fn request(key: u64) -> Request<Full<Bytes>> {
    let key = format!("pay_{key:016x}");
    Request::post("/payments").header("idempotency-key", key).body(Full::new(Bytes::from_static(BODY))).unwrap()
}

/// Under keys that were never used before, and under one that has its response after the first.
const NEW: fn(u64) -> u64 = |turn| turn;
const SAME: fn(u64) -> u64 = |_| 0;

fn contenders<S: IdempotencyStore>(store: impl Fn() -> S) -> Vec<Contender<'static>> {
    let layered = |name, key| {
        let runtime = Runtime::default();
        contender(name, layer(store(), &runtime).layer(shop()), runtime, key)
    };
    let bare = contender("service alone", shop(), Runtime::default(), NEW);
    vec![bare, layered("with the layer, new key", NEW), layered("with the layer, replay", SAME)]
}

fn of_a_route<S: IdempotencyStore>(store: impl Fn() -> S) -> Vec<Contender<'static>> {
    let route = || {
        Router::new().route(
            "/payments",
            post(async |body: Bytes| {
                black_box(body);
                RECEIPT
            }),
        )
    };
    let layered = |name, key| {
        let runtime = Runtime::default();
        contender(name, route().layer(layer(store(), &runtime)), runtime, key)
    };
    let bare = contender("route alone", route(), Runtime::default(), NEW);
    vec![bare, layered("with the layer, new key", NEW), layered("with the layer, replay", SAME)]
}

/// Requests one after the other, under the key of each turn.
fn contender<S, B>(name: &str, service: S, mut runtime: Runtime, key: fn(u64) -> u64) -> Contender<'static>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body<Error: Debug>,
{
    let mut turn = 0;
    Contender::new(name, move |slice| {
        rate(slice, || {
            turn += 1;
            let service = service.clone();
            runtime.run(async move {
                let response = service.oneshot(request(key(turn))).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                response.into_body().collect().await.unwrap()
            });
        })
    })
}

fn layer<S: IdempotencyStore>(store: S, runtime: &Runtime) -> IdempotencyLayer<S> {
    IdempotencyLayer::new(store, runtime.spawn(), |_| Some("tenant-7".to_owned()))
}

/// Works for a slice of time; looks at the clock now and then.
fn rate(slice: Duration, mut work: impl FnMut()) -> Slice {
    let started = Instant::now();
    let mut payments = 0;
    while started.elapsed() < slice {
        for _ in 0..64 {
            work();
            payments += 1;
        }
    }
    Slice { payments, took: started.elapsed(), io: None }
}

/// A store that answers at once: fresh for a new key, and a replay for the key that the replays use once it ended.
#[derive(Default)]
struct Immediate(Mutex<Option<Arc<[u8]>>>);

struct NoRenewal;

impl Renewing for NoRenewal {
    fn is_lost(&self) -> bool {
        false
    }
}

const REPLAYED: &str = "pay_0000000000000000";
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

impl IdempotencyStore for Immediate {
    type KeepAlive = NoRenewal;

    async fn begin(&self, key: &Key, _: Fingerprint, _: BeginOptions) -> Result<Begin<Grant>> {
        if key.id() == REPLAYED
            && let Some(payload) = self.0.lock().unwrap().clone()
        {
            return Ok(Begin::Replay(Outcome::new(OutcomeKind::Completed, payload, NEVER, NEVER)));
        }
        Ok(Begin::Fresh(Grant { token: FencingToken::new(1), attempt: 1, lease_expires_at: NEVER, checkpoint: None }))
    }

    async fn end(&self, key: &Key, _: FencingToken, kind: OutcomeKind, payload: &[u8], _: Option<Duration>) -> Result<Ended> {
        if key.id() == REPLAYED {
            *self.0.lock().unwrap() = Some(payload.into());
        }
        Ok(Ended { kind, expires_at: NEVER })
    }

    async fn release(&self, _: &Key, _: FencingToken) -> Result<()> {
        Ok(())
    }

    async fn renew(&self, _: &Key, _: FencingToken, _: Duration) -> Result<Timestamp> {
        Ok(NEVER)
    }

    async fn checkpoint(&self, _: &Key, _: FencingToken, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn keep_alive(&self, _: &Key, _: FencingToken, _: Duration) -> NoRenewal {
        NoRenewal
    }
}

/// Runs a request and what it spawns, on this thread.
#[derive(Clone, Default)]
struct Runtime(Arc<Mutex<Vec<Task>>>);

impl Runtime {
    fn spawn(&self) -> Spawn {
        let tasks = self.0.clone();
        Spawn::new(move |task| tasks.lock().unwrap().push(task))
    }

    fn run<F: Future>(&mut self, future: F) -> F::Output {
        struct Unpark(Thread);

        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }

        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            let mut tasks = std::mem::take(&mut *self.0.lock().unwrap());
            let before = tasks.len();
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            let ended = before - tasks.len();
            self.0.lock().unwrap().append(&mut tasks);
            if ended == 0 {
                thread::park();
            }
        }
    }
}
