//! Fills an empty database from `seed.sql`; leaves any other alone.

use super::apply::{self, Meaning};
use super::files;
use super::history;
use super::run;
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::database::describe;
use crate::{App, Failure, Invocation};
use postgres::Client;
use serde_json::{Value, json};

/// Every table that a person may have filled, quoted for use in a statement.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('information_schema', 'plain_lambda')
      AND n.nspname NOT LIKE 'pg\\_%'";

/// Runs the seed file in one transaction unless a table holds rows; answers
/// `{"seeded":true,"ms"}` or `{"seeded":false,"reason"}`.
///
/// # Errors
/// `Function.MigrationsPending`; `Function.MigrationFailed`, nothing being applied.
pub fn seed(app: &App, invocation: &Invocation) -> Result<Value, Failure> {
    let script = files::seed(&app.settings.migrations_dir)?;
    let steps = Steps::of(&script)?;
    let files = files::migrations(&app.settings.migrations_dir)?;
    let mut session = Session::open(app, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?);
    if !status.pending.is_empty() {
        return Err(status.is_pending("failed to seed, as the migrations come first"));
    }
    if let Some(table) = filled_table(&mut session)? {
        let reason = format!("table {table} holds rows");
        return Ok(json!({"seeded": false, "reason": reason}));
    }
    let took = apply::apply(&mut session, &script, &steps, Meaning::None, None)
        .map_err(|stop| run::unfinished(stop, &script.path))?;
    Ok(json!({"seeded": true, "ms": took.unwrap_or_default().as_millis() as u64}))
}

/// The same where there is a seed file; null where there is none.
///
/// # Errors
/// As `seed`.
pub fn seed_if_there(app: &App, invocation: &Invocation) -> Result<Value, Failure> {
    match app.settings.migrations_dir.join(files::SEED).exists() {
        true => seed(app, invocation),
        false => Ok(Value::Null),
    }
}

fn filled_table(client: &mut Client) -> Result<Option<String>, Failure> {
    let failed = |error: postgres::Error| {
        Failure::new("Function.SeedFailed", "failed to look for rows").because(describe(&error))
    };
    for table in client.query_typed(TABLES, &[]).map_err(failed)? {
        let table: String = table.get(0);
        let filled = format!("SELECT EXISTS (SELECT FROM {table})");
        if client.query_typed_one(&filled, &[]).map_err(failed)?.get(0) {
            return Ok(Some(table));
        }
    }
    Ok(None)
}
