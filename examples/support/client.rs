//! A client that needs no runtime: one request, one connection.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

/// Posts a payment under a key; returns the answer, head and body.
pub(crate) fn pay(address: SocketAddr, key: &str, amount: &str) -> io::Result<String> {
    let mut connection = TcpStream::connect(address)?;
    let length = amount.len();
    write!(
        connection,
        "POST /payments HTTP/1.1\r\nhost: shop\r\nconnection: close\r\nidempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n{amount}"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What every server of the examples has to do: run once, replay, refuse another request under the same key.
pub(crate) fn story(address: SocketAddr) -> io::Result<()> {
    let first = pay(address, "pay_1", "100")?;
    let again = pay(address, "pay_1", "100")?;
    let other = pay(address, "pay_1", "999")?;
    let second = pay(address, "pay_2", "100")?;
    for (answer, status, holds) in [
        (&first, "201", "receipt 1"),
        (&again, "201", "receipt 1"),
        (&other, "422", "idempotency_conflict"),
        (&second, "201", "receipt 2"),
    ] {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(holds), "{answer}");
    }
    assert!(again.contains("idempotent-replayed: true") && !first.contains("idempotent-replayed"), "{again}");
    println!("{}\n\n{}\n\n{}", first.trim(), again.trim(), other.trim());
    Ok(())
}
