//! Over HTTP/1.1, byte by byte: a replay is framed such that the next response on the connection is found.

use crate::support::*;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use idemstore::{
    Store,
    tower::{IdempotencyLayer, RequestBody, Spawn},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tower::{Layer, service_fn};

async fn answer(charge: usize, request: Request<RequestBody<Incoming>>) -> Result<Response<Frames>, BoxError> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await?.to_bytes().len();
    let mut answer = response(201, &format!("receipt {charge} for {bytes}"));
    match parts.uri.path() {
        "/empty" => answer = response(204, ""),
        "/not-modified" => answer = response(304, "").map_response_header("etag", "\"1\""),
        "/trailers" => {
            answer = response(200, "paid").map(|body| body.trailer("checksum", "9")).map_response_header("trailer", "checksum");
        }
        _ => (),
    }
    if parts.method == Method::HEAD {
        answer = Response::new(Frames::default()).map_response_header("content-length", "11");
        *answer.status_mut() = StatusCode::OK;
    }
    Ok(answer)
}

/// Sends all this over one connection, and returns all that comes back.
fn talk(sent: &'static str) -> String {
    let charges = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let layer = IdempotencyLayer::new(Store::in_memory().unwrap(), Spawn::new(|task| drop(tokio::spawn(task))), |_| {
            Some("all".to_owned())
        });
        let shop = layer
            .all_methods()
            .request_bytes_max(100)
            .layer(service_fn(move |request| answer(charges.fetch_add(1, SeqCst) + 1, request)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (connection, _) = listener.accept().await.unwrap();
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), TowerToHyperService::new(shop)).await;
        });
        let client = tokio::task::spawn_blocking(move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(sent.as_bytes()).unwrap();
            let mut answers = String::new();
            connection.read_to_string(&mut answers).unwrap();
            answers
        });
        client.await.unwrap()
    })
}

/// One request after the other, the last of which asks for the end of the connection.
macro_rules! requests {
    ($last:literal) => {
        concat!($last, "connection: close\r\n\r\n")
    };
    ($head:literal $($more:literal)+) => {
        concat!($head, "\r\n", requests!($($more)+))
    };
}

fn count(answers: &str, what: &str) -> usize {
    answers.matches(what).count()
}

#[test]
fn a_replay_without_a_body_ends_with_its_head() {
    for (line, status) in [
        (
            requests!("HEAD /a HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\n" "HEAD /a HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\n"
                "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n"),
            "200 OK",
        ),
        (
            requests!("POST /empty HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
                "POST /empty HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
                "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n"),
            "204 No Content",
        ),
        (
            requests!("POST /not-modified HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
                "POST /not-modified HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
                "POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n"),
            "304 Not Modified",
        ),
    ] {
        let answers = talk(line);
        let heads: Vec<_> = answers.split("\r\n\r\n").collect();
        assert!(heads[0].starts_with(&format!("HTTP/1.1 {status}")) && !heads[0].contains("replayed"), "{answers}");
        assert!(
            heads[1].starts_with(&format!("HTTP/1.1 {status}")) && heads[1].contains("idempotent-replayed: true"),
            "{answers}"
        );
        assert!(heads[2].starts_with("HTTP/1.1 201") && answers.contains("receipt 2 for 0"), "{answers}");
    }
}

#[test]
fn a_replay_has_its_trailers() {
    let answers = talk(requests!(
        "POST /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
        "POST /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
    ));
    assert_eq!(
        (count(&answers, "4\r\npaid\r\n0\r\nchecksum: 9\r\n\r\n"), count(&answers, "idempotent-replayed")),
        (2, 1),
        "{answers}"
    );
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on_or_that_it_is_too_much() {
    let goes_on = talk(
        "POST /c HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi",
    );
    assert!(goes_on.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created"), "{goes_on}");
    let too_much =
        talk(requests!("POST /c HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\nexpect: 100-continue\r\ncontent-length: 200\r\n"));
    assert!(too_much.starts_with("HTTP/1.1 413"), "{too_much}");
}

#[test]
fn a_key_that_comes_twice_or_in_no_ascii_is_refused() {
    let answers = talk(requests!(
        "POST /c HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\nidempotency-key: k\r\ncontent-length: 0\r\n"
        "POST /c HTTP/1.1\r\nhost: a\r\nidempotency-key: \u{e9}\r\ncontent-length: 0\r\n"
    ));
    assert_eq!((count(&answers, "HTTP/1.1 400"), count(&answers, "idempotency_key_invalid")), (2, 2), "{answers}");
}
