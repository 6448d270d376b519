use super::{
    Budget, Hooks, Profile, Recording, Refusal, Spawn, StoreFailure, Takeover, Task,
    identify::{Covers, KeySource, WithoutKey},
};
use bytes::Bytes;
use http::{HeaderName, Method, Response, request::Parts};
use std::{sync::Arc, time::Duration};

pub(super) type OfRequest<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;
pub(super) type OfBody<T> = Arc<dyn Fn(&Parts, &Bytes) -> T + Send + Sync>;
pub(super) type Answer = Arc<dyn Fn(&Refusal) -> Option<Response<Bytes>> + Send + Sync>;

/// Makes a future that is ready when nobody is to wait any more.
pub(super) type StopWaiting = Arc<dyn Fn() -> Task + Send + Sync>;

/// All that a layer was told, but its store.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) spawn: Spawn,
    pub(super) principal: OfRequest<Option<String>>,
    pub(super) route: OfRequest<String>,
    /// `None`: all.
    pub(super) methods: Option<Vec<Method>>,
    pub(super) key: KeySource,
    pub(super) without_key: WithoutKey,
    pub(super) covers: Covers,
    pub(super) covers_host: bool,
    pub(super) request_bytes_max: usize,
    pub(super) response_bytes_max: usize,
    pub(super) budget: Budget,
    pub(super) wait: Duration,
    pub(super) stop_waiting: Option<StopWaiting>,
    pub(super) lease: Duration,
    pub(super) retention: Option<Duration>,
    pub(super) retry_after: Duration,
    pub(super) recording: Recording,
    pub(super) never_recorded: Vec<HeaderName>,
    pub(super) takeover: Takeover,
    pub(super) handler_failure: super::Conclusion,
    pub(super) store_failure: StoreFailure,
    pub(super) profile: Profile,
    pub(super) answer: Option<Answer>,
    pub(super) hooks: Hooks,
}

impl Settings {
    /// Case tells methods apart, and many a server does not: a request must not go unprotected to one that takes `post` for POST.
    pub(super) fn covers_method(&self, method: &Method) -> bool {
        let is_meant = |covered: &Method| covered.as_str().eq_ignore_ascii_case(method.as_str());
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(is_meant))
    }
}
