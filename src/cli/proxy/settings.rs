//! What the arguments mean for the parts that a proxy is made of.

use super::{
    args::{Contract, OnTakeover, Proxy as Args},
    tasks::Tasks,
};
use crate::{
    Options, Store,
    cli::{failure::Failure, output::note},
    limits::{LEASE, PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX, RETENTION, WAIT_MAX},
    server::{
        Limits,
        proxy::{Upstream, principal_of_headers},
    },
    tower::{Budget, Hooks, IdempotencyLayer, limits::BUDGET_BYTES_DEFAULT},
};
use http::HeaderName;
use std::{fmt, ops::RangeInclusive, time::Duration};

/// What a stored response may have besides its body.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// What a proxy has to record, and to answer, after the upstream did.
const STOP_GRACE: Duration = Duration::from_secs(5);
const UPSTREAM_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
/// Requests with a key that are in memory at a time, at their longest, if memory is set so high that fewer would fit.
const LONGEST_AT_A_TIME: usize = 4;

impl Args {
    /// Refuses what cannot be meant.
    pub(super) fn check(&self) -> Result<(), Failure> {
        within("--retention", self.retention, &RETENTION)?;
        within("--lease", self.lease, &LEASE)?;
        within("--wait", self.wait, &(Duration::ZERO..=WAIT_MAX))?;
        within("--upstream-timeout", self.upstream_timeout, &UPSTREAM_TIMEOUT)?;
        within("--max-response", self.max_response, &(0..=(PAYLOAD_BYTES_MAX - HEAD_BYTES_MAX) as u64))?;
        within("--max-body", self.max_body, &(0..=u64::from(u32::MAX)))?;
        if self.key_header.is_some() && self.profile == Contract::X402 {
            return Err(Failure::usage("--key-header with --profile x402: there the payment has the key, so leave it out"));
        }
        Ok(())
    }

    pub(super) fn options(&self) -> Options {
        let payload_bytes = self.response_bytes_max() + HEAD_BYTES_MAX;
        Options::new()
            .create_if_missing(true)
            .accept_restored(self.accept_restored)
            .lease(self.lease)
            .retention(self.retention)
            .failed_retention(self.retention)
            .payload_bytes_max(payload_bytes.max(PAYLOAD_BYTES_DEFAULT))
    }

    pub(super) fn layer(&self, store: Store, tasks: &Tasks) -> IdempotencyLayer<Store> {
        let (body_bytes, response_bytes) = (usize_of(self.max_body), self.response_bytes_max());
        let longest = body_bytes.saturating_add(response_bytes).saturating_mul(LONGEST_AT_A_TIME);
        let hooks = Hooks::new().on_unrecorded(|key, error| {
            note(format_args!("idemstore: {key}: the upstream answered, and its answer could not be stored: {error}"));
        });
        let principal = principal_of_headers(self.scope_header.iter().cloned());
        let mut layer = IdempotencyLayer::new(store, tasks.spawn(), principal)
            .profile(self.profile.profile())
            .fingerprint_host()
            .retention(self.retention)
            .lease(self.lease)
            .wait(self.wait)
            .takeover(self.on_takeover.takeover())
            .request_bytes_max(body_bytes)
            .response_bytes_max(response_bytes)
            .budget(Budget::new(BUDGET_BYTES_DEFAULT.max(longest)))
            .hooks(hooks);
        if self.require_key {
            layer = layer.require_key();
        }
        if !self.methods.is_empty() {
            layer = layer.methods(self.methods.iter().cloned());
        }
        if let Some(name) = &self.key_header {
            layer = layer.key_header(name.clone());
        }
        layer
    }

    pub(super) fn upstream(&self) -> Upstream {
        self.upstream
            .clone()
            .timeout(self.upstream_timeout)
            .response_bytes_max(self.max_response)
            .mark_before_sending(self.on_takeover == OnTakeover::RerunUnlessCheckpointed)
    }

    /// The headers that decide what becomes of a request.
    pub(super) fn end_to_end(&self) -> Vec<HeaderName> {
        self.scope_header.iter().chain(&self.key_header).cloned().collect()
    }

    /// A stop lets requests end that have begun, as long as the upstream may take.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        limits.connections_max = self.max_connections.max(1);
        limits.stop_wait = self.upstream_timeout.saturating_add(STOP_GRACE);
        limits
    }

    fn response_bytes_max(&self) -> usize {
        usize_of(self.max_response)
    }
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn within<T: Copy + PartialOrd + fmt::Debug>(name: &str, value: T, range: &RangeInclusive<T>) -> Result<(), Failure> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Failure::usage(format_args!("{name} is {value:?}: give {:?} to {:?}", range.start(), range.end())))
}
