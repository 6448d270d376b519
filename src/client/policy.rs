use super::{backoff::backoff, retry_after::retry_after};
use crate::Timestamp;
use http::{HeaderMap, StatusCode};
use std::{error::Error, fmt, sync::Arc, time::Duration};

type IsWorthRetrying = dyn Fn(&(dyn Error + Send + Sync + 'static)) -> bool + Send + Sync;

/// What is sent again, and after which wait. Pure: what time it is and what is random are arguments.
#[derive(Clone)]
pub(super) struct RetryPolicy {
    pub(super) statuses: Vec<StatusCode>,
    pub(super) bare_conflicts: bool,
    pub(super) errors: Option<Arc<IsWorthRetrying>>,
    pub(super) retries_max: u32,
    pub(super) total_time: Duration,
    pub(super) backoff_base: Duration,
    pub(super) backoff_max: Duration,
    pub(super) retry_after_max: Duration,
}

/// Marks of a stored response, by the servers that the profiles of this crate are modelled on.
const REPLAY_MARKS: [&str; 2] = ["idempotent-replayed", "x-idempotent-replay"];

impl Default for RetryPolicy {
    fn default() -> Self {
        let statuses = vec![
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        Self {
            statuses,
            bare_conflicts: false,
            errors: None,
            retries_max: 4,
            total_time: Duration::from_secs(120),
            backoff_base: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            retry_after_max: Duration::from_secs(30),
        }
    }
}

/// What the last send came to.
pub(super) enum Heard<'a> {
    Response { status: StatusCode, headers: &'a HeaderMap },
    Error(&'a (dyn Error + Send + Sync + 'static)),
}

impl RetryPolicy {
    /// Returns how long to wait before the next send, or None when the request is over: after `sends` sends, `spent` after its
    /// beginning. `random` is asked only if there is a wait.
    pub(super) fn wait(
        &self,
        heard: &Heard<'_>,
        sends: u32,
        spent: Duration,
        now: Timestamp,
        random: impl FnOnce() -> u64,
    ) -> Option<Duration> {
        let (asked, is_passing) = match heard {
            Heard::Response { status, headers } => {
                let asked = retry_after(headers, now);
                (asked, self.is_passing(*status, headers, asked.is_some()))
            }
            Heard::Error(error) => (None, self.errors.as_ref().is_none_or(|errors| errors(*error))),
        };
        if sends > self.retries_max || !is_passing {
            return None;
        }
        // The random time comes on top of what the server asks for: it says the same to all, and wants none of them earlier.
        let asked = asked.unwrap_or_default().min(self.retry_after_max);
        let wait = asked.saturating_add(backoff(self.backoff_base, self.backoff_max, sends, random()));
        // A wait that leaves no time to send is not begun: the caller can have the answer now.
        (wait < self.total_time.saturating_sub(spent)).then_some(wait)
    }

    /// Returns whether the same request may be answered differently later.
    fn is_passing(&self, status: StatusCode, headers: &HeaderMap, says_when: bool) -> bool {
        if REPLAY_MARKS.iter().any(|mark| headers.get(*mark).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")))
        {
            return false;
        }
        match status {
            // The request itself is refused; neither time nor a setting changes that.
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => false,
            StatusCode::CONFLICT => says_when || self.bare_conflicts,
            other => self.statuses.contains(&other),
        }
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statuses, bare_conflicts, errors, retries_max, total_time, backoff_base, backoff_max, retry_after_max } = self;
        let mut debug = f.debug_struct("RetryPolicy");
        debug.field("statuses", statuses).field("bare_conflicts", bare_conflicts).field("has_errors", &errors.is_some());
        debug.field("retries_max", retries_max).field("total_time", total_time).field("backoff_base", backoff_base);
        debug.field("backoff_max", backoff_max).field("retry_after_max", retry_after_max).finish()
    }
}
