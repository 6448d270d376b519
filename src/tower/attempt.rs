use crate::{FencingToken, Grant, IdempotencyStore, Key, Renewing, Result};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Acquire},
    },
};

/// The attempt that a handler runs under, from the request's extensions.
///
/// ```
/// use http::Request;
/// use idemstore::tower::Attempt;
///
/// async fn charge<B>(request: &Request<B>) -> Result<(), idemstore::Error> {
///     if let Some(attempt) = request.extensions().get::<Attempt>() {
///         // Durable before the provider is called: from here on a crash is not "nothing happened".
///         attempt.checkpoint("charge requested").await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Attempt(Arc<Inner>);

struct Inner {
    key: Key,
    grant: Grant,
    is_takeover: bool,
    /// Not kept alive by a handler that holds on to this.
    renewing: Weak<dyn Renewing>,
    /// Whether its end is stored.
    has_ended: Arc<AtomicBool>,
    store: Arc<dyn Marks>,
}

/// A store, as far as a handler needs it.
trait Marks: Send + Sync {
    fn checkpoint(
        self: Arc<Self>,
        key: Key,
        token: FencingToken,
        data: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;
}

impl<S: IdempotencyStore> Marks for S {
    fn checkpoint(
        self: Arc<Self>,
        key: Key,
        token: FencingToken,
        data: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send>> {
        Box::pin(async move { IdempotencyStore::checkpoint(&*self, &key, token, &data).await })
    }
}

impl Attempt {
    pub(super) fn new<S: IdempotencyStore>(
        store: &Arc<S>,
        key: &Key,
        grant: Grant,
        is_takeover: bool,
        renewing: &Arc<S::KeepAlive>,
        has_ended: &Arc<AtomicBool>,
    ) -> Self {
        let renewing: Weak<S::KeepAlive> = Arc::downgrade(renewing);
        Self(Arc::new(Inner {
            key: key.clone(),
            grant,
            is_takeover,
            renewing,
            has_ended: has_ended.clone(),
            store: store.clone(),
        }))
    }

    /// Returns the key. To a payment provider that takes idempotency keys, pass one made of it.
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// Returns which grant of the key this is, counting from 1.
    pub fn number(&self) -> u32 {
        self.0.grant.attempt
    }

    /// Returns the token of this grant. Pass it to whatever the handler acts on, if that can refuse lower ones.
    pub fn token(&self) -> FencingToken {
        self.0.grant.token
    }

    /// Returns whether an earlier attempt began and nobody knows how it ended.
    pub fn is_takeover(&self) -> bool {
        self.0.is_takeover
    }

    /// Returns the progress mark of the earlier attempt.
    pub fn earlier_checkpoint(&self) -> Option<&[u8]> {
        self.0.grant.checkpoint.as_deref()
    }

    /// Returns whether somebody else has the key now, or may have: stop.
    ///
    /// It is also true when the handler ended and nothing was stored, because it failed or freed the key, say. What it left running works
    /// without a lease then.
    pub fn is_lost(&self) -> bool {
        match self.0.renewing.upgrade() {
            Some(renewing) => renewing.is_lost(),
            None => !self.0.has_ended.load(Acquire),
        }
    }

    /// Returns whether this is the attempt of this key, and its handler has not ended.
    pub(super) fn is_running(&self, key: &Key) -> bool {
        self.0.key == *key && self.0.renewing.upgrade().is_some_and(|renewing| !renewing.is_lost())
    }

    /// Stores a progress mark of at most 4 KiB and thereby declares that the effect may have started.
    ///
    /// # Errors
    /// As [`Lease::checkpoint`](crate::Lease::checkpoint). Do not go on to the effect.
    pub async fn checkpoint(&self, data: impl AsRef<[u8]>) -> Result<()> {
        let Inner { key, grant, store, .. } = &*self.0;
        store.clone().checkpoint(key.clone(), grant.token, data.as_ref().to_vec()).await
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("key", &self.0.key).field("grant", &self.0.grant).finish_non_exhaustive()
    }
}
