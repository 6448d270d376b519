//! Figures as text for Prometheus.

use super::{
    exposition::{Exposition, Kind},
    figures::Figures,
};
use crate::{AnswerCounts, Clock as _, Stats, SystemClock, Timestamp};
use std::time::Duration;

/// Powers of two of microseconds between which durations are counted: from 128 µs to 34 s. The figures' own buckets end there, too.
const BOUNDS_LOG2_MICROS: std::ops::RangeInclusive<u32> = 7..=25;

/// Writes figures as Prometheus reads them, in seconds and bytes. No label is a scope, a key, or anything else that clients choose.
pub(super) fn render(stats: &Stats, figures: &Figures) -> String {
    let mut exposition = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    exposition.family("idemstore_build_info", Kind::Gauge, "Always 1; the version is in the label.");
    exposition.sample("idemstore_build_info", &version, 1);
    health(&mut exposition, stats, SystemClock::new().wall());
    records(&mut exposition, stats);
    answers(&mut exposition, &stats.answers);
    commits(&mut exposition, stats);
    storage(&mut exposition, stats);
    requests(&mut exposition, figures);
    exposition.finish()
}

fn requests(exposition: &mut Exposition, figures: &Figures) {
    let routes = figures.routes();
    let name = "idemstore_http_requests_total";
    exposition.family(name, Kind::Counter, "Requests to the API by route and status.");
    for (route, figures) in &routes {
        for (status, count) in &figures.statuses {
            exposition.sample(name, &[("route", *route), ("status", &status.to_string())], count);
        }
    }
    let name = "idemstore_http_request_duration_seconds";
    exposition.family(
        name,
        Kind::Histogram,
        "From the head of a request to that of its answer, waiting for another attempt included.",
    );
    for (route, figures) in &routes {
        let latency = &figures.latency;
        let bounds = BOUNDS_LOG2_MICROS.map(|log2| Duration::from_micros(1 << log2));
        let up_to: Vec<_> = bounds.map(|bound| (bound.as_secs_f64(), latency.count_up_to(bound))).collect();
        exposition.distribution(name, &[("route", *route)], &up_to, latency.count(), latency.sum().as_secs_f64());
    }
}

fn health(exposition: &mut Exposition, stats: &Stats, now: Timestamp) {
    let mut gauge = |name: &str, help: &str, value: f64| exposition.single(name, Kind::Gauge, help, value);
    let doubted = stats.clock_doubted.unwrap_or_default();
    let oldest = stats.oldest_in_flight.map_or(Duration::ZERO, |first_seen| now.saturating_since(first_seen));
    gauge("idemstore_poisoned", "1 when the store has stopped writing.", f64::from(u8::from(stats.is_poisoned)));
    gauge(
        "idemstore_clock_doubted_seconds",
        "How far the wall clock is ahead of what the store believes; else 0.",
        doubted.as_secs_f64(),
    );
    gauge(
        "idemstore_oldest_in_flight_seconds",
        "Age of the oldest record in flight; 0 when there is none.",
        oldest.as_secs_f64(),
    );
    // Unknown is not zero: without a sample the alert on its absence tells.
    if let Some(lag) = stats.sweep_lag {
        gauge(
            "idemstore_sweep_lag_seconds",
            "How long the record that is due first has been; absent when unknown.",
            lag.as_secs_f64(),
        );
    }
    let failures = "Sweeps and merges of runs that failed.";
    exposition.single("idemstore_upkeep_failures_total", Kind::Counter, failures, stats.upkeep_failures);
    exposition.single("idemstore_waiting_callers", Kind::Gauge, "Callers that wait for an attempt to end.", stats.waiting);
}

fn records(exposition: &mut Exposition, stats: &Stats) {
    let counts = [("in_flight", stats.in_flight), ("completed", stats.completed), ("failed", stats.failed)];
    exposition.family("idemstore_records", Kind::Gauge, "Records by state.");
    for (state, count) in counts {
        exposition.sample("idemstore_records", &[("state", state)], count);
    }
    let record_bytes = "Bytes that keys and records take, without the overhead of the file.";
    exposition.single("idemstore_record_bytes", Kind::Gauge, record_bytes, stats.record_bytes);
    exposition.single("idemstore_file_bytes", Kind::Gauge, "Length of the store file.", stats.file_bytes);
    exposition.single("idemstore_swept_records_total", Kind::Counter, "Records that the sweeps removed.", stats.swept);
}

fn answers(exposition: &mut Exposition, answers: &AnswerCounts) {
    let counts = [
        ("fresh", answers.fresh),
        ("takeover", answers.takeover),
        ("replay", answers.replay),
        ("in_flight", answers.in_flight),
        ("mismatch", answers.mismatch),
        ("completed", answers.completed),
        ("failed", answers.failed),
        ("released", answers.released),
        ("renewed", answers.renewed),
        ("checkpoint", answers.checkpoints),
        ("resolved", answers.resolved),
        ("lease_lost", answers.lease_lost),
        ("full", answers.full),
        ("refused", answers.refused),
    ];
    exposition.family("idemstore_answers_total", Kind::Counter, "How often each answer was given.");
    for (answer, count) in counts {
        exposition.sample("idemstore_answers_total", &[("answer", answer)], count);
    }
}

fn commits(exposition: &mut Exposition, stats: &Stats) {
    let commits = &stats.commits;
    exposition.single("idemstore_commits_total", Kind::Counter, "Commits that became durable.", commits.count);
    exposition.single("idemstore_commit_commands_total", Kind::Counter, "Commands that the commits carried.", commits.commands);
    exposition.single("idemstore_commit_commands_max", Kind::Gauge, "The most commands in one commit.", commits.batch_max);
    let name = "idemstore_commit_duration_seconds";
    exposition.family(name, Kind::Gauge, "How long commits took since the store was opened; the quantile 1 is the slowest.");
    for (quantile, took) in [("0.5", commits.p50), ("0.99", commits.p99), ("1", commits.max)] {
        exposition.sample(name, &[("quantile", quantile)], took.as_secs_f64());
    }
}

fn storage(exposition: &mut Exposition, stats: &Stats) {
    let (io, journal) = (&stats.io, &stats.journal);
    let mut counter = |name: &str, help: &str, value: u64| exposition.single(name, Kind::Counter, help, value);
    counter("idemstore_syncs_total", "Syncs of the store file and the journal.", io.syncs);
    counter("idemstore_written_bytes_total", "Bytes handed to the operating system.", io.bytes_written);
    counter("idemstore_reads_total", "Reads that the cache could not serve.", io.reads);
    counter("idemstore_damaged_reads_total", "Reads of blocks that were damaged or unreadable.", io.damaged_reads);
    counter("idemstore_journal_syncs_total", "Syncs of the journal.", journal.syncs);
    counter("idemstore_journal_written_bytes_total", "Bytes of the batches written to the journal.", journal.bytes_written);
    counter(
        "idemstore_journal_checkpoints_total",
        "Times that the journal was brought into the store file.",
        journal.checkpoints,
    );
    let records = "Records that only the journal has yet.";
    exposition.single("idemstore_journal_records", Kind::Gauge, records, journal.records);
    let bytes = "Bytes in use in the segment that is being written.";
    exposition.single("idemstore_journal_segment_bytes", Kind::Gauge, bytes, journal.segment_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fingerprint, Key, Store};
    use std::collections::{BTreeMap, BTreeSet};

    fn rendered() -> String {
        let store = Store::in_memory().unwrap();
        let key = Key::new("a scope", "a key").unwrap();
        drop(store.begin(&key, Fingerprint::of(&[b"request"])).unwrap());
        let figures = Figures::default();
        figures.answered("begin", 201, Duration::from_micros(200));
        figures.answered("begin", 409, Duration::from_secs(60));
        render(&store.stats().unwrap(), &figures)
    }

    /// Reads the text as Prometheus does: families in one piece, announced by their help and type. Returns their types.
    fn families(text: &str) -> BTreeMap<String, String> {
        let (mut families, mut series) = (BTreeMap::new(), BTreeSet::new());
        let mut last = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(help.ends_with('.') && !families.contains_key(name), "{line}");
                name.clone_into(&mut last);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, last, "the type follows the help");
                families.insert(name.to_owned(), kind.to_owned());
            } else {
                let (of, value) = line.rsplit_once(' ').unwrap();
                let name = of.split('{').next().unwrap();
                assert!(["", "_bucket", "_sum", "_count"].iter().any(|suffix| name == format!("{last}{suffix}")), "{line}");
                assert!(value.parse::<f64>().unwrap() >= 0.0 && series.insert(of.to_owned()), "{line}");
            }
        }
        families
    }

    #[test]
    fn each_family_has_a_name_that_tells_its_kind_and_its_unit() {
        let families = families(&rendered());
        assert!(families.len() > 25, "{families:?}");
        for (name, kind) in &families {
            assert!(name.starts_with("idemstore_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            assert!(!["_ms", "_us", "_millis", "_kb"].iter().any(|unit| name.contains(unit)), "{name} is in a base unit");
        }
    }

    #[test]
    fn figures_are_those_of_the_store_and_of_the_requests() {
        let text = rendered();
        for line in [
            "idemstore_records{state=\"in_flight\"} 1",
            "idemstore_answers_total{answer=\"fresh\"} 1",
            "idemstore_poisoned 0",
            "idemstore_http_requests_total{route=\"begin\",status=\"409\"} 1",
            "idemstore_http_request_duration_seconds_bucket{route=\"begin\",le=\"0.000128\"} 0",
            "idemstore_http_request_duration_seconds_bucket{route=\"begin\",le=\"0.000256\"} 1",
            "idemstore_http_request_duration_seconds_bucket{route=\"begin\",le=\"33.554432\"} 1",
            "idemstore_http_request_duration_seconds_bucket{route=\"begin\",le=\"+Inf\"} 2",
            "idemstore_http_request_duration_seconds_sum{route=\"begin\"} 60.0002",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn no_scope_and_no_key_is_told() {
        assert!(!rendered().contains("a scope") && !rendered().contains("a key"));
    }

    /// The names of metrics in a text.
    fn named(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("idemstore_")).collect()
    }

    #[test]
    fn alerts_and_dashboard_name_metrics_that_exist() {
        let text = rendered();
        let known = named(&text);
        let unknown = |text| -> Vec<&str> { named(text).difference(&known).copied().collect() };
        let (alerts, dashboard) = (include_str!("../docs/alerts.yml"), include_str!("../docs/grafana-dashboard.json"));
        assert_eq!((unknown(alerts), unknown(dashboard)), (vec![], vec![]));
        assert_eq!(unknown("rate(idemstore_begins_total[5m])"), ["idemstore_begins_total"]);
        assert!(named(alerts).len() > 8 && named(dashboard).len() > 15);
        let panels = serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
        assert!(panels["panels"].as_array().unwrap().len() > 10);
    }

    #[test]
    fn each_alert_is_in_the_guide_and_each_of_the_guide_exists() {
        fn alerts(text: &str, before: &str) -> BTreeSet<String> {
            let rest = text.split(before).skip(1);
            rest.map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
        }
        let rules = alerts(include_str!("../docs/alerts.yml"), "- alert: ");
        let guide = alerts(include_str!("../docs/operations.md"), "\n| `Idemstore").into_iter();
        assert_eq!(guide.map(|name| format!("Idemstore{name}")).collect::<BTreeSet<_>>(), rules);
        assert!(rules.len() > 8);
    }
}
