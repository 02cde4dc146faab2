//! Turns Postgres's refusal of a row into messages for the fields that are wrong.
//!
//! Knows no page. Source: "PostgreSQL Error Codes", Postgres manual.

use super::input::Input;
use super::sql::Sql;
use crate::catalog::{Kind, Table};
use database::{Transaction, failed};
use handler::Failure;
use postgres::error::DbError;

/// The messages about a row that Postgres refuses.
#[derive(Debug, Default)]
pub struct RowErrors {
    /// The name of each wrong column, with the message about its value.
    pub fields: Vec<(String, String)>,
    /// The message about the row as a whole.
    pub general: Option<String>,
}

impl RowErrors {
    /// Reads Postgres's refusal of a row of `table`. `None` when the row is not the cause of the
    /// error: a lost connection, a syntax error.
    ///
    /// ```no_run
    /// # use records::{RowErrors, catalog::Table};
    /// # fn page(transaction: &mut database::Transaction, table: &Table)
    /// # -> Result<Option<String>, handler::Failure> {
    /// let added = transaction.in_savepoint(|transaction| {
    ///     transaction.rows("INSERT INTO parts (name) VALUES ($1)", &[Some("bolt")])
    /// })?;
    /// let Err(error) = added else { return Ok(None) };
    /// let errors = RowErrors::of(table, &error).ok_or_else(|| database::failed(error))?;
    /// Ok(errors.at("name").map(str::to_string))
    /// # }
    /// ```
    pub fn of(table: &Table, error: &postgres::Error) -> Option<RowErrors> {
        let error = error.as_db_error()?;
        let code = error.code().code();
        let constraint = |words: &str| at_constraint(table, error, words);
        Some(match code {
            "23502" => {
                let column = error.column().and_then(|name| table.column(name));
                match column {
                    Some(column) => fields(table, &[column], "This is needed."),
                    None => general_of(error),
                }
            }
            "23503" => foreign_key(table, error),
            "23505" => constraint("Another row has this already."),
            "23514" | "23P01" => constraint(""),
            "44000" => general("The row would not be part of this view."),
            "42501" => general(&format!(
                "The database does not allow it: {}.",
                error.message()
            )),
            "55P03" => general("Somebody else is changing this row at this moment. Try again."),
            "40001" | "40P01" => {
                general("Somebody else has changed the same at the same time. Try again.")
            }
            // A view over an identity column, of which the catalog does not know; a tsquery.
            "428C9" | "42601" => general_of(error),
            // Of class 54 are values that are too large for their type or for an index.
            _ if ["22", "54", "P0"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                general_of(error)
            }
            _ => None?,
        })
    }

    /// Returns the message about a column's value.
    pub fn at(&self, column: &str) -> Option<&str> {
        let (_, words) = self.fields.iter().find(|(name, _)| name == column)?;
        Some(words)
    }
}

/// Reads Postgres's refusal of a row that has these inputs. Postgres does not say which value it
/// cannot read, so each value is read by itself, and every wrong one gets its message.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, when the row is not the cause of the error.
pub(crate) fn of_inputs(
    transaction: &mut Transaction,
    table: &Table,
    inputs: &[Input],
    error: postgres::Error,
) -> Result<RowErrors, Failure> {
    let Some(errors) = RowErrors::of(table, &error) else {
        return Err(failed(error));
    };
    let code = error.code().map_or("", |code| code.code());
    let is_value = code.starts_with("22") || code.starts_with("54");
    if !errors.fields.is_empty() || !(is_value || matches!(code, "23514" | "42601")) {
        return Ok(errors);
    }
    let mut fields = Vec::new();
    for (at, input) in inputs.iter().enumerate() {
        if let Input::Value(value) = input {
            fields.extend(value_error(transaction, table, at, value)?);
        }
    }
    Ok(match fields.is_empty() {
        true => errors,
        false => RowErrors {
            fields,
            general: None,
        },
    })
}

/// Returns the column's name and the message if Postgres refuses a value by itself.
fn value_error(
    transaction: &mut Transaction,
    table: &Table,
    at: usize,
    value: &str,
) -> Result<Option<(String, String)>, Failure> {
    let column = &table.columns[at];
    if let Some(limit) = max_length(&column.type_name).filter(|_| column.kind == Kind::Text) {
        let length = value.chars().count();
        let words = format!("This has {length} characters; {limit} is the most.");
        return Ok((length > limit).then(|| (column.name.clone(), words)));
    }
    // For types other than text, a cast rounds or refuses as an assignment does.
    let mut sql = Sql::new("SELECT (");
    let value = sql.bind(Some(value));
    sql.push(&format!("{value}::{})::text", column.type_name));
    let Err(error) = transaction.in_savepoint(|transaction| sql.rows(transaction))? else {
        return Ok(None);
    };
    match error.as_db_error() {
        Some(error) => Ok(Some((column.name.clone(), sentence(error)))),
        None => Err(failed(error)),
    }
}

/// Returns the n of `character varying(n)` and `character(n)`.
fn max_length(type_name: &str) -> Option<usize> {
    let arguments = type_name.strip_prefix("character")?.split_once('(')?.1;
    arguments.strip_suffix(')')?.parse().ok()
}

fn foreign_key(table: &Table, error: &DbError) -> RowErrors {
    let name = error.constraint().unwrap_or_default();
    let mut keys = table.foreign_keys.iter();
    match keys.find(|key| key.name == name) {
        // Postgres has the same code for a row that another row still refers to.
        Some(key) if error.table() == Some(&table.name) && !still_referred_to(error) => {
            fields(table, &key.columns, "There is no such row to refer to.")
        }
        _ => general_of(error),
    }
}

fn still_referred_to(error: &DbError) -> bool {
    error.message().starts_with("update or delete on table")
}

/// Puts `words` at the columns of the constraint; where they are empty, the constraint's
/// definition.
fn at_constraint(table: &Table, error: &DbError, words: &str) -> RowErrors {
    let name = error.constraint().unwrap_or_default();
    let mut constraints = table.constraints.iter();
    match constraints.find(|constraint| constraint.name == name) {
        Some(constraint) if !constraint.columns.is_empty() => {
            let rule = format!(
                "This breaks the rule {}: {}",
                constraint.name, constraint.definition
            );
            let words = if words.is_empty() { &rule } else { words };
            fields(table, &constraint.columns, words)
        }
        _ => general_of(error),
    }
}

fn fields(table: &Table, columns: &[usize], words: &str) -> RowErrors {
    let words = |&column: &usize| (table.columns[column].name.clone(), words.to_string());
    RowErrors {
        fields: columns.iter().map(words).collect(),
        general: None,
    }
}

fn general(words: &str) -> RowErrors {
    RowErrors {
        fields: Vec::new(),
        general: Some(words.to_string()),
    }
}

fn general_of(error: &DbError) -> RowErrors {
    general(&sentence(error))
}

/// Returns Postgres's message, detail and hint as sentences. The detail of a broken NOT NULL or CHECK
/// is left out: it is the whole row, perhaps another table's, with what is hidden from users.
fn sentence(error: &DbError) -> String {
    let detail = match error.code().code() {
        "23502" | "23514" => None,
        _ => error.detail(),
    };
    let mut words = error.message().to_string();
    if let Some(first) = words.get(..1) {
        words = first.to_uppercase() + &words[1..];
    }
    for more in [detail, error.hint()].into_iter().flatten() {
        words = format!("{}. {more}", words.trim_end_matches('.'));
    }
    format!("{}.", words.trim_end_matches('.'))
}
