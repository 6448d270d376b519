//! Proofs that an implementation of [`IdempotencyStore`] keeps the protocol, for who writes one.
//!
//! Give a [`Harness`] that makes empty stores and moves their time, and call [`check`] in a test; or call the cases one by one, each
//! is a function named for what it proves. A case needs no runtime of its own, it runs on [`Harness::block_on`]. The cases measure
//! no time: what has to happen "soon" has to happen before the store has answered [`PATIENCE`] later commands.
//!
//! Durability is not part of this: it takes faults that only the engine's own tests can cause.
//!
//! Feature `conformance`.
//!
//! ```
//! use idemstore::{ManualClock, Options, Store, Timestamp, conformance::{self, Harness}};
//! use std::time::Duration;
//!
//! struct Embedded(ManualClock);
//!
//! impl Harness for Embedded {
//!     type Store = Store;
//!
//!     fn store(&self) -> Result<Store, idemstore::Error> {
//!         Options::new().clock(self.0.clone()).in_memory()
//!     }
//!
//!     fn advance(&self, by: Duration) {
//!         self.0.advance(by);
//!     }
//!
//!     fn pause(&self) {
//!         std::thread::yield_now(); // the store has threads of its own
//!     }
//! }
//!
//! let passed = conformance::check(&Embedded(ManualClock::new(Timestamp::from_millis(1_700_000_000_000))))?;
//! assert_eq!(passed, conformance::cases::<Embedded>().len());
//! # Ok::<(), conformance::Failure>(())
//! ```

mod answers;
mod concurrency;
mod expiry;
mod fencing;
mod renewal;
mod subject;
mod takeover;
mod waiting;
mod watched;

pub use answers::{
    a_dropped_begin_does_not_hold_its_key, a_key_in_flight_is_in_flight, a_new_key_is_fresh, a_released_key_is_fresh,
    an_ended_key_replays, another_request_is_a_mismatch, scopes_are_apart,
};
pub use concurrency::{many_callers_get_one_holder, many_keys_do_not_disturb_each_other};
pub use expiry::{a_checkpointed_attempt_outlives_every_retention, an_expired_key_is_fresh, an_outcome_lasts_for_its_retention};
pub use fencing::{a_stale_token_changes_nothing, an_end_can_be_repeated, an_ended_attempt_cannot_go_on, tokens_rise};
pub use renewal::{
    a_dropped_guard_renews_no_more, a_guard_renews_the_lease, a_guard_tells_that_the_lease_is_lost,
    a_lease_is_as_long_as_it_was_asked_for, a_renewed_lease_lasts,
};
pub use takeover::{a_checkpoint_outlives_a_takeover_without_one, a_lapsed_holder_may_still_end, a_lapsed_lease_is_a_takeover};
pub use waiting::{
    a_waiter_gets_the_outcome, a_waiter_is_told_when_its_time_is_up, a_waiter_runs_a_released_key,
    a_waiter_takes_over_a_lapsed_key,
};

use crate::{IdempotencyStore, Signal};
use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

/// How many later commands the store may answer before something that has to happen soon counts as never happening.
pub const PATIENCE: usize = 20_000;

/// How the suite gets stores, and moves their time.
pub trait Harness {
    /// The implementation.
    type Store: IdempotencyStore;

    /// Makes an empty store. Each case asks for one.
    ///
    /// # Errors
    /// Those of the implementation; the case fails.
    fn store(&self) -> Result<Self::Store, crate::Error>;

    /// Lets this much time pass for the stores: leases lapse, waits end, outcomes expire.
    fn advance(&self, by: Duration);

    /// Runs a future to its end; on the runtime that the stores need, if they need one.
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        block_on(future)
    }

    /// Lets the store's background work get on, between two looks at something that has to happen soon. Does nothing by default.
    fn pause(&self) {}
}

/// One case of the suite.
pub type Case<H> = fn(&H) -> Result<(), Failure>;

/// A case that failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    case: &'static str,
    message: String,
}

impl Failure {
    /// Returns the name of the case.
    pub fn case(&self) -> &'static str {
        self.case
    }

    /// Returns what was expected, and what came.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.message)
    }
}

impl std::error::Error for Failure {}

/// Returns all cases.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    vec![
        a_new_key_is_fresh,
        an_ended_key_replays,
        another_request_is_a_mismatch,
        a_key_in_flight_is_in_flight,
        a_released_key_is_fresh,
        scopes_are_apart,
        a_dropped_begin_does_not_hold_its_key,
        a_lapsed_lease_is_a_takeover,
        a_checkpoint_outlives_a_takeover_without_one,
        a_lapsed_holder_may_still_end,
        a_stale_token_changes_nothing,
        an_ended_attempt_cannot_go_on,
        an_end_can_be_repeated,
        tokens_rise,
        a_renewed_lease_lasts,
        a_lease_is_as_long_as_it_was_asked_for,
        a_guard_renews_the_lease,
        a_dropped_guard_renews_no_more,
        a_guard_tells_that_the_lease_is_lost,
        an_outcome_lasts_for_its_retention,
        an_expired_key_is_fresh,
        a_checkpointed_attempt_outlives_every_retention,
        a_waiter_gets_the_outcome,
        a_waiter_runs_a_released_key,
        a_waiter_takes_over_a_lapsed_key,
        a_waiter_is_told_when_its_time_is_up,
        many_callers_get_one_holder,
        many_keys_do_not_disturb_each_other,
    ]
}

/// Runs all cases; returns how many passed, or the first that failed.
///
/// # Errors
/// The [`Failure`] of the first case that failed.
pub fn check<H: Harness>(harness: &H) -> Result<usize, Failure> {
    let cases = cases::<H>();
    for case in &cases {
        case(harness)?;
    }
    Ok(cases.len())
}

/// Runs a future on this thread, without any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Wakes(Signal);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.set();
        }
    }

    let signal = Signal::new();
    let waker = Waker::from(Arc::new(Wakes(signal.clone())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => signal.wait(),
        }
    }
}
