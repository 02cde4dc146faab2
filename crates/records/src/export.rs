//! Writes a selection as a file of limited size: CSV (RFC 4180) or JSON.
//!
//! In CSV, a text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP,
//! "CSV Injection"); in JSON every value is unchanged. Rows are read by their size, so that the
//! memory holds a file and not a thousand large rows. Knows no page.

use super::large::{MAX_ROW, value_length, whole_row};
use super::list::{fetch, orders};
use super::selection::{Cursor, Selection};
use super::values;
use crate::catalog::{Column, Kind, Table};
use database::{Row, Transaction};
use std::borrow::Cow;

/// The number of rows that the first statement looks at, and that each further one looks at at
/// most.
const FIRST_BATCH: usize = 50;
const BATCH: usize = 1000;

/// The words after the size of a value that is too long for a file.
const LEFT_OUT: &str = "bytes, too many for an export";

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
    /// Whether a row was changed or deleted while the file was written, so that the rest of the
    /// list is not known.
    pub is_lost: bool,
}

/// Writes rows up to the last row, or up to `limit` bytes. The first row and the end of a JSON
/// array are written even if they exceed the limit. A row whose text has more than a megabyte has
/// the sizes of its long values in place of them.
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
    let size = [format!("octet_length({}::text)::text", whole_row(table))];
    let mut selection = selection.clone();
    let mut export = Export {
        bytes: head(table, format),
        rows: 0,
        next: None,
        is_lost: false,
    };
    let mut batch = FIRST_BATCH;
    'all: loop {
        let sizes = fetch(transaction, table, &selection, &orders, &size, batch)?;
        export.is_lost |= sizes.is_lost;
        let is_last_batch = sizes.rows.len() < batch;
        let sizes: Vec<usize> = sizes.rows.iter().map(|row| number(&row[0])).collect();
        let room = limit.saturating_sub(export.bytes.len());
        let count = fitting(&sizes, room);
        if count == 0 {
            break;
        }
        let is_large = sizes[0] > MAX_ROW;
        let expressions = expressions(table, format, is_large);
        let fetched = fetch(transaction, table, &selection, &orders, &expressions, count)?;
        export.is_lost |= fetched.is_lost;
        for mut row in fetched.rows {
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
        if is_last_batch && count == sizes.len() {
            break;
        }
        let average = sizes.iter().map(|size| size.min(&MAX_ROW)).sum::<usize>() / sizes.len();
        batch = (room / average.max(1)).clamp(1, BATCH);
    }
    if format == Format::Json {
        export.bytes.extend_from_slice(b"\n]\n");
    }
    Ok(export)
}

fn number(text: &Option<String>) -> usize {
    let text = text.as_deref().unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// Returns how many of the first rows are read by one statement: those that fit into `room`, and one
/// more, which ends the file; up to the first that is large where the others are not, or the other
/// way round, because large rows are read in another way.
fn fitting(sizes: &[usize], room: usize) -> usize {
    let mut sum = 0;
    let fits = |size: &&usize| {
        let is_next = sum == 0 || (sum <= room && (**size > MAX_ROW) == (sizes[0] > MAX_ROW));
        sum += (**size).clamp(1, MAX_ROW);
        is_next
    };
    sizes.iter().take_while(fits).count()
}

/// Returns the values of a row in SQL; of a large row, with sizes in place of long values.
fn expressions(table: &Table, format: Format, is_large: bool) -> Vec<String> {
    let length = value_length(table);
    let values = table.columns.iter().map(|column| {
        let name = format!("t.{}", column.sql());
        let size = format!("octet_length({name}::text)");
        match format {
            _ if column.is_secret => column.masked(),
            Format::Csv if !is_large || column.is_short() => format!("{name}::text"),
            Format::Json if !is_large || column.is_short() => name,
            Format::Csv => format!(
                "CASE WHEN {size} <= {length} THEN {name}::text ELSE {size} || ' {LEFT_OUT}' END"
            ),
            Format::Json => format!(
                "CASE WHEN {size} <= {length} THEN to_json({name}) \
                 ELSE to_json({size} || ' {LEFT_OUT}') END"
            ),
        }
    });
    match format {
        Format::Csv => values.collect(),
        Format::Json => {
            let names = table.columns.iter().map(Column::sql);
            let values: Vec<String> = values
                .zip(names)
                .map(|(value, name)| format!("{value} AS {name}"))
                .collect();
            let row = format!(
                "SELECT row_to_json(r.*) FROM (SELECT {}) r",
                values.join(", ")
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
                .map(|column| quoted(&harmless(&column.name)))
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
    match value.as_deref() {
        None => String::new(),
        Some("") => "\"\"".to_string(),
        Some(text) => match column.kind {
            Kind::Boolean | Kind::Number | Kind::Date | Kind::Time | Kind::Bytes => quoted(text),
            Kind::Text | Kind::Json | Kind::Enum(_) | Kind::Other => quoted(&harmless(text)),
        },
    }
}

/// Puts an apostrophe before each character that begins a formula where a cell may begin: at the
/// beginning, and after a character that some reader takes for the end of a cell, whether the field
/// is quoted or not. Excel ends a cell at a semicolon in the countries where the comma is in numbers.
fn harmless(text: &str) -> Cow<'_, str> {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    const END_OF_CELL: [char; 4] = [';', '\t', '\r', '\n'];
    let mut harmless = String::new();
    let (mut copied, mut may_begin) = (0, true);
    for (at, character) in text.char_indices() {
        // A tab or a carriage return at the beginning is left out by some readers.
        let is_blank = at == 0 && matches!(character, '\t' | '\r');
        if may_begin && (FORMULA.contains(&character) || is_blank) {
            harmless.push_str(&text[copied..at]);
            harmless.push('\'');
            copied = at;
        }
        may_begin = END_OF_CELL.contains(&character)
            || (may_begin && matches!(character, ' ' | '"' | '\'' | '\0'));
    }
    match copied == 0 && harmless.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(harmless + &text[copied..]),
    }
}

fn quoted(text: &str) -> String {
    match text.contains(['"', ',', ';', '\t', '\r', '\n']) || text.trim() != text {
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
        check(Some("-5"), Kind::Text, "'-5");
        check(Some("＝1+1"), Kind::Text, "'＝1+1");
        check(Some("safe;=1+1"), Kind::Text, "\"safe;'=1+1\"");
        check(Some("safe; \"=1+1"), Kind::Text, "\"safe; \"\"'=1+1\"");
        check(Some("a\t@b\n+c"), Kind::Text, "\"a\t'@b\n'+c\"");
        check(Some("a,=1"), Kind::Text, "\"a,=1\"");
        check(Some("\tx"), Kind::Text, "\"'\tx\"");
        check(Some(" =1"), Kind::Text, "\" '=1\"");
        check(Some("1=1, a-b"), Kind::Text, "\"1=1, a-b\"");
    }

    #[test]
    fn rows_are_read_until_the_file_is_full_and_a_large_one_by_itself() {
        assert_eq!(fitting(&[], 10), 0);
        assert_eq!(fitting(&[4, 4, 4, 4, 4], 10), 3);
        assert_eq!(fitting(&[20, 20], 10), 1);
        assert_eq!(fitting(&[1, 1], 10), 2);
        assert_eq!(fitting(&[1, MAX_ROW + 1, 1], 10), 1);
        assert_eq!(fitting(&[MAX_ROW + 1, 1], 10), 1);
        assert_eq!(fitting(&[9 * MAX_ROW; 9], 3 * MAX_ROW), 4);
        assert_eq!(fitting(&[5, 5], 0), 1);
    }
}
