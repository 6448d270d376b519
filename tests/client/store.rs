//! The layer together with what it is for: a server that keeps keys in a store and loses its answers.

use crate::server::{Chunks, layer, post};
use http::{Request, Response, StatusCode};
use http_body::Body;
use idemstore::{
    Begin, Fingerprint, Key, Store,
    client::{ClientBody, ClientError},
};
use std::{
    future::{Ready, poll_fn, ready},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Charges once for each new key; the connection breaks after each of the first charges and replays.
#[derive(Clone)]
struct Shop {
    store: Store,
    charges: Arc<AtomicU32>,
    answers_to_lose: Arc<AtomicU32>,
}

impl<B: Body> Service<Request<ClientBody<B>>> for Shop {
    type Response = Response<()>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Ready<Result<Response<()>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ClientBody<B>>) -> Self::Future {
        let key = Key::new("shop/POST /payments", request.headers()["idempotency-key"].to_str().unwrap()).unwrap();
        match self.store.begin(&key, Fingerprint::of(&[b"POST"])).unwrap() {
            Begin::Fresh(lease) => {
                self.charges.fetch_add(1, Ordering::Relaxed);
                lease.complete("charged").unwrap();
            }
            Begin::Replay(outcome) => assert_eq!(outcome.payload(), b"charged"),
            other => panic!("{other:?}"),
        }
        let lose = self.answers_to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        ready(if lose.is_ok() { Err("connection reset".into()) } else { Ok(Response::new(())) })
    }
}

/// Pays with so many retries inside of the layer, and starts over outside of it until it gets an answer.
fn charges(retries_max: u32) -> u32 {
    let store = Store::in_memory().unwrap();
    let shop = Shop { store, charges: Arc::default(), answers_to_lose: Arc::new(AtomicU32::new(3)) };
    let server = crate::server::Server::new([]);
    let mut client = layer(&server).retries_max(retries_max).layer(shop.clone());
    let mut pay = || -> Result<Response<()>, ClientError> {
        server.time.run(async {
            poll_fn(|context| Service::<Request<Chunks>>::poll_ready(&mut client, context)).await?;
            client.call(post(b"")).await
        })
    };
    while !pay().is_ok_and(|response| response.status() == StatusCode::OK) {}
    assert_eq!(shop.answers_to_lose.load(Ordering::Relaxed), 0, "answers were lost");
    shop.charges.load(Ordering::Relaxed)
}

#[test]
fn a_payment_whose_answers_are_lost_is_charged_once() {
    assert_eq!(charges(4), 1);
}

#[test]
fn retries_outside_of_the_layer_charge_again() {
    assert_eq!(charges(0), 4);
}
