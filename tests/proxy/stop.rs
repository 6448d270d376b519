//! A stop in good order.

use super::{exchange, held_shop, payment};
use crate::{
    message::{PATIENCE, connect},
    program::Proxy,
};
use std::{io::Write as _, net::TcpStream, thread, time::Instant};

/// Waits until nobody is accepted any more.
fn wait_for_the_door(proxy: &Proxy) {
    while TcpStream::connect(proxy.address).is_ok() {
        thread::yield_now();
    }
}

#[test]
fn a_request_that_runs_is_answered_and_recorded_before_the_end() {
    for signal in ["-TERM", "-INT"] {
        let (upstream, mut proxy, gate) = held_shop(&[]);
        let address = proxy.address;
        let client = thread::spawn(move || exchange(address, &payment("pay_1", "100")));
        upstream.wait_for(1);
        proxy.terminate(signal);
        wait_for_the_door(&proxy);
        gate.open();
        let first = client.join().unwrap();
        let (ended, said) = proxy.wait();
        assert_eq!((first.text().as_str(), ended.code()), ("charge 1", Some(0)), "{said}");
        let proxy = proxy.again();
        assert_eq!(exchange(proxy.address, &payment("pay_1", "100")).essence().2, first.text());
        assert_eq!(upstream.count(), 1);
    }
}

#[test]
fn a_request_whose_client_has_gone_is_recorded_before_the_end() {
    let (upstream, mut proxy, gate) = held_shop(&[]);
    let mut connection = connect(proxy.address);
    connection.get_mut().write_all(payment("pay_1", "100").as_bytes()).unwrap();
    upstream.wait_for(1);
    drop(connection);
    proxy.terminate("-TERM");
    wait_for_the_door(&proxy);
    gate.open();
    let (ended, said) = proxy.wait();
    assert_eq!(ended.code(), Some(0), "{said}");
    let proxy = proxy.again();
    let retry = exchange(proxy.address, &payment("pay_1", "100"));
    assert_eq!((retry.text().as_str(), retry.header("idempotent-replayed").is_some()), ("charge 1", true));
    assert_eq!(upstream.count(), 1);
}

/// It would keep the stop waiting, and then be cut off without an answer.
#[test]
fn a_duplicate_that_waits_is_told_to_come_back() {
    let (upstream, mut proxy, gate) = held_shop(&["--wait", "1h", "--admin-listen", "127.0.0.1:0"]);
    let (address, admin) = (proxy.address, proxy.admin());
    let first = thread::spawn(move || exchange(address, &payment("pay_1", "100")));
    upstream.wait_for(1);
    let duplicate = thread::spawn(move || exchange(address, &payment("pay_1", "100")));
    let deadline = Instant::now() + PATIENCE;
    let stats = format!("GET /v1/stats HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    while !exchange(admin, &stats).text().contains(r#""waiting":1"#) {
        assert!(Instant::now() < deadline, "it does not wait");
    }
    proxy.terminate("-TERM");
    let told = duplicate.join().unwrap();
    assert!(told.is_problem(409, "idempotency_in_flight"), "{told:?}");
    gate.open();
    assert_eq!(first.join().unwrap().text(), "charge 1");
    assert_eq!((proxy.wait().0.code(), upstream.count()), (Some(0), 1));
}
