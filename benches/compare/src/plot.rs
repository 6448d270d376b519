//! Pictures of the figures: one line per system over the number of callers. plotters draws them, with nothing but its SVG part.

use crate::row::Row;
use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Circle, Color as _, DrawingArea, EmptyElement, IntoDrawingArea as _, IntoFont as _, IntoLogRange as _,
        LineSeries, PathElement, RGBColor, SVGBackend, Text, WHITE,
    },
    style::{BLACK, ShapeStyle, TextStyle},
};
use std::{collections::BTreeSet, path::Path};

const SIZE: (u32, u32) = (960, 560);
const LEGEND: u32 = 190;
const LINE: i32 = 24;

/// Systems keep their colour from picture to picture; idemstore's is the one that stands out.
const COLOURS: [(&str, RGBColor); 19] = [
    ("idemstore", RGBColor(200, 30, 30)),
    ("idemstore-async", RGBColor(240, 120, 120)),
    ("floor", RGBColor(90, 90, 90)),
    ("floor-group", RGBColor(170, 170, 170)),
    ("redb-group", RGBColor(31, 119, 180)),
    ("redb-txn", RGBColor(140, 190, 230)),
    ("sqlite", RGBColor(120, 200, 120)),
    ("sqlite-group", RGBColor(34, 139, 34)),
    ("fjall", RGBColor(128, 80, 180)),
    ("fjall-txn", RGBColor(195, 170, 225)),
    ("lmdb", RGBColor(215, 170, 120)),
    ("lmdb-group", RGBColor(150, 95, 30)),
    ("rocksdb", RGBColor(20, 20, 90)),
    ("redis-always", RGBColor(240, 140, 0)),
    ("redis-always-tcp", RGBColor(245, 200, 110)),
    ("redis-always-async", RGBColor(200, 110, 60)),
    ("postgres", RGBColor(0, 150, 160)),
    ("idempotent-valkey", RGBColor(220, 90, 170)),
    ("idempotent-memory", RGBColor(180, 180, 60)),
];

/// Its file's name, title, unit and figure.
type Picture = (&'static str, &'static str, &'static str, fn(&Row) -> f64);

struct Line<'r> {
    system: &'r str,
    /// Which number of callers, and the figure.
    points: Vec<(i32, f64)>,
}

struct Chart<'r> {
    title: String,
    unit: &'static str,
    callers: Vec<usize>,
    lines: Vec<Line<'r>>,
}

/// Draws the rates and the latencies of each medium; returns the names of the files.
pub fn draw(rows: &[Row], directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    // What has no medium of its own belongs into no picture.
    for medium in ["disk", "ram", "sync-1ms"] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.medium == medium).collect();
        let suffix = if medium == "disk" { String::new() } else { format!("-{medium}") };
        let charts: [Picture; 2] = [
            ("payments", "Durable payments per second", "payments/s", |row| row.payments_per_s),
            ("latency", "Latency of a payment, 99th percentile", "microseconds", |row| row.p99_us),
        ];
        for (name, title, unit, figure) in charts.into_iter().filter(|_| !rows.is_empty()) {
            let file = format!("compare-{name}{suffix}.svg");
            let chart = chart(&rows, format!("{title} ({medium})"), unit, figure);
            draw_chart(&directory.join(&file), &chart).unwrap();
            files.push(file);
        }
    }
    files
}

fn chart<'r>(rows: &[&'r Row], title: String, unit: &'static str, figure: fn(&Row) -> f64) -> Chart<'r> {
    let callers: BTreeSet<usize> = rows.iter().map(|row| row.callers).collect();
    let callers: Vec<usize> = callers.into_iter().collect();
    let place = |row: &Row| (0..).zip(&callers).find(|(_, count)| **count == row.callers).map_or(0, |(place, _)| place);
    let mut lines: Vec<Line<'r>> = Vec::new();
    for &row in rows {
        let point = (place(row), figure(row));
        match lines.iter_mut().find(|line| line.system == row.system) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { system: &row.system, points: vec![point] }),
        }
    }
    for floor in lines.iter_mut().filter(|line| line.system == "floor") {
        // One caller's, drawn through as what to compare with.
        let figure = floor.points.first().map_or(0.0, |(_, figure)| *figure);
        floor.points = (0..).zip(&callers).map(|(place, _)| (place, figure)).collect();
    }
    // idemstore last: on top of the others.
    lines.sort_by_key(|line| line.system == "idemstore");
    Chart { title, unit, callers, lines }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_chart(path: &Path, chart: &Chart<'_>) -> Drawn {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (plot, legend) = root.split_horizontally(SIZE.0 - LEGEND);
    draw_lines(&plot, chart)?;
    draw_legend(&legend, chart)?;
    root.present()?;
    Ok(())
}

fn draw_lines(area: &Area<'_>, chart: &Chart<'_>) -> Drawn {
    let last = i32::try_from(chart.callers.len())? - 1;
    let mut context = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(0..last.max(1), decades(chart).log_scale())?;
    let callers = |place: &i32| usize::try_from(*place).ok().and_then(|place| chart.callers.get(place));
    context
        .configure_mesh()
        .light_line_style(BLACK.mix(0.05))
        .bold_line_style(BLACK.mix(0.15))
        .x_labels(chart.callers.len())
        .x_label_formatter(&|place| callers(place).map_or_else(String::new, ToString::to_string))
        .x_desc("callers at once")
        .y_label_formatter(&|figure| thousands(*figure))
        .y_desc(chart.unit)
        .label_style(("sans-serif", 14))
        .draw()?;
    for line in &chart.lines {
        context.draw_series(LineSeries::new(line.points.iter().copied(), style(line.system)))?;
        if line.system == "floor" {
            continue;
        }
        let dot = |&point: &(i32, f64)| EmptyElement::at(point) + Circle::new((0, 0), 3, style(line.system).filled());
        context.draw_series(line.points.iter().map(dot))?;
    }
    Ok(())
}

/// Names in the order in which the lines end.
fn draw_legend(area: &Area<'_>, chart: &Chart<'_>) -> Drawn {
    let mut lines: Vec<&Line<'_>> = chart.lines.iter().collect();
    let end = |line: &Line<'_>| line.points.last().map_or(0.0, |(_, figure)| *figure);
    lines.sort_by(|one, other| end(other).total_cmp(&end(one)));
    for (line, number) in lines.into_iter().zip(0..) {
        let y = 56 + LINE * number;
        area.draw(&PathElement::new([(8, y), (34, y)], style(line.system)))?;
        let font = TextStyle::from(("sans-serif", 14).into_font()).color(&BLACK);
        let name = if line.system == "floor" { "floor (one caller)" } else { line.system };
        area.draw(&Text::new(name.to_owned(), (42, y - 7), font))?;
    }
    Ok(())
}

fn style(system: &str) -> ShapeStyle {
    let colour = COLOURS.iter().find(|(name, _)| *name == system).map_or(BLACK, |(_, colour)| *colour);
    let width = if system == "idemstore" { 4 } else { 2 };
    colour.stroke_width(width)
}

/// Whole powers of ten around all figures.
fn decades(chart: &Chart<'_>) -> std::ops::Range<f64> {
    let figures = || chart.lines.iter().flat_map(|line| &line.points).map(|(_, figure)| figure.max(1.0).log10());
    let (least, most) = (figures().fold(f64::INFINITY, f64::min), figures().fold(0.0, f64::max));
    10_f64.powf(least.min(most).floor())..10_f64.powf((most + 0.001).ceil())
}

fn thousands(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let (mut text, len) = (String::new(), digits.len());
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (len - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{row::tests::row, systems};

    #[test]
    fn every_system_has_its_own_colour() {
        let colours: BTreeSet<_> = COLOURS.iter().map(|(_, colour)| (colour.0, colour.1, colour.2)).collect();
        assert_eq!(colours.len(), systems::ALL.len());
        assert!(systems::ALL.iter().all(|system| COLOURS.iter().any(|(name, _)| name == system)));
    }

    #[test]
    fn pictures_name_all_systems_and_callers() {
        let directory = tempfile::tempdir().unwrap();
        let rows = [row("idemstore", 1, 900.0), row("idemstore", 64, 20_000.0), row("redb-group", 64, 10_000.0)];
        assert_eq!(draw(&rows, directory.path()), ["compare-payments.svg", "compare-latency.svg"]);
        let svg = std::fs::read_to_string(directory.path().join("compare-payments.svg")).unwrap();
        for word in ["idemstore", "redb-group", "64", "10,000"] {
            assert!(svg.lines().any(|line| line.trim() == word), "{word}");
        }
    }

    #[test]
    fn figures_are_grouped_by_thousands() {
        assert_eq!([1.0, 100.0, 1000.0, 1_000_000.0].map(thousands), ["1", "100", "1,000", "1,000,000"]);
    }
}
