//! What long work tells its client while it goes on.

use crate::{
    Error, Progress, Result,
    server::{Body, Problem},
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::Sender;

/// Pieces that wait for the client: bounds the memory of one that reads slowly.
const PIECES_MAX: usize = 16;
/// Records are sent in pieces of about this length.
const PIECE_BYTES: usize = 32 * 1024;
/// People cannot follow more; and work on small records is not held up by talking about it.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The sending end.
pub(super) struct Lines(Sender<io::Result<Bytes>>);

/// Tells how far work has got, and tells the work when nobody listens any more.
pub(super) struct Reporter {
    lines: Sender<io::Result<Bytes>>,
    told_at: Instant,
}

/// Takes records as an export writes them.
pub(super) struct Records<'l> {
    lines: &'l Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    is_inside: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<T> {
    Progress { records: u64, total: u64 },
    Report(T),
}

/// Connects work with the response that tells about it.
pub(super) fn channel() -> (Lines, Body) {
    let (sender, body) = Body::channel(PIECES_MAX);
    (Lines(sender), body)
}

impl Lines {
    pub(super) fn reporter(&self) -> Reporter {
        Reporter { lines: self.0.clone(), told_at: Instant::now() }
    }

    /// Returns where an export may write.
    pub(super) fn records(&self) -> Records<'_> {
        Records { lines: &self.0, piece: Vec::new(), is_inside: false }
    }

    /// Tells how it ended.
    pub(super) fn end<T: Serialize>(self, done: Result<T>) {
        let line = match done {
            Ok(report) => line(&Line::Report(report)),
            Err(error) => error_line(error),
        };
        // A client that has gone does not want to know.
        let _ = self.0.blocking_send(Ok(line));
    }
}

fn line<T: Serialize>(line: &Line<T>) -> Bytes {
    // Reports are numbers, names and paths that came as JSON: there is nothing in them that could not be written.
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

fn error_line(error: Error) -> Bytes {
    let mut bytes = br#"{"error":"#.to_vec();
    bytes.extend(Problem::from(error).to_json());
    bytes.extend(b"}\n");
    bytes.into()
}

impl Reporter {
    /// Tells how far the work has got, unless that was told a moment ago or the client is behind. Never blocks: some work holds
    /// up the store's callers.
    pub(super) fn tell(&mut self, progress: Progress) -> ControlFlow<()> {
        if self.lines.is_closed() {
            return ControlFlow::Break(());
        }
        if self.told_at.elapsed() >= PROGRESS_EVERY {
            self.told_at = Instant::now();
            let Progress { records, total } = progress;
            let _ = self.lines.try_send(Ok(line(&Line::<()>::Progress { records, total })));
        }
        ControlFlow::Continue(())
    }
}

impl Records<'_> {
    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the client went away");
        self.lines.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

impl io::Write for Records<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            if !self.is_inside {
                self.piece.extend(br#"{"record":"#);
            }
            let record = part.strip_suffix(b"\n");
            self.piece.extend(record.unwrap_or(part));
            self.is_inside = record.is_none();
            if !self.is_inside {
                self.piece.extend(b"}\n");
            }
        }
        if !self.is_inside && self.piece.len() >= PIECE_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}
