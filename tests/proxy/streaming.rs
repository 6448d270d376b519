//! Where nothing is recorded nothing is held back, and where something is, memory is bounded.

use super::{After, Upstream, exchange, payment};
use crate::{
    message::{Message, chunk, connect},
    program::Proxy,
    upstream::Gate,
};
use std::{
    io::{Read as _, Write as _},
    sync::{
        Mutex,
        mpsc::{channel, sync_channel},
    },
};

const MIB: usize = 1 << 20;
/// What passes through, and what may stay.
const STREAMED_BYTES: usize = 192 * MIB;
const HELD_BYTES_MAX: u64 = 24 << 20;

#[test]
fn each_byte_passes_before_the_next_one_is_sent() {
    let (more, pull) = sync_channel::<()>(0);
    let pull = Mutex::new(pull);
    let upstream = Upstream::start(move |request| {
        request.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let pull = pull.lock().unwrap();
        for byte in 0..100_u8 {
            pull.recv().unwrap();
            request.write([b"1\r\n", &[byte][..], b"\r\n"].concat());
        }
        request.answer("0\r\n\r\n")
    });
    let proxy = Proxy::start(&upstream.url(), &[]);
    let mut connection = connect(proxy.address);
    connection.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    assert!(Message::read_head(&mut connection).unwrap().status() == 200, "the head came before any byte was sent");
    for byte in 0..100_u8 {
        more.send(()).unwrap();
        assert_eq!(chunk(&mut connection), Some(vec![byte]));
    }
    assert_eq!(chunk(&mut connection), Some(Vec::new()));
}

#[test]
fn an_upload_passes_as_it_comes() {
    let (came, arrived) = channel();
    let came = Mutex::new(came);
    let upstream = Upstream::start(move |request| {
        let mut body = [0; 5];
        for _ in 0..3 {
            request.reader.read_exact(&mut body).unwrap();
            came.lock().unwrap().send(body).unwrap();
        }
        request.answer("HTTP/1.1 204 No Content\r\n\r\n")
    });
    let proxy = Proxy::start(&upstream.url(), &[]);
    let mut connection = connect(proxy.address);
    let request = "PUT /upload HTTP/1.1\r\nHost: h\r\nX-Raw: 1\r\nContent-Length: 15\r\n\r\n";
    connection.get_mut().write_all(request.as_bytes()).unwrap();
    for part in [b"first", b"secnd", b"third"] {
        connection.get_mut().write_all(part).unwrap();
        assert_eq!(&arrived.recv_timeout(crate::message::PATIENCE).unwrap(), part);
    }
    assert_eq!(Message::read_head(&mut connection).unwrap().status(), 204);
}

/// An upstream whose answers do not end, and that says when a reader has gone.
fn endless() -> (Upstream, std::sync::mpsc::Receiver<()>) {
    let (went, gone) = channel();
    let went = Mutex::new(went);
    let upstream = Upstream::start(move |request| {
        request.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut chunk = format!("{:x}\r\n", 64 * 1024).into_bytes();
        chunk.resize(chunk.len() + 64 * 1024, b'x');
        chunk.extend(b"\r\n");
        while request.write(&chunk) {}
        went.lock().unwrap().send(()).unwrap();
        After::Close
    });
    (upstream, gone)
}

#[test]
fn a_response_that_never_ends_passes_and_is_not_held() {
    let (upstream, gone) = endless();
    let proxy = Proxy::start(&upstream.url(), &[]);
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), payment("", "100"), payment("pay_1", "100")] {
        let mut connection = connect(proxy.address);
        connection.get_mut().write_all(request.as_bytes()).unwrap();
        assert!(Message::read_head(&mut connection).unwrap().status() == 200);
        let before = proxy.peak_bytes();
        let mut passed = 0;
        while passed < STREAMED_BYTES {
            passed += chunk(&mut connection).unwrap().len();
        }
        // The kernel counts roughly: it may say less than before.
        let held = proxy.peak_bytes().saturating_sub(before);
        assert!(held < HELD_BYTES_MAX, "{held} bytes were held of {passed}");
        // And it ends with the client.
        drop(connection);
        gone.recv_timeout(crate::message::PATIENCE).unwrap();
    }
    // The one with a key has run, and is not run again.
    assert!(exchange(proxy.address, &payment("pay_1", "100")).is_problem(410, "idempotency_response_not_stored"));
    assert_eq!(upstream.count(), 3);
}

/// The negative control of the figure above: what is held is seen.
#[test]
fn what_is_held_is_seen_in_the_memory_of_the_process() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |request| {
        held.wait();
        request.answer("HTTP/1.1 204 No Content\r\n\r\n")
    });
    let proxy = Proxy::start(&upstream.url(), &["--max-body", "64MiB"]);
    let before = proxy.peak_bytes();
    let mut connection = connect(proxy.address);
    connection.get_mut().write_all(payment("pay_1", &"x".repeat(48 * MIB)).as_bytes()).unwrap();
    upstream.wait_for(1);
    assert!(proxy.peak_bytes() - before > HELD_BYTES_MAX);
    gate.open();
    assert_eq!(Message::read_head(&mut connection).unwrap().status(), 204);
}
