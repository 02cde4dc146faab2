//! Who has changed what: written in the change's own transaction, read by its pages.
//!
//! The table is in a schema that the tool does not show, so nothing of it can be edited there.

use crate::Failure;
use crate::catalogue::Table;
use crate::database::{Row, Transaction, failed};
use crate::people::Person;
use crate::records::values;
use crate::records::write::Change;
use serde_json::Value;

/// Entries on a page.
pub const PAGE: usize = 50;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A row was added.
    Insert,
    /// A row was changed.
    Update,
    /// A row was deleted.
    Delete,
}

/// An entry.
#[derive(Debug)]
pub struct Entry {
    /// Later ones are larger.
    pub id: String,
    /// When, in UTC.
    pub at: String,
    /// Who.
    pub email: String,
    /// What was done, in words.
    pub action: &'static str,
    /// To a row of this table: its schema,
    pub schema: String,
    /// its name,
    pub table: String,
    /// and the row's key, as an address has it.
    pub key: String,
    /// What became of which column.
    pub changes: Vec<Difference>,
}

/// A value before and after; `None` is NULL, or that there was no row.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The column's name.
    pub column: String,
    /// Before.
    pub before: Option<String>,
    /// After.
    pub after: Option<String>,
}

/// Which entries are wanted; what is empty does not matter.
#[derive(Debug, Default, Clone)]
pub struct Wanted {
    /// By whom.
    pub email: String,
    /// Of this schema,
    pub schema: String,
    /// and table,
    pub table: String,
    /// and row.
    pub key: String,
    /// From this day on, `YYYY-MM-DD`, in UTC.
    pub from: String,
    /// To this day, included.
    pub to: String,
    /// Older than this entry.
    pub before: String,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Insert => "insert",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

/// Writes a change down.
///
/// # Errors
/// `Function.QueryFailed`; the change must not be kept then.
pub fn write(
    transaction: &mut Transaction,
    person: &Person,
    request_id: &str,
    action: Action,
    table: &Table,
    change: &Change,
) -> Result<(), Failure> {
    let statement = "
        INSERT INTO plain_lambda.audit
            (user_id, email, action, table_schema, table_name, key, before, after, request_id)
        SELECT $1::bigint, $2, $3, $4, $5, $6,
            CASE WHEN $8 IS NULL THEN $7::jsonb ELSE (
                SELECT jsonb_object_agg(key, value) FROM jsonb_each($7::jsonb)
                WHERE value IS DISTINCT FROM $8::jsonb -> key) END,
            CASE WHEN $7 IS NULL THEN $8::jsonb ELSE (
                SELECT jsonb_object_agg(key, value) FROM jsonb_each($8::jsonb)
                WHERE value IS DISTINCT FROM $7::jsonb -> key) END,
            $9";
    let id = person.id.to_string();
    let key = values::encode(change.key.iter().map(Option::as_deref));
    let parameters = [
        Some(id.as_str()),
        Some(&person.email),
        Some(action.name()),
        Some(&table.schema),
        Some(&table.name),
        Some(&key),
        change.before.as_deref(),
        change.after.as_deref(),
        Some(request_id),
    ];
    transaction.rows(statement, &parameters).map_err(failed)?;
    Ok(())
}

/// So many entries, the newest first, and whether there are older ones.
///
/// # Errors
/// Postgres's own; of class 22 when a day is none.
pub fn list(
    transaction: &mut Transaction,
    wanted: &Wanted,
    limit: usize,
) -> Result<(Vec<Entry>, bool), postgres::Error> {
    let conditions = [
        ("email = $?", &wanted.email),
        ("table_schema = $?", &wanted.schema),
        ("table_name = $?", &wanted.table),
        ("key = $?", &wanted.key),
        ("at >= $?::date", &wanted.from),
        ("at < $?::date + 1", &wanted.to),
        ("id < $?::bigint", &wanted.before),
    ];
    let (mut clauses, mut parameters) = (vec!["true".to_string()], Vec::new());
    for (condition, value) in conditions {
        if !value.is_empty() {
            parameters.push(Some(value.as_str()));
            clauses.push(condition.replace("$?", &format!("${}", parameters.len())));
        }
    }
    let statement = format!(
        "SELECT id::text, to_char(at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), email, action, table_schema,
                table_name, key,
                (SELECT json_agg(json_build_array(k, left(before ->> k, 400), left(after ->> k, 400))
                                 ORDER BY k)
                 FROM jsonb_object_keys(coalesce(before, '{{}}') || coalesce(after, '{{}}')) k)::text
         FROM plain_lambda.audit WHERE {} ORDER BY id DESC LIMIT {}",
        clauses.join(" AND "),
        limit + 1
    );
    let rows = transaction.rows(&statement, &parameters)?;
    let more = rows.len() > limit;
    Ok((rows.into_iter().take(limit).map(entry).collect(), more))
}

/// How many changes each of the last thirty days has seen, the oldest first: the day and the number.
///
/// # Errors
/// Postgres's own.
pub fn by_day(transaction: &mut Transaction) -> Result<Vec<(String, u64)>, postgres::Error> {
    let statement = "
        SELECT to_char(day, 'YYYY-MM-DD'), count(id)::text
        FROM generate_series(current_date - 29, current_date, interval '1 day') day
        LEFT JOIN plain_lambda.audit ON at >= day AND at < day + interval '1 day'
        GROUP BY day ORDER BY day";
    let rows = transaction.rows(statement, &[])?;
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok({ rows.into_iter() }
        .map(|mut row| (row[0].take().unwrap_or_default(), number(row[1].take())))
        .collect())
}

fn entry(row: Row) -> Entry {
    let mut row = row.into_iter();
    let mut next = || row.next().flatten().unwrap_or_default();
    Entry {
        id: next(),
        at: next(),
        email: next(),
        action: match next().as_str() {
            "insert" => "added",
            "delete" => "deleted",
            _ => "changed",
        },
        schema: next(),
        table: next(),
        key: next(),
        changes: differences(&next()),
    }
}

fn differences(json: &str) -> Vec<Difference> {
    let json: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_string);
    let changes = json.as_array().into_iter().flatten();
    { changes }
        .map(|change| Difference {
            column: text(&change[0]).unwrap_or_default(),
            before: text(&change[1]),
            after: text(&change[2]),
        })
        .collect()
}
