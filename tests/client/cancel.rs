use crate::{
    server::{Chunks, Server, Step, answer, answer_with, layer, post},
    time::settle,
};
use http::Request;
use std::{
    pin::pin,
    task::{Context, Waker},
};
use tower_layer::Layer;
use tower_service::Service;

/// Sends a request, lets time pass to so many timers, and drops it. Returns the sends until then.
fn dropped_after(server: &Server, timers: usize) -> usize {
    let mut client = layer(server).layer(server.clone());
    let noop = &mut Context::from_waker(Waker::noop());
    assert!(Service::<Request<Chunks>>::poll_ready(&mut client, noop).is_ready());
    {
        let mut request = pin!(client.call(post(b"{}")));
        assert!(settle(request.as_mut()).is_none());
        for _ in 0..timers {
            assert!(server.time.advance());
            assert!(settle(request.as_mut()).is_none());
        }
    }
    server.so_far().len()
}

#[test]
fn a_request_that_is_dropped_sends_nothing_more() {
    for sends in 1..=4 {
        let server = Server::new(vec![answer_with(409, "retry-after", "1"); 5]);
        assert_eq!(dropped_after(&server, sends - 1), sends);
        assert_eq!(server.time.timers(), 0, "nothing of it is left");
        assert!(!server.time.advance());
        assert_eq!(server.so_far().len(), sends);
    }
}

#[test]
fn a_send_under_way_can_be_dropped() {
    let server = Server::new([answer(503), Step::NeverAnswer]);
    assert_eq!(dropped_after(&server, 1), 2);
    assert_eq!((server.arrivals().len(), server.time.timers()), (2, 0));
}

#[test]
fn a_request_that_is_never_polled_sends_nothing() {
    let server = Server::new([]);
    drop(layer(&server).layer(server.clone()).call(post(b"{}")));
    assert_eq!(server.arrivals().len(), 0);
}
