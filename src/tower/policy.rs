use super::Attempt;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// What becomes of a key when its handler has answered.
///
/// A handler that knows better than the layer's [`Recording`] puts one of these into its response's extensions:
///
/// ```
/// use http::Response;
/// use idemstore::tower::Conclusion;
///
/// // Refused before anything happened: the client may correct its request under the same key.
/// let mut response = Response::new("amount is missing");
/// response.extensions_mut().insert(Conclusion::Release);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// Stored as completed: a retry gets this response.
    Complete,
    /// Stored as failed: a retry gets this response.
    Fail,
    /// Nothing happened: a retry runs.
    Release,
    /// Nobody knows: the key stays in flight, and a retry is a takeover.
    Unknown,
}

/// A response that a [`Recording`] judges.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Answered<'r> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Its trailers, if it had some and was read to its end.
    pub trailers: Option<&'r HeaderMap>,
}

impl Answered<'_> {
    /// Returns whether the status is below 400, and that of gRPC, if there is one, is 0.
    pub fn is_success(&self) -> bool {
        let grpc = self.trailers.and_then(|trailers| trailers.get("grpc-status")).or_else(|| self.headers.get("grpc-status"));
        self.status.as_u16() < 400 && grpc.is_none_or(|status| status == "0")
    }
}

/// Decides which responses are stored.
#[derive(Clone)]
pub struct Recording(Arc<dyn Fn(&Answered<'_>) -> Conclusion + Send + Sync>);

impl Recording {
    /// Stores every response, server errors included: once the operation has begun, a retry gets its first answer. Stripe's rule, and
    /// the only one under which nothing runs twice.
    pub fn everything() -> Self {
        Self::by(|answered| if answered.is_success() { Conclusion::Complete } else { Conclusion::Fail })
    }

    /// Stores successes and releases the key otherwise. Only for handlers whose every failure means that nothing happened: one that
    /// fails after its effect runs again.
    pub fn successes() -> Self {
        Self::by(|answered| if answered.is_success() { Conclusion::Complete } else { Conclusion::Release })
    }

    /// Decides by a function.
    ///
    /// ```
    /// use idemstore::tower::{Conclusion, Recording};
    ///
    /// let recording = Recording::by(|answered| match answered.status.as_u16() {
    ///     200..400 => Conclusion::Complete,
    ///     400..500 => Conclusion::Release,
    ///     _ => Conclusion::Unknown,
    /// });
    /// ```
    pub fn by(decide: impl Fn(&Answered<'_>) -> Conclusion + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    /// Decides by what x402 says about the payment, in the receipt that the response carries: settled is stored, failed releases the
    /// key, pending leaves it unknown.
    ///
    /// Several receipts that do not agree are as good as a pending one. Without a receipt, success is stored, and a client's error
    /// releases the key, 402 among them, as the extension asks. A server's error leaves it unknown: the official servers answer so too
    /// when the facilitator's answer was garbled, and the money may have moved.
    #[cfg(feature = "x402")]
    pub fn settled_payments() -> Self {
        use crate::x402::{PAYMENT_RESPONSE_HEADER, Settlement, X_PAYMENT_RESPONSE_HEADER};

        Self::by(|answered| {
            let receipts = [PAYMENT_RESPONSE_HEADER, X_PAYMENT_RESPONSE_HEADER].map(|name| answered.headers.get_all(name));
            let settlements = receipts.iter().flatten().map(|receipt| Settlement::of_header(receipt.as_bytes()));
            let settlement = settlements.reduce(|one, other| if one == other { one } else { Settlement::Pending });
            match settlement {
                Some(Settlement::Pending) => Conclusion::Unknown,
                Some(Settlement::Failed) => Conclusion::Release,
                None if answered.status.is_client_error() => Conclusion::Release,
                None if answered.status.is_server_error() => Conclusion::Unknown,
                Some(Settlement::Settled) | None => Conclusion::Complete,
            }
        })
    }

    pub(super) fn decide(&self, answered: &Answered<'_>) -> Conclusion {
        (self.0)(answered)
    }
}

/// What happens to a request whose key was granted before, to an attempt that never said how it ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Takeover {
    /// Answers that the outcome is unknown. The default.
    Refuse,
    /// Runs the handler if the earlier attempt set no checkpoint: for handlers that set one before each effect.
    RerunUnlessCheckpointed,
    /// Runs the handler: for handlers that do no harm when they run twice, or that ask [`Attempt::is_takeover`]. A response for which
    /// [`Recording`] would release the key leaves it unknown, so that no other request gets it.
    Rerun,
    /// Asks a function what became of the earlier attempt.
    Reconcile(Reconcile),
}

/// Finds out what became of an earlier attempt, by asking the payment provider, say.
#[derive(Clone)]
pub struct Reconcile(Arc<dyn Fn(Unresolved) -> Reconciling + Send + Sync>);

type Reconciling = Pin<Box<dyn Future<Output = Reconciled> + Send>>;

/// What a [`Reconcile`] function has to go by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unresolved {
    /// The new attempt, under which this is asked; it has the key and the earlier checkpoint.
    pub attempt: Attempt,
    /// The request, the same as the earlier one as far as the fingerprint covers it.
    pub request: Request<Bytes>,
}

/// What a [`Reconcile`] function found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reconciled {
    /// Nothing happened: run the handler.
    Rerun,
    /// It happened: store this response, and answer with it.
    Completed(Response<Bytes>),
    /// It failed for good: store this response, and answer with it.
    Failed(Response<Bytes>),
    /// Still nobody knows.
    Unknown,
}

impl Reconcile {
    /// Takes the function.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Response;
    /// use idemstore::tower::{Reconcile, Reconciled, Takeover};
    ///
    /// # async fn ask_the_provider(_: &str) -> Option<&'static [u8]> { None }
    /// let takeover = Takeover::Reconcile(Reconcile::new(|unresolved| async move {
    ///     match ask_the_provider(unresolved.attempt.key().id()).await {
    ///         Some(receipt) => Reconciled::Completed(Response::new(Bytes::from_static(receipt))),
    ///         None => Reconciled::Rerun,
    ///     }
    /// }));
    /// ```
    pub fn new<F: Future<Output = Reconciled> + Send + 'static>(ask: impl Fn(Unresolved) -> F + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |unresolved| Box::pin(ask(unresolved))))
    }

    pub(super) async fn ask(&self, unresolved: Unresolved) -> Reconciled {
        (self.0)(unresolved).await
    }
}

/// What happens to a request when the store cannot say whether it may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreFailure {
    /// Refuses it. The default.
    Closed,
    /// Runs it without protection, when the store is full, busy, closed or out of order: the same request may then run twice. One
    /// whose key is known to be used, or damaged, is refused all the same.
    Open,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

impl fmt::Debug for Reconcile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reconcile")
    }
}
