//! A row added, changed, deleted. Nothing is overwritten unseen: whoever changes a row says which
//! version was looked at.
//!
//! A form has a field `v:<column>` for a value, and `n:<column>` when there shall be none: NULL, or
//! in a new row the column's default. A value beats its absence. An empty value of a type that has
//! no empty text is its absence, too.

use super::refusal::{self, Refusal};
use super::row::{self, Record};
use super::sql::Sql;
use crate::Failure;
use crate::catalogue::{Column, Kind, Table};
use crate::database::{Transaction, failed};

/// What came of a change.
#[derive(Debug)]
pub enum Outcome {
    /// It is made, if the transaction is committed.
    Done(Change),
    /// There was nothing to change.
    Same,
    /// Postgres refuses it.
    Refused(Refusal),
    /// Somebody else was faster: this is the row now.
    Meanwhile(Record),
    /// The row is not there any more.
    Gone,
}

/// A change, for the audit.
#[derive(Debug)]
pub struct Change {
    /// The row's key: the new one, when it is changed.
    pub key: Vec<Option<String>>,
    /// The row before, as a JSON object; `None` when it is new.
    pub before: Option<String>,
    /// The row after; `None` when it is deleted.
    pub after: Option<String>,
}

/// What a form says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    Absent,
    /// That there shall be no value.
    Nothing,
    /// A value.
    Value(String),
}

/// What a form says of each column.
pub fn inputs(table: &Table, form: &[(String, String)]) -> Vec<Input> {
    let columns = table.columns.iter();
    { columns }.map(|column| input(column, form)).collect()
}

/// Adds a row.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`.
pub fn insert(
    transaction: &mut Transaction,
    table: &Table,
    inputs: &[Input],
) -> Result<Outcome, Failure> {
    let mut sql = Sql::new(format!("INSERT INTO {} AS t ", table.sql()));
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for (column, input) in table.columns.iter().zip(inputs) {
        if let (true, Input::Value(value)) = (column.may_insert, input) {
            names.push(column.sql());
            values.push(sql.bind_new(Some(value), column));
        }
    }
    match names.is_empty() {
        true => sql.push("DEFAULT VALUES"),
        false => sql.push(&format!(
            "({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        )),
    }
    run(transaction, table, sql, inputs, None)
}

/// Changes the row of this key, if it still has this version: only what is not as it was.
///
/// # Errors
/// As `insert`.
pub fn update(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    version: &str,
    inputs: &[Input],
) -> Result<Outcome, Failure> {
    let record = match locked(transaction, table, key, version)? {
        Ok(record) => record,
        Err(outcome) => return Ok(outcome),
    };
    let mut sql = Sql::new(format!("UPDATE {} AS t SET ", table.sql()));
    let mut changes = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        if !column.may_update || !record.whole[at] {
            continue;
        }
        if let Some(value) = new_value(record.values[at].as_deref(), &inputs[at]) {
            let value = sql.bind_new(value.as_deref(), column);
            changes.push(format!("{} = {value}", column.sql()));
        }
    }
    if changes.is_empty() {
        return Ok(Outcome::Same);
    }
    sql.push(&changes.join(", "));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&format!(" WHERE {condition}"));
    run(transaction, table, sql, inputs, Some(key))
}

/// Deletes the row of this key, if it still has this version.
///
/// # Errors
/// As `insert`.
pub fn delete(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    version: &str,
) -> Result<Outcome, Failure> {
    if let Err(outcome) = locked(transaction, table, key, version)? {
        return Ok(outcome);
    }
    let mut sql = Sql::new(format!("DELETE FROM {} AS t WHERE ", table.sql()));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&condition);
    let outcome = run(transaction, table, sql, &[], Some(key))?;
    Ok(match outcome {
        Outcome::Done(change) => Outcome::Done(Change {
            key: key.to_vec(),
            after: None,
            ..change
        }),
        other => other,
    })
}

fn input(column: &Column, form: &[(String, String)]) -> Input {
    let field = |prefix: &str| {
        let mut fields = form.iter();
        fields.find(|(name, _)| name.strip_prefix(prefix) == Some(&column.name))
    };
    let has_empty = column.kind == Kind::Text;
    match (field("v:"), field("n:")) {
        (Some((_, value)), _) if !value.is_empty() => Input::Value(value.clone()),
        (_, Some(_)) => Input::Nothing,
        (Some(_), None) if has_empty => Input::Value(String::new()),
        (Some(_), None) => Input::Nothing,
        (None, None) => Input::Absent,
    }
}

/// What a column is to become, if anything else. A browser sends each line's end as CR LF.
fn new_value(now: Option<&str>, input: &Input) -> Option<Option<String>> {
    let wanted = match input {
        Input::Absent => return None,
        Input::Nothing => None,
        Input::Value(value) if now.is_some_and(|now| now.contains("\r\n")) => Some(value.clone()),
        Input::Value(value) => Some(value.replace("\r\n", "\n")),
    };
    let same = match (now, wanted.as_deref()) {
        (Some(now), Some(wanted)) => now.replace("\r\n", "\n") == wanted.replace("\r\n", "\n"),
        (now, wanted) => now == wanted,
    };
    (!same).then_some(wanted)
}

/// The row, which nobody else changes until the transaction ends.
fn locked(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    version: &str,
) -> Result<Result<Record, Outcome>, Failure> {
    let found = transaction.attempt(|transaction| row::find(transaction, table, key, true))?;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let refusal = refusal::of(table, &error).ok_or_else(|| failed(error))?;
            return Ok(Err(Outcome::Refused(refusal)));
        }
    };
    Ok(match found {
        None => Err(Outcome::Gone),
        Some(record) if record.version != version => Err(Outcome::Meanwhile(record)),
        Some(record) => Ok(record),
    })
}

/// Runs a change, and has deferred constraints speak now, while their field can still be shown.
fn run(
    transaction: &mut Transaction,
    table: &Table,
    mut sql: Sql,
    inputs: &[Input],
    key: Option<&[Option<String>]>,
) -> Result<Outcome, Failure> {
    let before = match key {
        Some(key) => json(transaction, table, key).map_err(failed)?,
        None => None,
    };
    sql.push(&format!(" RETURNING {}", returned(table)));
    let changed = transaction.attempt(|transaction| {
        let rows = sql.rows(transaction)?;
        transaction.execute("SET CONSTRAINTS ALL IMMEDIATE")?;
        Ok(rows)
    });
    let (row, more) = match changed? {
        Ok(rows) => {
            let mut rows = rows.into_iter();
            (rows.next(), rows.next())
        }
        Err(error) => {
            let refusal = refusal::of_values(transaction, table, inputs, error)?;
            return Ok(Outcome::Refused(refusal));
        }
    };
    let Some(mut row) = row else {
        return Ok(Outcome::Gone);
    };
    if more.is_some() {
        return Ok(Outcome::Refused(Refusal {
            fields: Vec::new(),
            general: Some(
                "More than one row has this key: a table inherits from this one.".to_string(),
            ),
        }));
    }
    let after = row.remove(0);
    Ok(Outcome::Done(Change {
        key: row,
        before,
        after,
    }))
}

fn json(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
) -> Result<Option<String>, postgres::Error> {
    let mut sql = Sql::new(format!(
        "SELECT {} FROM {} t WHERE ",
        as_json(table),
        table.sql()
    ));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&condition);
    let row = sql.rows(transaction)?.into_iter().next();
    Ok(row.and_then(|mut row| row.remove(0)))
}

fn returned(table: &Table) -> String {
    let key = table
        .key_columns()
        .map(|column| format!("t.{}::text", column.sql()));
    let columns: Vec<String> = [as_json(table)].into_iter().chain(key).collect();
    columns.join(", ")
}

/// The row as a JSON object; bytes as their size.
fn as_json(table: &Table) -> String {
    let columns = table.columns.iter().map(|column| {
        let name = column.sql();
        match column.kind {
            Kind::Bytes => format!("octet_length(t.{name}) || ' bytes' AS {name}"),
            _ => format!("t.{name}"),
        }
    });
    let columns: Vec<String> = columns.collect();
    format!(
        "(SELECT to_jsonb(r.*) FROM (SELECT {}) r)::text",
        columns.join(", ")
    )
}
