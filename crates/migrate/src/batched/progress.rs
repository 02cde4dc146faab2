//! How far a file that runs in batches has come: what the history's row keeps, and what people read.
//!
//! Must not know any database, or how a batch runs.

use crate::history::Applied;
use serde_json::{Value, json};

/// The progress that the history's row keeps, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The table that is passed through.
    pub table: String,
    /// The key of the last row that is done; `None` before the first batch.
    pub after: Option<String>,
    /// The greatest key when the first batch began, which is the last one to be done; `None` if the
    /// table was empty.
    pub until: Option<String>,
    /// The number of rows that were passed.
    pub rows: u64,
    /// The number of rows that the statement has changed.
    pub changed: u64,
    /// The number of batches that are done.
    pub batches: u64,
    /// The number of rows of the next batch.
    pub size: u64,
    /// About how many rows there are, from Postgres's statistics; zero if it has none.
    pub about: u64,
    /// How far the standbys are behind, in words.
    pub lag: String,
    /// The number of sessions that waited for the last batch.
    pub waiting: u64,
}

impl Progress {
    /// Reads the JSON of a row; `None` if the row has none.
    pub(crate) fn read(text: Option<&str>) -> Option<Progress> {
        let json: Value = serde_json::from_str(text?).ok()?;
        let text = |key: &str| json[key].as_str().map(str::to_string);
        let count = |key: &str| json[key].as_u64().unwrap_or(0);
        Some(Progress {
            table: text("table")?,
            after: text("after"),
            until: text("until"),
            rows: count("rows"),
            changed: count("changed"),
            batches: count("batches"),
            size: count("size").max(1),
            about: count("about"),
            lag: text("lag").unwrap_or_default(),
            waiting: count("waiting"),
        })
    }

    /// Returns the JSON for the row.
    pub(crate) fn to_row(&self) -> String {
        json!({
            "table": self.table, "after": self.after, "until": self.until, "rows": self.rows,
            "changed": self.changed, "batches": self.batches, "size": self.size,
            "about": self.about, "lag": self.lag, "waiting": self.waiting,
        })
        .to_string()
    }

    /// Returns the share of the rows that were passed, in percent; `None` if their number is not
    /// known. Never 100 while a batch is left.
    pub(crate) fn percent(&self) -> Option<u64> {
        (self.about > 0).then(|| (self.rows * 100 / self.about.max(self.rows)).min(99))
    }

    /// Returns the progress in a few words, for the progress line and the log.
    pub(crate) fn describe(&self) -> String {
        let share = self.percent().map_or(String::new(), |percent| {
            format!(" of about {} ({percent} %)", self.about.max(self.rows))
        });
        format!("{} rows{share} of {}", self.rows, self.table)
    }
}

/// Returns the progress of a row as replies show it: `{"table","rows","changed","batches","about",
/// "percent","rows_per_second","seconds_left","lag"}`; `None` if the row's file does not run in
/// batches.
pub(crate) fn to_json(row: &Applied) -> Option<Value> {
    let progress = Progress::read(row.progress.as_deref())?;
    let mut json = json!({
        "table": progress.table, "rows": progress.rows, "changed": progress.changed,
        "batches": progress.batches, "lag": progress.lag,
    });
    let ms = u64::try_from(row.ms).unwrap_or(0).max(1);
    let rate = progress.rows * 1000 / ms;
    json["rows_per_second"] = rate.into();
    if row.at.is_none()
        && let Some(percent) = progress.percent()
    {
        let left = progress.about.saturating_sub(progress.rows);
        json["about"] = progress.about.max(progress.rows).into();
        json["percent"] = percent.into();
        json["seconds_left"] = left.div_ceil(rate.max(1)).into();
    }
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            table: "orders".to_string(),
            until: Some("10".to_string()),
            rows: 500,
            about: 2000,
            size: 100,
            ..Progress::default()
        }
    }

    #[test]
    fn a_row_keeps_the_whole_progress() {
        let progress = Progress {
            after: Some("a\"b".to_string()),
            lag: "no standby".to_string(),
            ..progress()
        };
        assert_eq!(Progress::read(Some(&progress.to_row())), Some(progress));
        assert_eq!(Progress::read(None), None);
        assert_eq!(Progress::read(Some("{}")), None);
    }

    #[test]
    fn a_reply_has_the_share_the_rate_and_the_time_that_is_left() {
        let mut row = Applied {
            version: "1".to_string(),
            name: String::new(),
            sha256: String::new(),
            ms: 5000,
            statements: 0,
            begun: false,
            run: String::new(),
            remembered: String::new(),
            progress: Some(progress().to_row()),
            at: None,
        };
        let json = to_json(&row).expect("it runs in batches");
        assert_eq!(json["percent"], 25);
        assert_eq!(json["rows_per_second"], 100);
        assert_eq!(json["seconds_left"], 15);
        row.at = Some("2026-01-31 23:59:59".to_string());
        assert_eq!(to_json(&row).expect("it ran")["percent"], Value::Null);
        row.progress = None;
        assert_eq!(to_json(&row), None);
    }

    #[test]
    fn statistics_that_are_too_low_never_say_that_all_is_done() {
        let progress = Progress {
            rows: 5000,
            ..progress()
        };
        assert_eq!(progress.percent(), Some(99));
        assert_eq!(Progress::default().percent(), None);
    }
}
