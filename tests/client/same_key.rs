use crate::{
    server::{Arrival, Chunks, Server, Step, answer, answer_with, layer, post, sent_key},
    time::settle,
};
use http::Request;
use std::{
    collections::HashSet,
    task::{Context, Waker},
};
use tower_layer::Layer;
use tower_service::Service;

/// Says what is wrong if the sends do not all have one and the same key.
fn one_key(server: &Server) -> Result<(), String> {
    let keys: Vec<_> = server.arrivals().iter().map(Arrival::key).collect();
    match keys.first() {
        Some(Some(first)) if keys.iter().all(|key| key.as_ref() == Some(first)) => Ok(()),
        _ => Err(format!("{keys:?}")),
    }
}

fn troubles() -> Vec<Step> {
    vec![Step::BreakConnection, answer_with(409, "retry-after", "1"), answer(503), answer(429), answer(201)]
}

#[test]
fn every_send_has_the_same_key() {
    let server = Server::new(troubles());
    let response = server.send(&layer(&server), post(b"{}")).unwrap();
    assert_eq!((response.status().as_u16(), server.arrivals().len()), (201, 5));
    assert_eq!(one_key(&server), Ok(()));
    assert_eq!(Some(sent_key(&response).unwrap().value()), server.arrivals()[0].key().as_ref());
}

#[test]
fn a_client_that_retries_outside_of_the_layer_is_caught() {
    let server = Server::new(troubles());
    let once = layer(&server).retries_max(0);
    while !server.send(&once, post(b"{}")).is_ok_and(|response| response.status() == 201) {}
    assert_eq!(server.arrivals().len(), 5);
    assert!(one_key(&server).is_err());
}

#[test]
fn concurrent_requests_have_different_keys() {
    let server = Server::new((0..2).flat_map(|_| vec![Step::BreakConnection; 50]).chain(vec![answer(200); 50]));
    let layer = layer(&server);
    let mut requests: Vec<_> = (0..50)
        .map(|_| {
            let mut client = layer.layer(server.clone());
            let noop = &mut Context::from_waker(Waker::noop());
            assert!(Service::<Request<Chunks>>::poll_ready(&mut client, noop).is_ready());
            Box::pin(client.call(post(b"{}")))
        })
        .collect();
    let mut sent = Vec::new();
    while sent.len() < 50 {
        requests.retain_mut(|request| match settle(request.as_mut()) {
            Some(response) => {
                sent.push(sent_key(&response.unwrap()).unwrap().clone());
                false
            }
            None => true,
        });
        server.time.advance();
    }
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), 50);
    let arrived: Vec<_> = server.arrivals().iter().filter_map(Arrival::key).collect();
    assert_eq!(arrived.len(), 150);
    for key in &sent {
        assert_eq!(arrived.iter().filter(|arrived| *arrived == key.value()).count(), 3);
    }
}
