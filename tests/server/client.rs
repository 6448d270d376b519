//! A client that sends whatever bytes it is given, and reads what comes back.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Result, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Longer than any answer takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a field of the body.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Value {
        self.json().get(name).unwrap_or_else(|| panic!("{name} is missing: {}", self.text())).clone()
    }

    /// Checks that it is a problem in the form of the contract.
    #[track_caller]
    pub(crate) fn check_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!((body["status"].as_u64(), body["kind"].as_str()), (Some(status.into()), Some(kind)), "{body}");
        for field in ["type", "title", "detail"] {
            assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {body}");
        }
    }

    /// Checks that it is JSON with this status.
    #[track_caller]
    pub(crate) fn check(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        self
    }
}

trait Wire: Read + Write + Send {
    fn end_sending(&self) -> Result<()>;
    fn set_patience(&self, patience: Duration) -> Result<()>;
}

impl Wire for TcpStream {
    fn end_sending(&self) -> Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_patience(&self, patience: Duration) -> Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Wire for UnixStream {
    fn end_sending(&self) -> Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_patience(&self, patience: Duration) -> Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

/// One connection.
pub(crate) struct Client(BufReader<Box<dyn Wire>>);

impl Client {
    pub(crate) fn tcp(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(Box::new(stream))))
    }

    pub(crate) fn unix(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(Box::new(stream))))
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())
    }

    /// Tells the server that nothing more comes.
    pub(crate) fn end_sending(&mut self) -> Result<()> {
        self.0.get_ref().end_sending()
    }

    /// Sends a request of a head and a body, and reads its answer.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        self.send(request(method, target, headers, body))?;
        self.answer(method == "HEAD")
    }

    pub(crate) fn post(&mut self, target: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
        self.ask("POST", target, &[], body.as_ref())
    }

    pub(crate) fn get(&mut self, target: &str) -> Result<Answer> {
        self.ask("GET", target, &[], b"")
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Reads an answer; that to HEAD has no body.
    pub(crate) fn answer(&mut self, is_bare: bool) -> Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other("not an answer of HTTP"))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if is_bare {
            return Ok(answer);
        }
        let length = answer.header("content-length").expect("answers say how long they are").parse().unwrap();
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Reads bytes as they are.
    pub(crate) fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.0.read_exact(bytes)
    }

    /// Waits this long for a byte to come; 0 means that the connection was closed, `WouldBlock` that nothing came. What came is kept.
    pub(crate) fn hear(&mut self, patience: Duration) -> Result<usize> {
        self.0.get_ref().set_patience(patience)?;
        let heard = self.0.fill_buf().map(<[u8]>::len);
        self.0.get_ref().set_patience(PATIENCE)?;
        heard
    }

    /// Reads until the server closes the connection; returns what came.
    pub(crate) fn rest(&mut self) -> Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest)?;
        Ok(rest)
    }
}

/// Writes a request.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut lines = vec![format!("{method} {target} HTTP/1.1")];
    let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !has("host") {
        lines.push("host: 127.0.0.1".to_owned());
    }
    if !has("content-length") && !has("transfer-encoding") {
        lines.push(format!("content-length: {}", body.len()));
    }
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    [lines.join("\r\n").as_bytes(), b"\r\n\r\n", body].concat()
}
