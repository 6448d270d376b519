//! What breaks the protocol is caught, and by the case that is named for it.

use crate::engine::{Defect, Engine};
use idemstore::{
    Error, ManualClock, Timestamp,
    conformance::{self, Failure, Harness},
};
use std::{cell::RefCell, time::Duration};

struct Model {
    clock: ManualClock,
    defect: Defect,
    engines: RefCell<Vec<Engine>>,
}

impl Harness for Model {
    type Store = Engine;

    fn store(&self) -> Result<Engine, Error> {
        let engine = Engine::new(self.clock.clone(), self.defect);
        self.engines.borrow_mut().push(engine.clone());
        Ok(engine)
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.engines.borrow().iter().for_each(Engine::tick);
    }
}

/// Every case that fails.
fn failures(defect: Defect) -> Vec<Failure> {
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let model = Model { clock, defect, engines: RefCell::default() };
    conformance::cases().into_iter().filter_map(|case| case(&model).err()).collect()
}

#[test]
fn an_engine_without_a_defect_passes_every_case() {
    assert_eq!(failures(Defect::None), []);
}

#[test]
fn every_defect_is_caught_by_the_case_named_for_it() {
    let caught_by = [
        (Defect::FencingForgotten, "a_stale_token_changes_nothing"),
        (Defect::ReplayForAnotherRequest, "another_request_is_a_mismatch"),
        (Defect::TwoHolders, "many_callers_get_one_holder"),
        (Defect::WakeUpLost, "a_waiter_gets_the_outcome"),
        (Defect::DeadlineForgotten, "a_waiter_is_told_when_its_time_is_up"),
        (Defect::LapseNotSeenByWaiters, "a_waiter_takes_over_a_lapsed_key"),
        (Defect::TakeoverTakenForFresh, "a_lapsed_lease_is_a_takeover"),
        (Defect::LapseForgotten, "a_lapsed_lease_is_a_takeover"),
        (Defect::ReleaseKeepsTheKey, "a_released_key_is_fresh"),
        (Defect::PayloadTruncated, "an_ended_key_replays"),
        (Defect::KindForgotten, "an_ended_key_replays"),
        (Defect::TokensReused, "tokens_rise"),
        (Defect::TokensPerKey, "tokens_rise"),
        (Defect::CheckpointLost, "a_lapsed_lease_is_a_takeover"),
        (Defect::CheckpointNotHandedOn, "a_checkpoint_outlives_a_takeover_without_one"),
        (Defect::CheckpointNotReplaced, "a_lapsed_lease_is_a_takeover"),
        (Defect::AttemptWithCheckpointSwept, "a_checkpointed_attempt_outlives_every_retention"),
        (Defect::ExpiredTooEarly, "an_outcome_lasts_for_its_retention"),
        (Defect::NeverExpired, "an_expired_key_is_fresh"),
        (Defect::RenewalIgnored, "a_renewed_lease_lasts"),
        (Defect::RenewalOfAnyLengthTheSame, "a_lease_is_as_long_as_it_was_asked_for"),
        (Defect::LeaseOfAnyLengthTheSame, "a_lease_is_as_long_as_it_was_asked_for"),
        (Defect::RenewalOfEndedAllowed, "an_ended_attempt_cannot_go_on"),
        (Defect::GuardRenewsNothing, "a_guard_renews_the_lease"),
        (Defect::GuardOutlivesItself, "a_dropped_guard_renews_no_more"),
        (Defect::GuardSilent, "a_guard_tells_that_the_lease_is_lost"),
        (Defect::EndNotRepeatable, "an_end_can_be_repeated"),
        (Defect::EndOverwritten, "an_ended_attempt_cannot_go_on"),
        (Defect::LapsedHolderRefused, "a_lapsed_holder_may_still_end"),
        (Defect::ScopesMixed, "scopes_are_apart"),
        (Defect::RetryAfterWrong, "a_key_in_flight_is_in_flight"),
    ];
    for (defect, case) in caught_by {
        let failures = failures(defect);
        assert!(failures.iter().any(|failure| failure.case() == case), "{defect:?}: {failures:?}");
        assert!(failures.iter().all(|failure| !failure.message().is_empty()), "{defect:?}: {failures:?}");
    }
}
