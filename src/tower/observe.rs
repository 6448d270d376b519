//! What the layer counts (feature `metrics`) and logs (feature `tracing`). No metric has a key in a label; a log shows a key as its
//! `Display` does, which is never all of it. The front page of the layer lists them.

use super::{Duplicate, Refusal};
use crate::{Error, Key};

pub(super) fn answered(answer: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("idemstore_layer_requests_total", "answer" => answer).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = answer;
}

pub(super) fn duplicate(duplicate: Duplicate) {
    answered(match duplicate {
        Duplicate::Replayed => "replay",
        Duplicate::InFlight => "in_flight",
        Duplicate::NotStored => "not_stored",
    });
}

pub(super) fn takeover(key: &Key, attempt: u32) {
    answered("takeover");
    #[cfg(feature = "tracing")]
    tracing::warn!(%key, attempt, "an earlier attempt did not end: its effect is unknown");
    #[cfg(not(feature = "tracing"))]
    let _ = (key, attempt);
}

pub(super) fn mismatch(key: &Key) {
    answered("mismatch");
    #[cfg(feature = "tracing")]
    tracing::info!(%key, "a key was used for another request");
    #[cfg(not(feature = "tracing"))]
    let _ = key;
}

pub(super) fn refused(refusal: &Refusal) {
    #[cfg(feature = "metrics")]
    metrics::counter!("idemstore_layer_refusals_total", "code" => refusal.code()).increment(1);
    #[cfg(feature = "tracing")]
    tracing::debug!(code = refusal.code(), "refused");
    let _ = refusal;
}

pub(super) fn store_failed(error: &Error, runs_all_the_same: bool) {
    #[cfg(feature = "tracing")]
    tracing::error!(%error, runs_all_the_same, "the store cannot say whether a request may run");
    #[cfg(not(feature = "tracing"))]
    let _ = (error, runs_all_the_same);
}

pub(super) fn unrecorded(key: &Key, error: &Error) {
    #[cfg(feature = "metrics")]
    metrics::counter!("idemstore_layer_unrecorded_total").increment(1);
    #[cfg(feature = "tracing")]
    tracing::error!(%key, %error, "a handler ran, and its end could not be stored");
    let _ = (key, error);
}
