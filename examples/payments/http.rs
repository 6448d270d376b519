//! Just enough HTTP/1.1 for this example: one request per connection, small bodies. Not for production.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

const BODY_BYTES_MAX: u64 = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A request, or a response: a first line, headers, a body.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) first_line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn request(method: &str, path: &str, body: impl Into<String>) -> Self {
        Self { first_line: format!("{method} {path} HTTP/1.1"), body: body.into(), ..Self::default() }
    }

    pub(crate) fn response(status: u16, body: impl Into<String>) -> Self {
        Self { first_line: format!("HTTP/1.1 {status} -"), body: body.into(), ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn status(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or_default()
    }

    fn read(stream: &TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut lines = BufReader::new(stream.take(BODY_BYTES_MAX));
        let mut message = Self { first_line: line(&mut lines)?, ..Self::default() };
        loop {
            let line = line(&mut lines)?;
            let Some((name, value)) = line.split_once(':') else { break };
            message = message.with(name, value.trim());
        }
        let len = message.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        lines.take(len).read_to_string(&mut message.body)?;
        Ok(message)
    }

    fn write(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut head = self.first_line.clone();
        for (name, value) in &self.headers {
            head.extend(["\r\n", name, ": ", value]);
        }
        write!(stream, "{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}", self.body.len(), self.body)
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Answers every connection on a thread of its own, until the process ends.
pub(crate) fn serve(listener: &TcpListener, answer: impl Fn(Message) -> Message + Clone + Send + 'static) {
    for stream in listener.incoming().flatten() {
        let answer = answer.clone();
        thread::spawn(move || {
            if let Ok(request) = Message::read(&stream) {
                // A client that has gone away will ask again.
                let _ = answer(request).write(&stream);
            }
        });
    }
}

/// Sends a request and waits for the response.
pub(crate) fn send(to: SocketAddr, request: &Message) -> io::Result<Message> {
    let stream = TcpStream::connect(to)?;
    request.write(&stream)?;
    Message::read(&stream)
}
