//! The audit: which user changed which row, and how.
//!
//! An entry is written in the transaction of its change. The table is in the schema `plain_lambda`,
//! which the tool does not show, so that no entry can be edited through the tool. Knows no page.

use crate::schema::failed;
use crate::users::User;
use database::{Row, Transaction};
use handler::Failure;
use records::catalog::Table;
use records::values;
use records::write::Change;
use serde_json::Value;

/// The number of entries on a page.
pub(crate) const PAGE: usize = 50;

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A row was added.
    Insert,
    /// A row was changed.
    Update,
    /// A row was deleted.
    Delete,
}

/// An entry of the audit.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Identifies the entry; a later entry has a larger one.
    pub id: String,
    /// The time, `YYYY-MM-DDTHH:MM:SSZ`.
    pub at: String,
    /// The email that the user had at that time.
    pub email: String,
    /// `added`, `changed` or `deleted`.
    pub action: &'static str,
    /// The schema of the row's table.
    pub schema: String,
    /// The name of the row's table.
    pub table: String,
    /// The row's key, as it stands in an address.
    pub key: String,
    /// The values that the change made, replaced or removed.
    pub changes: Vec<Difference>,
}

/// A column's value before and after a change. `None` is NULL, or no row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The column's name.
    pub column: String,
    /// The value before the change.
    pub before: Option<String>,
    /// The value after the change.
    pub after: Option<String>,
}

/// Selects the entries that meet every field; an empty field is no condition.
#[derive(Debug, Default, Clone)]
pub(crate) struct EntryFilter {
    /// The email of the user who made the change.
    pub email: String,
    /// The schema of the row's table.
    pub schema: String,
    /// The name of the row's table.
    pub table: String,
    /// The row's key, as it stands in an address.
    pub key: String,
    /// The first day, `YYYY-MM-DD`, in UTC.
    pub from: String,
    /// The last day, which is included.
    pub to: String,
    /// The id of an entry; only older entries are selected.
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

/// Adds the entry for a change. Of an update it holds only the columns that differ.
///
/// # Errors
/// `Function.QueryFailed`, `Function.OutOfTime`, `Function.MigrationsPending`; the change must not
/// be committed then.
pub(crate) fn write(
    transaction: &mut Transaction,
    user: &User,
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
    let id = user.id.to_string();
    let key = values::encode(change.key.iter().map(Option::as_deref));
    let parameters = [
        Some(id.as_str()),
        Some(&user.email),
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

/// Returns at most `limit` entries, the newest first, and whether there are older ones.
///
/// # Errors
/// Postgres's own; of class 22 when `from` or `to` is not a date, or `before` not an id.
pub(crate) fn list(
    transaction: &mut Transaction,
    filter: &EntryFilter,
    limit: usize,
) -> Result<(Vec<Entry>, bool), postgres::Error> {
    let conditions = [
        ("email = $?", &filter.email),
        ("table_schema = $?", &filter.schema),
        ("table_name = $?", &filter.table),
        ("key = $?", &filter.key),
        ("at >= $?::date", &filter.from),
        ("at < $?::date + 1", &filter.to),
        ("id < $?::bigint", &filter.before),
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

/// Returns the last thirty days, the oldest first, each with its number of changes.
///
/// # Errors
/// Postgres's own.
pub(crate) fn by_day(transaction: &mut Transaction) -> Result<Vec<(String, u64)>, postgres::Error> {
    let statement = "
        SELECT to_char(day, 'YYYY-MM-DD'), count(id)::text
        FROM generate_series(current_date - 29, current_date, interval '1 day') day
        LEFT JOIN plain_lambda.audit ON at >= day AND at < day + interval '1 day'
        GROUP BY day ORDER BY day";
    let rows = transaction.rows(statement, &[])?;
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0);
    let days = rows.into_iter();
    Ok(days
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

/// Reads a JSON array of `[column, before, after]`; none when it is empty.
fn differences(json: &str) -> Vec<Difference> {
    let json: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_string);
    let changes = json.as_array().into_iter().flatten();
    changes
        .map(|change| Difference {
            column: text(&change[0]).unwrap_or_default(),
            before: text(&change[1]),
            after: text(&change[2]),
        })
        .collect()
}
