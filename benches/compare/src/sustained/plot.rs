//! The windows of a long run as a picture: payments per second above, latencies below.

use super::Window;
use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, DrawingArea, IntoDrawingArea as _, IntoLogRange as _, LineSeries, PathElement, RGBColor, SVGBackend,
        SeriesLabelPosition, WHITE,
    },
    style::{BLACK, Color as _},
};
use std::path::Path;

const SIZE: (u32, u32) = (960, 640);
const RED: RGBColor = RGBColor(200, 30, 30);
const BLUE: RGBColor = RGBColor(31, 119, 180);
const GREY: RGBColor = RGBColor(120, 120, 120);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;
type Curve = (&'static str, RGBColor, fn(&Window) -> f64);

pub(super) fn draw(windows: &[Window], path: &Path) -> Drawn {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(SIZE.1 / 2);
    rates(&above, windows)?;
    latencies(&below, windows)?;
    root.present()?;
    Ok(())
}

fn end(windows: &[Window]) -> f64 {
    windows.last().map_or(1.0, |window| window.at_s)
}

fn rates(area: &Area<'_>, windows: &[Window]) -> Drawn {
    let most = windows.iter().map(|window| window.payments_per_s).fold(1.0, f64::max);
    let mut context = ChartBuilder::on(area)
        .caption("Durable payments per second", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..end(windows), 0.0..most * 1.1)?;
    context.configure_mesh().light_line_style(BLACK.mix(0.05)).y_desc("payments/s").draw()?;
    let points = windows.iter().map(|window| (window.at_s, window.payments_per_s));
    context.draw_series(LineSeries::new(points, RED.stroke_width(3)))?;
    Ok(())
}

fn latencies(area: &Area<'_>, windows: &[Window]) -> Drawn {
    let curves: [Curve; 3] =
        [("slowest", GREY, |window| window.max_us), ("p99", RED, |window| window.p99_us), ("p50", BLUE, |window| window.p50_us)];
    let most = windows.iter().map(|window| window.max_us).fold(10.0, f64::max);
    let least = windows.iter().map(|window| window.p50_us).fold(f64::INFINITY, f64::min).clamp(1.0, most / 10.0);
    let mut context = ChartBuilder::on(area)
        .caption("Latency of a payment", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(80)
        .build_cartesian_2d(0.0..end(windows), (least / 2.0..most * 2.0).log_scale())?;
    context
        .configure_mesh()
        .light_line_style(BLACK.mix(0.05))
        .x_desc("seconds of full load")
        .y_desc("microseconds")
        .y_label_formatter(&|us| format!("{us:.0}"))
        .draw()?;
    for (name, colour, figure) in curves {
        let points = windows.iter().map(|window| (window.at_s, figure(window).max(1.0)));
        context
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(())
}
