//! What an adapter asks of a store: the protocol as a trait, so that the adapters work over engines other than [`Store`].

use crate::{
    Begin, BeginOptions, Ended, FencingToken, Fingerprint, Grant, KeepAlive, Key, OutcomeKind, Result, Store, Timestamp,
    limits::LEASE,
};
use std::{future::Future, time::Duration};

/// A store of idempotency records: the verbs of the protocol, asynchronous, with plain values.
///
/// [`Store`] is the embedded one. Implement this for another engine (a database that several machines share, say) and the adapters
/// of this crate run on it. The suite in `idemstore::conformance` (feature `conformance`) proves that an implementation keeps
/// the protocol.
///
/// # What must hold
///
/// - A grant, an end, a release and a checkpoint are durable when the future is ready with `Ok`.
/// - At most one attempt of a key is current. A command with a token that is not the record's current one answers
///   [`LeaseLost`](crate::ErrorKind::LeaseLost) and changes nothing; the comparison and the change are one step.
/// - Tokens rise over the life of the store, and none is given twice.
/// - A lease lasts as long as was asked, by a grant or by a renewal, which may also cut it.
/// - A holder whose lease lapsed but who was not replaced may still end its attempt.
/// - Repeating [`end`](IdempotencyStore::end) with the same token, kind and payload gives the same answer as the first time.
/// - [`Mismatch`](Begin::Mismatch) says nothing about what is stored.
/// - When the future of [`begin`](IdempotencyStore::begin) is dropped before it is ready, a fresh key that was granted meanwhile is
///   freed, or its lease lapses.
/// - Nothing blocks the polling thread for long.
///
/// ```
/// use idemstore::{Begin, BeginOptions, Fingerprint, IdempotencyStore, Key, Result};
///
/// /// Runs `work` once, whatever the engine.
/// async fn once<S: IdempotencyStore>(store: &S, key: &Key, request: Fingerprint, work: impl AsyncFnOnce() -> Vec<u8>) -> Result<Option<Vec<u8>>> {
///     match store.begin(key, request, BeginOptions::new()).await? {
///         Begin::Fresh(grant) => {
///             let receipt = work().await;
///             store.complete(key, grant.token, &receipt).await?;
///             Ok(Some(receipt))
///         }
///         Begin::Replay(outcome) => Ok(Some(outcome.payload().to_vec())),
///         Begin::Takeover(_) | Begin::InFlight { .. } | Begin::Mismatch => Ok(None),
///     }
/// }
/// ```
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Renews a lease until it is dropped.
    type KeepAlive: Renewing;

    /// Asks for the right to run the operation that `key` names, as [`Store::begin_with`]. With
    /// [`wait`](BeginOptions::wait) it waits until an attempt in flight ends, and then decides again.
    fn begin(
        &self,
        key: &Key,
        fingerprint: Fingerprint,
        options: BeginOptions,
    ) -> impl Future<Output = Result<Begin<Grant>>> + Send;

    /// Ends an attempt: every later caller gets this payload, for `retention` or as long as the store does by itself.
    fn end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> impl Future<Output = Result<Ended>> + Send;

    /// Ends an attempt with success.
    fn complete(&self, key: &Key, token: FencingToken, payload: &[u8]) -> impl Future<Output = Result<Ended>> + Send {
        self.end(key, token, OutcomeKind::Completed, payload, None)
    }

    /// Ends an attempt with failure, for good.
    fn fail(&self, key: &Key, token: FencingToken, payload: &[u8]) -> impl Future<Output = Result<Ended>> + Send {
        self.end(key, token, OutcomeKind::Failed, payload, None)
    }

    /// Declares that nothing happened: the key is free.
    fn release(&self, key: &Key, token: FencingToken) -> impl Future<Output = Result<()>> + Send;

    /// Starts the lease anew for `lease` from now; answers until when it lasts.
    fn renew(&self, key: &Key, token: FencingToken, lease: Duration) -> impl Future<Output = Result<Timestamp>> + Send;

    /// Stores a progress mark and thereby declares that the effect may have started.
    fn checkpoint(&self, key: &Key, token: FencingToken, data: &[u8]) -> impl Future<Output = Result<()>> + Send;

    /// Renews the lease in the background, by `lease` each time, until the guard is dropped or the attempt ends. A length outside
    /// [`LEASE`] counts as the nearest in it.
    fn keep_alive(&self, key: &Key, token: FencingToken, lease: Duration) -> Self::KeepAlive;
}

/// A lease that is being renewed; renewal stops when this is dropped.
pub trait Renewing: Send + Sync + 'static {
    /// Returns whether the lease was lost: whoever works under it should stop.
    fn is_lost(&self) -> bool;
}

impl Renewing for KeepAlive {
    fn is_lost(&self) -> bool {
        KeepAlive::is_lost(self)
    }
}

impl IdempotencyStore for Store {
    type KeepAlive = KeepAlive;

    async fn begin(&self, key: &Key, fingerprint: Fingerprint, options: BeginOptions) -> Result<Begin<Grant>> {
        Ok(self.begin_with_async(key, fingerprint, options).await?.map(crate::Lease::into_grant))
    }

    async fn end(
        &self,
        key: &Key,
        token: FencingToken,
        kind: OutcomeKind,
        payload: &[u8],
        retention: Option<Duration>,
    ) -> Result<Ended> {
        self.end_async(key, token, kind, payload, retention).await
    }

    async fn release(&self, key: &Key, token: FencingToken) -> Result<()> {
        self.release_async(key, token).await
    }

    async fn renew(&self, key: &Key, token: FencingToken, lease: Duration) -> Result<Timestamp> {
        self.renew_async(key, token, lease).await
    }

    async fn checkpoint(&self, key: &Key, token: FencingToken, data: &[u8]) -> Result<()> {
        self.checkpoint_async(key, token, data).await
    }

    fn keep_alive(&self, key: &Key, token: FencingToken, lease: Duration) -> KeepAlive {
        KeepAlive::start(self.shared(), key, token, lease.clamp(*LEASE.start(), *LEASE.end()))
    }
}
