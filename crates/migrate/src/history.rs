//! Reads and writes the history: the table `plain_lambda.migrations`, one row per migration.
//!
//! Every statement names the schema, because a migration may change the search path. A file that
//! runs step by step has its row from the first step on; the row says how many statements are done.
//! Must not know what files are on disk, or when a row is written.

use super::files::{Migration, Version};
use database::describe;
use handler::{Failure, Kind};
use postgres::error::SqlState;
use postgres::{Client, Row};
use std::time::Duration;

/// A row of the history: a migration that is applied, or one that is under way.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The version, as it was written in the file's name.
    pub version: String,
    /// The name that follows the version in the file's name.
    pub name: String,
    /// The SHA-256 of the text that was applied; of the statements that are done while the
    /// migration is under way.
    pub(crate) sha256: String,
    /// How long the statements took, in milliseconds.
    pub ms: i64,
    /// The number of statements that are done.
    pub(crate) statements: usize,
    /// Whether the next statement was begun outside of a transaction, so that it may be done too.
    pub(crate) begun: bool,
    /// What the next statement found before it was begun outside of a transaction.
    pub(crate) remembered: String,
    /// The request id of the invocation that applied it.
    pub(crate) run: String,
    /// When the migration was applied, in UTC: `2026-01-31 23:59:59`; `None` while it is under way.
    pub at: Option<String>,
    /// How far a file that runs in batches has come, as JSON.
    pub(crate) progress: Option<String>,
}

/// The values to write into a row.
pub(crate) struct Entry<'a> {
    /// The migration of the row.
    pub migration: &'a Migration,
    /// The SHA-256 of the file, or of the statements that are done.
    pub sha256: String,
    /// The time to add to the row's duration.
    pub took: Duration,
    /// The number of statements that are done.
    pub statements: usize,
    /// The request id of the invocation.
    pub run: &'a str,
    /// Whether all statements are done.
    pub finished: bool,
}

/// The table as its first release made it; [`COLUMNS`] holds what later releases added.
/// Asks whether the schema is missing. `CREATE SCHEMA IF NOT EXISTS` wants the right to create schemas
/// in the database even if the schema is there.
const LACKS_SCHEMA: &str = "SELECT to_regnamespace('plain_lambda') IS NULL";

const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS plain_lambda.migrations (
        version     text PRIMARY KEY,
        name        text NOT NULL,
        sha256      text NOT NULL,
        applied_at  timestamptz DEFAULT clock_timestamp(),
        duration_ms bigint NOT NULL
    );
    ALTER TABLE plain_lambda.migrations ALTER COLUMN applied_at DROP NOT NULL;
    COMMENT ON TABLE plain_lambda.migrations IS
        'one row for each migration that is applied or under way';
    COMMENT ON COLUMN plain_lambda.migrations.sha256 IS
        'of the text, with LF as its line end; while applied_at is null, of the statements done';
    COMMENT ON COLUMN plain_lambda.migrations.applied_at IS
        'null while a file that cannot run in one transaction is under way'";

/// The columns that the table has had since a later release: name, type and comment, which holds no
/// quote. A table that lacks one of them is upgraded by the next run.
const COLUMNS: [(&str, &str, &str); 5] = [
    (
        "statements",
        "integer NOT NULL DEFAULT 0",
        "the number of statements that are done",
    ),
    (
        "begun",
        "boolean NOT NULL DEFAULT false",
        "the next statement was begun outside of a transaction, so it may be done too",
    ),
    (
        "run",
        "text NOT NULL DEFAULT ''",
        "the request id of the invocation",
    ),
    (
        "remembered",
        "text NOT NULL DEFAULT ''",
        "what a statement that was begun outside of a transaction found before it",
    ),
    (
        "progress",
        "jsonb",
        "how far a file that runs in batches has come",
    ),
];

/// Reads the names of the table's columns; none if there is no table.
const COLUMNS_IN_PLACE: &str = "
    SELECT attname::text FROM pg_attribute
    WHERE attrelid = to_regclass('plain_lambda.migrations') AND attnum > 0 AND NOT attisdropped";

const SELECT: &str = "
    SELECT version, name, sha256, duration_ms, statements, begun, run,
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), remembered,
           progress::text
    FROM plain_lambda.migrations";

/// Reads a table of an earlier release, which lacks some of the columns.
const SELECT_OLD: &str = "
    SELECT version, name, sha256, duration_ms, coalesce((row ->> 'statements')::int, 0),
           coalesce((row ->> 'begun')::boolean, false), coalesce(row ->> 'run', ''),
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
           coalesce(row ->> 'remembered', ''), row ->> 'progress'
    FROM plain_lambda.migrations, to_jsonb(migrations) AS row";

const ON_CONFLICT: &str = "
    ON CONFLICT (version) DO UPDATE SET
        name = excluded.name, sha256 = excluded.sha256, run = excluded.run,
        duration_ms = plain_lambda.migrations.duration_ms + excluded.duration_ms,
        statements = excluded.statements, begun = excluded.begun,
        remembered = excluded.remembered, applied_at = excluded.applied_at";

/// Creates the table, or the columns that it lacks. Must be called under the lock: `CREATE … IF NOT
/// EXISTS` can fail when two sessions run it at the same time.
///
/// # Errors
/// `Function.HistoryUnavailable`.
pub(crate) fn prepare(client: &mut Client) -> Result<(), Failure> {
    let rows = client
        .query_typed(COLUMNS_IN_PLACE, &[])
        .map_err(unavailable)?;
    let in_place: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let is_in_place = |column: &str| in_place.iter().any(|name| name == column);
    if COLUMNS.iter().all(|(name, _, _)| is_in_place(name)) {
        return Ok(());
    }
    let lacks_schema = client
        .query_typed_one(LACKS_SCHEMA, &[])
        .map_err(unavailable)?;
    let schema = match lacks_schema.get(0) {
        true => "CREATE SCHEMA plain_lambda;",
        false => "",
    };
    let mut create = format!("{schema}{CREATE}");
    for (name, definition, comment) in COLUMNS {
        create += &format!(
            ";ALTER TABLE plain_lambda.migrations ADD COLUMN IF NOT EXISTS {name} {definition};
             COMMENT ON COLUMN plain_lambda.migrations.{name} IS '{comment}'"
        );
    }
    client.batch_execute(&create).map_err(unavailable)
}

/// Reads all rows, sorted by version; none if there is no table yet.
///
/// # Errors
/// `Function.HistoryUnavailable`.
pub(crate) fn applied(client: &mut Client) -> Result<Vec<Applied>, Failure> {
    let rows = client
        .query_typed(SELECT, &[])
        .or_else(|error| match error.code() {
            // The next run adds the columns.
            Some(&SqlState::UNDEFINED_COLUMN) => client.query_typed(SELECT_OLD, &[]),
            Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
            _ => Err(error),
        })
        .map_err(unavailable)?;
    let mut rows: Vec<Applied> = rows.iter().map(from_row).collect();
    rows.sort_by_cached_key(|row| Version::read(&row.version));
    Ok(rows)
}

/// Returns the statement that writes a row. The values are part of its text, so that one message can
/// hold the statement and a COMMIT.
pub(crate) fn put(entry: &Entry) -> String {
    insert(entry, &entry.took.as_millis().to_string(), None)
}

/// The milliseconds since the transaction began.
const TIMED: &str = "(1000 * extract(epoch FROM clock_timestamp() - now()))::bigint";

/// Returns the statement that writes a row, with the time since the transaction began.
pub(crate) fn put_timed(entry: &Entry) -> String {
    insert(entry, TIMED, None)
}

/// Returns the statement that does so where this run has written the row for the statement before:
/// it takes less than half of the time.
pub(crate) fn advance_timed(entry: &Entry) -> String {
    let version = literal(&entry.migration.history_version());
    let applied_at = match entry.finished {
        true => "clock_timestamp()",
        false => "NULL",
    };
    format!(
        "UPDATE plain_lambda.migrations
         SET sha256 = '{}', statements = {}, duration_ms = duration_ms + {TIMED},
             applied_at = {applied_at}
         WHERE version = {version}",
        entry.sha256, entry.statements
    ) + &covered(entry)
}

/// Returns the statement that writes a row before a statement begins outside of a transaction.
/// `remembered` is what the statement's kind has to know after a kill.
pub(crate) fn put_begun(entry: &Entry, remembered: &str) -> String {
    insert(entry, "0", Some(remembered))
}

fn insert(entry: &Entry, ms: &str, begun: Option<&str>) -> String {
    let remembered = literal(begun.unwrap_or_default());
    let version = literal(&entry.migration.history_version());
    let (name, run) = (literal(&entry.migration.name), literal(entry.run));
    let applied_at = match entry.finished {
        true => "clock_timestamp()",
        false => "NULL",
    };
    format!(
        "INSERT INTO plain_lambda.migrations
            (version, name, sha256, duration_ms, statements, begun, run, remembered, applied_at)
         VALUES ({version}, {name}, '{}', {ms}, {}, {}, {run}, {remembered}, {applied_at})
         {ON_CONFLICT}",
        entry.sha256,
        entry.statements,
        begun.is_some()
    ) + &covered(entry)
}

/// Returns the statement that writes the rows of the migrations for which a finished one stands.
fn covered(entry: &Entry) -> String {
    let covers = &entry.migration.covers;
    if !entry.finished || covers.is_empty() {
        return String::new();
    }
    let run = literal(entry.run);
    let rows: Vec<String> = covers
        .iter()
        .map(|row| {
            let (version, name) = (literal(&row.version), literal(&row.name));
            format!("({version}, {name}, '{}', 0, {run})", row.sha256)
        })
        .collect();
    format!(
        "; INSERT INTO plain_lambda.migrations (version, name, sha256, duration_ms, run)
         VALUES {} ON CONFLICT (version) DO NOTHING",
        rows.join(", ")
    )
}

/// Returns the statement that deletes a row. Fails if another run has deleted it meanwhile, which can
/// happen only behind a pooler.
pub(crate) fn remove(version: &str) -> String {
    let version = literal(version);
    format!(
        "WITH gone AS (DELETE FROM plain_lambda.migrations WHERE version = {version} RETURNING 1)
         SELECT CASE count(*) WHEN 1 THEN 1 ELSE
            (count(*) || ' rows of version ' || {version} || ' are left, as another run took it')::int
         END FROM gone"
    )
}

/// Returns the statement that gives a row the version as its file has it now: `1` where it was `001`.
pub(crate) fn rename(version: &str, migration: &Migration) -> String {
    let (from, to) = (literal(version), literal(&migration.history_version()));
    format!("UPDATE plain_lambda.migrations SET version = {to} WHERE version = {from}")
}

/// Returns the statement that gives the row of an applied file the name and the checksum that the file
/// has now. When it was applied stays as it is.
pub(crate) fn accept(version: &str, migration: &Migration) -> String {
    let (version, name) = (literal(version), literal(&migration.name));
    let sha256 = migration.up.sha256();
    format!(
        "UPDATE plain_lambda.migrations SET name = {name}, sha256 = '{sha256}' \
         WHERE version = {version}"
    )
}

/// Quotes a string literal. An `E''` literal does not depend on the `standard_conforming_strings`
/// that a file may have set.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Returns the failure to read or write the table.
pub(crate) fn unavailable(error: postgres::Error) -> Failure {
    let cause = describe(&error);
    let kind = match database::failed(error).kind() {
        Kind::QueryFailed => Kind::HistoryUnavailable,
        known => known,
    };
    let message = "failed to use table `plain_lambda.migrations`";
    Failure::new(kind, message).with_source(cause)
}

fn from_row(row: &Row) -> Applied {
    let statements: i32 = row.get(4);
    Applied {
        version: row.get(0),
        name: row.get(1),
        sha256: row.get(2),
        ms: row.get(3),
        statements: usize::try_from(statements).unwrap_or(0),
        begun: row.get(5),
        run: row.get(6),
        at: row.get(7),
        remembered: row.get(8),
        progress: row.get(9),
    }
}
