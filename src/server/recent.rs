//! How long requests took of late.

use crate::histogram::Histogram;
use std::time::{Duration, Instant};

/// Requests are forgotten after one to two of these.
const SLICE: Duration = Duration::from_secs(10);

/// The durations of the last ten to twenty seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    /// When `current` began.
    since: Option<Instant>,
    current: Histogram,
    earlier: Histogram,
}

impl Recent {
    /// Counts a duration.
    pub(super) fn add(&mut self, now: Instant, took: Duration) {
        self.turn(now);
        self.current.add(took);
    }

    /// Returns the distribution as of `now`.
    pub(super) fn distribution(mut self, now: Instant) -> Histogram {
        self.turn(now);
        self.earlier.add_all(&self.current);
        self.earlier
    }

    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= SLICE {
            let ended = std::mem::take(&mut self.current);
            self.earlier = if age < 2 * SLICE { ended } else { Histogram::default() };
            self.since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_forgotten_after_two_slices_and_no_sooner_than_after_one() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        recent.add(start, Duration::from_secs(5));
        let at = |recent: &Recent, seconds| recent.clone().distribution(start + Duration::from_secs(seconds));
        assert_eq!((at(&recent, 0).count(), at(&recent, 9).count(), at(&recent, 19).count()), (1, 1, 1));
        assert_eq!(at(&recent, 20).count(), 0);
        recent.add(start + SLICE, Duration::from_millis(1));
        assert_eq!((at(&recent, 11).count(), at(&recent, 11).max()), (2, Duration::from_secs(5)));
        assert_eq!((at(&recent, 21).count(), at(&recent, 21).max()), (1, Duration::from_millis(1)));
    }
}
