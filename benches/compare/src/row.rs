//! The figures of one system at one number of callers, for people and for programs.

use crate::{
    contest::{Contender, Turn},
    figures::Spread,
    slice::Slice,
    system::Io,
};
use serde::Serialize;
use std::{fs, io, path::Path, time::Duration};

/// What the file of results has for it. Null is what is not known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub system: String,
    pub callers: usize,
    pub medium: String,
    pub payments_per_s: f64,
    pub replays_per_s: Option<f64>,
    pub p50_us: f64,
    pub p99_us: f64,
    pub syncs_per_payment: Option<f64>,
    pub bytes_per_payment: Option<f64>,
    /// Of each round.
    #[serde(skip)]
    pub rates: Vec<f64>,
}

impl Row {
    pub fn of(contender: &Contender<'_>, medium: &str) -> Self {
        let turns = &contender.turns;
        let median = |of: fn(&Turn) -> f64| Spread::of(turns.iter().map(of)).map_or(f64::NAN, |spread| spread.median);
        Self {
            system: contender.system.clone(),
            callers: contender.callers,
            medium: medium.to_owned(),
            payments_per_s: round(median(|turn| turn.payments.per_second()), 1),
            replays_per_s: Spread::of(turns.iter().filter_map(|turn| turn.replays.as_ref()).map(Slice::per_second))
                .map(|spread| round(spread.median, 1)),
            p50_us: round(median(|turn| micros(turn.payments.p50)), 1),
            p99_us: round(median(|turn| micros(turn.payments.p99)), 1),
            syncs_per_payment: per_payment(turns, |io| io.syncs).map(|figure| round(figure, 4)),
            bytes_per_payment: per_payment(turns, |io| io.bytes).map(|figure| round(figure, 1)),
            rates: turns.iter().map(|turn| turn.payments.per_second()).collect(),
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn round(figure: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (figure * scale).round() / scale
}

/// Over all rounds; rounds that do not know are left out.
fn per_payment(turns: &[Turn], of: fn(&Io) -> Option<u64>) -> Option<f64> {
    let known = turns.iter().filter_map(|turn| Some((of(&turn.io)?, turn.payments.done)));
    let (sum, payments) = known.fold((0, 0), |(sum, payments), (one, done)| (sum + one, payments + done));
    (payments > 0).then(|| sum as f64 / payments as f64)
}

/// Writes all rows as one array.
pub fn write(rows: &[Row], path: &Path) -> io::Result<()> {
    fs::write(path, serde_json::to_string_pretty(rows)? + "\n")
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(system: &str, callers: usize, rate: f64) -> Row {
        Row {
            system: system.to_owned(),
            callers,
            medium: "disk".to_owned(),
            payments_per_s: rate,
            replays_per_s: Some(1000.0),
            p50_us: 100.0,
            p99_us: 200.0,
            syncs_per_payment: Some(2.0),
            bytes_per_payment: None,
            rates: vec![rate],
        }
    }

    fn turn(done: u64, syncs: Option<u64>) -> Turn {
        let slice = Slice { done, took: Duration::from_secs(1), p50: Duration::ZERO, p99: Duration::ZERO };
        Turn { payments: slice, replays: None, io: Io { syncs, bytes: None } }
    }

    #[test]
    fn the_file_has_the_promised_fields_and_null_for_the_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("compare.json");
        write(&[row("idemstore", 64, 1234.5), row("floor", 1, 10.0)], &path).unwrap();
        let read: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let expected = serde_json::json!({
            "system": "idemstore", "callers": 64, "medium": "disk", "payments_per_s": 1234.5, "replays_per_s": 1000.0,
            "p50_us": 100.0, "p99_us": 200.0, "syncs_per_payment": 2.0, "bytes_per_payment": null,
        });
        assert_eq!(read[0], expected);
        assert_eq!(read.as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_no_round_knows_stays_unknown() {
        let syncs = |io: &Io| io.syncs;
        assert_eq!(per_payment(&[turn(100, Some(50)), turn(300, Some(150))], syncs), Some(0.5));
        assert_eq!(per_payment(&[turn(100, Some(50)), turn(300, None)], syncs), Some(0.5));
        assert_eq!(per_payment(&[turn(100, None)], syncs), None);
    }
}
