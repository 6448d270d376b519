//! Clients that send each payment several times at once, and again for as long as no answer comes.

use bytes::Bytes;
use http::{Request, Response, header::HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

/// How often each payment is sent at once.
const SENDERS: usize = 4;
/// Between two payments.
const PACE: Duration = Duration::from_millis(60);
/// Before a client sends again.
const PAUSE: Duration = Duration::from_millis(200);
/// After which a client believes that nothing will come of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client has heard in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// That it was charged, and the charge.
    Paid(String),
    /// That it may have been charged, and that somebody has to find out.
    Unknown,
    /// Nothing, or nothing that it understands.
    Nothing,
}

/// All clients of the shop.
#[derive(Clone)]
pub(super) struct Clients {
    client: Client<HttpConnector, Full<Bytes>>,
    shop: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Clients {
    /// Makes clients that believe the shop to be there.
    pub(super) fn new(shop: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { client, shop, requests: Arc::default() }
    }

    /// Returns how many requests they have sent.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Sends these payments, one shortly after the other; returns what each sender has heard.
    pub(super) async fn pay(&self, payments: &[String]) -> Vec<(String, Heard)> {
        let mut senders = JoinSet::new();
        for payment in payments {
            for _ in 0..SENDERS {
                let (clients, payment) = (self.clone(), payment.clone());
                senders.spawn(async move {
                    let heard = timeout(PATIENCE, clients.insist(&payment)).await;
                    (payment, heard.unwrap_or(Heard::Nothing))
                });
            }
            sleep(PACE).await;
        }
        senders.join_all().await
    }

    async fn insist(&self, payment: &str) -> Heard {
        loop {
            self.requests.fetch_add(1, Relaxed);
            match self.send(payment).await {
                Some((201, charge)) => return Heard::Paid(charge),
                Some((503, body)) if body.contains("idempotency_outcome_unknown") => return Heard::Unknown,
                _ => sleep(PAUSE).await,
            }
        }
    }

    async fn send(&self, payment: &str) -> Option<(u16, String)> {
        let request = Request::post(format!("http://{}/payments", self.shop)).header(HOST, "shop.example");
        let request = request.header("idempotency-key", payment).body(Full::from(payment.to_owned())).ok()?;
        let response: Response<Incoming> = self.client.request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
