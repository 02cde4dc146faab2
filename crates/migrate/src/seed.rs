//! The action `seed`: fills an empty database from `seed.sql`.
//!
//! Changes nothing if any table holds a row. Must not know how a script runs (`apply`).

use super::apply::{self, HistoryEffect};
use super::files;
use super::history;
use super::run;
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use database::describe;
use handler::{Failure, Invocation, Kind};
use postgres::Client;
use serde_json::{Value, json};

/// Runs the seed file if no table holds rows; answers `{"seeded":true,"ms"}` or
/// `{"seeded":false,"reason"}`.
///
/// # Errors
/// `Function.InvalidMigrations`; `Function.MigrationsPending`; `Function.SeedFailed` when a table
/// cannot be read; `Function.MigrationFailed` and `Function.OutOfTime`; those of [`Session::open`].
pub(crate) fn seed(migrator: &Migrator, invocation: &Invocation) -> Result<Value, Failure> {
    let script = files::seed(&migrator.settings.migrations_dir)?;
    let steps = Steps::of(&script)?;
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    if status.pending_count() > 0 {
        return Err(status.pending_failure("failed to seed, as the migrations come first"));
    }
    if let Some(table) = filled_table(&mut session)? {
        let reason = format!("table {table} holds rows");
        return Ok(json!({"seeded": false, "reason": reason}));
    }
    let took = apply::apply(&mut session, &script, &steps, HistoryEffect::None, None)
        .map_err(|error| run::to_failure(error, &script.path))?;
    Ok(json!({"seeded": true, "ms": took.unwrap_or_default().as_millis() as u64}))
}

/// Does what `seed` does if there is a seed file; answers null if there is none.
///
/// # Errors
/// As `seed`.
pub(crate) fn seed_if_there(
    migrator: &Migrator,
    invocation: &Invocation,
) -> Result<Value, Failure> {
    match migrator.settings.migrations_dir.join(files::SEED).exists() {
        true => seed(migrator, invocation),
        false => Ok(Value::Null),
    }
}

/// The tables that may hold rows, quoted for use in a statement: all but those of the system and of
/// the schema `plain_lambda`.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('information_schema', 'plain_lambda')
      AND n.nspname NOT LIKE 'pg\\_%'";

/// Returns the first table that holds a row, quoted.
fn filled_table(client: &mut Client) -> Result<Option<String>, Failure> {
    let failed = |error: postgres::Error| {
        Failure::new(Kind::SeedFailed, "failed to look for rows").with_source(describe(&error))
    };
    for table in client.query_typed(TABLES, &[]).map_err(failed)? {
        let table: String = table.get(0);
        let query = format!("SELECT EXISTS (SELECT FROM {table})");
        if client.query_typed_one(&query, &[]).map_err(failed)?.get(0) {
            return Ok(Some(table));
        }
    }
    Ok(None)
}
