//! Figures as text for Prometheus.

use super::figures::Figures;
use crate::Stats;
use std::{fmt::Write as _, time::Duration};

/// Writes them.
pub(super) fn render(_stats: &Stats, figures: &Figures) -> String {
    let mut text = String::new();
    for (route, figures) in figures.routes() {
        let latency = &figures.latency;
        let quick = latency.count_up_to(Duration::from_millis(1));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "idemstore_http_request_seconds_bucket{{route=\"{route}\",le=\"0.001\"}} {quick}");
        let _ = writeln!(text, "idemstore_http_request_seconds_sum{{route=\"{route}\"}} {}", latency.sum().as_secs_f64());
        let _ = writeln!(text, "idemstore_http_request_seconds_count{{route=\"{route}\"}} {}", latency.count());
    }
    text
}
