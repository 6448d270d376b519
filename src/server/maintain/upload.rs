//! A request's body, read as it comes by work that blocks.

use bytes::{Buf as _, Bytes};
use http_body::Frame;
use http_body_util::BodyExt as _;
use std::{
    fmt::Display,
    io::{self, BufRead, Read},
    pin::{Pin, pin},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::timeout,
};

/// Pieces that wait for the work: bounds the memory of a client that sends faster than the store writes.
const PIECES_MAX: usize = 16;
/// A client that sends nothing for so long keeps others from their work.
const PIECE_WAIT: Duration = Duration::from_secs(600);

/// The body, for a thread that may block.
pub(super) struct Upload {
    pieces: Receiver<io::Result<Piece>>,
    current: Bytes,
    has_ended: bool,
}

enum Piece {
    Data(Bytes),
    /// The body is whole. Without this it was cut off, and what came of it must not be taken for all.
    End,
}

/// Starts to receive a body.
pub(super) fn receive<B>(body: B) -> Upload
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Display,
{
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    tokio::spawn(pass_on(body, sender));
    Upload { pieces, current: Bytes::new(), has_ended: false }
}

async fn pass_on<B>(body: B, to: Sender<io::Result<Piece>>)
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    let mut body = pin!(body);
    // When the work has ended early, the rest is read and dropped: a client that is still sending would otherwise see its connection
    // reset, and not why.
    while let Some(piece) = next(&mut body).await {
        let is_broken = piece.is_err();
        if let Some(piece) = piece.transpose() {
            let _ = to.send(piece).await;
        }
        if is_broken {
            return;
        }
    }
    let _ = to.send(Ok(Piece::End)).await;
}

async fn next<B>(body: &mut Pin<&mut B>) -> Option<io::Result<Option<Piece>>>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Display,
{
    let next = timeout(PIECE_WAIT, body.frame()).await;
    next.map_or_else(|_| Some(Err(io::Error::new(io::ErrorKind::TimedOut, "no more lines came"))), |frame| frame.map(piece))
}

fn piece(frame: Result<Frame<Bytes>, impl Display>) -> io::Result<Option<Piece>> {
    match frame {
        // Trailers mean nothing here.
        Ok(frame) => Ok(frame.into_data().ok().map(Piece::Data)),
        Err(error) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the body broke off: {error}"))),
    }
}

impl BufRead for Upload {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.has_ended {
            match self.pieces.blocking_recv() {
                Some(Ok(Piece::Data(data))) => self.current = data,
                Some(Ok(Piece::End)) => self.has_ended = true,
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body broke off")),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, bytes: usize) {
        self.current.advance(bytes.min(self.current.len()));
    }
}

impl Read for Upload {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
