//! Inserts, updates and deletes a row.
//!
//! An update or a deletion names the version of the row that the person saw; a row that has changed
//! since is left alone. Knows no page.

use super::input::Input;
use super::large::{json_values, row_text};
use super::row::{self, Record};
use super::row_errors::{RowErrors, of_inputs};
use super::sql::Sql;
use crate::catalog::Table;
use database::{Transaction, failed};
use handler::Failure;

/// The outcome of a change.
#[derive(Debug)]
pub enum Outcome {
    /// The change is made, if the transaction is committed.
    Done(Change),
    /// The row has these values already.
    Unchanged,
    /// Postgres refuses the change.
    Refused(RowErrors),
    /// The row has changed since the person saw it; this is the present row.
    Conflict(Record),
    /// The row does not exist any more, or a trigger or a rule prevents the change.
    Gone,
}

/// A change, for the audit.
#[derive(Debug)]
pub struct Change {
    /// The key of the row after the change.
    pub key: Vec<Option<String>>,
    /// The row before the change, as a JSON object; `None` for a new row.
    pub before: Option<String>,
    /// The row after the change, as a JSON object; `None` for a deleted row.
    pub after: Option<String>,
}

/// Inserts a row. A column whose input is not a value gets its default.
///
/// ```no_run
/// # use records::catalog::Table;
/// use records::input::Input;
/// use records::write::{Outcome, insert};
///
/// # fn page(transaction: &mut database::Transaction, table: &Table)
/// # -> Result<(), handler::Failure> {
/// let inputs = [Input::Absent, Input::Value("bolt".to_string())];
/// match insert(transaction, table, &inputs)? {
///     Outcome::Done(change) => println!("the new row has the key {:?}", change.key),
///     other => println!("nothing is inserted: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
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
    sql.push(&returning(table));
    run(transaction, table, sql, inputs, None)
}

/// Updates the row with a key, if it still has the version. Sets only the columns whose values
/// differ.
///
/// # Errors
/// As [`insert`].
pub fn update(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    version: &str,
    inputs: &[Input],
) -> Result<Outcome, Failure> {
    let record = match lock(transaction, table, key, version)? {
        Ok(record) => record,
        Err(outcome) => return Ok(outcome),
    };
    let mut sql = Sql::new(format!("UPDATE {} AS t SET ", table.sql()));
    let mut changes = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        if !column.may_update || !record.complete[at] {
            continue;
        }
        if let Some(value) = new_value(record.values[at].as_deref(), &inputs[at]) {
            let value = sql.bind_new(value.as_deref(), column);
            changes.push(format!("{} = {value}", column.sql()));
        }
    }
    if changes.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    sql.push(&changes.join(", "));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&format!(" WHERE {condition}"));
    sql.push(&returning(table));
    run(transaction, table, sql, inputs, Some(key))
}

/// Deletes the row with a key, if it still has the version.
///
/// # Errors
/// As [`insert`].
pub fn delete(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    version: &str,
) -> Result<Outcome, Failure> {
    if let Err(outcome) = lock(transaction, table, key, version)? {
        return Ok(outcome);
    }
    let mut sql = Sql::new(format!("DELETE FROM {} AS t WHERE ", table.sql()));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&condition);
    // What the row held is read before, and a large row takes long.
    sql.push(" RETURNING NULL::text");
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

/// Returns the new value of a column; `None` when it does not change. Line breaks are compared as
/// LF, because a browser sends each as CR LF. A new value has CR LF only if the old value has it.
fn new_value(old: Option<&str>, input: &Input) -> Option<Option<String>> {
    let new = match input {
        Input::Absent => return None,
        Input::Nothing => None,
        Input::Value(value) if old.is_some_and(|old| old.contains("\r\n")) => Some(value.clone()),
        Input::Value(value) => Some(value.replace("\r\n", "\n")),
    };
    let is_same = match (old, new.as_deref()) {
        (Some(old), Some(new)) => old.replace("\r\n", "\n") == new.replace("\r\n", "\n"),
        (old, new) => old == new,
    };
    (!is_same).then_some(new)
}

/// Reads and locks a row, so that nobody else changes it until the transaction ends. Returns the
/// outcome of the change if the row has another version or cannot be locked.
fn lock(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
    version: &str,
) -> Result<Result<Record, Outcome>, Failure> {
    let found = transaction.in_savepoint(|transaction| row::find(transaction, table, key, true))?;
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let errors = RowErrors::of(table, &error).ok_or_else(|| failed(error))?;
            return Ok(Err(Outcome::Refused(errors)));
        }
    };
    Ok(match found {
        None => Err(Outcome::Gone),
        Some(record) if record.version != version => Err(Outcome::Conflict(record)),
        Some(record) => Ok(record),
    })
}

/// Runs a change, and checks deferred constraints at once, while the form can still show their
/// errors.
fn run(
    transaction: &mut Transaction,
    table: &Table,
    sql: Sql,
    inputs: &[Input],
    key: Option<&[Option<String>]>,
) -> Result<Outcome, Failure> {
    let before = match key {
        Some(key) => read_json(transaction, table, key).map_err(failed)?,
        None => None,
    };
    let changed = transaction.in_savepoint(|transaction| {
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
            let errors = of_inputs(transaction, table, inputs, error)?;
            return Ok(Outcome::Refused(errors));
        }
    };
    let Some(mut row) = row else {
        return Ok(Outcome::Gone);
    };
    if more.is_some() {
        return Ok(Outcome::Refused(RowErrors {
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

/// Reads a row as a JSON object.
fn read_json(
    transaction: &mut Transaction,
    table: &Table,
    key: &[Option<String>],
) -> Result<Option<String>, postgres::Error> {
    let mut sql = Sql::new(format!(
        "SELECT {} FROM {} t WHERE ",
        json_expression(table),
        table.sql()
    ));
    let condition = sql.bind_key(table.key_columns(), key);
    sql.push(&condition);
    let row = sql.rows(transaction)?.into_iter().next();
    Ok(row.and_then(|mut row| row.remove(0)))
}

/// Returns the clause by which a change returns the row: as a JSON object, and its key.
fn returning(table: &Table) -> String {
    let key = table
        .key_columns()
        .map(|column| format!("t.{}::text", column.sql()));
    let columns: Vec<String> = [json_expression(table)].into_iter().chain(key).collect();
    format!(" RETURNING {}", columns.join(", "))
}

/// Returns a row in SQL as a JSON object.
fn json_expression(table: &Table) -> String {
    format!(
        "(SELECT (SELECT to_jsonb(r.*) FROM (SELECT {}) r) FROM {} w)::text",
        json_values(table),
        row_text(table)
    )
}
