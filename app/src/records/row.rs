//! One row, found by its key, with its whole values.

use super::list::whole_row;
use super::sql::Sql;
use crate::catalogue::{Column, Kind, Table};
use crate::database::Transaction;

/// Bytes of a `bytea` that are shown, and can be edited.
const BYTES_SHOWN: usize = 512;

/// A row.
#[derive(Debug, Clone)]
pub struct Record {
    /// A value for each column; `None` is NULL.
    pub values: Vec<Option<String>>,
    /// For each column, whether `values` has all of it: a large `bytea` is there as its size.
    pub whole: Vec<bool>,
    /// Another one when the row has changed.
    pub version: String,
}

/// The row with this key; `None` when there is none. `lock` keeps others from changing it.
///
/// # Errors
/// Postgres's own; of class 22 when a value cannot be one of the key's.
pub fn find(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    lock: bool,
) -> Result<Option<Record>, postgres::Error> {
    if table.key.is_empty() || key.len() != table.key.len() {
        return Ok(None);
    }
    let mut columns: Vec<String> = table.columns.iter().map(expression).collect();
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
        let is_whole = |(value, column): (&Option<String>, &Column)| {
            let text = value.as_deref().unwrap_or_default();
            column.kind != Kind::Bytes || text.is_empty() || text.starts_with("\\x")
        };
        let whole = values.iter().zip(&table.columns).map(is_whole).collect();
        Record {
            values,
            whole,
            version,
        }
    }))
}

impl Record {
    /// What a person calls it: its label, else its table and key.
    pub fn title(&self, table: &Table) -> String {
        let label = table.label().and_then(|column| self.values[column].clone());
        let key = || {
            let values = table
                .key
                .iter()
                .map(|&column| self.values[column].as_deref());
            let values: Vec<&str> = values.map(Option::unwrap_or_default).collect();
            format!("{} {}", table.name, values.join(", "))
        };
        label
            .filter(|label| !label.trim().is_empty())
            .unwrap_or_else(key)
    }

    /// The values of its key.
    pub fn key(&self, table: &Table) -> Vec<Option<String>> {
        table
            .key
            .iter()
            .map(|&column| self.values[column].clone())
            .collect()
    }
}

fn expression(column: &Column) -> String {
    let name = column.sql();
    match column.kind {
        Kind::Bytes => format!(
            "CASE WHEN octet_length(t.{name}) <= {BYTES_SHOWN} THEN t.{name}::text \
             ELSE octet_length(t.{name}) || ' bytes' END"
        ),
        _ => format!("t.{name}::text"),
    }
}
