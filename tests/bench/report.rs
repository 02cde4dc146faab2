//! Prints measurements as a table and as JSON. Measures nothing.

use crate::measure::{Start, Warm};
use crate::rounds::Outcome;
use crate::statistics::{Interval, median, paired_ratio, percentile};
use serde_json::{Value, json};

/// The outcomes of one scenario in one mode.
pub(crate) struct Report<'a> {
    /// The scenario's name: `hello`, `page` or `asleep`.
    pub scenario: &'static str,
    /// The mode's name.
    pub mode: String,
    /// The CPU, the number of cores and the kernel.
    pub machine: &'a str,
    /// The load averages before and after.
    pub load: (String, String),
    /// When the scenario ended, in UTC.
    pub date: String,
    /// The outcomes of all candidates.
    pub outcomes: &'a [Outcome],
    /// The index of the candidate whose ratio is 1.
    pub baseline: usize,
}

const COLUMNS: [&str; 15] = [
    "candidate",
    "next ms (p90)",
    "response ms (p90)",
    "× base [95 %]",
    "CPU ms",
    "× CPU [95 %]",
    "faults",
    "peak KiB",
    "threads",
    "syscalls",
    "warm µs",
    "p99",
    "inv/s",
    "growth KiB",
    "file KiB",
];

impl Report<'_> {
    /// Returns a candidate's ratio to the baseline.
    pub(crate) fn ratio(&self, outcome: &Outcome, of: impl Fn(&Start) -> f64) -> Interval {
        let baseline = &self.outcomes[self.baseline];
        paired_ratio(&values(outcome, &of), &values(baseline, &of))
    }

    /// Returns the table, after two lines that name the scenario and the machine.
    pub(crate) fn table(&self) -> String {
        let mut rows = vec![COLUMNS.map(String::from)];
        rows.extend(self.outcomes.iter().map(|outcome| self.row(outcome)));
        let widths: Vec<usize> = (0..COLUMNS.len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut lines: Vec<String> = rows.iter().map(|row| aligned(row, &widths)).collect();
        lines.insert(1, ruler(&widths));
        format!(
            "{}, {}: {} starts each, × {}\n{}; load {} → {}; {} UTC\n\n{}\n",
            self.scenario,
            self.mode,
            self.outcomes[self.baseline].starts.len(),
            self.outcomes[self.baseline].name,
            self.machine,
            self.load.0,
            self.load.1,
            self.date,
            lines.join("\n")
        )
    }

    fn row(&self, outcome: &Outcome) -> [String; COLUMNS.len()] {
        let middle = |of: fn(&Start) -> f64| median(&values(outcome, of));
        let with_p90 = |of: fn(&Start) -> f64| {
            format!(
                "{:.3} ({:.2})",
                middle(of),
                percentile(&values(outcome, of), 90)
            )
        };
        let ratio = |of: fn(&Start) -> f64| {
            let ratio = self.ratio(outcome, of);
            format!("{:.2} [{:.2}–{:.2}]", ratio.median, ratio.low, ratio.high)
        };
        let warm = |of: &dyn Fn(&Warm) -> f64| match &outcome.warm {
            Some(warm) if !of(warm).is_nan() => format!("{:.0}", of(warm)),
            _ => "–".to_string(),
        };
        [
            outcome.name.to_string(),
            with_p90(|start| start.next_ms),
            with_p90(|start| start.response_ms),
            ratio(|start| start.response_ms),
            format!("{:.3}", middle(|start| start.cpu_ms)),
            ratio(|start| start.cpu_ms),
            format!("{:.0}", middle(|start| start.faults)),
            format!("{:.0}", middle(|start| start.peak_kib)),
            format!("{:.0}", middle(|start| start.threads)),
            outcome
                .system_calls
                .map_or("–".to_string(), |count| count.to_string()),
            warm(&|warm| median(&warm.us)),
            warm(&|warm| percentile(&warm.us, 99)),
            warm(&|warm| warm.rate),
            warm(&|warm| warm.growth_kib.unwrap_or(f64::NAN)),
            format!("{:.0}", outcome.file_kib),
        ]
    }

    /// Returns the outcomes with every single start as JSON.
    pub(crate) fn json(&self) -> Value {
        let candidates: Vec<Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "name": outcome.name,
                    "file_kib": outcome.file_kib,
                    "system_calls": outcome.system_calls,
                    "next_ms": summary(&values(outcome, |start| start.next_ms)),
                    "response_ms": summary(&values(outcome, |start| start.response_ms)),
                    "cpu_ms": summary(&values(outcome, |start| start.cpu_ms)),
                    "response_ratio": interval(self.ratio(outcome, |start| start.response_ms)),
                    "cpu_ratio": interval(self.ratio(outcome, |start| start.cpu_ms)),
                    "warm": outcome.warm.as_ref().map(warm),
                    "starts": outcome.starts.iter().map(start).collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({
            "scenario": self.scenario,
            "mode": self.mode,
            "machine": self.machine,
            "load": [self.load.0, self.load.1],
            "date": self.date,
            "baseline": self.outcomes[self.baseline].name,
            "candidates": candidates,
        })
    }
}

fn values(outcome: &Outcome, of: impl Fn(&Start) -> f64) -> Vec<f64> {
    outcome.starts.iter().map(of).collect()
}

fn start(start: &Start) -> Value {
    json!({
        "next_ms": start.next_ms,
        "response_ms": start.response_ms,
        "cpu_ms": start.cpu_ms,
        "faults": start.faults,
        "peak_kib": start.peak_kib,
        "threads": start.threads,
        "response_bytes": start.response_bytes,
    })
}

fn warm(warm: &Warm) -> Value {
    json!({
        "p50_us": median(&warm.us),
        "p99_us": percentile(&warm.us, 99),
        "rate": warm.rate,
        "growth_kib": warm.growth_kib,
        "us": warm.us,
    })
}

fn summary(values: &[f64]) -> Value {
    json!({"median": median(values), "p90": percentile(values, 90)})
}

fn interval(interval: Interval) -> Value {
    json!({"median": interval.median, "low": interval.low, "high": interval.high})
}

/// Returns a row of the table; the first column is aligned to the left, numbers to the right.
fn aligned(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        })
        .collect();
    format!("| {} |", cells.join(" | "))
}

fn ruler(widths: &[usize]) -> String {
    let cells: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(width + 2),
            _ => format!("{}:", "-".repeat(width + 1)),
        })
        .collect();
    format!("|{}|", cells.join("|"))
}
