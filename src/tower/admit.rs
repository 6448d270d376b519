//! What happens before a handler runs, and instead of it. All of it may be dropped when the client goes away: until the grant is
//! handed to the spawned work, nothing has happened.

use super::{
    Attempt, Duplicate, Refusal, RequestBody, ResponseBody, StoreFailure,
    collect::{self, Read, ReadError},
    held::Held,
    identify::Named,
    observe,
    profile::Asked,
    replay::replay,
    settings::Settings,
    until::until,
    work::{Ended, Work},
};
use crate::{
    Begin, BeginOptions, Error, ErrorKind, Fingerprint, Grant, IdempotencyStore, Key, limits::RETENTION, sync::promise::promise,
};
use http::{Request, Response, header::CONTENT_TYPE, request::Parts};
use http_body::Body;
use std::{sync::Arc, time::Duration};
use tower_service::Service;

/// A request that names an operation, and the service that may have to run it.
pub(super) struct Admission<S, St> {
    pub(super) inner: S,
    pub(super) store: Arc<St>,
    pub(super) settings: Arc<Settings>,
}

/// What begin said.
enum Admitted<RB: Body> {
    Run { key: Key, grant: Grant, is_takeover: bool },
    RunUnprotected,
    Answer(Response<ResponseBody<RB>>),
}

impl<S, St: IdempotencyStore> Admission<S, St> {
    pub(super) async fn answer<B, RB>(
        mut self,
        parts: Parts,
        body: B,
        named: Result<Named, Refusal>,
    ) -> Result<Response<ResponseBody<RB>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<RB>> + Send + 'static,
        S::Future: Send,
        S::Error: Send + 'static,
        B: Body + Send + 'static,
        RB: Body + Send + 'static,
        RB::Error: Send,
    {
        let is_grpc = parts.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let named = match named {
            Ok(named) => named,
            Err(refusal) => return Ok(self.settings.refuse(&refusal, is_grpc, None)),
        };
        let digested = self.settings.fingerprint_of_pieces(&parts, &named, body.size_hint().exact());
        let read = collect::read(body, self.settings.request_bytes_max, &self.settings.budget, digested).await;
        let admitted = match &read {
            Ok(read) => self.settings.begin(&*self.store, &parts, &named, read).await,
            Err(ReadError::TooLarge) => Err(Refusal::BodyTooLarge { bytes_max: self.settings.request_bytes_max }),
            Err(ReadError::BudgetSpent) => Err(Refusal::Overloaded),
            Err(ReadError::Broken) => Err(Refusal::BodyBroken),
        };
        let (admitted, read) = match (admitted, read) {
            (Ok(admitted), Ok(read)) => (admitted, read),
            (Err(refusal), _) => return Ok(self.settings.refuse(&refusal, is_grpc, named.payment_id())),
            (Ok(_), Err(_)) => return Ok(self.settings.refuse(&Refusal::BodyBroken, is_grpc, None)),
        };
        let (key, grant, is_takeover) = match admitted {
            Admitted::Answer(response) => return Ok(response),
            Admitted::RunUnprotected => {
                let response = self.inner.call(Request::from_parts(parts, RequestBody::read(read))).await?;
                return Ok(response.map(ResponseBody::own));
            }
            Admitted::Run { key, grant, is_takeover } => (key, grant, is_takeover),
        };
        // Between the grant and this line nothing is awaited, so a client that goes away cannot come between them.
        let Self { inner, store, settings } = self;
        let held = Held { store, settings: settings.clone(), key, grant, is_takeover, has_ended: Arc::default() };
        let work = Work { inner, held };
        let (fulfil, promise) = promise();
        settings.spawn.spawn(async move {
            let ended = work.run(parts, read).await;
            // The client may have gone: its response is recorded.
            let _ = fulfil.send(ended);
        });
        match promise.await {
            Some(Ended::Answered(response)) => Ok(response),
            Some(Ended::Failed(error)) => Err(error),
            Some(Ended::Refused(refusal)) => Ok(settings.refuse(&refusal, is_grpc, named.payment_id())),
            // The runtime dropped the work.
            None => Ok(settings.refuse(&Refusal::OutcomeUnknown, is_grpc, named.payment_id())),
        }
    }
}

impl Settings {
    async fn begin<St: IdempotencyStore, RB: Body>(
        &self,
        store: &St,
        parts: &Parts,
        named: &Named,
        read: &Read,
    ) -> Result<Admitted<RB>, Refusal> {
        if self.retention.is_some_and(|retention| !RETENTION.contains(&retention)) {
            return Err(Refusal::Misconfigured);
        }
        let (key, fingerprint) = self.operation(parts, named, read)?;
        // The layer is within itself, and the outer one has granted this very key: to ask again would be to wait for oneself.
        if parts.extensions.get::<Attempt>().is_some_and(|outer| outer.is_running(&key)) {
            return Ok(Admitted::RunUnprotected);
        }
        // Only what runs takes what a response may need: a duplicate that held it while it waits would keep others from running. What
        // is known not to run need not be granted first.
        if !self.budget.has(self.response_bytes_max) {
            return Err(Refusal::Overloaded);
        }
        let waiting = self.budget.wait_with(read.data.len());
        let wait = if waiting.is_some() { self.wait } else { Duration::ZERO };
        let begun = self.ask(store, &key, fingerprint, wait).await;
        drop(waiting);
        match begun {
            Ok(Begin::Fresh(grant)) => {
                observe::answered("fresh");
                Ok(Admitted::Run { key, grant, is_takeover: false })
            }
            Ok(Begin::Takeover(grant)) => Ok(Admitted::Run { key, grant, is_takeover: true }),
            Ok(Begin::Replay(outcome)) => replay(self, &key, outcome).map(Admitted::Answer),
            Ok(Begin::InFlight { .. }) => {
                self.hooks.duplicate(&key, Duplicate::InFlight);
                Err(Refusal::InFlight)
            }
            Ok(Begin::Mismatch) => {
                self.hooks.mismatch(&key);
                Err(Refusal::Mismatch)
            }
            Err(error) => {
                let decided = self.begin_failed(&error);
                observe::store_failed(&error, decided.is_ok());
                decided.map(|()| Admitted::RunUnprotected)
            }
        }
    }

    /// Asks the store, and waits, but not longer than anybody is to wait.
    async fn ask<St: IdempotencyStore>(
        &self,
        store: &St,
        key: &Key,
        fingerprint: Fingerprint,
        wait: Duration,
    ) -> Result<Begin<Grant>, Error> {
        let options = BeginOptions::new().lease(self.lease);
        let stop = match &self.stop_waiting {
            Some(stop) if !wait.is_zero() => stop,
            _ => return store.begin(key, fingerprint, options.wait(wait)).await,
        };
        // Only who has to wait is to be interrupted: one that is being granted the key gets it.
        match store.begin(key, fingerprint, options).await? {
            Begin::InFlight { retry_after, lease_expires_at } => {
                let waited = until(store.begin(key, fingerprint, options.wait(wait)), stop()).await;
                waited.unwrap_or(Ok(Begin::InFlight { retry_after, lease_expires_at }))
            }
            decided => Ok(decided),
        }
    }

    /// Returns whether to run all the same.
    fn begin_failed(&self, error: &Error) -> Result<(), Refusal> {
        match error.kind() {
            ErrorKind::InvalidInput => Err(Refusal::Misconfigured),
            // The key is in use, or may be.
            ErrorKind::TooManyAttempts | ErrorKind::Corrupted | ErrorKind::Indeterminate | ErrorKind::InFlight => {
                Err(Refusal::OutcomeUnknown)
            }
            _ if self.store_failure == StoreFailure::Open => Ok(()),
            _ => Err(Refusal::StoreUnavailable),
        }
    }

    pub(super) fn refuse<RB: Body>(
        &self,
        refusal: &Refusal,
        is_grpc: bool,
        payment_id: Option<&str>,
    ) -> Response<ResponseBody<RB>> {
        observe::refused(refusal);
        let own = self.answer.as_ref().and_then(|answer| answer(refusal));
        let asked = Asked { is_grpc, payment_id, retry_after: self.retry_after };
        let response = own.unwrap_or_else(|| self.profile.answer(refusal, asked));
        response.map(|body| ResponseBody::whole(body, None, None))
    }
}
