//! HTTP/1.1 messages as bytes, so that nothing between the test and the program is clever.

use std::{
    io::{BufRead, BufReader, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than anything takes on a busy machine; a read that takes longer fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request or a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) start: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// The body came to its end.
    pub(crate) is_whole: bool,
}

impl Message {
    /// Reads one; `None` if the connection is closed or breaks before its head is there.
    pub(crate) fn read(from: &mut impl BufRead, is_response: bool) -> Option<Self> {
        let mut message = Self::read_head(from)?;
        message.read_body(from, is_response);
        Some(message)
    }

    pub(crate) fn read_head(from: &mut impl BufRead) -> Option<Self> {
        Some(Self { start: line(from)?, headers: fields(from)?, ..Self::default() })
    }

    pub(crate) fn read_body(&mut self, from: &mut impl BufRead, is_response: bool) {
        let number = |text: String| text.parse::<u64>().unwrap();
        let is_bodiless = is_response && (self.status() < 200 || matches!(self.status(), 204 | 304));
        if self.header("transfer-encoding").is_some() {
            self.is_whole = self.read_chunks(from).is_some();
        } else if let Some(len) = self.header("content-length").map(number) {
            let _ = from.take(len).read_to_end(&mut self.body);
            self.is_whole = self.body.len() as u64 == len;
        } else if is_response && !is_bodiless {
            self.is_whole = from.read_to_end(&mut self.body).is_ok();
        } else {
            self.is_whole = true;
        }
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> Option<()> {
        loop {
            match chunk(from)? {
                data if data.is_empty() => break,
                data => self.body.extend(data),
            }
        }
        self.trailers = fields(from)?;
        Some(())
    }

    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// All values of a header, as one list.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What a retry has to get again.
    pub(crate) fn essence(&self) -> (String, Vec<(String, String)>, String) {
        let marks = ["date", "idempotent-replayed", "x-idempotent-replay"];
        let headers = self.headers.iter().filter(|(name, _)| !marks.contains(&name.as_str())).cloned();
        (self.start.clone(), headers.collect(), self.text())
    }

    /// Returns whether this is a problem of this kind.
    pub(crate) fn is_problem(&self, status: u16, kind: &str) -> bool {
        let is_typed = self.header("content-type").as_deref() == Some("application/problem+json");
        let says = |member: &str| self.text().contains(&format!(r#""{member}":"{kind}""#));
        self.status() == status && is_typed && (says("kind") || says("code"))
    }
}

/// Reads a chunk; the last one is empty.
pub(crate) fn chunk(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let len = u64::from_str_radix(line(from)?.split(';').next()?, 16).ok()?;
    let mut data = Vec::new();
    from.take(len).read_to_end(&mut data).ok()?;
    if data.len() as u64 != len {
        return None;
    }
    // The end of the last chunk is that of the trailers.
    if len > 0 && !line(from)?.is_empty() {
        return None;
    }
    Some(data)
}

fn fields(from: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(from)?;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(':').unwrap();
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn line(from: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line).ok()?;
    line.ends_with(b"\n").then(|| String::from_utf8(line).unwrap().trim_end_matches(['\r', '\n']).to_owned())
}

/// A connection of a client, to read from and to write to.
pub(crate) fn connect(to: SocketAddr) -> BufReader<TcpStream> {
    try_connect(to).unwrap()
}

fn try_connect(to: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

/// Sends a request on a connection of its own and reads the response; `None` if none came.
pub(crate) fn try_exchange(to: SocketAddr, request: &str) -> Option<Message> {
    let mut connection = try_connect(to).ok()?;
    connection.get_mut().write_all(request.as_bytes()).ok()?;
    Message::read(&mut connection, true)
}

/// Sends a request on a connection of its own and reads the response.
#[track_caller]
pub(crate) fn exchange(to: SocketAddr, request: &str) -> Message {
    try_exchange(to, request).expect("a response")
}
