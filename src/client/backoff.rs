use std::time::Duration;

/// Returns how long to wait before the `retry`-th retry, counted from 1: a random time between nothing and `base`, doubled with
/// each retry, up to `max`.
///
/// The whole range is random ("full jitter"): clients that failed together, because a server died, do not come back together.
/// `random` is uniform over its type.
pub(super) fn backoff(base: Duration, max: Duration, retry: u32, random: u64) -> Duration {
    let doublings = retry.saturating_sub(1).min(u32::BITS - 1);
    let ceiling = base.saturating_mul(1 << doublings).min(max);
    // A ceiling of more than 584 years counts as that.
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(nanos) * u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BASE: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn the_ceiling_doubles_up_to_its_limit() {
        let ceilings = [1, 2, 3, 6, 7, 1000, u32::MAX].map(|retry| backoff(BASE, MAX, retry, u64::MAX).as_millis() + 1);
        assert_eq!(ceilings, [200, 400, 800, 6400, 10_000, 10_000, 10_000]);
        assert_eq!(backoff(BASE, MAX, 1, 1 << 63), BASE / 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_wait_is_within_its_bounds_for_any_setting(base: Duration, max: Duration, retry: u32, random: u64) {
            let wait = backoff(base, max, retry, random);
            prop_assert!(wait <= max);
            // What a second opinion says, in floating point.
            let ceiling = base.as_secs_f64() * f64::from(retry.saturating_sub(1).min(31)).exp2();
            prop_assert!(wait.as_secs_f64() <= ceiling * 1.000_001 + 1e-6, "{wait:?} of {ceiling}");
        }

        #[test]
        fn more_randomness_waits_longer(retry in 0..40_u32, one: u64, other: u64) {
            let (low, high) = (one.min(other), one.max(other));
            prop_assert!(backoff(BASE, MAX, retry, low) <= backoff(BASE, MAX, retry, high));
            prop_assert_eq!(backoff(BASE, MAX, retry, 0), Duration::ZERO);
        }
    }
}
