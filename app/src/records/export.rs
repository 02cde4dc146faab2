//! A selection as a file: CSV (RFC 4180) or JSON, as much of it as a reply can hold.
//!
//! A text that a spreadsheet would take for a formula has an apostrophe before it in CSV (OWASP,
//! "CSV Injection"); JSON has every value as it is.

use super::list::{fetch, orders};
use super::selection::{Cursor, Selection};
use super::values;
use crate::catalogue::{Column, Kind, Table};
use crate::database::{Row, Transaction};

/// Rows that are asked for at a time.
const BATCH: usize = 1000;

/// What a file is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Values with commas between them, the columns' names first; NULL is empty, an empty text `""`.
    Csv,
    /// An array of objects.
    Json,
}

/// A file.
#[derive(Debug)]
pub struct Export {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// How many rows that are.
    pub rows: usize,
    /// Where the next file begins; `None` when this one has the last row.
    pub next: Option<Cursor>,
}

/// Writes rows until there are no more, or `limit` bytes are reached.
///
/// # Errors
/// Postgres's own; of class 22 when a filter's value is none of its column.
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
        let last = rows.len() < BATCH;
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
        if last {
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
    fn a_field_is_quoted_where_it_has_to_be_and_no_formula() {
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
