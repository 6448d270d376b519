//! A client of the server, of a few lines.

use crate::support::*;
use serde_json::Value;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

impl Server {
    /// Posts JSON; returns the status and the answer.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        write!(stream, "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
    }

    /// Begins a key of [`SCOPE`].
    pub fn begin(&self, key: &str) -> (u16, Value) {
        let fingerprint = idemstore::Fingerprint::of(&[key.as_bytes()]).to_string();
        self.post("/v1/begin", &serde_json::json!({ "scope": SCOPE, "key": key, "fingerprint": fingerprint }))
    }
}
