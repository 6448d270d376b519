use crate::server::{Server, Step, answer, answer_with, layer, post};
use http::StatusCode;
use idemstore::client::ClientErrorKind;

/// How often a request is sent whose first answer is this one, and whose second is 200.
fn sends(first: Step) -> usize {
    let server = Server::new([first, answer(200)]);
    server.send(&layer(&server), post(b"")).unwrap();
    server.so_far().len()
}

#[test]
fn what_passes_is_retried() {
    for status in [429, 502, 503, 504] {
        assert_eq!(sends(answer(status)), 2, "{status}");
    }
    assert_eq!(sends(answer_with(409, "retry-after", "1")), 2);
    assert_eq!(sends(Step::BreakConnection), 2);
}

#[test]
fn what_does_not_pass_is_not_retried() {
    for status in [200, 201, 204, 301, 400, 401, 402, 403, 404, 408, 409, 410, 422, 500, 501] {
        assert_eq!(sends(answer(status)), 1, "{status}");
    }
    for status in [400, 422, 200, 404] {
        assert_eq!(sends(answer_with(status, "retry-after", "1")), 1, "{status}");
    }
    assert_eq!(sends(answer_with(409, "retry-after", "some time")), 1);
}

#[test]
fn a_stored_response_is_not_retried() {
    for mark in ["idempotent-replayed", "x-idempotent-replay"] {
        assert_eq!(sends(answer_with(503, mark, "true")), 1);
        assert_eq!(sends(answer_with(503, mark, "false")), 2);
    }
}

#[test]
fn a_refused_request_is_not_retried_whatever_is_set() {
    for status in [400, 422] {
        let server = Server::new([answer(status)]);
        let layer = layer(&server).retry_statuses([StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY]);
        assert_eq!(server.send(&layer, post(b"")).unwrap().status(), status);
        assert_eq!(server.arrivals().len(), 1);
    }
}

#[test]
fn statuses_and_conflicts_can_be_set() {
    let server = Server::new([answer(500), answer(409), answer(503)]);
    let layer = layer(&server).retry_statuses([StatusCode::INTERNAL_SERVER_ERROR]).retry_conflicts_without_retry_after(true);
    assert_eq!(server.send(&layer, post(b"")).unwrap().status(), 503);
    assert_eq!(server.arrivals().len(), 3);
}

#[test]
fn errors_can_be_told_apart() {
    use crate::server::ConnectionReset;
    for is_passing in [true, false] {
        let script = if is_passing { vec![Step::BreakConnection, answer(200)] } else { vec![Step::BreakConnection] };
        let server = Server::new(script);
        let layer = layer(&server).retry_errors(move |error| error.is::<ConnectionReset>() == is_passing);
        match server.send(&layer, post(b"")) {
            Ok(response) => assert!(is_passing && response.status() == 200),
            Err(error) => assert!(!is_passing && error.kind() == ClientErrorKind::Service),
        }
        assert_eq!(server.arrivals().len(), if is_passing { 2 } else { 1 });
    }
}
