//! Reads one row by its key, with complete values.
//!
//! Knows no page.

use super::list::whole_row;
use super::sql::Sql;
use crate::catalog::{Column, Kind, Table};
use database::Transaction;

/// The size up to which a `bytea` is read, and can be edited.
const MAX_BYTEA: usize = 512;

/// A row.
#[derive(Debug, Clone)]
pub struct Record {
    /// The value of each column; `None` for NULL.
    pub values: Vec<Option<String>>,
    /// For each column, whether `values` has the value itself: it has the size of a large `bytea`.
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
    let mut columns: Vec<String> = table.columns.iter().map(value_expression).collect();
    columns.push(format!("md5({}::text)", whole_row(table)));
    let mut sql = Sql::new(format!(
        "SELECT {} FROM {} t WHERE ",
        columns.join(", "),
        table.sql()
    ));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&condition);
    if lock {
        sql.push(" FOR UPDATE");
    }
    let row = sql.rows(transaction)?.into_iter().next();
    Ok(row.map(|mut values| {
        let version = values.pop().flatten().unwrap_or_default();
        let is_complete = |(value, column): (&Option<String>, &Column)| {
            let text = value.as_deref().unwrap_or_default();
            column.kind != Kind::Bytes || text.is_empty() || text.starts_with("\\x")
        };
        let complete = values.iter().zip(&table.columns).map(is_complete).collect();
        Record {
            values,
            complete,
            version,
        }
    }))
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

fn value_expression(column: &Column) -> String {
    let name = column.sql();
    match column.kind {
        Kind::Bytes => format!(
            "CASE WHEN octet_length(t.{name}) <= {MAX_BYTEA} THEN t.{name}::text \
             ELSE octet_length(t.{name}) || ' bytes' END"
        ),
        _ => format!("t.{name}::text"),
    }
}
