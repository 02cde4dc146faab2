//! A bar chart as SVG, made here: nothing is drawn by a script.

use askama::Template;

/// The picture's size, in units of its own.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 170.0;
const TOP: f64 = 22.0;
const BASE: f64 = 140.0;

/// A single bar is no wall.
const WIDEST: f64 = 56.0;

/// A bar chart.
#[derive(Template)]
#[template(path = "chart.html")]
pub struct Chart {
    /// What it shows.
    pub title: String,
    bars: Vec<Bar>,
    largest: String,
}

struct Bar {
    x: String,
    y: String,
    width: String,
    height: String,
    middle: String,
    /// Below it; empty where there is no room.
    name: String,
    /// When one points at it.
    hover: String,
}

impl Chart {
    /// Bars of a name and a number each, in their order.
    pub fn new(title: &str, values: &[(String, f64)]) -> Chart {
        let largest = values
            .iter()
            .fold(0.0, |largest: f64, (_, value)| largest.max(*value));
        let step = WIDTH / values.len().max(1) as f64;
        // A name takes some 42 units.
        let every = (42.0 / step).ceil().max(1.0) as usize;
        let width = (step * 0.76).min(WIDEST);
        let bars = values.iter().enumerate().map(|(at, (name, value))| {
            let height = match largest > 0.0 {
                true => (BASE - TOP) * value / largest,
                false => 0.0,
            };
            let middle = step * (at as f64 + 0.5);
            Bar {
                x: units(middle - width / 2.0),
                y: units(BASE - height),
                width: units(width),
                height: units(height),
                middle: units(middle),
                name: if at % every == every / 2 {
                    name.clone()
                } else {
                    String::new()
                },
                hover: format!("{name}: {value}"),
            }
        });
        Chart {
            title: title.to_string(),
            bars: bars.collect(),
            largest: largest.to_string(),
        }
    }

    fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }
}

/// To a tenth.
fn units(number: f64) -> String {
    format!("{}", (number * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bar_reaches_the_top_and_nothing_has_no_height() {
        let values = [
            ("a".to_string(), 4.0),
            ("b".to_string(), 0.0),
            ("c".to_string(), 1.0),
        ];
        let chart = Chart::new("t", &values);
        let heights: Vec<&str> = chart.bars.iter().map(|bar| bar.height.as_str()).collect();
        assert_eq!(heights, ["118", "0", "29.5"]);
        let empty = Chart::new("t", &[("a".to_string(), 0.0)]);
        assert_eq!(empty.bars[0].height, "0");
        assert_eq!(Chart::new("t", &[]).bars.len(), 0);
    }
}
