//! How durations are distributed, in bounded memory.

use std::time::Duration;

/// Counts durations in buckets whose width is an eighth of their power of two, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    total: u64,
    sum: Duration,
    max: Duration,
}

const STEPS: u32 = 8;
const STEP_BITS: u32 = STEPS.trailing_zeros();

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; (u64::BITS * STEPS) as usize], total: 0, sum: Duration::ZERO, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn add(&mut self, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        let bucket = usize::try_from(bucket_of(micros)).unwrap_or(usize::MAX);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
            self.total += 1;
            self.sum = self.sum.saturating_add(value);
            self.max = self.max.max(value);
        }
    }

    /// Counts all that another has counted.
    #[cfg(feature = "server")]
    pub(crate) fn add_all(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// Returns how many were counted.
    #[cfg(feature = "server")]
    pub(crate) fn count(&self) -> u64 {
        self.total
    }

    /// Returns what they add up to.
    #[cfg(feature = "server")]
    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }

    /// Returns the longest.
    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// Returns how many were in the buckets that end at or below `bound`: those of them that were in its own bucket are left out,
    /// unless it is the top of that.
    #[cfg(feature = "server")]
    pub(crate) fn count_up_to(&self, bound: Duration) -> u64 {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        (0..).zip(&self.buckets).take_while(|(bucket, _)| top_of(*bucket) <= micros).map(|(_, count)| count).sum()
    }

    /// Returns what `percent` of the values do not exceed, at most 12.5 % above the true value.
    pub(crate) fn quantile(&self, percent: u64) -> Duration {
        let wanted = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in (0..).zip(&self.buckets) {
            seen += count;
            if seen >= wanted && seen > 0 {
                return Duration::from_micros(top_of(bucket)).min(self.max);
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a value: exact below 8, then 8 buckets for each power of two.
fn bucket_of(value: u64) -> u32 {
    if value < u64::from(STEPS) {
        return u32::try_from(value).unwrap_or_default();
    }
    let shift = value.ilog2() - STEP_BITS;
    let within = u32::try_from((value >> shift) & u64::from(STEPS - 1)).unwrap_or_default();
    (shift + 1) * STEPS + within
}

/// The highest value of a bucket.
fn top_of(bucket: u32) -> u64 {
    if bucket < STEPS {
        return bucket.into();
    }
    let shift = bucket / STEPS - 1;
    let first = u128::from(STEPS + bucket % STEPS) << shift;
    u64::try_from(first + (1u128 << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_close_to_it() {
        for value in (0..10_000).chain((0..60).map(|bit| 1 << bit)).chain([u64::MAX / 3, u64::MAX]) {
            let top = top_of(bucket_of(value));
            assert!(top >= value && top - value <= value / 8, "{value}: {top}");
        }
    }

    #[test]
    fn quantiles_bound_their_share() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(99), Duration::ZERO);
        (1..=1000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        assert_eq!(histogram.max(), Duration::from_millis(1));
        let p50 = histogram.quantile(50).as_micros();
        let p99 = histogram.quantile(99).as_micros();
        assert!((500..=563).contains(&p50) && (990..=1000).contains(&p99), "{p50} {p99}");
    }

    #[cfg(feature = "server")]
    #[test]
    fn counts_below_a_bound_rise_to_all() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        let up_to = |micros| histogram.count_up_to(Duration::from_micros(micros));
        assert_eq!((up_to(0), up_to(7), up_to(u64::MAX)), (0, 7, 1000));
        assert!((437..=500).contains(&up_to(500)), "{}", up_to(500));
    }
}
