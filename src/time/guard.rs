//! Turns a wall clock that may step into the store's time, which never runs backwards and believes no sudden leap.

use super::{Timestamp, millis};
use std::time::Duration;

/// How far the wall clock is trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockPolicy {
    /// How far the wall clock may get ahead of the monotonic one before it is doubted.
    pub(crate) jump_max: Duration,
    /// How long it must then run evenly to be believed; `None`: until a person says so.
    pub(crate) settle: Option<Duration>,
    /// How long the store may have been closed before the wall clock is doubted at open.
    pub(crate) downtime_max: Duration,
}

/// No clock drifts by more than one part in so many; crystals stay below a tenth of that.
const DRIFT_PARTS: u64 = 1000;

/// The store's time. Invariants: it never decreases; it never passes what the wall clock showed when it was believed plus
/// the time elapsed since; while the wall clock is doubted it advances with the monotonic clock alone.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    policy: ClockPolicy,
    now: u64,
    /// Where the wall clock ought to be: what it showed when last believed, plus the monotonic time since.
    expected: u64,
    monotonic: u64,
    /// Time that has not been long enough for a millisecond of drift.
    undrifted: u64,
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: u64,
    /// How far the wall clock was ahead when the doubt began.
    ahead: u64,
}

impl ClockGuard {
    /// Starts from the highest time that the store ever acted on (`None` for a new store).
    pub(crate) fn new(policy: ClockPolicy, high_water: Option<Timestamp>, wall: Timestamp, monotonic: Duration) -> Self {
        let wall = wall.as_millis();
        let start = high_water.map_or(wall, Timestamp::as_millis);
        let mut guard = Self { policy, now: start, expected: start, monotonic: millis(monotonic), undrifted: 0, doubt: None };
        if wall <= start.saturating_add(millis(policy.downtime_max)) {
            guard.accept(Timestamp::from_millis(wall));
        } else {
            guard.doubt(wall);
        }
        guard
    }

    /// Returns the store's time, given what both clocks show.
    pub(crate) fn observe(&mut self, wall: Timestamp, monotonic: Duration) -> Timestamp {
        let monotonic = millis(monotonic).max(self.monotonic);
        let wall = wall.as_millis();
        let elapsed = monotonic - self.monotonic;
        self.expected = self.expected.saturating_add(elapsed);
        self.monotonic = monotonic;
        if wall <= self.expected.saturating_add(millis(self.policy.jump_max)) {
            self.doubt = None;
            self.believe(wall, elapsed);
        } else {
            self.doubt(wall);
        }
        Timestamp::from_millis(self.now)
    }

    /// Believes the wall clock as it is, because a person said so.
    pub(crate) fn accept(&mut self, wall: Timestamp) {
        self.doubt = None;
        self.expected = wall.as_millis();
        self.now = self.now.max(self.expected);
    }

    /// Returns how far the wall clock is ahead of the store's time, if that is too far to be believed.
    pub(crate) fn doubted(&self) -> Option<Duration> {
        self.doubt.map(|doubt| Duration::from_millis(doubt.ahead))
    }

    fn believe(&mut self, wall: u64, elapsed: u64) {
        self.undrifted += elapsed;
        if wall > self.expected {
            // A clock that is ahead is followed as slowly as clocks drift. The rest of its lead stays and counts, so that many
            // small steps are as suspicious as a large one.
            self.expected += (wall - self.expected).min(self.undrifted / DRIFT_PARTS);
        } else if wall.saturating_add(millis(self.policy.jump_max)) >= self.expected {
            // One that is a little behind drifts. One far behind was set back: what it ought to show stays known, so that its
            // return is no leap.
            self.expected = wall;
        }
        self.undrifted %= DRIFT_PARTS;
        self.now = self.now.max(wall);
    }

    fn doubt(&mut self, wall: u64) {
        self.now = self.now.max(self.expected);
        let ahead = wall - self.expected;
        let uneven = |doubt: Doubt| doubt.ahead.abs_diff(ahead) > millis(self.policy.jump_max);
        match self.doubt {
            Some(doubt) if !uneven(doubt) => {
                let steady = self.monotonic - doubt.since;
                if self.policy.settle.is_some_and(|settle| steady >= millis(settle)) {
                    self.accept(Timestamp::from_millis(wall));
                }
            }
            _ => self.doubt = Some(Doubt { since: self.monotonic, ahead }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: ClockPolicy = ClockPolicy {
        jump_max: Duration::from_secs(300),
        settle: Some(Duration::from_secs(3600)),
        downtime_max: Duration::from_secs(7 * 86_400),
    };
    const START: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(START + seconds * 1000)
    }

    fn guard() -> ClockGuard {
        ClockGuard::new(POLICY, None, at(0), Duration::ZERO)
    }

    #[test]
    fn even_clocks_are_followed() {
        let mut guard = guard();
        assert_eq!(guard.observe(at(10), Duration::from_secs(10)), at(10));
        assert_eq!(guard.observe(at(99), Duration::from_secs(100)), at(99));
        assert_eq!(guard.doubted(), None);
    }

    #[test]
    fn a_backward_step_freezes_time_and_its_return_is_no_leap() {
        let mut guard = guard();
        guard.observe(at(7200), Duration::from_secs(7200));
        assert_eq!(guard.observe(at(3601), Duration::from_secs(7201)), at(7200));
        assert_eq!(guard.observe(at(5000), Duration::from_secs(8600)), at(7200));
        assert_eq!(guard.observe(at(8601), Duration::from_secs(8601)), at(8601));
        assert_eq!(guard.doubted(), None);
    }

    #[test]
    fn a_forward_leap_is_not_believed_until_it_settles() {
        let mut guard = guard();
        assert_eq!(guard.observe(at(86_401), Duration::from_secs(1)), at(1));
        assert_eq!(guard.doubted(), Some(Duration::from_secs(86_400)));
        assert_eq!(guard.observe(at(86_400 + 3600), Duration::from_secs(3600)), at(3600));
        assert_eq!(guard.observe(at(86_400 + 3601), Duration::from_secs(3601)), at(86_400 + 3601));
        assert_eq!(guard.doubted(), None);
    }

    #[test]
    fn a_leap_that_is_corrected_leaves_no_trace() {
        let mut guard = guard();
        guard.observe(at(86_401), Duration::from_secs(1));
        assert_eq!(guard.observe(at(2), Duration::from_secs(2)), at(2));
        assert_eq!(guard.doubted(), None);
    }

    #[test]
    fn a_clock_that_keeps_leaping_does_not_settle() {
        let mut guard = guard();
        guard.observe(at(86_400), Duration::from_secs(1));
        guard.observe(at(3 * 86_400), Duration::from_secs(3000));
        assert_eq!(guard.observe(at(3 * 86_400 + 1000), Duration::from_secs(4000)), at(4000));
        assert!(guard.doubted().is_some());
    }

    #[test]
    fn a_clock_that_creeps_ahead_is_doubted_like_one_that_leaps() {
        let mut guard = guard();
        // Twice as fast as it should be: after 24 hours it shows 48.
        let seen = (1..=86_400).map(|s| guard.observe(at(2 * s), Duration::from_secs(s))).find(|_| false);
        assert_eq!(seen, None);
        let now = guard.observe(at(2 * 86_400), Duration::from_secs(86_400));
        assert!(now < at(86_400 + 86_400 / 100), "{now}");
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let mut guard = guard();
        for day in 1..=365 {
            let elapsed = day * 86_400;
            // 100 parts in a million, ahead.
            let wall = at(elapsed + elapsed / 10_000);
            assert_eq!(guard.observe(wall, Duration::from_secs(elapsed)), wall);
        }
        // Looked at so often that no single look has a whole millisecond of drift.
        let mut guard = self::guard();
        for millis in 1..=2_000_000 {
            let wall = Timestamp::from_millis(START + millis + millis / 10_000);
            assert_eq!(guard.observe(wall, Duration::from_millis(millis)), wall);
        }
        assert!(guard.expected > START + 2_000_000 + 190);
    }

    #[test]
    fn without_a_settling_time_only_a_person_ends_the_doubt() {
        let mut guard = ClockGuard::new(ClockPolicy { settle: None, ..POLICY }, None, at(0), Duration::ZERO);
        assert_eq!(guard.observe(at(1_000_000), Duration::from_secs(100_000)), at(100_000));
        guard.accept(at(1_000_000));
        assert_eq!(guard.observe(at(1_000_001), Duration::from_secs(100_001)), at(1_000_001));
    }

    #[test]
    fn time_starts_at_the_high_water_mark() {
        let mut behind = ClockGuard::new(POLICY, Some(at(500)), at(0), Duration::ZERO);
        assert_eq!(behind.observe(at(1), Duration::from_secs(1)), at(500));
        let mut after_a_stop = ClockGuard::new(POLICY, Some(at(0)), at(86_400), Duration::ZERO);
        assert_eq!(after_a_stop.observe(at(86_401), Duration::from_secs(1)), at(86_401));
        let mut after_years = ClockGuard::new(POLICY, Some(at(0)), at(86_400 * 400), Duration::ZERO);
        assert_eq!(after_years.observe(at(86_400 * 400 + 1), Duration::from_secs(1)), at(1));
        assert!(after_years.doubted().is_some());
    }
}
