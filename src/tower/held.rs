//! A granted key, and the recording of how its attempt ended.

use super::{
    Answered, Attempt, Conclusion, ResponseBody, Takeover,
    budget::Permit,
    catch::quietly,
    collect::Collected,
    limits::END_TRIES_MAX,
    response::{encode, encode_not_stored},
    settings::Settings,
    work::Ended,
};
use crate::{Error, ErrorKind, Grant, IdempotencyStore, Key, OutcomeKind, Result as StoreResult, limits::LEASE};
use bytes::Bytes;
use http::{Response, response};
use http_body::Body;
use std::{
    future::{Future, poll_fn},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Release},
    },
    task::Poll,
};

/// A key and the grant under which its handler runs.
pub(super) struct Held<St> {
    pub(super) store: Arc<St>,
    pub(super) settings: Arc<Settings>,
    pub(super) key: Key,
    pub(super) grant: Grant,
    pub(super) is_takeover: bool,
    /// Whether the end is stored, for those who keep the [`Attempt`].
    pub(super) has_ended: Arc<AtomicBool>,
}

impl<St: IdempotencyStore> Held<St> {
    /// Starts to renew the lease; the guard is to be kept until the attempt has ended.
    pub(super) fn attempt(&self) -> (Arc<St::KeepAlive>, Attempt) {
        let guard = Arc::new(self.store.keep_alive(&self.key, self.grant.token, self.settings.lease));
        let attempt = Attempt::new(&self.store, &self.key, self.grant.clone(), self.is_takeover, &guard, &self.has_ended);
        (guard, attempt)
    }

    /// Records a response, and lets the client have it: only after it is durable, so that no client has seen an answer that a retry
    /// would not get.
    pub(super) async fn conclude<RB: Body, E>(
        &self,
        mut parts: response::Parts,
        collected: Collected<RB>,
        mut permit: Permit,
        guard: Arc<St::KeepAlive>,
    ) -> Ended<RB, E> {
        let answered = Answered { status: parts.status, headers: &parts.headers, trailers: collected.trailers.as_ref() };
        // A rule that panics has said nothing.
        let recorded = quietly(|| self.settings.recording.decide(&answered)).unwrap_or(Conclusion::Unknown);
        let conclusion = match parts.extensions.remove::<Conclusion>() {
            _ if collected.failure.is_some() => self.settings.handler_failure.without_response(),
            Some(own) => own,
            // That this attempt came to nothing says nothing about an earlier one, which may be why: a paygate refuses a nonce that is used.
            // Freed, the key would take another request; kept, the same one runs again all the same.
            None if recorded == Conclusion::Release && self.is_run_again() => Conclusion::Unknown,
            None => recorded,
        };
        let kind = match conclusion {
            Conclusion::Complete => Some(OutcomeKind::Completed),
            Conclusion::Fail => Some(OutcomeKind::Failed),
            Conclusion::Release | Conclusion::Unknown => None,
        };
        let is_concluded = match kind {
            Some(kind) => {
                let is_whole = collected.rest.is_none();
                let also_not = &self.settings.never_recorded;
                let encoded = || encode(parts.status, &parts.headers, &collected.data, collected.trailers.as_ref(), also_not);
                let payload = is_whole.then(encoded).flatten();
                self.end(kind, payload, encode_not_stored(parts.status)).await
            }
            None => conclusion == Conclusion::Release && self.release().await,
        };
        drop(guard);
        if !is_concluded {
            self.leave().await;
        }
        permit.shrink_to(collected.len());
        Ended::Answered(Response::from_parts(parts, ResponseBody::collected(collected, permit)))
    }

    /// Returns whether this attempt runs though nobody knows what an earlier one did.
    fn is_run_again(&self) -> bool {
        self.is_takeover && matches!(self.settings.takeover, Takeover::Rerun)
    }

    pub(super) async fn end_reconciled<RB: Body, E>(
        &self,
        kind: OutcomeKind,
        response: Response<Bytes>,
        permit: Permit,
        guard: Arc<St::KeepAlive>,
    ) -> Ended<RB, E> {
        let (parts, body) = response.into_parts();
        let payload = encode(parts.status, &parts.headers, std::slice::from_ref(&body), None, &self.settings.never_recorded);
        let is_ended = self.end(kind, payload, encode_not_stored(parts.status)).await;
        drop(guard);
        if !is_ended {
            self.leave().await;
        }
        Ended::Answered(Response::from_parts(parts, ResponseBody::whole(body, None, Some(permit))))
    }

    pub(super) async fn without_response(&self, guard: Arc<St::KeepAlive>) {
        let is_released = self.settings.handler_failure.without_response() == Conclusion::Release && self.release().await;
        drop(guard);
        if !is_released {
            self.leave().await;
        }
    }

    /// Gives back a grant under which nothing ran. Of a takeover that is not known: what the earlier attempt did is still open.
    pub(super) async fn unused(&self) {
        if self.is_takeover || !self.release().await {
            self.leave().await;
        }
    }

    /// Stores the end, and returns whether it did. If the store refuses the payload for its size, what is stored is that there was one.
    async fn end(&self, kind: OutcomeKind, payload: Option<Vec<u8>>, instead: Vec<u8>) -> bool {
        let (token, retention) = (self.grant.token, self.settings.retention);
        let ended = match payload {
            Some(payload) => patiently(async || self.store.end(&self.key, token, kind, &payload, retention).await).await,
            None => Err(Error::new(ErrorKind::InvalidInput, "the response is too long to store")),
        };
        let ended = match ended {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                patiently(async || self.store.end(&self.key, token, kind, &instead, retention).await).await
            }
            ended => ended,
        };
        let is_ended = self.is_done(ended);
        self.has_ended.store(is_ended, Release);
        is_ended
    }

    async fn release(&self) -> bool {
        self.is_done(patiently(async || self.store.release(&self.key, self.grant.token).await).await)
    }

    /// Leaves the attempt in flight, and its lease to lapse at once: whoever asks next is told that the outcome is unknown, and not
    /// that somebody is at work.
    pub(super) async fn leave(&self) {
        // If this fails the lease lapses later.
        let _ = self.store.renew(&self.key, self.grant.token, *LEASE.start()).await;
    }

    fn is_done<T>(&self, ended: StoreResult<T>) -> bool {
        match ended {
            Ok(_) => true,
            Err(error) => {
                self.settings.hooks.unrecorded(&self.key, &error);
                false
            }
        }
    }
}

impl Conclusion {
    /// Returns what this is where there is no response to store.
    fn without_response(self) -> Self {
        if self == Self::Release { self } else { Self::Unknown }
    }
}

/// Tries again while the store is busy, after others had their turn.
async fn patiently<T, F: Future<Output = StoreResult<T>>>(command: impl Fn() -> F) -> StoreResult<T> {
    let mut tries = 0;
    loop {
        match command().await {
            Err(error) if error.kind() == ErrorKind::Busy && tries < END_TRIES_MAX => tries += 1,
            answer => return answer,
        }
        let mut has_yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut has_yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
