use super::{
    Budget, Conclusion, Hooks, IDEMPOTENCY_KEY, Idempotency, KeyError, Profile, Recording, Refusal, Spawn, StoreFailure,
    Takeover,
    identify::{Covers, KeySource, WithoutKey},
    limits,
    settings::Settings,
};
use crate::{Fingerprint, IdempotencyStore};
use bytes::Bytes;
use http::{HeaderName, Method, Response, request::Parts};
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Gives a service idempotency: see [the module](super) for what that means, and what can be decided.
///
/// Clones, and the services that it makes, share the store and the [`Budget`].
#[must_use = "a layer does nothing before it is put around a service"]
pub struct IdempotencyLayer<St> {
    store: Arc<St>,
    settings: Arc<Settings>,
}

impl<St: IdempotencyStore> IdempotencyLayer<St> {
    /// Makes a layer with the IETF's contract.
    ///
    /// `principal` says whose request this is, from what was authenticated, never from what the client merely claims: put the layer
    /// inside the authentication. A request of which it does not know is refused with 403. Return a constant only where everybody may
    /// see everybody's responses.
    ///
    /// ```
    /// use idemstore::{Store, tower::{IdempotencyLayer, Spawn}};
    ///
    /// # fn spawn_on_your_runtime(_: idemstore::tower::Task) {}
    /// #[derive(Clone)]
    /// struct Tenant(String); // what the authentication put into the extensions
    ///
    /// # let store = Store::in_memory()?;
    /// let layer = IdempotencyLayer::new(store, Spawn::new(spawn_on_your_runtime), |request| {
    ///     request.extensions.get::<Tenant>().map(|tenant| tenant.0.clone())
    /// });
    /// # let _ = layer;
    /// # Ok::<(), idemstore::Error>(())
    /// ```
    pub fn new(store: St, spawn: Spawn, principal: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        let settings = Settings {
            spawn,
            principal: Arc::new(principal),
            route: Arc::new(|parts| parts.uri.path().to_owned()),
            methods: Some(vec![Method::POST, Method::PATCH]),
            key: KeySource::Header(IDEMPOTENCY_KEY),
            without_key: WithoutKey::Passes,
            covers: Covers::Request { headers: Vec::new(), body: true },
            covers_host: false,
            request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
            response_bytes_max: limits::RESPONSE_BYTES_DEFAULT,
            budget: Budget::new(limits::BUDGET_BYTES_DEFAULT),
            wait: Duration::ZERO,
            stop_waiting: None,
            lease: Duration::from_secs(30),
            retention: None,
            retry_after: Duration::from_secs(1),
            recording: Recording::everything(),
            never_recorded: Vec::new(),
            takeover: Takeover::Refuse,
            handler_failure: Conclusion::Unknown,
            store_failure: StoreFailure::Closed,
            profile: Profile::Ietf,
            answer: None,
            hooks: Hooks::new(),
        };
        Self { store: Arc::new(store), settings: Arc::new(settings) }
    }
}

impl<St> IdempotencyLayer<St> {
    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Speaks another contract. For x402 this is more than the form of the answers: the key is the payment's id, all methods are
    /// covered, a duplicate waits up to 5 s, and the receipt decides what is stored ([`Recording::settled_payments`]); set what should
    /// differ afterwards.
    pub fn profile(self, profile: Profile) -> Self {
        self.set(|settings| {
            settings.profile = profile;
            #[cfg(feature = "x402")]
            if profile == Profile::X402 {
                settings.key = KeySource::Payment;
                settings.methods = None;
                settings.wait = Duration::from_secs(5);
                settings.recording = Recording::settled_payments();
            }
        })
    }

    /// Makes the layer's own answers by a function; where it returns `None` the profile's answer is given.
    pub fn answers(self, answer: impl Fn(&Refusal) -> Option<Response<Bytes>> + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.answer = Some(Arc::new(answer)))
    }

    /// Covers these methods, in whatever case; POST and PATCH unless set. Requests with other methods pass through.
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.set(|settings| settings.methods = Some(methods.into_iter().collect()))
    }

    /// Covers all methods.
    pub fn all_methods(self) -> Self {
        self.set(|settings| settings.methods = None)
    }

    /// Takes the key from this header; `Idempotency-Key` unless set. See [`parse_idempotency_key`](super::parse_idempotency_key).
    pub fn key_header(self, name: HeaderName) -> Self {
        self.set(|settings| settings.key = KeySource::Header(name))
    }

    /// Takes the key from a function of the request; `None` means that the request has none.
    pub fn key_by(self, key: impl Fn(&Parts) -> Result<Option<String>, KeyError> + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.key = KeySource::Function(Arc::new(key)))
    }

    /// Refuses requests without a key, with 400; otherwise they pass through unprotected.
    pub fn require_key(self) -> Self {
        self.set(|settings| settings.without_key = WithoutKey::IsRefused)
    }

    /// Derives a key from the fingerprint when a request has none: the same request of the same principal then counts as a retry, for
    /// as long as the retention lasts. Only where nobody ever means the same request twice. Of an x402 payment without an id the
    /// fingerprint covers the payment, as it does of one with an id.
    pub fn derive_key(self) -> Self {
        self.set(|settings| settings.without_key = WithoutKey::IsDerived)
    }

    /// Names the route of a request, which is part of the scope; its path unless set.
    ///
    /// The path is the one that the layer sees. A router that strips prefixes, as axum's `nest` does, shows `/pay` for both `/a/pay` and
    /// `/b/pay` to a layer on what is nested, and a key that was used at the one would be answered at the other with what the first said. Put
    /// the layer outside of the nesting, or name the routes.
    pub fn route_by(self, route: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.route = Arc::new(route))
    }

    /// Has the fingerprint cover these headers too, besides method, path, query and body.
    pub fn fingerprint_headers(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.set(|settings| {
            let covers_body = !matches!(settings.covers, Covers::Request { body: false, .. });
            settings.covers = Covers::Request { headers: names.into_iter().collect(), body: covers_body };
        })
    }

    /// Has the fingerprint cover the host that is asked, by its name and without its port: for a service that answers for several. A key
    /// that was used at one of them is then refused at another, instead of being answered with what the first one said.
    ///
    /// It is not part of the scope: if it were, a client that retries by another name of the same server would run its request again.
    pub fn fingerprint_host(self) -> Self {
        self.set(|settings| settings.covers_host = true)
    }

    /// Has the fingerprint not cover the body, for bodies that a client does not repeat byte by byte.
    pub fn fingerprint_without_body(self) -> Self {
        self.set(|settings| {
            let headers = match &mut settings.covers {
                Covers::Request { headers, .. } => std::mem::take(headers),
                Covers::Function(_) => Vec::new(),
            };
            settings.covers = Covers::Request { headers, body: false };
        })
    }

    /// Makes the fingerprint by a function of the request and its body. For x402 the payment is what counts, and this is not asked.
    pub fn fingerprint_by(self, fingerprint: impl Fn(&Parts, &Bytes) -> Fingerprint + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.covers = Covers::Function(Arc::new(fingerprint)))
    }

    /// Sets the longest request body in bytes: 1 MiB unless set. A longer one is refused with 413 before anything is asked of the store.
    pub fn request_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.request_bytes_max = bytes)
    }

    /// Sets the longest response body that is stored, in bytes: 192 KiB unless set. With its headers it has to fit into the store's
    /// payload limit. A longer one goes to its client and is recorded as ended without its payload.
    pub fn response_bytes_max(self, bytes: usize) -> Self {
        self.set(|settings| settings.response_bytes_max = bytes)
    }

    /// Shares this budget of memory; 256 MiB of its own unless set.
    pub fn budget(self, budget: Budget) -> Self {
        self.set(|settings| settings.budget = budget)
    }

    /// Lets a duplicate wait this long for the first to end, at most 1 h, before it is told that it is in flight; not at all unless set.
    ///
    /// It keeps the service that was made ready for it: a limit of concurrency inside of the layer counts those who wait.
    pub fn wait(self, wait: Duration) -> Self {
        self.set(|settings| settings.wait = wait)
    }

    /// Ends the wait of duplicates when the future that `stop` makes is ready: each is then told that the first is in flight. For a
    /// server that stops, and would otherwise stop only when the last of them has waited.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// # runtime.block_on(async {
    /// use idemstore::{Store, tower::{IdempotencyLayer, Spawn}};
    /// use std::time::Duration;
    ///
    /// # let store = Store::in_memory()?;
    /// let (stop, is_stopped) = tokio::sync::watch::channel(false);
    /// let layer = IdempotencyLayer::new(store, Spawn::new(|task| drop(tokio::spawn(task))), |_| Some("everybody".to_owned()))
    ///     .wait(Duration::from_secs(60))
    ///     .stop_waiting(move || {
    ///         let mut is_stopped = is_stopped.clone();
    ///         async move { drop(is_stopped.wait_for(|is_stopped| *is_stopped).await) }
    ///     });
    /// # let _ = layer;
    /// stop.send_replace(true); // when the signal comes
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stop_waiting<F: Future<Output = ()> + Send + 'static>(self, stop: impl Fn() -> F + Send + Sync + 'static) -> Self {
        self.set(|settings| settings.stop_waiting = Some(Arc::new(move || Box::pin(stop()))))
    }

    /// Sets the length of a lease, 10 ms to 24 h: 30 s unless set. It is renewed while the handler runs.
    pub fn lease(self, lease: Duration) -> Self {
        self.set(|settings| settings.lease = lease)
    }

    /// Sets how long a response is replayed; as the store does by itself unless set.
    pub fn retention(self, retention: Duration) -> Self {
        self.set(|settings| settings.retention = Some(retention))
    }

    /// Sets what `Retry-After` says where an answer has it: 1 s unless set.
    pub fn retry_after(self, after: Duration) -> Self {
        self.set(|settings| settings.retry_after = after)
    }

    /// Decides which responses are stored; [`Recording::everything`] unless set.
    pub fn recording(self, recording: Recording) -> Self {
        self.set(|settings| settings.recording = recording)
    }

    /// Records none of these headers, besides those of [`NEVER_RECORDED`](super::NEVER_RECORDED).
    pub fn never_record(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.set(|settings| settings.never_recorded.extend(names))
    }

    /// Decides about keys whose earlier attempt never ended; [`Takeover::Refuse`] unless set.
    pub fn takeover(self, takeover: Takeover) -> Self {
        self.set(|settings| settings.takeover = takeover)
    }

    /// Decides what becomes of a key when the service behind the layer answers with an `Err`, or panics, or breaks its response off:
    /// [`Conclusion::Unknown`] unless set to [`Conclusion::Release`]. There is no response to store, so the other two count as unknown.
    pub fn on_handler_failure(self, conclusion: Conclusion) -> Self {
        self.set(|settings| settings.handler_failure = conclusion)
    }

    /// Decides what happens when the store cannot answer; [`StoreFailure::Closed`] unless set.
    pub fn on_store_failure(self, failure: StoreFailure) -> Self {
        self.set(|settings| settings.store_failure = failure)
    }

    /// Tells these functions what happens.
    pub fn hooks(self, hooks: Hooks) -> Self {
        self.set(|settings| settings.hooks = hooks)
    }
}

impl<S, St> Layer<S> for IdempotencyLayer<St> {
    type Service = Idempotency<S, St>;

    fn layer(&self, inner: S) -> Idempotency<S, St> {
        Idempotency::new(inner, self.store.clone(), self.settings.clone())
    }
}

impl<St> Clone for IdempotencyLayer<St> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), settings: self.settings.clone() }
    }
}

impl<St> fmt::Debug for IdempotencyLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyLayer").field("profile", &self.settings.profile).finish_non_exhaustive()
    }
}
