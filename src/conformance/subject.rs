use super::{Failure, Harness, PATIENCE};
use crate::{
    Begin, BeginOptions, ErrorKind, FencingToken, Fingerprint, Grant, IdempotencyStore, Key, Outcome, OutcomeKind,
    Result as Answered,
};
use std::{fmt, time::Duration};

/// The length of every lease here.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// A moment before such a lease lapses.
pub(super) const NEARLY_A_LEASE: Duration = LEASE.saturating_sub(MS);
/// The retention of every outcome here.
pub(super) const RETENTION: Duration = Duration::from_secs(3600);
/// What a decision may round.
pub(super) const MS: Duration = Duration::from_millis(1);

/// How a step of a case ends: with a sentence if it fails.
pub(super) type Step<T = ()> = Result<T, String>;

/// A store under test.
pub(super) struct Subject<'h, H: Harness> {
    pub(super) store: H::Store,
    harness: &'h H,
}

/// Runs one case on a store of its own.
pub(super) fn case<H: Harness>(
    harness: &H,
    name: &'static str,
    body: impl AsyncFnOnce(&Subject<'_, H>) -> Step,
) -> Result<(), Failure> {
    let ran = harness.store().map_err(|error| format!("no store: {error}")).and_then(|store| {
        let subject = Subject { store, harness };
        harness.block_on(body(&subject))
    });
    ran.map_err(|message| Failure { case: name, message })
}

/// Says what was expected, and what came instead.
pub(super) fn wrong<T>(what: &str, expected: &str, got: impl fmt::Debug) -> Step<T> {
    Err(format!("{what}: expected {expected}, got {got:?}"))
}

pub(super) fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Step {
    if holds { Ok(()) } else { Err(otherwise()) }
}

pub(super) fn key(id: &str) -> Step<Key> {
    Key::new("conformance", id).map_err(|error| error.to_string())
}

pub(super) fn request(id: &str) -> Fingerprint {
    Fingerprint::of(&[b"request", id.as_bytes()])
}

impl<H: Harness> Subject<'_, H> {
    pub(super) fn advance(&self, by: Duration) {
        self.harness.advance(by);
    }

    pub(super) fn pause(&self) {
        self.harness.pause();
    }

    pub(super) async fn begin(&self, id: &str) -> Answered<Begin<Grant>> {
        let key = Key::new("conformance", id)?;
        self.store.begin(&key, request(id), BeginOptions::new().lease(LEASE)).await
    }

    pub(super) async fn fresh(&self, what: &str, id: &str) -> Step<Grant> {
        match self.begin(id).await {
            Ok(Begin::Fresh(grant)) if grant.attempt == 1 && grant.checkpoint.is_none() => Ok(grant),
            other => wrong(what, "a fresh grant, attempt 1, without a checkpoint", other),
        }
    }

    pub(super) async fn takeover(&self, what: &str, id: &str, attempt: u32) -> Step<Grant> {
        match self.begin(id).await {
            Ok(Begin::Takeover(grant)) if grant.attempt == attempt => Ok(grant),
            other => wrong(what, &format!("a takeover, attempt {attempt}"), other),
        }
    }

    pub(super) async fn replay(&self, what: &str, id: &str, kind: OutcomeKind, payload: &[u8]) -> Step<Outcome> {
        match self.begin(id).await {
            Ok(Begin::Replay(outcome)) if outcome.kind() == kind && outcome.payload() == payload => Ok(outcome),
            other => wrong(what, &format!("a replay of the {kind:?} outcome of {} bytes", payload.len()), other),
        }
    }

    /// Returns how long the other's lease still lasts.
    pub(super) async fn in_flight(&self, what: &str, id: &str) -> Step<Duration> {
        match self.begin(id).await {
            Ok(Begin::InFlight { retry_after, .. }) => Ok(retry_after),
            other => wrong(what, "in flight", other),
        }
    }

    pub(super) async fn complete(&self, what: &str, id: &str, token: FencingToken, payload: &[u8]) -> Step {
        match self.store.end(&key(id)?, token, OutcomeKind::Completed, payload, Some(RETENTION)).await {
            Ok(ended) if ended.kind == OutcomeKind::Completed => Ok(()),
            other => wrong(what, "completed", other),
        }
    }

    pub(super) async fn release(&self, what: &str, id: &str, token: FencingToken) -> Step {
        self.store.release(&key(id)?, token).await.or_else(|error| wrong(what, "released", error))
    }

    pub(super) async fn checkpoint(&self, what: &str, id: &str, token: FencingToken, data: &[u8]) -> Step {
        self.store.checkpoint(&key(id)?, token, data).await.or_else(|error| wrong(what, "a stored checkpoint", error))
    }

    /// Tries every command of a holder with a token that is not the current one.
    pub(super) async fn refuses_all(&self, what: &str, id: &str, token: FencingToken) -> Step {
        let (store, key) = (&self.store, key(id)?);
        lease_lost(what, "complete", store.complete(&key, token, b"stale").await)?;
        lease_lost(what, "fail", store.fail(&key, token, b"stale").await)?;
        lease_lost(what, "release", store.release(&key, token).await)?;
        lease_lost(what, "renew", store.renew(&key, token, LEASE).await)?;
        lease_lost(what, "checkpoint", store.checkpoint(&key, token, b"stale").await)
    }

    /// Lets the store answer two commands for a key that nobody else uses.
    pub(super) async fn unrelated_commands(&self) -> Step {
        let grant = self.fresh("an unrelated key", "unrelated").await?;
        self.release("the holder of an unrelated key", "unrelated", grant.token).await
    }

    /// Looks until something has happened, with a command to the store before each look.
    pub(super) async fn soon<T>(&self, what: &str, mut look: impl AsyncFnMut(&Self) -> Step<Option<T>>) -> Step<T> {
        for _ in 0..PATIENCE {
            if let Some(found) = look(self).await? {
                return Ok(found);
            }
            self.unrelated_commands().await?;
            self.pause();
        }
        Err(format!("{what}: not within {PATIENCE} later commands"))
    }
}

pub(super) fn lease_lost<T: fmt::Debug>(what: &str, verb: &str, answer: Answered<T>) -> Step {
    match answer {
        Err(error) if error.kind() == ErrorKind::LeaseLost => Ok(()),
        other => wrong(&format!("{what}: {verb}"), "LeaseLost", other),
    }
}
