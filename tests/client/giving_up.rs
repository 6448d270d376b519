use crate::server::{Chunks, ConnectionReset, Piece, Server, Step, answer, answer_with, layer, post, sent_key};
use http::Request;
use idemstore::{Clock, client::ClientErrorKind};
use std::{error::Error, time::Duration};

#[test]
fn it_gives_up_after_the_last_retry_with_the_last_response_and_the_key() {
    let server = Server::new([Step::BreakConnection, answer(502), answer(503)]);
    let response = server.send(&layer(&server).retries_max(2), post(b"")).unwrap();
    assert_eq!((response.status().as_u16(), server.arrivals().len()), (503, 3));
    assert_eq!(Some(sent_key(&response).unwrap().value().clone()), server.arrivals()[2].key());
}

#[test]
fn it_gives_up_after_the_last_retry_with_the_last_error_and_the_key() {
    let server = Server::new([answer(503), Step::BreakConnection]);
    let error = server.send(&layer(&server).retries_max(1), post(b"")).unwrap_err();
    assert_eq!((error.kind(), error.sends()), (ClientErrorKind::Service, 2));
    assert_eq!(Some(error.key().unwrap().value().clone()), server.arrivals()[1].key());
    assert!(error.source().is_some());
    assert_eq!(error.to_string(), "sending a request, 2 times: connection reset");
    assert!(error.into_source().unwrap().is::<ConnectionReset>());
}

#[test]
fn it_gives_up_after_four_retries_unless_set() {
    let server = Server::new(vec![answer(503); 5]);
    assert_eq!(server.send(&layer(&server), post(b"")).unwrap().status(), 503);
    assert_eq!(server.arrivals().len(), 5);
}

#[test]
fn a_wait_that_leaves_no_time_is_not_begun() {
    let server = Server::new([answer_with(503, "retry-after", "6"), answer_with(503, "retry-after", "4")]);
    let layer = layer(&server).total_time(Duration::from_secs(10)).jitter(|| 0);
    let response = server.send(&layer, post(b"")).unwrap();
    assert_eq!((response.status().as_u16(), server.waits()), (503, vec![Duration::from_secs(6)]));
    assert_eq!(response.headers()["retry-after"], "4");
    assert_eq!(server.time.clock.monotonic(), Duration::from_secs(6));
}

#[test]
fn a_send_under_way_is_dropped_when_the_time_has_passed() {
    let server = Server::new([answer_with(503, "retry-after", "6"), Step::NeverAnswer]);
    let error = server.send(&layer(&server).total_time(Duration::from_secs(10)), post(b"")).unwrap_err();
    assert_eq!((error.kind(), error.sends()), (ClientErrorKind::OutOfTime, 2));
    assert_eq!(Some(error.key().unwrap().value().clone()), server.arrivals()[1].key());
    assert_eq!(server.time.clock.monotonic(), Duration::from_secs(10));
    assert_eq!(error.to_string(), "no response in time, after 2 sends");
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_beyond_the_time() {
    let server = Server::new([]);
    let body = Chunks::of([Piece::Data("half of ".into()), Piece::Never]);
    let error = server.send(&layer(&server), Request::post("/").body(body).unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.sends()), (ClientErrorKind::OutOfTime, 0));
    assert_eq!((server.arrivals().len(), server.time.clock.monotonic()), (0, Duration::from_secs(120)));
}

#[test]
fn a_service_that_is_never_ready_again_ends_the_request() {
    for lives in [0, 1] {
        let script = if lives == 0 { vec![] } else { vec![answer(503)] };
        let mut server = Server::new(script);
        server.lives = lives;
        let error = server.send(&layer(&server), post(b"")).unwrap_err();
        assert_eq!((error.kind(), error.sends() as usize, server.arrivals().len()), (ClientErrorKind::Service, lives, lives));
        assert_eq!(error.key().is_some(), lives == 1);
        assert_eq!(error.into_source().unwrap().to_string(), "closed for good");
    }
}

#[test]
fn no_timer_is_left() {
    let server = Server::new([Step::BreakConnection, answer(200)]);
    server.send(&layer(&server), post(b"")).unwrap();
    assert_eq!((server.arrivals().len(), server.time.timers()), (2, 0));
}
