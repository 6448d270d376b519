//! What the server has done: answers and their latencies by route, and how fast the store gives which answers.

use super::recent::Recent;
use crate::{AnswerCounts, histogram::Histogram, sync::Mutex};
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

/// Over which rates are taken.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Between two samples at least: memory is bounded whoever asks how often.
const SAMPLE: Duration = Duration::from_secs(1);

/// Where the figures are gathered.
#[derive(Debug, Default)]
pub(super) struct Figures {
    routes: Mutex<BTreeMap<&'static str, RouteFigures>>,
    samples: Mutex<Samples>,
}

/// What happened on one route.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteFigures {
    /// How often each status was answered.
    pub(super) statuses: BTreeMap<u16, u64>,
    /// From the head of the request to that of the response, waiting for another attempt included.
    pub(super) latency: Histogram,
    /// The same, of late.
    pub(super) recent: Recent,
}

/// Answers of the store per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rates {
    /// Over how long; less than [`WINDOW`] soon after the start.
    pub(super) window: Duration,
    /// All answers to begin.
    pub(super) begin: f64,
    pub(super) fresh: f64,
    pub(super) takeover: f64,
    pub(super) replay: f64,
    pub(super) in_flight: f64,
    pub(super) mismatch: f64,
    /// Attempts that completed, failed or were released.
    pub(super) end: f64,
    /// Commands that the store refused.
    pub(super) refused: f64,
}

impl Figures {
    /// Counts an answer.
    pub(super) fn answered(&self, route: &'static str, status: u16, took: Duration) {
        let mut routes = self.routes.lock();
        let figures = routes.entry(route).or_default();
        *figures.statuses.entry(status).or_default() += 1;
        figures.latency.add(took);
        figures.recent.add(Instant::now(), took);
    }

    /// Returns what happened on each route so far.
    pub(super) fn routes(&self) -> BTreeMap<&'static str, RouteFigures> {
        self.routes.lock().clone()
    }

    /// Notes where the store's counters stand, and returns how fast they have risen.
    pub(super) fn sample(&self, now: Instant, answers: AnswerCounts) -> Rates {
        self.samples.lock().add(now, answers)
    }
}

/// Where counters stood, oldest first. The first is at least [`WINDOW`] old, if any is.
#[derive(Debug, Default)]
struct Samples(VecDeque<(Instant, AnswerCounts)>);

impl Samples {
    fn add(&mut self, now: Instant, answers: AnswerCounts) -> Rates {
        if self.0.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= SAMPLE) {
            self.0.push_back((now, answers));
        }
        while self.0.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.0.pop_front();
        }
        match self.0.front() {
            Some((at, earlier)) => Rates::between(earlier, &answers, now.saturating_duration_since(*at)),
            None => Rates::default(),
        }
    }
}

impl Rates {
    fn between(earlier: &AnswerCounts, later: &AnswerCounts, window: Duration) -> Self {
        if window.is_zero() {
            return Self::default();
        }
        let rate = |count: fn(&AnswerCounts) -> u64| {
            // A count that a double does not hold exactly is still a good rate.
            let risen = u32::try_from(count(later).saturating_sub(count(earlier))).unwrap_or(u32::MAX);
            f64::from(risen) / window.as_secs_f64()
        };
        Self {
            window,
            begin: rate(|a| a.fresh + a.takeover + a.replay + a.in_flight + a.mismatch),
            fresh: rate(|a| a.fresh),
            takeover: rate(|a| a.takeover),
            replay: rate(|a| a.replay),
            in_flight: rate(|a| a.in_flight),
            mismatch: rate(|a| a.mismatch),
            end: rate(|a| a.completed + a.failed + a.released),
            refused: rate(|a| a.full + a.refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute_in_bounded_memory() {
        let (mut samples, start) = (Samples::default(), Instant::now());
        let mut answers = AnswerCounts::default();
        for tenth in 0..10_000_u32 {
            answers.fresh += if tenth < 9000 { 50 } else { 1 };
            let rates = samples.add(start + Duration::from_millis(100) * tenth, answers);
            assert!(samples.0.len() <= 62 && rates.window < WINDOW + 2 * SAMPLE, "{} {rates:?}", samples.0.len());
        }
        let rates = samples.add(start + Duration::from_secs(1000), answers);
        assert!((9.0..11.0).contains(&rates.begin) && rates.window >= WINDOW, "{rates:?}");
    }

    #[test]
    fn the_first_sample_has_no_rate() {
        let rates = Figures::default().sample(Instant::now(), AnswerCounts::default());
        assert_eq!(rates, Rates::default());
    }
}
