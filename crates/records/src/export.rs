//! Writes a selection as a file of limited size: CSV (RFC 4180) or JSON.
//!
//! In CSV, a text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP,
//! "CSV Injection"); in JSON every value is unchanged. Knows no page.

use super::list::{fetch, orders};
use super::selection::{Cursor, Selection};
use super::values;
use crate::catalog::{Column, Kind, Table};
use database::{Row, Transaction};

/// The number of rows that one statement reads.
const BATCH: usize = 1000;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A line with the names of the columns, then a line for each row. NULL is empty, and an empty
    /// text is `""`.
    Csv,
    /// An array of objects.
    Json,
}

/// A file.
#[derive(Debug)]
pub struct Export {
    /// The content of the file.
    pub bytes: Vec<u8>,
    /// The number of rows in the file.
    pub rows: usize,
    /// The place where the next file begins; `None` when this file has the last row.
    pub next: Option<Cursor>,
}

/// Writes rows up to the last row, or up to `limit` bytes. The first row and the end of a JSON
/// array are written even if they exceed the limit.
///
/// # Errors
/// Postgres's; of class 22 when the value of a filter is not a value of its column.
pub fn write(
    transaction: &mut Transaction,
    table: &Table,
    selection: &Selection,
    format: Format,
    limit: usize,
) -> Result<Export, postgres::Error> {
    let orders = orders(table, selection.sort);
    let expressions = expressions(table, format);
    let mut selection = selection.clone();
    let mut export = Export {
        bytes: head(table, format),
        rows: 0,
        next: None,
    };
    'all: loop {
        let rows = fetch(transaction, table, &selection, &orders, &expressions, BATCH)?;
        let is_last_batch = rows.len() < BATCH;
        for mut row in rows {
            let place = row.split_off(row.len() - orders.len());
            row.truncate(expressions.len());
            let line = line(table, format, &row, export.rows == 0);
            if export.rows > 0 && export.bytes.len() + line.len() > limit {
                export.next.clone_from(&selection.cursor);
                break 'all;
            }
            export.bytes.extend_from_slice(line.as_bytes());
            export.rows += 1;
            selection.cursor = Some(Cursor {
                backwards: false,
                place: values::encode(place.iter().map(Option::as_deref)),
            });
        }
        if is_last_batch {
            break;
        }
    }
    if format == Format::Json {
        export.bytes.extend_from_slice(b"\n]\n");
    }
    Ok(export)
}

fn expressions(table: &Table, format: Format) -> Vec<String> {
    let names = table
        .columns
        .iter()
        .map(|column| format!("t.{}", column.sql()));
    match format {
        Format::Csv => names.map(|name| format!("{name}::text")).collect(),
        Format::Json => {
            let names: Vec<String> = names.collect();
            let row = format!(
                "SELECT row_to_json(r.*) FROM (SELECT {}) r",
                names.join(", ")
            );
            vec![format!("({row})::text")]
        }
    }
}

fn head(table: &Table, format: Format) -> Vec<u8> {
    let head = match format {
        Format::Csv => {
            let names: Vec<String> = table
                .columns
                .iter()
                .map(|column| quoted(&column.name))
                .collect();
            names.join(",") + "\r\n"
        }
        Format::Json => "[\n".to_string(),
    };
    head.into_bytes()
}

fn line(table: &Table, format: Format, row: &Row, first: bool) -> String {
    match format {
        Format::Csv => {
            let values = row.iter().zip(&table.columns);
            let values: Vec<String> = values.map(|(value, column)| field(value, column)).collect();
            values.join(",") + "\r\n"
        }
        Format::Json => {
            let object = row[0].as_deref().unwrap_or("null");
            let comma = if first { "" } else { ",\n" };
            format!("{comma}{object}")
        }
    }
}

fn field(value: &Option<String>, column: &Column) -> String {
    let is_text = matches!(column.kind, Kind::Text | Kind::Other | Kind::Json);
    match value.as_deref() {
        None => String::new(),
        Some("") => "\"\"".to_string(),
        Some(text) if is_text && text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
            quoted(&format!("'{text}"))
        }
        Some(text) => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\r', '\n']) || text.trim() != text {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_needed_and_is_never_a_formula() {
        let check = |value: Option<&str>, kind: Kind, expected: &str| {
            let column = Column {
                kind,
                ..Column::default()
            };
            assert_eq!(field(&value.map(str::to_string), &column), expected);
        };
        check(None, Kind::Text, "");
        check(Some(""), Kind::Text, "\"\"");
        check(Some("plain"), Kind::Text, "plain");
        check(Some("a,b"), Kind::Text, "\"a,b\"");
        check(Some("say \"x\"\n"), Kind::Text, "\"say \"\"x\"\"\n\"");
        check(Some("=1+1"), Kind::Text, "'=1+1");
        check(Some("-5"), Kind::Number, "-5");
        check(Some(" a"), Kind::Text, "\" a\"");
    }
}
