//! Why Postgres refuses a row, in words, at the field that they are about.
//!
//! Source: "PostgreSQL Error Codes", Postgres manual.

use super::sql::Sql;
use super::write::Input;
use crate::Failure;
use crate::catalogue::{Kind, Table};
use crate::database::{Transaction, failed};
use postgres::error::DbError;

/// Why a row is refused.
#[derive(Debug, Default)]
pub struct Refusal {
    /// A column, as an index, and what is wrong with its value.
    pub fields: Vec<(usize, String)>,
    /// What is wrong with the row as a whole.
    pub general: Option<String>,
}

/// The refusal that an error is; `None` when it is no fault of the row.
pub fn of(table: &Table, error: &postgres::Error) -> Option<Refusal> {
    let error = error.as_db_error()?;
    let code = error.code().code();
    let constraint = |words: &str| at_constraint(table, error, words);
    Some(match code {
        "23502" => {
            let column = error.column().and_then(|name| table.column(name));
            match column {
                Some(column) => at(vec![column], "This is needed."),
                None => general(error),
            }
        }
        "23503" => foreign_key(table, error),
        "23505" => constraint("Another row has this already."),
        "23514" | "23P01" => constraint(""),
        "44000" => only("The row would not be part of this view."),
        "42501" => only(&format!(
            "The database does not allow it: {}.",
            error.message()
        )),
        "55P03" => only("Somebody else is changing this row at this moment. Try again."),
        "40001" | "40P01" => {
            only("Somebody else has changed the same at the same time. Try again.")
        }
        _ if code.starts_with("22") || code.starts_with("P0") => general(error),
        _ => None?,
    })
}

/// The same, for values that were to be written. Postgres does not say which of them it cannot
/// read, so each is tried by itself; all that are wrong are found at once.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, when the row is not at fault.
pub fn of_values(
    transaction: &mut Transaction,
    table: &Table,
    inputs: &[Input],
    error: postgres::Error,
) -> Result<Refusal, Failure> {
    let Some(refusal) = of(table, &error) else {
        return Err(failed(error));
    };
    let code = error.code().map_or("", |code| code.code());
    if !refusal.fields.is_empty() || !(code.starts_with("22") || code == "23514") {
        return Ok(refusal);
    }
    let mut fields = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        if let Input::Value(value) = input {
            fields.extend(unreadable(transaction, table, at, value)?);
        }
    }
    Ok(match fields.is_empty() {
        true => refusal,
        false => Refusal {
            fields,
            general: None,
        },
    })
}

/// What is wrong with a value by itself.
fn unreadable(
    transaction: &mut Transaction,
    table: &Table,
    at: usize,
    value: &str,
) -> Result<Option<(usize, String)>, Failure> {
    let column = &table.columns[at];
    if let Some(limit) = longest(&column.type_name).filter(|_| column.kind == Kind::Text) {
        let length = value.chars().count();
        let words = format!("This has {length} characters; {limit} is the most.");
        return Ok((length > limit).then_some((at, words)));
    }
    // A cast to a number's or time's full type rounds or refuses as an assignment does.
    let mut sql = Sql::new("SELECT (");
    let value = sql.bind(Some(value));
    sql.push(&format!("{value}::{})::text", column.type_name));
    let Err(error) = transaction.attempt(|transaction| sql.rows(transaction))? else {
        return Ok(None);
    };
    match error.as_db_error() {
        Some(error) => Ok(Some((at, sentence(error)))),
        None => Err(failed(error)),
    }
}

/// The n of `character varying(n)`.
fn longest(type_name: &str) -> Option<usize> {
    let arguments = type_name.strip_prefix("character")?.split_once('(')?.1;
    arguments.strip_suffix(')')?.parse().ok()
}

fn foreign_key(table: &Table, error: &DbError) -> Refusal {
    let name = error.constraint().unwrap_or_default();
    let mut keys = table.foreign_keys.iter();
    match keys.find(|key| key.name == name) {
        // The same error stands for a row that still is referred to, by another table's key.
        Some(key) if error.table() == Some(&table.name) && !still_referred_to(error) => {
            at(key.columns.clone(), "There is no such row to refer to.")
        }
        _ => general(error),
    }
}

fn still_referred_to(error: &DbError) -> bool {
    error.message().starts_with("update or delete on table")
}

fn at_constraint(table: &Table, error: &DbError, words: &str) -> Refusal {
    let name = error.constraint().unwrap_or_default();
    let mut constraints = table.constraints.iter();
    match constraints.find(|constraint| constraint.name == name) {
        Some(constraint) if !constraint.columns.is_empty() => {
            let rule = format!(
                "This breaks the rule {}: {}",
                constraint.name, constraint.definition
            );
            let words = if words.is_empty() { &rule } else { words };
            at(constraint.columns.clone(), words)
        }
        _ => general(error),
    }
}

fn at(columns: Vec<usize>, words: &str) -> Refusal {
    let words = |column| (column, words.to_string());
    Refusal {
        fields: columns.into_iter().map(words).collect(),
        general: None,
    }
}

fn only(words: &str) -> Refusal {
    Refusal {
        fields: Vec::new(),
        general: Some(words.to_string()),
    }
}

fn general(error: &DbError) -> Refusal {
    only(&sentence(error))
}

/// Postgres's own words, as a sentence.
fn sentence(error: &DbError) -> String {
    let mut words = error.message().to_string();
    if let Some(first) = words.get(..1) {
        words = first.to_uppercase() + &words[1..];
    }
    for more in [error.detail(), error.hint()].into_iter().flatten() {
        words = format!("{}. {more}", words.trim_end_matches('.'));
    }
    format!("{}.", words.trim_end_matches('.'))
}
