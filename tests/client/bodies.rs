use crate::server::{Chunks, Piece, Server, Step, answer, layer, sent_key};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use idemstore::client::ClientErrorKind;
use proptest::{collection::vec, prelude::*};

fn request(body: Chunks) -> Request<Chunks> {
    Request::post("https://api.example/payments").body(body).unwrap()
}

#[test]
fn every_send_has_the_same_body_and_trailers() {
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", HeaderValue::from_static("0a1b"));
    let pieces = [Piece::Data("pay ".into()), Piece::Data("1 USD".into()), Piece::Trailers(trailers.clone())];
    let server = Server::new([Step::BreakConnection, answer(503), answer(200)]);
    server.send(&layer(&server), request(Chunks::of(pieces))).unwrap();
    assert_eq!(server.arrivals().len(), 3);
    for arrival in server.arrivals() {
        assert_eq!((arrival.body().as_slice(), arrival.trailers), (b"pay 1 USD".as_slice(), Some(trailers.clone())));
        // HTTP/1.1 has no trailers where a length is known before.
        assert_eq!(arrival.exact_size, None);
    }
}

#[test]
fn a_body_over_the_limit_is_sent_once_with_its_key() {
    for knows_its_size in [true, false] {
        for trouble in [Step::BreakConnection, answer(503)] {
            let server = Server::new([trouble.clone()]);
            let body = Chunks { knows_its_size, ..Chunks::new([b"0123".as_slice(), b"4567", b"89"]) };
            let result = server.send(&layer(&server).body_bytes_max(9), request(body));
            let key = match (&result, trouble) {
                (Ok(response), Step::Answer(..)) => sent_key(response),
                (Err(error), Step::BreakConnection) => error.key(),
                other => panic!("{other:?}"),
            };
            let arrivals = server.arrivals();
            assert_eq!((arrivals.len(), arrivals[0].body().as_slice()), (1, b"0123456789".as_slice()));
            assert_eq!(arrivals[0].exact_size, knows_its_size.then_some(10));
            assert_eq!(Some(key.unwrap().value().clone()), arrivals[0].key());
        }
    }
}

#[test]
fn a_body_at_the_limit_is_retried() {
    let server = Server::new([Step::BreakConnection, answer(200)]);
    server.send(&layer(&server).body_bytes_max(10), request(Chunks::new([b"01234".as_slice(), b"56789"]))).unwrap();
    assert_eq!(server.arrivals().len(), 2);
}

#[test]
fn a_body_that_breaks_sends_nothing() {
    let server = Server::new([]);
    let body = Chunks::of([Piece::Data("half of ".into()), Piece::Break]);
    let error = server.send(&layer(&server), request(body)).unwrap_err();
    assert_eq!((error.kind(), error.sends(), server.arrivals().len()), (ClientErrorKind::Body, 0, 0));
    assert!(error.key().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_byte_is_lost_or_added(chunks in vec(vec(any::<u8>(), 0..40), 0..6), bytes_max in 0..120_usize, knows_its_size: bool) {
        let all = chunks.concat();
        let is_kept = all.len() <= bytes_max;
        let script = if is_kept { vec![answer(503), answer(200)] } else { vec![answer(503)] };
        let server = Server::new(script);
        let pieces = chunks.into_iter().map(|chunk| Piece::Data(Bytes::from(chunk)));
        let body = Chunks { knows_its_size, ..Chunks::of(pieces) };
        let response = server.send(&layer(&server).body_bytes_max(bytes_max), request(body)).unwrap();
        prop_assert_eq!(response.status().as_u16(), if is_kept { 200 } else { 503 });
        for arrival in server.arrivals() {
            prop_assert_eq!(arrival.body(), all.clone());
        }
    }
}
