use super::{catch::quietly, observe};
use crate::{Error, Key};
use std::{fmt, sync::Arc};

/// How a duplicate was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Duplicate {
    /// With the recorded response.
    Replayed,
    /// That the first is still running.
    InFlight,
    /// That it ran, and that its response was not stored.
    NotStored,
}

type OfKey<T> = Option<Arc<dyn Fn(&Key, T) + Send + Sync>>;
type OfError = Option<Arc<dyn Fn(&Key, &Error) + Send + Sync>>;

/// Functions that are told what happens. They run where it happens, so they must not block; none is given a payload. One
/// that panics changes nothing else.
///
/// ```
/// use idemstore::tower::Hooks;
///
/// let hooks = Hooks::new()
///     .on_takeover(|key, attempt| eprintln!("{key}: attempt {attempt}, the earlier one never ended"))
///     .on_unrecorded(|key, error| eprintln!("{key}: ran, and its end is not stored: {error}"));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Hooks {
    duplicate: OfKey<Duplicate>,
    takeover: OfKey<u32>,
    mismatch: OfKey<()>,
    unrecorded: OfError,
}

impl Hooks {
    /// Starts without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Is called with each duplicate.
    pub fn on_duplicate(mut self, hook: impl Fn(&Key, Duplicate) + Send + Sync + 'static) -> Self {
        self.duplicate = Some(Arc::new(hook));
        self
    }

    /// Is called with each takeover and its attempt's number, whatever the policy makes of it.
    pub fn on_takeover(mut self, hook: impl Fn(&Key, u32) + Send + Sync + 'static) -> Self {
        self.takeover = Some(Arc::new(hook));
        self
    }

    /// Is called with each key that was used for another request.
    pub fn on_mismatch(mut self, hook: impl Fn(&Key) + Send + Sync + 'static) -> Self {
        self.mismatch = Some(Arc::new(move |key, ()| hook(key)));
        self
    }

    /// Is called when a handler ran and its end could not be stored. The client got its response; a retry will find the outcome
    /// unknown. Worth an alarm.
    pub fn on_unrecorded(mut self, hook: impl Fn(&Key, &Error) + Send + Sync + 'static) -> Self {
        self.unrecorded = Some(Arc::new(hook));
        self
    }

    pub(super) fn duplicate(&self, key: &Key, duplicate: Duplicate) {
        observe::duplicate(duplicate);
        if let Some(hook) = &self.duplicate {
            quietly(|| hook(key, duplicate));
        }
    }

    pub(super) fn takeover(&self, key: &Key, attempt: u32) {
        observe::takeover(key, attempt);
        if let Some(hook) = &self.takeover {
            quietly(|| hook(key, attempt));
        }
    }

    pub(super) fn mismatch(&self, key: &Key) {
        observe::mismatch(key);
        if let Some(hook) = &self.mismatch {
            quietly(|| hook(key, ()));
        }
    }

    pub(super) fn unrecorded(&self, key: &Key, error: &Error) {
        observe::unrecorded(key, error);
        if let Some(hook) = &self.unrecorded {
            quietly(|| hook(key, error));
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
