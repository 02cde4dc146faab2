//! The action `migrate` with `dry_run`: runs the pending files in one transaction, and rolls it
//! back.
//!
//! Running the files finds what listing them does not: errors, locks, rewritten tables and the time
//! that they take. Must never commit.

use super::error::{self, RunError};
use super::files::{self, Migration};
use super::history;
use super::run::{self, Options};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use database::describe;
use handler::{Failure, Invocation};
use postgres::error::SqlState;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

/// Runs the pending files and rolls them back; answers
/// `{"status":"dry run","would_apply":[{"version","name","ms","locks","rewrites"}…],
/// "not_tried":[{"version","name","reason"}…],"built_in":{"would_apply":[…]}}`.
///
/// # Errors
/// Those of [`run::migrate`].
pub(crate) fn dry_run(
    migrator: &Migrator,
    invocation: &Invocation,
    options: &Options,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    let planned = run::plan(&status, options)?;
    session
        .begin(None)
        .map_err(|error| run::to_failure(error, &migrator.settings.migrations_dir))?;
    session
        .batch_execute(RECORD_TABLES)
        .map_err(history::unavailable)?;
    let mut report = Report::default();
    for (migration, steps) in &planned {
        let outcome = try_one(&mut session, migration, steps, &mut report);
        if let Err(error) = outcome {
            session.roll_back();
            return Err(run::to_failure(error, &migration.up.path));
        }
    }
    session.roll_back();
    Ok(json!({
        "status": "dry run",
        "would_apply": report.would_apply,
        "not_tried": report.not_tried,
        "built_in": {"would_apply": report.built_in},
    }))
}

/// Reads the locks that the transaction holds on tables that existed before it, except for the modes
/// that reading takes.
const LOCKS: &str = "
    SELECT DISTINCT l.relation::regclass::text, l.mode FROM pg_locks l
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
      AND l.relation IN (SELECT oid FROM pg_temp.plain_lambda_tables)";

/// Reads the tables whose `relfilenode` has changed since the transaction began: Postgres has
/// rewritten or truncated them.
const REWRITTEN: &str = "
    SELECT t.oid::regclass::text FROM pg_temp.plain_lambda_tables t JOIN pg_class c USING (oid)
    WHERE c.relfilenode <> t.relfilenode";

/// Records the tables that exist, and their `relfilenode`s, in a temporary table.
const RECORD_TABLES: &str = "
    CREATE TEMPORARY TABLE plain_lambda_tables ON COMMIT DROP AS
    SELECT c.oid, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%'
      AND n.nspname NOT IN ('information_schema', 'plain_lambda')";

/// The reply's lists, as far as files were tried.
#[derive(Default)]
struct Report {
    would_apply: Vec<Value>,
    built_in: Vec<Value>,
    not_tried: Vec<Value>,
    /// The tables that earlier files have locked or rewritten, each with the lock's mode or
    /// `rewritten`.
    known: BTreeSet<(String, String)>,
}

/// Runs one file in a savepoint. Does not try a file that Postgres refuses to run in a transaction.
fn try_one(
    session: &mut Session,
    migration: &Migration,
    steps: &Steps,
    report: &mut Report,
) -> Result<(), RunError> {
    let mut json = migration.to_json();
    if !steps.single_transaction {
        json["reason"] = "it does not run in a transaction".into();
        report.not_tried.push(json);
        return Ok(());
    }
    log::info!("trying {}", migration.up.path.display());
    session.batch_execute("SAVEPOINT plain_lambda")?;
    let started = Instant::now();
    for (at, statement) in steps.sent() {
        let sent = &migration.up.text[statement.span.clone()];
        let outcome = match &statement.data {
            None => session.batch_execute(sent),
            Some(data) => {
                super::apply::copy(session, sent, &migration.up.text.as_bytes()[data.clone()])
            }
        };
        if let Err(error) = outcome {
            if error.code() != Some(&SqlState::UNSAFE_NEW_ENUM_VALUE_USAGE) {
                return Err(failed(migration, steps, at, &error, report));
            }
            session.batch_execute("ROLLBACK TO SAVEPOINT plain_lambda")?;
            json["reason"] = describe(&error).into();
            report.not_tried.push(json);
            return Ok(());
        }
    }
    json["ms"] = (started.elapsed().as_millis() as u64).into();
    session.restore_role()?;
    json["locks"] = new_effects(session, LOCKS, report, |row| {
        let (table, mode): (String, String) = (row.get(0), row.get(1));
        (table, mode)
    })?;
    json["rewrites"] = new_effects(session, REWRITTEN, report, |row| {
        (row.get(0), "rewritten".to_string())
    })?;
    match migration.built_in {
        true => report.built_in.push(json),
        false => report.would_apply.push(json),
    }
    Ok(())
}

/// Lists the locks or rewritten tables that are new since the last file.
fn new_effects(
    session: &mut Session,
    query: &str,
    report: &mut Report,
    read: fn(&postgres::Row) -> (String, String),
) -> Result<Value, RunError> {
    let rows = session.query_typed(query, &[])?;
    let new = rows
        .iter()
        .map(read)
        .filter(|effect| report.known.insert(effect.clone()));
    let json = new.map(|(table, mode)| match mode.as_str() {
        "rewritten" => json!(table),
        _ => json!({"table": table, "mode": mode}),
    });
    Ok(json.collect::<Vec<_>>().into())
}

fn failed(
    migration: &Migration,
    steps: &Steps,
    at: usize,
    error: &postgres::Error,
    report: &Report,
) -> RunError {
    let outcome = match report.not_tried.is_empty() {
        true => "in a dry run, which is rolled back",
        false => "in a dry run, which is rolled back and could not try all files before it",
    };
    error::failed(&migration.up, &steps.statements, Some(at), error, outcome).into()
}
