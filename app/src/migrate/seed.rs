//! Fills an empty database from `seed.sql`; leaves any other alone.

use super::{files, lock::Locked, run::SqlFile, status};
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
    let path = app.settings.migrations_dir.join(files::SEED);
    let file = SqlFile::read(path)?;
    let connection = app.database.connection(invocation)?;
    let mut client = Locked::acquire(connection, invocation)?;
    let pending = status::compare(app, &mut client)?.pending.len();
    if pending > 0 {
        let message = format!("failed to seed: {pending} migrations are pending, apply them first");
        return Err(Failure::new("Function.MigrationsPending", message));
    }
    if let Some(table) = filled_table(&mut client)? {
        let reason = format!("table {table} holds rows");
        return Ok(json!({"seeded": false, "reason": reason}));
    }
    let took = file.run(&mut client, |_, _| Ok(()))?;
    Ok(json!({"seeded": true, "ms": took.as_millis() as u64}))
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
