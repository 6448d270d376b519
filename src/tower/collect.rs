//! Reading bodies, within limits.

use super::{
    body::into_bytes,
    budget::{Budget, counted},
};
use crate::{Fingerprint, FingerprintOfPieces};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
};

/// A request's body, read whole. Its bytes are counted for as long as anybody holds them.
pub(super) struct Read {
    pub(super) data: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    /// The request's, if its body was digested as it came.
    pub(super) fingerprint: Option<Fingerprint>,
}

/// Why a request's body was not read to its end.
pub(super) enum ReadError {
    TooLarge,
    BudgetSpent,
    Broken,
}

/// Reads a request's body; takes its bytes from the budget, and digests them, as they come.
pub(super) async fn read<B: Body>(
    body: B,
    bytes_max: usize,
    budget: &Budget,
    mut digested: Option<FingerprintOfPieces>,
) -> Result<Read, ReadError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(ReadError::TooLarge);
    }
    let mut permit = budget.take(0).ok_or(ReadError::BudgetSpent)?;
    let mut body = pin!(body);
    let (mut gathered, mut len, mut trailers) = (Gathered::default(), 0_usize, None);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        match into_bytes(frame.map_err(|_| ReadError::Broken)?).into_data() {
            Ok(data) => {
                len = len.saturating_add(data.len());
                if len > bytes_max {
                    return Err(ReadError::TooLarge);
                }
                if !permit.grow(data.len()) {
                    return Err(ReadError::BudgetSpent);
                }
                if let Some(digested) = &mut digested {
                    digested.add(&data);
                }
                gathered.add(data);
            }
            Err(frame) => trailers = join_trailers(trailers, frame.into_trailers().ok()),
        }
    }
    let data = counted(gathered.whole(), &Arc::new(permit));
    Ok(Read { data, trailers, fingerprint: digested.and_then(FingerprintOfPieces::finish) })
}

/// What was read of a response's body.
pub(super) struct Collected<B: Body> {
    pub(super) data: Vec<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    /// There is more: the body is longer than the limit.
    pub(super) rest: Option<Pin<Box<B>>>,
    /// It broke off.
    pub(super) failure: Option<B::Error>,
}

impl<B: Body> Collected<B> {
    pub(super) fn len(&self) -> usize {
        self.data.iter().map(Bytes::len).sum()
    }
}

/// Reads a response's body until it ends, breaks off, or exceeds the limit.
pub(super) async fn collect<B: Body>(body: B, bytes_max: usize) -> Collected<B> {
    let mut body = Box::pin(body);
    let mut collected = Collected { data: Vec::new(), trailers: None, rest: None, failure: None };
    if body.size_hint().lower() > bytes_max as u64 {
        collected.rest = Some(body);
        return collected;
    }
    let mut len = 0_usize;
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        match frame.map(|frame| into_bytes(frame).into_data()) {
            Ok(Ok(data)) => {
                len = len.saturating_add(data.len());
                collected.data.push(data);
                if len > bytes_max {
                    collected.rest = Some(body);
                    break;
                }
            }
            Ok(Err(frame)) => collected.trailers = join_trailers(collected.trailers, frame.into_trailers().ok()),
            Err(failure) => {
                collected.failure = Some(failure);
                break;
            }
        }
    }
    collected
}

fn join_trailers(earlier: Option<HeaderMap>, later: Option<HeaderMap>) -> Option<HeaderMap> {
    match (earlier, later) {
        (Some(mut earlier), Some(later)) => {
            earlier.extend(later);
            Some(earlier)
        }
        (earlier, later) => earlier.or(later),
    }
}

/// A request's body as far as it has come. Chunks are not kept as they are: each may hold on to much more memory than it has bytes, and
/// the client says how small they are.
#[derive(Default)]
struct Gathered {
    /// The only chunk so far, which is copied when there is a second.
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn add(&mut self, chunk: Bytes) {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = chunk;
        } else if !chunk.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
            self.all.extend_from_slice(&chunk);
        }
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
