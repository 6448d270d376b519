use super::{IdempotentClient, KeyFormat, settings::Settings};
use crate::Clock;
use http::{HeaderName, Method, StatusCode, request::Parts};
use std::{error::Error, fmt, future::Future, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Wraps a client so that a request and all its retries carry one key. The [module](super) says when it retries.
///
/// Every value is allowed in every setting; a zero means none.
#[derive(Clone)]
#[must_use]
pub struct IdempotentClientLayer<T> {
    settings: Settings,
    sleep: Arc<T>,
}

impl<T> IdempotentClientLayer<T> {
    /// Makes a layer with the defaults that each method names.
    ///
    /// `sleep` returns a future that ends after the given time, of the runtime in use: `tokio::time::sleep`, or
    /// `|time| async move { async_io::Timer::after(time).await; }`. One is made for each request, others for waits.
    pub fn new<F>(sleep: T) -> Self
    where
        // Not needed here, but it tells the compiler what a closure takes.
        T: Fn(Duration) -> F,
        F: Future<Output = ()>,
    {
        Self { settings: Settings::default(), sleep: Arc::new(sleep) }
    }

    /// Sets the header that carries the key: `Idempotency-Key` unless set.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.settings.keys.header = name;
        self
    }

    /// Sets how keys that the layer puts in are written: [`KeyFormat::Quoted`] unless set. A header that is there already stays
    /// as it is.
    pub fn key_format(mut self, format: KeyFormat) -> Self {
        self.settings.keys.format = format;
        self
    }

    /// Sets which methods get a key: POST and PATCH unless set, which RFC 9110 does not call idempotent. A request with a key of its
    /// own is retried whatever its method.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.settings.keys.methods = methods.into_iter().collect();
        self
    }

    /// Sets where new keys come from: `idem_` and 128 random bits in hex unless set.
    ///
    /// It is called once for each request that has no key, and has to return another key for every payment that is meant, of 1 to 255
    /// printable ASCII characters. Something that survives a crash is best, such as the number of an order that is already stored.
    pub fn make_key(mut self, make: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        self.settings.keys.make = Some(Arc::new(make));
        self
    }

    /// Sets how often a request is sent again at most: 4 times unless set.
    pub fn retries_max(mut self, retries: u32) -> Self {
        self.settings.policy.retries_max = retries;
        self
    }

    /// Sets how long a request may take with all its waits until the head of its response is there: 2 minutes unless set.
    ///
    /// A wait that would not leave time is not begun; the caller gets the last response or error at once. A send that is under way
    /// when the time has passed is dropped, with [`OutOfTime`](super::ClientErrorKind::OutOfTime).
    pub fn total_time(mut self, time: Duration) -> Self {
        self.settings.policy.total_time = time;
        self
    }

    /// Sets the random part of a wait, which comes after what the server asks for: up to `base`, doubled with each retry, up to `max`.
    /// 200 ms and 10 s unless set.
    pub fn backoff(mut self, base: Duration, max: Duration) -> Self {
        self.settings.policy.backoff_base = base;
        self.settings.policy.backoff_max = max;
        self
    }

    /// Sets how long a `Retry-After` is followed: 30 s unless set. Who asks for more is asked again after that time. That is earlier
    /// than wanted, but seldom, because the number of retries is limited.
    pub fn retry_after_max(mut self, wait: Duration) -> Self {
        self.settings.policy.retry_after_max = wait;
        self
    }

    /// Sets which statuses are worth a retry: 429, 502, 503 and 504 unless set.
    ///
    /// 400, 409 and 422 do not count here: the first and the last are never retried, and 409 has
    /// [a rule of its own](Self::retry_conflicts_without_retry_after).
    pub fn retry_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.settings.policy.statuses = statuses.into_iter().collect();
        self
    }

    /// Sets whether a 409 without `Retry-After` is retried: not unless set.
    ///
    /// Two situations share this status: the key is in flight, which passes, and the key was used for another request, which does
    /// not. Servers that follow the IETF draft or x402 send `Retry-After` with the first only. Set this for a server that leaves the
    /// header out and has another status for the second, such as Stripe (400).
    pub fn retry_conflicts_without_retry_after(mut self, retry: bool) -> Self {
        self.settings.policy.bare_conflicts = retry;
        self
    }

    /// Sets which errors of the inner service are worth a retry: all unless set.
    ///
    /// ```
    /// use idemstore::client::IdempotentClientLayer;
    /// use std::{future::ready, io};
    ///
    /// let layer = IdempotentClientLayer::new(|_| ready(())).retry_errors(|error| error.is::<io::Error>());
    /// ```
    pub fn retry_errors(
        mut self,
        is_passing: impl Fn(&(dyn Error + Send + Sync + 'static)) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.policy.errors = Some(Arc::new(is_passing));
        self
    }

    /// Sets up to how many bytes a request's body is kept in memory to be sent again: [`BODY_BYTES_DEFAULT`](super::BODY_BYTES_DEFAULT)
    /// unless set. A request with a longer one has its key but is sent once.
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.body_bytes_max = bytes;
        self
    }

    /// Sets the clock, for tests: [`SystemClock`](crate::SystemClock) unless set. The timer is not part of it.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// Sets where the randomness of waits comes from, for tests: uniform numbers; the operating system's unless set. Keys never come
    /// from here.
    pub fn jitter(mut self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.settings.jitter = Some(Arc::new(random));
        self
    }
}

impl<S, T> Layer<S> for IdempotentClientLayer<T> {
    type Service = IdempotentClient<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        IdempotentClient::new(inner, Arc::new(self.settings.clone()), Arc::clone(&self.sleep))
    }
}

impl<T> fmt::Debug for IdempotentClientLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotentClientLayer").field("settings", &self.settings).finish()
    }
}
