//! Draws the ratios of a report as an SVG: horizontal bars with their intervals. Draws no absolute
//! time, as the project promises none.

use crate::candidate::OURS;
use crate::report::Report;
use crate::statistics::Interval;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 170.0;
/// Room for the text of a ratio after the longest bar.
const RIGHT: f64 = 120.0;
const TOP: f64 = 84.0;
const ROW: f64 = 38.0;
const BAR: f64 = 20.0;
const BOTTOM: f64 = 44.0;

const STYLE: &str = "\
text { font: 14px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2328 }
.title { font-size: 17px; font-weight: 600 }
.quiet { font-size: 12px; fill: #59636e }
.ours { font-weight: 600 }
.bar { fill: #b6bfc9 }
.bar.ours { fill: #b7410e }
.whisker { stroke: #1f2328; stroke-width: 1.5; fill: none }
.one { stroke: #59636e; stroke-dasharray: 2 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.quiet { fill: #9198a1 }
.bar { fill: #4a535e }
.bar.ours { fill: #f0883e }
.whisker { stroke: #e6edf3 }
.one { stroke: #9198a1 }
}";

/// Draws the ratios of the times to the first response.
pub(crate) fn draw(report: &Report) -> String {
    let ratios: Vec<(&str, Interval)> = report
        .outcomes
        .iter()
        .map(|outcome| {
            (
                outcome.name,
                report.ratio(outcome, |start| start.response_ms),
            )
        })
        .collect();
    let most = ratios
        .iter()
        .map(|(_, ratio)| ratio.high)
        .fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    let bottom = TOP + ROW * ratios.len() as f64;
    let mut svg = head(report, &ratios, bottom + BOTTOM);
    let _ = writeln!(
        svg,
        "<path class=\"one\" d=\"M{x:.1} {TOP}V{bottom}\"/>",
        x = LEFT + scale
    );
    let mut top = TOP;
    for (name, ratio) in ratios {
        bar(&mut svg, name, ratio, scale, top);
        top += ROW;
    }
    let _ = write!(
        svg,
        "<text class=\"quiet\" x=\"16\" y=\"{y}\">{}, {}. Whiskers: 95 % interval of the median \
         ratio.</text>\n</svg>\n",
        escaped(report.machine),
        &report.date[..10],
        y = bottom + BOTTOM - 16.0
    );
    svg
}

fn head(report: &Report, ratios: &[(&str, Interval)], height: f64) -> String {
    let told: Vec<String> = ratios
        .iter()
        .map(|(name, ratio)| format!("{name} {:.2}", ratio.median))
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"title told\">\n\
         <title id=\"title\">Cold start: process start to first response</title>\n\
         <desc id=\"told\">As a multiple of the floor: {}.</desc>\n<style>\n{STYLE}\n</style>\n\
         <text class=\"title\" x=\"16\" y=\"32\">Cold start: process start to first response</text>\n\
         <text class=\"quiet\" x=\"16\" y=\"54\">As a multiple of the same loop in C without a C \
         library. Shorter is better. One CPU, {} starts each.</text>\n",
        escaped(&told.join(", ")),
        report.outcomes[report.baseline].starts.len()
    )
}

fn bar(svg: &mut String, name: &str, ratio: Interval, scale: f64, top: f64) {
    let class = if name == OURS { " ours" } else { "" };
    let middle = top + ROW / 2.0;
    let base = middle + 5.0;
    let (low, high) = (LEFT + ratio.low * scale, LEFT + ratio.high * scale);
    let _ = writeln!(
        svg,
        "<text class=\"name{class}\" x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>\n\
         <rect class=\"bar{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" \
         rx=\"3\"/>",
        LEFT - 12.0,
        escaped(name),
        middle - BAR / 2.0,
        ratio.median * scale,
    );
    let mut end = LEFT + ratio.median * scale;
    // The baseline's interval is a point.
    if high > low {
        end = high;
        let _ = writeln!(
            svg,
            "<path class=\"whisker\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {up:.1}v8\
             M{high:.1} {up:.1}v8\"/>",
            up = middle - 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"ratio{class}\" x=\"{:.1}\" y=\"{base:.1}\">× {:.2}</text>",
        end + 10.0,
        ratio.median
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
