//! The leanest client of each: a request is one write, and of an answer only what is needed is looked at.

use crate::Caller;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

const DAY_MS: &str = "86400000";
const FINGERPRINT: &str = "5f3a9c1e7b2d4860a1c3e5f7092b4d6f8091a2b3c4d5e6f70718293a4b5c6d7e";

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

/// Speaks HTTP/1.1.
pub struct HttpCaller {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl HttpCaller {
    fn ask(&mut self, target: &str, body: &str, wanted: u16) {
        let request = format!("POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length) = (None, 0);
        loop {
            self.line.clear();
            self.stream.read_line(&mut self.line).unwrap();
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
        assert_eq!(status, Some(wanted), "{}", String::from_utf8_lossy(&self.body));
    }

    fn token(&self) -> u64 {
        let answer: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        answer["token"].as_u64().unwrap()
    }
}

impl Caller for HttpCaller {
    fn connect(address: SocketAddr) -> Self {
        Self { stream: connect(address), line: String::new(), body: Vec::new() }
    }

    fn pay(&mut self, key: &str, outcome: &str) {
        self.ask("/v1/begin", &format!(r#"{{"scope":"shop","key":"{key}","fingerprint":"{FINGERPRINT}"}}"#), 201);
        let token = self.token();
        self.ask("/v1/complete", &format!(r#"{{"scope":"shop","key":"{key}","token":{token},"payload":{outcome}}}"#), 200);
    }
}

/// Speaks Redis's protocol.
pub struct RedisCaller {
    stream: BufReader<TcpStream>,
    line: String,
}

impl RedisCaller {
    fn ask(&mut self, words: &[&str]) {
        let words: Vec<_> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        let request = format!("*{}\r\n{}", words.len(), words.concat());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.line.clear();
        self.stream.read_line(&mut self.line).unwrap();
        assert_eq!(self.line, "+OK\r\n");
    }
}

impl Caller for RedisCaller {
    fn connect(address: SocketAddr) -> Self {
        Self { stream: connect(address), line: String::new() }
    }

    fn pay(&mut self, key: &str, outcome: &str) {
        self.ask(&["SET", key, FINGERPRINT, "NX", "PX", DAY_MS]);
        self.ask(&["SET", key, outcome, "XX", "PX", DAY_MS]);
    }
}
