//! A value as a page shows it: NULL, a time, a choice, a way to what it refers to, or its text.

use crate::catalogue::{Catalogue, Column, ForeignKey, Kind, Table};
use crate::records::labels::{Labels, reference};
use crate::records::{Selection, values};
use askama::Template;

/// A value.
#[derive(Debug, Default, Template)]
#[template(path = "cell.html")]
pub struct Shown {
    /// `None` is NULL.
    pub text: Option<String>,
    /// Where it leads.
    pub href: Option<String>,
    /// The value itself, where `text` is what it refers to.
    pub value: Option<String>,
    /// The same time for a machine.
    pub datetime: Option<String>,
    /// Whether it is one of a few choices.
    pub is_choice: bool,
    /// Whether it is code, such as JSON, on lines of its own.
    pub is_code: bool,
    /// Whether there is more of it.
    pub cut: bool,
}

/// A row's value of a column.
pub fn shown(table: &Table, at: usize, row: &[Option<&str>]) -> Shown {
    let column = &table.columns[at];
    let Some(text) = row[at] else {
        return Shown::default();
    };
    let datetime = (column.kind == Kind::Time)
        .then(|| datetime(text))
        .flatten();
    Shown {
        text: Some(match &datetime {
            Some(datetime) => datetime.trim_end_matches('Z').replace('T', " "),
            None => words(column, text),
        }),
        is_choice: matches!(column.kind, Kind::Enum(_) | Kind::Boolean),
        datetime,
        ..Shown::default()
    }
}

/// The same, with what it refers to.
pub fn linked(
    catalogue: &Catalogue,
    table: &Table,
    at: usize,
    row: &[Option<&str>],
    labels: &Labels,
) -> Shown {
    let mut shown = shown(table, at, row);
    let mut keys = table.foreign_keys.iter().enumerate();
    let Some((index, key)) = keys.find(|(_, key)| key.columns.first() == Some(&at)) else {
        return shown;
    };
    let Some(reference) = reference(key, row) else {
        return shown;
    };
    shown.href = catalogue
        .by_oid(&key.table)
        .and_then(|target| href(key, target, row));
    let mut labels = labels.iter();
    let label = labels.find(|(key, values, _)| *key == index && *values == reference);
    if let Some((_, _, label)) = label {
        shown.value = shown.text.replace(label.clone());
    }
    shown
}

/// The page of the row that is referred to; the list of it, when that is not by its key.
fn href(key: &ForeignKey, target: &Table, row: &[Option<&str>]) -> Option<String> {
    let value = |name: &str| {
        let at = key.to.iter().position(|to| to == name)?;
        row[key.columns[at]]
    };
    let by_key: Option<Vec<&str>> = target
        .key_columns()
        .map(|column| value(&column.name))
        .collect();
    match by_key {
        Some(values) if !values.is_empty() => Some(row_path(target, values.into_iter().map(Some))),
        _ => {
            let columns = key.to.iter().map(|to| target.column(to));
            let columns: Vec<usize> = columns.collect::<Option<_>>()?;
            let values = key.columns.iter().map(|&at| row[at].map(str::to_string));
            let selection = Selection::of_values(columns.into_iter().zip(values));
            Some(list_path(target, &selection.query(target, None)))
        }
    }
}

/// The address of a table's list.
pub fn list_path(table: &Table, query: &str) -> String {
    let path = table_path(table, "");
    match query {
        "" => path,
        query => format!("{path}?{query}"),
    }
}

/// An address below a table's list.
pub fn table_path(table: &Table, rest: &str) -> String {
    let [schema, name] = [&table.schema, &table.name].map(|name| values::encode([Some(&**name)]));
    format!("/tables/{schema}/{name}{rest}")
}

/// The address of a row.
pub fn row_path<'a>(table: &Table, key: impl IntoIterator<Item = Option<&'a str>>) -> String {
    table_path(table, &format!("/row/{}", values::encode(key)))
}

fn words(column: &Column, text: &str) -> String {
    match (&column.kind, text) {
        (Kind::Boolean, "true") => "yes".to_string(),
        (Kind::Boolean, "false") => "no".to_string(),
        _ => text.to_string(),
    }
}

/// A time in UTC as HTML wants it; `None` for `infinity`, and years that HTML does not know.
fn datetime(text: &str) -> Option<String> {
    let utc = text.strip_suffix("+00")?;
    let (date, time) = utc.split_once(' ')?;
    let seconds = time.get(..8)?;
    (date.len() == 10).then(|| format!("{date}T{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_to_the_second_and_infinity_as_it_is() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(datetime(text).as_deref(), expected, "{text}");
        };
        check(
            "2026-01-02 03:04:05.678901+00",
            Some("2026-01-02T03:04:05Z"),
        );
        check("2026-01-02 03:04:05+00", Some("2026-01-02T03:04:05Z"));
        check("infinity", None);
        check("0044-03-15 12:00:00+00 BC", None);
        check("12026-01-02 03:04:05+00", None);
    }
}
