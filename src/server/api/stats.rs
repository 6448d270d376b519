use super::{
    super::{
        Body, Problem,
        figures::{Rates, RouteFigures},
    },
    Api,
    show::json,
};
use crate::{Clock as _, Stats, SystemClock, Timestamp};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json as value};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

impl Api {
    pub(super) async fn stats(&self) -> Result<Response<Body>, Problem> {
        let (figures, started_at) = (self.figures.clone(), self.started_at);
        self.blocking(move |store| {
            let stats = store.stats()?;
            let rates = figures.sample(Instant::now(), stats.answers);
            let mut fields = of_store(&stats, SystemClock::new().wall());
            fields.insert("started_at".to_owned(), started_at.as_millis().into());
            fields.insert("rates".to_owned(), of_rates(&rates));
            fields.insert("latencies".to_owned(), of_routes(&figures.routes()));
            json(StatusCode::OK, &fields)
        })
        .await
    }
}

fn of_store(stats: &Stats, now: Timestamp) -> Map<String, Value> {
    let (answers, commits, io, journal) = (&stats.answers, &stats.commits, &stats.io, &stats.journal);
    let fields = value!({
        "now": now.as_millis(),
        "in_flight": stats.in_flight,
        "completed": stats.completed,
        "failed": stats.failed,
        "record_bytes": stats.record_bytes,
        "file_bytes": stats.file_bytes,
        "sweep_lag_ms": stats.sweep_lag.map(millis),
        "oldest_in_flight_at": stats.oldest_in_flight.map(Timestamp::as_millis),
        "oldest_in_flight_ms": stats.oldest_in_flight.map(|at| millis(now.saturating_since(at))),
        "waiting": stats.waiting,
        "clock_doubted_ms": stats.clock_doubted.map(millis),
        "is_poisoned": stats.is_poisoned,
        "swept": stats.swept,
        "upkeep_failures": stats.upkeep_failures,
        "answers": {
            "fresh": answers.fresh,
            "takeover": answers.takeover,
            "replay": answers.replay,
            "in_flight": answers.in_flight,
            "mismatch": answers.mismatch,
            "completed": answers.completed,
            "failed": answers.failed,
            "released": answers.released,
            "renewed": answers.renewed,
            "checkpoints": answers.checkpoints,
            "resolved": answers.resolved,
            "lease_lost": answers.lease_lost,
            "full": answers.full,
            "refused": answers.refused,
        },
        "commits": {
            "count": commits.count,
            "commands": commits.commands,
            "batch_max": commits.batch_max,
            "p50_us": micros(commits.p50),
            "p99_us": micros(commits.p99),
            "max_us": micros(commits.max),
        },
        "io": {
            "syncs": io.syncs,
            "bytes_written": io.bytes_written,
            "reads": io.reads,
            "damaged_reads": io.damaged_reads,
        },
        "journal": {
            "syncs": journal.syncs,
            "bytes_written": journal.bytes_written,
            "checkpoints": journal.checkpoints,
            "records": journal.records,
            "segment_bytes": journal.segment_bytes,
        },
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn of_rates(rates: &Rates) -> Value {
    value!({
        "window_ms": millis(rates.window),
        "begin_per_s": rates.begin,
        "fresh_per_s": rates.fresh,
        "takeover_per_s": rates.takeover,
        "replay_per_s": rates.replay,
        "in_flight_per_s": rates.in_flight,
        "mismatch_per_s": rates.mismatch,
        "end_per_s": rates.end,
        "refused_per_s": rates.refused,
    })
}

fn of_routes(routes: &BTreeMap<&'static str, RouteFigures>) -> Value {
    let of_route = |figures: &RouteFigures| {
        let (latency, recent) = (&figures.latency, figures.recent.clone().distribution(Instant::now()));
        value!({
            "count": latency.count(),
            "p50_us": micros(latency.quantile(50)),
            "p99_us": micros(latency.quantile(99)),
            "max_us": micros(latency.max()),
            "recent": {
                "count": recent.count(),
                "p50_us": micros(recent.quantile(50)),
                "p99_us": micros(recent.quantile(99)),
                "max_us": micros(recent.max()),
            },
        })
    };
    routes.iter().map(|(route, figures)| ((*route).to_owned(), of_route(figures))).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
