//! Reads one row by its key: with complete values, if it is not a large one.
//!
//! Knows no page.

use super::large::{MAX_ROW, row_text, value_length};
use super::sql::Sql;
use crate::catalog::{Kind, Table};
use database::Transaction;

/// The size up to which a `bytea` is read, and can be edited.
const MAX_BYTEA: usize = 512;

/// The number of characters of a title, as of a label.
const TITLE_LENGTH: usize = 80;

/// A row.
#[derive(Debug, Clone)]
pub struct Record {
    /// The value of each column; `None` for NULL.
    pub values: Vec<Option<String>>,
    /// For each column, whether `values` has the value itself: it has the size of a large `bytea`,
    /// and of a large row the beginnings of the long values.
    pub complete: Vec<bool>,
    /// A hash of the row, which differs when the row has changed.
    pub version: String,
}

/// Reads the row with a key; `None` when there is none. With `lock`, nobody else can change the row
/// until the transaction ends.
///
/// # Errors
/// Postgres's; of class 22 when a value is not a value of the key's column.
pub fn find(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    lock: bool,
) -> Result<Option<Record>, postgres::Error> {
    if table.key.is_empty() || key.len() != table.key.len() {
        return Ok(None);
    }
    let mut columns: Vec<String> = (0..table.columns.len())
        .map(|at| value_expression(table, at))
        .collect();
    columns.push("octet_length(w.text)::text".to_string());
    columns.push(version(table));
    let mut sql = Sql::new(format!(
        "SELECT {} FROM {} t CROSS JOIN LATERAL {} w WHERE ",
        columns.join(", "),
        table.sql(),
        row_text(table)
    ));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&condition);
    if lock {
        sql.push(" FOR UPDATE OF t");
    }
    let row = sql.rows(transaction)?.into_iter().next();
    Ok(row.map(|values| record(table, values)))
}

/// Makes a record of the values, the size of the row's text, and the version.
fn record(table: &Table, mut values: Vec<Option<String>>) -> Record {
    let version = values.pop().flatten().unwrap_or_default();
    let size = values.pop().flatten().and_then(|size| size.parse().ok());
    let is_large = size.is_some_and(|size: usize| size > MAX_ROW);
    let length = value_length(table);
    let mut complete = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let text = values[at].as_deref().unwrap_or_default();
        let end = text.char_indices().nth(length).map(|(end, _)| end);
        let end = end.filter(|_| is_large && !table.key.contains(&at));
        complete.push(match column.kind {
            Kind::Bytes if !column.is_secret => text.is_empty() || text.starts_with("\\x"),
            _ => end.is_none(),
        });
        if let (Some(end), Some(text)) = (end, &mut values[at]) {
            text.truncate(end);
        }
    }
    Record {
        values,
        complete,
        version,
    }
}

impl Record {
    /// Returns the title for a person: the label, else the name of the table and the key.
    pub fn title(&self, table: &Table) -> String {
        let label = table.label().and_then(|column| self.values[column].clone());
        let table_and_key = || {
            let values = table
                .key
                .iter()
                .map(|&column| self.values[column].as_deref());
            let values: Vec<&str> = values.map(Option::unwrap_or_default).collect();
            format!("{} {}", table.name, values.join(", "))
        };
        label
            .filter(|label| !label.trim().is_empty())
            .unwrap_or_else(table_and_key)
            .chars()
            .take(TITLE_LENGTH)
            .collect()
    }

    /// Returns the values of the key.
    pub fn key(&self, table: &Table) -> Vec<Option<String>> {
        table
            .key
            .iter()
            .map(|&column| self.values[column].clone())
            .collect()
    }
}

/// Returns the row's version in SQL. It is no hash of hidden values, which may be so short that they
/// are guessed from one.
fn version(table: &Table) -> String {
    if !table.columns.iter().any(|column| column.is_secret) {
        return "md5(w.text)".to_string();
    }
    let shown = table.columns.iter().filter(|column| !column.is_secret);
    let shown: Vec<String> = shown.map(|column| format!("t.{}", column.sql())).collect();
    format!("md5(ROW({})::text)", shown.join(", "))
}

fn value_expression(table: &Table, at: usize) -> String {
    let column = &table.columns[at];
    let name = column.sql();
    match column.kind {
        _ if column.is_secret => column.masked(),
        Kind::Bytes => format!(
            "CASE WHEN octet_length(t.{name}) <= {MAX_BYTEA} THEN t.{name}::text \
             ELSE octet_length(t.{name}) || ' bytes' END"
        ),
        _ if column.is_short() || table.key.contains(&at) => format!("t.{name}::text"),
        _ => format!(
            "CASE WHEN octet_length(w.text) <= {MAX_ROW} THEN t.{name}::text \
             ELSE left(t.{name}::text, {}) END",
            value_length(table) + 1
        ),
    }
}
