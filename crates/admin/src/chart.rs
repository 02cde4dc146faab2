//! A bar chart as SVG, which needs no script. Knows numbers and names; knows no database.

use askama::Template;

/// The size of the picture in units of its `viewBox`, small enough that whole numbers suffice.
const WIDTH: u64 = 6000;
const HEIGHT: u64 = 1700;

/// The top of the largest bar, below the text of its value.
const TOP: u64 = 220;

/// The bottom of every bar, above the names.
const BASE: u64 = 1400;

/// The width of a bar at most, so that a single bar does not fill the picture.
const WIDEST: u64 = 560;

/// The width that a bar's name needs.
const NAME_WIDTH: u64 = 420;

/// A bar chart. A template shows it with `{{ chart|safe }}`.
///
/// ```
/// let stock = [("bolts".to_string(), 12), ("nuts".to_string(), 7)];
/// let chart = admin::Chart::new("Stock", &stock);
/// assert!(chart.to_string().contains("<svg"));
/// ```
#[derive(Template)]
#[template(path = "chart.html")]
pub struct Chart {
    /// The title, which a screen reader says.
    pub title: String,
    bars: Vec<Bar>,
    largest: u64,
}

struct Bar {
    x: u64,
    y: u64,
    width: u64,
    height: u64,
    middle: u64,
    /// The text below the bar; empty where there is no room for it.
    name: String,
    /// The text that is shown while the pointer is over the bar.
    hover: String,
}

impl Chart {
    /// Makes a chart with a bar for each name and number, in their order.
    pub fn new(title: &str, values: &[(String, u64)]) -> Chart {
        let largest = values.iter().map(|(_, value)| *value).max().unwrap_or(0);
        let count = values.len().max(1) as u64;
        let step = WIDTH / count;
        let every = NAME_WIDTH.div_ceil(step.max(1)) as usize;
        let width = (step * 3 / 4).min(WIDEST);
        let bars = values.iter().enumerate().map(|(at, (name, value))| {
            let share = u128::from(BASE - TOP) * u128::from(*value) / u128::from(largest.max(1));
            let height = u64::try_from(share).unwrap_or(0);
            let middle = WIDTH * (2 * at as u64 + 1) / (2 * count);
            let is_named = at % every == every / 2;
            Bar {
                x: middle - width / 2,
                y: BASE - height,
                width,
                height,
                middle,
                name: if is_named {
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
            largest,
        }
    }

    fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_bar_reaches_the_top_and_nothing_has_no_height() {
        let values = [4, 0, 1].map(|value| ("a".to_string(), value));
        let chart = Chart::new("t", &values);
        let heights: Vec<u64> = chart.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [BASE - TOP, 0, (BASE - TOP) / 4]);
        let empty = Chart::new("t", &[("a".to_string(), 0)]);
        assert_eq!(empty.bars[0].height, 0);
        assert_eq!(Chart::new("t", &[]).bars.len(), 0);
        let huge = Chart::new("t", &[("a".to_string(), u64::MAX)]);
        assert_eq!(huge.bars[0].height, BASE - TOP);
    }
}
