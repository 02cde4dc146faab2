//! A value as a page shows it: as text, a time, a choice, or a link to the row that it refers to.
//!
//! Also makes the addresses of tables and rows. Asks the database for nothing.

use askama::Template;
use records::catalog::{Catalog, Column, ForeignKey, Kind, Table};
use records::labels::{Labels, reference};
use records::{Selection, values};

/// A value as a page shows it.
#[derive(Debug, Default, Template)]
#[template(path = "value.html")]
pub(crate) struct DisplayValue {
    /// The text; `None` is NULL.
    pub text: Option<String>,
    /// The address that the text links to.
    pub href: Option<String>,
    /// The column's value, where `text` is the label of the row that the value refers to.
    pub value: Option<String>,
    /// The time for HTML's attribute `datetime`.
    pub datetime: Option<String>,
    /// Whether the value is one of a few, as of a boolean or an enum.
    pub is_choice: bool,
    /// Whether the value is shown as code on lines of its own, such as JSON.
    pub is_code: bool,
    /// Whether `text` is only the beginning of the value.
    pub cut: bool,
}

/// Returns the value of a row in the column `at`.
pub(crate) fn display_value(table: &Table, at: usize, row: &[Option<&str>]) -> DisplayValue {
    let column = &table.columns[at];
    let Some(text) = row[at] else {
        return DisplayValue::default();
    };
    let datetime = (column.kind == Kind::Time)
        .then(|| datetime(text))
        .flatten();
    DisplayValue {
        text: Some(match &datetime {
            Some(datetime) => datetime.trim_end_matches('Z').replace('T', " "),
            None => words(column, text),
        }),
        is_choice: matches!(column.kind, Kind::Enum(_) | Kind::Boolean),
        datetime,
        ..DisplayValue::default()
    }
}

/// Returns the value of a row in the column `at`, with a link to the row that it refers to, and
/// with that row's label if `labels` has it.
pub(crate) fn linked(
    catalog: &Catalog,
    table: &Table,
    at: usize,
    row: &[Option<&str>],
    labels: &Labels,
) -> DisplayValue {
    let mut shown = display_value(table, at, row);
    let mut keys = table.foreign_keys.iter().enumerate();
    let Some((index, key)) = keys.find(|(_, key)| key.columns.first() == Some(&at)) else {
        return shown;
    };
    let Some(reference) = reference(key, row) else {
        return shown;
    };
    shown.href = catalog
        .by_oid(&key.table)
        .and_then(|target| href(key, target, row));
    let mut labels = labels.iter();
    let label = labels.find(|(key, values, _)| *key == index && *values == reference);
    if let Some((_, _, label)) = label {
        shown.value = shown.text.replace(label.clone());
    }
    shown
}

/// Returns the address of the row that a foreign key refers to: of its page, or, when the foreign
/// key does not refer to the key of `target`, of the list with that row only.
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

/// Returns the address of a table's list.
pub(crate) fn list_path(table: &Table, query: &str) -> String {
    let path = table_path(table, "");
    match query {
        "" => path,
        query => format!("{path}?{query}"),
    }
}

/// Returns an address below a table's list; `rest` begins with a slash, or is empty.
pub(crate) fn table_path(table: &Table, rest: &str) -> String {
    let [schema, name] = [&table.schema, &table.name].map(|name| values::encode([Some(&**name)]));
    format!("/tables/{schema}/{name}{rest}")
}

/// Returns the address of a row.
pub(crate) fn row_path<'a>(
    table: &Table,
    key: impl IntoIterator<Item = Option<&'a str>>,
) -> String {
    table_path(table, &format!("/row/{}", values::encode(key)))
}

/// Returns the text for a user: `yes` or `no` for a boolean.
fn words(column: &Column, text: &str) -> String {
    match (&column.kind, text) {
        (Kind::Boolean, "true") => "yes".to_string(),
        (Kind::Boolean, "false") => "no".to_string(),
        _ => text.to_string(),
    }
}

/// Converts a time of Postgres in UTC to the form that HTML has; `None` for `infinity`, and for a
/// year that has not four digits.
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
    fn a_time_is_converted_to_the_second_and_infinity_is_not() {
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
