//! The action `seed`: fills an empty database from `seed.sql`.
//!
//! Changes nothing if a table holds a row, except for the tables that the event allows to: those in
//! which migrations have put reference rows. Must not know how a script runs (`apply`).

use super::apply::{self, HistoryEffect};
use super::files::{self, Script};
use super::history::{self, literal};
use super::request::{Earlier, Request};
use super::run;
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use database::describe;
use handler::{Failure, Invocation, Kind};
use postgres::Client;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::Instant;

/// Runs the seed file if no table holds rows; answers `{"seeded":true,"ms"}` or
/// `{"seeded":false,"reason"}`. An entry `rows:<schema>.<table>` of `allow` lets a table hold rows.
///
/// # Errors
/// `Function.InvalidMigrations`; `Function.InvalidEvent`; `Function.MigrationsPending`;
/// `Function.SeedFailed` when a table cannot be read; `Function.MigrationFailed` and
/// `Function.OutOfTime`; those of [`Session::open`].
pub(crate) fn seed(
    migrator: &Migrator,
    invocation: &Invocation,
    mut request: Request,
    allow: &[String],
) -> Result<Value, Failure> {
    let unknown = allow.iter().find(|allowed| !allowed.starts_with("rows:"));
    if let Some(unknown) = unknown {
        let message = format!("failed to read allow `{unknown}`: write `rows:<schema>.<table>`");
        return Err(Failure::new(Kind::InvalidEvent, message));
    }
    let (script, steps) = read(migrator)?;
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    if let Earlier::Done(reply) = request.begin(&mut session)? {
        return Ok(reply);
    }
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    if status.pending_count() > 0 {
        return Err(status.pending_failure("failed to seed, as the migrations come first"));
    }
    session.commit().map_err(history::unavailable)?;
    let mut filled = filled_tables(&mut session)?;
    filled.retain(|table| !allow.contains(&format!("rows:{table}")));
    if !filled.is_empty() {
        let all: Vec<String> = filled.iter().map(|table| format!("rows:{table}")).collect();
        let reason = format!(
            "{} hold rows; if migrations have put them there, send \"allow\":{}",
            filled.join(", "),
            json!(all)
        );
        return Ok(json!({"seeded": false, "reason": reason}));
    }
    run_seed(&mut session, &script, &steps, &request, &|seeded| seeded)
}

/// Reads the seed file and its statements.
///
/// # Errors
/// `Function.InvalidMigrations`.
pub(crate) fn read(migrator: &Migrator) -> Result<(Script, Steps), Failure> {
    let script = files::seed(&migrator.settings.migrations_dir)?;
    let steps = Steps::without_batches(&script)?;
    Ok((script, steps))
}

/// Returns whether there is a seed file.
pub(crate) fn is_there(migrator: &Migrator) -> bool {
    migrator.settings.migrations_dir.join(files::SEED).exists()
}

/// Runs the seed, and remembers in its last transaction the answer that `reply` makes of
/// `{"seeded":true,"ms"}`; returns that answer.
///
/// # Errors
/// `Function.MigrationFailed` and `Function.OutOfTime`.
pub(crate) fn run_seed(
    session: &mut Session,
    script: &Script,
    steps: &Steps,
    request: &Request,
    reply: &dyn Fn(Value) -> Value,
) -> Result<Value, Failure> {
    let started = Instant::now();
    let answer = RefCell::new(Value::Null);
    let record = |session: &Session| {
        let ms = started.elapsed().as_millis() as u64;
        let reply = reply(json!({"seeded": true, "ms": ms}));
        let record = request.record(session, &[], &reply);
        answer.replace(reply);
        record
    };
    apply::apply(session, script, steps, HistoryEffect::Then(&record), false)
        .map_err(|error| run::to_failure(error, &script.path))?;
    Ok(answer.into_inner())
}

/// The tables that may hold rows, quoted for use in a statement: all but those of the system and of
/// the schema `plain_lambda`.
const TABLES: &str = "
    SELECT format('%I.%I', n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT IN ('information_schema', 'plain_lambda')
      AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1";

/// The number of tables that one query looks at; it locks all of them.
const TABLES_AT_ONCE: usize = 100;

/// Lists the tables that hold a row, quoted.
fn filled_tables(client: &mut Client) -> Result<Vec<String>, Failure> {
    let failed = |error: postgres::Error| {
        Failure::new(Kind::SeedFailed, "failed to look for rows").with_source(describe(&error))
    };
    let tables = client.query_typed(TABLES, &[]).map_err(failed)?;
    let tables: Vec<String> = tables.iter().map(|row| row.get(0)).collect();
    let mut filled = Vec::new();
    for tables in tables.chunks(TABLES_AT_ONCE) {
        let looks = tables.iter().map(|table| {
            let name = literal(table);
            format!("SELECT {name}::text WHERE EXISTS (SELECT FROM {table})")
        });
        let query = looks.collect::<Vec<_>>().join(" UNION ALL ");
        let rows = client.query_typed(&query, &[]).map_err(failed)?;
        filled.extend(rows.iter().map(|row| row.get::<_, String>(0)));
    }
    Ok(filled)
}
