use super::{now_ms, read};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{age, bytes, facts, length, print, print_json},
        service::Service,
        target::Target,
    },
};
use clap::Args;
use serde_json::Value;

/// Show the figures of a store.
#[derive(Debug, Args)]
#[command(after_help = "Those of begins, ends, refusals and commits count from the time at which the owner opened the store.")]
pub(in crate::cli) struct Stats {
    #[command(flatten)]
    target: Target,
}

impl Stats {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let json = service.get("/v1/stats").await?;
        if self.target.json {
            return print_json(json);
        }
        print(shown(&Figures(read(json)?), service.is_elsewhere()))
    }
}

struct Figures(Value);

impl Figures {
    fn number(&self, pointer: &str) -> Option<u64> {
        self.0.pointer(pointer).and_then(Value::as_u64)
    }

    fn count(&self, pointer: &str) -> String {
        self.number(pointer).map_or_else(|| "-".to_owned(), |count| count.to_string())
    }

    fn size(&self, pointer: &str) -> String {
        self.number(pointer).map_or_else(|| "-".to_owned(), bytes)
    }

    fn time(&self, pointer: &str) -> String {
        match self.number(pointer) {
            None => "-".to_owned(),
            Some(micros @ 0..10_000) => format!("{micros} us"),
            Some(micros) => format!("{} ms", micros / 1000),
        }
    }

    /// Several figures of one object, with their names.
    fn listed(&self, object: &str, names: &[&str]) -> String {
        let listed = names.iter().map(|name| format!("{} {}", self.count(&format!("{object}/{name}")), name.replace('_', " ")));
        listed.collect::<Vec<_>>().join(", ")
    }
}

fn shown(figures: &Figures, has_run: bool) -> String {
    let now = now_ms();
    let oldest = figures.number("/oldest_in_flight_at");
    let mut rows = vec![
        ("in flight", figures.count("/in_flight")),
        ("completed", figures.count("/completed")),
        ("failed", figures.count("/failed")),
        ("oldest in flight", oldest.map_or_else(|| "-".to_owned(), |oldest| age(now, oldest))),
        ("size of records", figures.size("/record_bytes")),
        ("size of the file", figures.size("/file_bytes")),
        ("sweep lag", figures.number("/sweep_lag_ms").map_or_else(|| "-".to_owned(), length)),
        ("damaged reads", figures.count("/io/damaged_reads")),
    ];
    if figures.0.get("is_poisoned") == Some(&Value::Bool(true)) {
        rows.push(("WRITES", "stopped by an earlier failure: look at the disk, then restart the owner".to_owned()));
    }
    if let Some(doubted) = figures.number("/clock_doubted_ms") {
        rows.push(("CLOCK", format!("{doubted} ms ahead of what is believed: nothing is swept")));
    }
    // A file that has just been opened has answered nobody.
    if has_run {
        rows.extend([
            ("begins", figures.listed("/answers", &["fresh", "takeover", "replay", "in_flight", "mismatch"])),
            ("ends", figures.listed("/answers", &["completed", "failed", "released", "resolved"])),
            ("refusals", figures.listed("/answers", &["lease_lost", "full", "refused"])),
            ("waiting", figures.count("/waiting")),
            ("swept", figures.count("/swept")),
            ("upkeep failures", figures.count("/upkeep_failures")),
            ("commits", format!("{} of {} commands", figures.count("/commits/count"), figures.count("/commits/commands"))),
            (
                "commit time",
                format!(
                    "{} for half, {} for 99 of 100, {} at most",
                    figures.time("/commits/p50_us"),
                    figures.time("/commits/p99_us"),
                    figures.time("/commits/max_us")
                ),
            ),
        ]);
    }
    facts(&rows)
}
