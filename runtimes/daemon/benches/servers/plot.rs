//! Charts of costs, as an SVG.

use std::error::Error;

use plotters::prelude::*;

use crate::fan_out::Line;

/// A chart with a line for each subject.
pub(crate) struct Chart {
    pub(crate) name: &'static str,
    pub(crate) x: &'static str,
    pub(crate) lines: Vec<(String, Line)>,
}

/// Draws the charts side by side. Both axes are logarithmic, so that a constant cost is a horizontal line.
pub(crate) fn draw(path: &str, charts: &[Chart]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (480 * charts.len().max(1) as u32, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    for (chart, area) in charts.iter().zip(area.split_evenly((1, charts.len()))) {
        let points = || chart.lines.iter().flat_map(|(_, line)| line);
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(1.0, f64::max);
        let (x, y) = (most(&mut points().map(|p| p.0)), most(&mut points().map(|p| p.1)));
        let least = points().map(|p| p.0).fold(x, f64::min);
        let mut axes = ChartBuilder::on(&area)
            .caption(format!("{}, ns", chart.name), ("sans-serif", 16))
            .margin(12)
            .margin_right(36)
            .x_label_area_size(36)
            .y_label_area_size(44)
            .build_cartesian_2d((least..x).log_scale(), (1.0..2.0 * y).log_scale())?;
        let whole = |n: &f64| format!("{n:.0}");
        let mut mesh = axes.configure_mesh();
        mesh.x_desc(chart.x)
            .x_label_formatter(&whole)
            .y_label_formatter(&whole)
            .x_labels(6)
            .y_labels(6)
            .light_line_style(WHITE)
            .draw()?;
        for (n, (name, line)) in chart.lines.iter().enumerate() {
            let style = Palette99::pick(n).stroke_width(2);
            axes.draw_series(LineSeries::new(line.iter().copied(), style).point_size(3))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        axes.configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    area.present()?;
    Ok(())
}
