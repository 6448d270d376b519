//! A handler that runs under a grant. It is spawned: it goes on when the client has gone.

use super::{
    Attempt, Reconciled, Refusal, RequestBody, ResponseBody, Takeover, Unresolved,
    catch::{Panicked, catch_panic},
    collect::{Read, collect},
    held::Held,
};
use crate::{IdempotencyStore, OutcomeKind};
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

/// A grant, and the service that runs under it.
pub(super) struct Work<S, St> {
    pub(super) inner: S,
    pub(super) held: Held<St>,
}

/// What the client is to get.
pub(super) enum Ended<RB: Body, E> {
    Answered(Response<ResponseBody<RB>>),
    Failed(E),
    Refused(Refusal),
}

/// What a takeover leads to.
enum Decided {
    Run,
    Leave,
    End(OutcomeKind, Response<Bytes>),
}

impl<S, St: IdempotencyStore> Work<S, St> {
    /// Runs to the end. The lease is renewed all the while: the guard goes only after the attempt has ended.
    pub(super) async fn run<B, RB>(self, parts: Parts, read: Read) -> Ended<RB, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<RB>>,
        B: Body,
        RB: Body,
    {
        let Self { mut inner, held } = self;
        // Taken before anything runs: afterwards it would be too late to refuse.
        let Some(permit) = held.settings.budget.take(held.settings.response_bytes_max) else {
            held.unused().await;
            return Ended::Refused(Refusal::Overloaded);
        };
        let (guard, attempt) = held.attempt();
        if held.is_takeover {
            held.settings.hooks.takeover(&held.key, held.grant.attempt);
            match held.decide(&attempt, &parts, &read.data).await {
                Decided::Run => (),
                Decided::Leave => {
                    drop(guard);
                    held.leave().await;
                    return Ended::Refused(Refusal::OutcomeUnknown);
                }
                Decided::End(kind, response) => return held.end_reconciled(kind, response, permit, guard).await,
            }
        }
        let mut request = Request::from_parts(parts, RequestBody::read(read));
        request.extensions_mut().insert(attempt);
        let bytes_max = held.settings.response_bytes_max;
        let ran = catch_panic(async {
            let (parts, body) = inner.call(request).await?.into_parts();
            Ok((parts, collect(body, bytes_max).await))
        });
        match ran.await {
            Ok(Ok((parts, collected))) => held.conclude(parts, collected, permit, guard).await,
            Ok(Err(error)) => {
                held.without_response(guard).await;
                Ended::Failed(error)
            }
            Err(Panicked) => {
                held.without_response(guard).await;
                Ended::Refused(Refusal::HandlerPanicked)
            }
        }
    }
}

impl<St: IdempotencyStore> Held<St> {
    async fn decide(&self, attempt: &Attempt, parts: &Parts, body: &Bytes) -> Decided {
        match &self.settings.takeover {
            Takeover::Refuse => Decided::Leave,
            Takeover::RerunUnlessCheckpointed if self.grant.checkpoint.is_some() => Decided::Leave,
            Takeover::RerunUnlessCheckpointed | Takeover::Rerun => Decided::Run,
            Takeover::Reconcile(reconcile) => {
                let request = Request::from_parts(parts.clone(), body.clone());
                let unresolved = Unresolved { attempt: attempt.clone(), request };
                match catch_panic(reconcile.ask(unresolved)).await {
                    Ok(Reconciled::Rerun) => Decided::Run,
                    Ok(Reconciled::Completed(response)) => Decided::End(OutcomeKind::Completed, response),
                    Ok(Reconciled::Failed(response)) => Decided::End(OutcomeKind::Failed, response),
                    Ok(Reconciled::Unknown) | Err(_) => Decided::Leave,
                }
            }
        }
    }
}
