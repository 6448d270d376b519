//! The table that people read.

use crate::{
    figures::{Spread, ratio},
    row::Row,
    systems::NOT_DURABLE,
};
use std::fmt::Write as _;

/// The one whose rate the others' are divided by.
const YARDSTICK: &str = "idemstore";

/// Formats rows of one medium, callers by callers, and says who beats idemstore in what.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<18} {:>7} {:>10} {:>17} {:>7} {:>10} {:>10} {:>10} {:>8} {:>8}\n",
        "system", "callers", "payments/s", "least..most", "ratio", "replays/s", "p50 us", "p99 us", "syncs/p", "bytes/p"
    );
    for row in rows {
        let yardstick = rows.iter().find(|other| other.system == YARDSTICK && other.callers == row.callers);
        write_row(&mut text, row, yardstick);
    }
    for callers in callers(rows) {
        write_winners(&mut text, rows, callers);
    }
    text
}

fn callers(rows: &[Row]) -> Vec<usize> {
    let mut callers: Vec<usize> = rows.iter().map(|row| row.callers).collect();
    callers.sort_unstable();
    callers.dedup();
    callers
}

fn write_row(text: &mut String, row: &Row, yardstick: Option<&Row>) {
    let or_dash = |figure: Option<f64>, digits: usize, unit: &str| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}{unit}"))
    };
    let spread = Spread::of(row.rates.iter().copied());
    let spread = spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.0}..{:.0}", spread.min, spread.max));
    let ratio = yardstick.and_then(|yardstick| ratio(&row.rates, &yardstick.rates));
    writeln!(
        text,
        "{:<18} {:>7} {:>10.0} {spread:>17} {:>7} {:>10} {:>10.0} {:>10.0} {:>8} {:>8}",
        row.system,
        row.callers,
        row.payments_per_s,
        or_dash(ratio, 2, "x"),
        or_dash(row.replays_per_s, 0, ""),
        row.p50_us,
        row.p99_us,
        or_dash(row.syncs_per_payment, 3, ""),
        or_dash(row.bytes_per_payment, 0, ""),
    )
    .expect("a string takes it");
}

/// A column: its name, its figure, and whether more is better.
type Column = (&'static str, fn(&Row) -> Option<f64>, bool);

const COLUMNS: [Column; 6] = [
    ("payments/s", |row| Some(row.payments_per_s), true),
    ("replays/s", |row| row.replays_per_s, true),
    ("p50", |row| Some(row.p50_us), false),
    ("p99", |row| Some(row.p99_us), false),
    ("syncs/payment", |row| row.syncs_per_payment, false),
    ("bytes/payment", |row| row.bytes_per_payment, false),
];

/// The floor stores nothing that could be found again, and what is not durable is no choice.
fn counts(row: &Row) -> bool {
    !["floor", NOT_DURABLE].contains(&&*row.system)
}

/// The systems ahead of idemstore in one column, the best first.
fn winners<'r>(rows: &'r [Row], callers: usize, (_, figure, more): &Column) -> Vec<&'r Row> {
    let peers = || rows.iter().filter(|row| row.callers == callers && counts(row));
    let Some(own) = peers().find(|row| row.system == YARDSTICK).and_then(figure) else { return Vec::new() };
    let score = |row: &Row| figure(row).map_or(f64::NEG_INFINITY, |figure| if *more { figure } else { -figure });
    let own = if *more { own } else { -own };
    let mut ahead: Vec<&Row> = peers().filter(|row| score(row) > own).collect();
    ahead.sort_by(|one, other| score(other).total_cmp(&score(one)));
    ahead
}

fn write_winners(text: &mut String, rows: &[Row], callers: usize) {
    let plural = if callers == 1 { "caller" } else { "callers" };
    for column in &COLUMNS {
        let ahead: Vec<&str> = winners(rows, callers, column).iter().map(|row| &*row.system).collect();
        if !ahead.is_empty() {
            writeln!(text, "{callers} {plural}, {}: {} before idemstore", column.0, ahead.join(", ")).expect("a string takes it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::tests::row;

    #[test]
    fn ratios_are_to_idemstore_with_as_many_callers() {
        let rows =
            [row("idemstore", 1, 100.0), row("idemstore", 64, 1000.0), row("redb-group", 64, 500.0), row("floor", 1, 50.0)];
        let text = table(&rows);
        let ratios: Vec<&str> = text.lines().skip(1).map(|line| line.split_whitespace().nth(4).unwrap()).collect();
        assert_eq!(ratios, ["1.00x", "1.00x", "0.50x", "0.50x"]);
    }

    #[test]
    fn who_is_ahead_is_named_best_first() {
        let mut rows =
            vec![row("idemstore", 16, 100.0), row("fjall", 16, 110.0), row("sqlite", 16, 90.0), row("lmdb", 16, 130.0)];
        rows[1].p99_us = 150.0;
        rows[2].replays_per_s = None;
        let text = table(&rows);
        let said: Vec<&str> = text.lines().filter(|line| line.ends_with("before idemstore")).collect();
        assert_eq!(said, ["16 callers, payments/s: lmdb, fjall before idemstore", "16 callers, p99: fjall before idemstore"]);
    }

    #[test]
    fn what_is_not_durable_cannot_win() {
        let rows = [row("idemstore", 1, 100.0), row("floor", 1, 900.0), row("idempotent-memory", 1, 9000.0)];
        assert!(!table(&rows).contains("before idemstore"));
    }

    #[test]
    fn the_unknown_is_a_dash() {
        let text = table(&[row("idemstore", 1, 100.0)]);
        assert!(text.lines().nth(1).unwrap().ends_with("2.000        -"));
    }
}
