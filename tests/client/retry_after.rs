use crate::server::{Server, Step, answer, answer_with, layer, post};
use std::time::Duration;

/// The shortest wait after one answer of 503 with these headers.
fn wait(headers: &[(&'static str, &str)]) -> Duration {
    wait_at(headers, 0)
}

fn wait_at(headers: &[(&'static str, &str)], random: u64) -> Duration {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let server = Server::new([Step::Answer(503, headers), answer(200)]);
    assert_eq!(server.send(&layer(&server).jitter(move || random), post(b"")).unwrap().status(), 200);
    server.waits()[0]
}

#[test]
fn the_servers_wait_is_kept_to() {
    assert_eq!(wait(&[("retry-after", "7")]), Duration::from_secs(7));
    assert_eq!(wait(&[("retry-after", "0")]), Duration::ZERO);
    // The clock shows 08:49:37 when the answer comes.
    assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")]), Duration::from_secs(20));
    assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Duration::ZERO);
}

#[test]
fn clients_that_were_told_the_same_time_do_not_come_back_together() {
    let at = |random: u64| {
        let server = Server::new([answer_with(409, "retry-after", "7"), answer_with(503, "retry-after", "0"), answer(200)]);
        server.send(&layer(&server).jitter(move || random), post(b"")).unwrap();
        server.waits()
    };
    let (earliest, middle) = (at(0), at(1 << 63));
    assert_eq!(earliest, [Duration::from_secs(7), Duration::ZERO], "never before the server wants it");
    assert_eq!(middle, [Duration::from_millis(7100), Duration::from_millis(200)]);
}

#[test]
fn a_servers_clock_that_is_wrong_does_not_matter() {
    let date = ("date", "Fri, 01 Jan 1999 00:00:00 GMT");
    assert_eq!(wait(&[date, ("retry-after", "Fri, 01 Jan 1999 00:00:03 GMT")]), Duration::from_secs(3));
}

#[test]
fn a_wait_that_is_too_long_is_capped() {
    let cap = Duration::from_secs(30);
    for asked in ["31", "3600", "99999999999999999999999", "Mon, 07 Nov 2044 08:49:37 GMT"] {
        assert_eq!(wait(&[("retry-after", asked)]), cap, "{asked}");
    }
    let server = Server::new([answer_with(429, "retry-after", "3600"), answer(200)]);
    server.send(&layer(&server).retry_after_max(Duration::from_secs(2)).jitter(|| 0), post(b"")).unwrap();
    assert_eq!(server.waits(), [Duration::from_secs(2)]);
}

#[test]
fn what_cannot_be_read_is_a_backoff() {
    // A nanosecond less than the ceiling: the random number is the highest.
    assert_eq!(wait_at(&[("retry-after", "soon")], u64::MAX), Duration::from_nanos(199_999_999));
}
