//! What the database remembers: the table of applied migrations, in a schema of its own.
//!
//! Always named with its schema, because a migration may change the search path.

use super::files::Migration;
use crate::Failure;
use crate::database::describe;
use postgres::error::SqlState;
use postgres::types::Type;
use postgres::{Client, Row, Transaction};
use std::time::Duration;

const CREATE: &str = "
    CREATE SCHEMA IF NOT EXISTS plain_lambda;
    CREATE TABLE IF NOT EXISTS plain_lambda.migrations (
        version     text PRIMARY KEY,
        name        text NOT NULL,
        sha256      text NOT NULL,
        applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        duration_ms bigint NOT NULL
    );
    COMMENT ON TABLE plain_lambda.migrations IS 'one row for each applied file of migrations/'";

const EXISTS: &str = "SELECT to_regclass('plain_lambda.migrations') IS NOT NULL";

const SELECT: &str = "
    SELECT version, name, duration_ms,
           to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    FROM plain_lambda.migrations ORDER BY version::numeric";

const INSERT: &str = "
    INSERT INTO plain_lambda.migrations (version, name, sha256, duration_ms)
    VALUES ($1, $2, $3, $4)";

/// An applied migration.
pub struct Applied {
    /// As it was written in the file's name.
    pub version: String,
    /// The rest of the file's name.
    pub name: String,
    /// How long its statements took, in milliseconds.
    pub ms: i64,
    /// When its statements had run, in UTC: `2026-01-31 23:59:59`.
    pub at: String,
}

/// Makes the table if it is missing. Call it under the lock: two makers at once can fail.
///
/// # Errors
/// `Function.HistoryUnavailable`.
pub fn prepare(client: &mut Client) -> Result<(), Failure> {
    let exists: bool = client
        .query_typed_one(EXISTS, &[])
        .map_err(unavailable)?
        .get(0);
    match exists {
        true => Ok(()),
        false => client.batch_execute(CREATE).map_err(unavailable),
    }
}

/// All applied migrations by version; none when there is no table yet.
///
/// # Errors
/// `Function.HistoryUnavailable`.
pub fn applied(client: &mut Client) -> Result<Vec<Applied>, Failure> {
    match client.query_typed(SELECT, &[]) {
        Ok(rows) => Ok(rows.iter().map(from_row).collect()),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(Vec::new()),
        Err(error) => Err(unavailable(error)),
    }
}

/// Adds a row, in the transaction that applies the file.
///
/// # Errors
/// Postgres's own.
pub fn record(
    transaction: &mut Transaction,
    migration: &Migration,
    sha256: &str,
    took: Duration,
) -> Result<(), postgres::Error> {
    let ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    transaction.execute_typed(
        INSERT,
        &[
            (&migration.version, Type::TEXT),
            (&migration.name, Type::TEXT),
            (&sha256, Type::TEXT),
            (&ms, Type::INT8),
        ],
    )?;
    Ok(())
}

fn from_row(row: &Row) -> Applied {
    Applied {
        version: row.get(0),
        name: row.get(1),
        ms: row.get(2),
        at: row.get(3),
    }
}

fn unavailable(error: postgres::Error) -> Failure {
    Failure::new(
        "Function.HistoryUnavailable",
        "failed to read table `plain_lambda.migrations`",
    )
    .because(describe(&error))
}
