//! What the database remembers: the table of applied migrations, in a schema of its own.
//!
//! Always named with its schema, because a migration may change the search path. The row of a file
//! that runs step by step is there from its first step on, and says how far it came.

use super::files::{Migration, Version};
use crate::Failure;
use crate::database::describe;
use postgres::error::SqlState;
use postgres::{Client, Row};
use std::time::Duration;

const CREATE: &str = "
    CREATE SCHEMA IF NOT EXISTS plain_lambda;
    CREATE TABLE IF NOT EXISTS plain_lambda.migrations (
        version     text PRIMARY KEY,
        name        text NOT NULL,
        sha256      text NOT NULL,
        applied_at  timestamptz DEFAULT clock_timestamp(),
        duration_ms bigint NOT NULL
    );
    ALTER TABLE plain_lambda.migrations
        ALTER COLUMN applied_at DROP NOT NULL,
        ADD COLUMN IF NOT EXISTS statements integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS begun      boolean NOT NULL DEFAULT false,
        ADD COLUMN IF NOT EXISTS run        text    NOT NULL DEFAULT '';
    COMMENT ON TABLE plain_lambda.migrations IS 'one row for each applied file of migrations/';
    COMMENT ON COLUMN plain_lambda.migrations.sha256 IS
        'of the file with LF as its lines'' end; of what has run while applied_at is null';
    COMMENT ON COLUMN plain_lambda.migrations.applied_at IS
        'null while a file that cannot run in one transaction is under way';
    COMMENT ON COLUMN plain_lambda.migrations.statements IS 'how many are done';
    COMMENT ON COLUMN plain_lambda.migrations.begun IS
        'the next statement was begun outside of a transaction: it may be done';
    COMMENT ON COLUMN plain_lambda.migrations.run IS 'the invocation''s request id'";

const IS_READY: &str = "
    SELECT count(*) = 1 FROM pg_attribute
    WHERE attrelid = to_regclass('plain_lambda.migrations') AND attname = 'run'";

const SELECT: &str = "
    SELECT version, name, sha256, duration_ms, statements, begun, run,
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM plain_lambda.migrations";

const ON_CONFLICT: &str = "
    ON CONFLICT (version) DO UPDATE SET
        name = excluded.name, sha256 = excluded.sha256, run = excluded.run,
        duration_ms = plain_lambda.migrations.duration_ms + excluded.duration_ms,
        statements = excluded.statements, begun = excluded.begun, applied_at = excluded.applied_at";

/// A row: an applied migration, or one that is under way.
#[derive(Debug, Clone)]
pub struct Applied {
    /// As it was written in the file's name.
    pub version: String,
    /// The rest of the file's name.
    pub name: String,
    /// Of the text that was applied.
    pub sha256: String,
    /// How long its statements took, in milliseconds.
    pub ms: i64,
    /// How many statements are done.
    pub statements: usize,
    /// Whether the next one may be done too.
    pub begun: bool,
    /// The request id of the invocation that applied it.
    pub run: String,
    /// When its statements had run, in UTC: `2026-01-31 23:59:59`; `None` while it is under way.
    pub at: Option<String>,
}

/// What a row is to say.
pub struct Entry<'a> {
    /// Whose row.
    pub migration: &'a Migration,
    /// Of the file, or of its part that has run.
    pub sha256: String,
    /// What is added to the time that its statements took.
    pub took: Duration,
    /// How many are done.
    pub statements: usize,
    /// Whether the next one is begun outside of a transaction.
    pub begun: bool,
    /// The request id.
    pub run: &'a str,
    /// Whether all is done.
    pub finished: bool,
}

/// Makes the table if it is missing. Call it under the lock: two makers at once can fail.
///
/// # Errors
/// `Function.HistoryUnavailable`.
pub fn prepare(client: &mut Client) -> Result<(), Failure> {
    let ready = client.query_typed_one(IS_READY, &[]);
    match ready.map_err(unavailable)?.get(0) {
        true => Ok(()),
        false => client.batch_execute(CREATE).map_err(unavailable),
    }
}

/// All rows by version; none when there is no table yet.
///
/// # Errors
/// `Function.HistoryUnavailable`.
pub fn applied(client: &mut Client) -> Result<Vec<Applied>, Failure> {
    match client.query_typed(SELECT, &[]) {
        Ok(rows) => {
            let mut rows: Vec<Applied> = rows.iter().map(from_row).collect();
            rows.sort_by_cached_key(|row| Version::read(&row.version));
            Ok(rows)
        }
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
        // A table of before steps were recorded: the next run brings it up to date.
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_COLUMN) => Ok(Vec::new()),
        Err(error) => Err(unavailable(error)),
    }
}

/// Writes a row, in the transaction that does what it says. A text with its values, so that it can
/// travel together with what is before and after it.
pub fn put(entry: &Entry) -> String {
    let version = literal(&entry.migration.version.to_string());
    let (name, run) = (literal(&entry.migration.name), literal(entry.run));
    let (ms, statements) = (entry.took.as_millis(), entry.statements);
    let applied_at = match entry.finished {
        true => "clock_timestamp()",
        false => "NULL",
    };
    format!(
        "INSERT INTO plain_lambda.migrations
            (version, name, sha256, duration_ms, statements, begun, run, applied_at)
         VALUES ({version}, {name}, '{}', {ms}, {statements}, {}, {run}, {applied_at})
         {ON_CONFLICT}",
        entry.sha256, entry.begun
    )
}

/// Removes a row.
pub fn remove(version: &str) -> String {
    let version = literal(version);
    format!("DELETE FROM plain_lambda.migrations WHERE version = {version}")
}

/// The same to the server whatever `standard_conforming_strings` a file has set.
fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The failure to read or write the table.
pub fn unavailable(error: postgres::Error) -> Failure {
    Failure::new(
        "Function.HistoryUnavailable",
        "failed to use table `plain_lambda.migrations`",
    )
    .because(describe(&error))
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
    }
}
