//! What is buffered is counted for as long as somebody holds it, and nothing is buffered that is not counted.

use crate::support::*;
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use idemstore::tower::Budget;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};
use tower::{Layer, ServiceExt, service_fn};

/// A frame's memory, which notes when it is let go.
struct Noted(Arc<AtomicUsize>, [u8; 1]);

impl AsRef<[u8]> for Noted {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A body of so many frames of a byte, with an empty one after each, as a client may cut it to cost memory.
struct Crumbs {
    left: usize,
    is_empty_next: bool,
    held: Arc<AtomicUsize>,
    held_most: Arc<AtomicUsize>,
}

impl Body for Crumbs {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.is_empty_next = !self.is_empty_next;
        if self.is_empty_next {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Vec::new())))));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        let held = self.held.fetch_add(1, SeqCst) + 1;
        self.held_most.fetch_max(held, SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Noted(self.held.clone(), *b"x"))))))
    }
}

#[test]
fn a_body_in_crumbs_costs_no_more_than_its_bytes() {
    let lab = Lab::new();
    let seen = Arc::new(Mutex::new(Bytes::new()));
    let noted = seen.clone();
    let shop = layer_on(lab.store.clone(), &lab.runtime).layer(service_fn(
        move |request: Request<idemstore::tower::RequestBody<Crumbs>>| {
            let noted = noted.clone();
            async move {
                *noted.lock().unwrap() = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, BoxError>(receipt(1))
            }
        },
    ));
    let held_most = Arc::new(AtomicUsize::new(0));
    let body = Crumbs { left: 1000, is_empty_next: false, held: Arc::default(), held_most: held_most.clone() };
    let request = Request::post("/payments").header("idempotency-key", "a").body(body).unwrap();
    lab.runtime.block_on(answer_of(shop.oneshot(request))).unwrap().is(201, "receipt 1");
    assert_eq!(*seen.lock().unwrap(), "x".repeat(1000));
    assert!(held_most.load(SeqCst) <= 2, "each frame keeps more memory than it has bytes: {held_most:?} were held at once");
}

#[test]
fn what_a_handler_keeps_of_a_body_stays_counted() {
    let lab = Lab::new();
    let budget = Budget::new(1 << 20);
    let kept = Arc::new(Mutex::new(Bytes::new()));
    let keeping = kept.clone();
    let shop = lab.shop_of(&lab.layer().budget(budget.clone()), move |charge, request| {
        let keeping = keeping.clone();
        async move {
            // As an extractor does that takes the body as bytes.
            *keeping.lock().unwrap() = request.into_body().collect().await?.to_bytes();
            Ok(receipt(charge))
        }
    });
    lab.send(&shop, post("a", &"x".repeat(1000)));
    assert_eq!((kept.lock().unwrap().len(), budget.used_bytes()), (1000, 1000));
    *kept.lock().unwrap() = Bytes::new();
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn what_a_connection_keeps_of_a_response_stays_counted() {
    let lab = Lab::new();
    let budget = Budget::new(1 << 20);
    let shop =
        lab.shop_of(&lab.layer().budget(budget.clone()), async |_, _| Ok(response(200, "first").map(|body| body.data("second"))));
    for _ in ["the first response", "the replay"] {
        let response = lab.runtime.block_on(shop.clone().oneshot(post("a", "100"))).unwrap();
        // As a connection does whose client reads slowly: the body is at its end, its bytes are not yet sent.
        let mut body = Box::pin(response.into_body());
        let mut unsent = Vec::new();
        while let Some(frame) = lab.runtime.block_on(body.frame()) {
            unsent.push(frame.unwrap().into_data().unwrap());
        }
        drop(body);
        assert!(budget.used_bytes() >= "firstsecond".len(), "{}", budget.used_bytes());
        drop(unsent);
        assert_eq!(budget.used_bytes(), 0);
    }
}
