//! Figures as text for Prometheus.

use super::exposition::{Exposition, Kind};
use crate::{AnswerCounts, Stats, Timestamp};
use std::time::Duration;

/// The `Content-Type` of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes figures as Prometheus reads them, in seconds and bytes. No label is a scope, a key, or anything else that clients choose.
pub(super) fn render(stats: &Stats, now: Timestamp) -> String {
    let mut exposition = Exposition::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    exposition.family("idemstore_build_info", Kind::Gauge, "Always 1; the version is in the label.");
    exposition.sample("idemstore_build_info", &version, 1);
    health(&mut exposition, stats, now);
    records(&mut exposition, stats);
    answers(&mut exposition, &stats.answers);
    commits(&mut exposition, stats);
    storage(&mut exposition, stats);
    exposition.finish()
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
    let states = [("in_flight", stats.in_flight), ("completed", stats.completed), ("failed", stats.failed)];
    exposition.family("idemstore_records", Kind::Gauge, "Records by state.");
    for (state, count) in states {
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
