//! Really runs the pending files, all in one transaction, and rolls it back.
//!
//! So it finds what a list of files does not: errors, locks, rewritten tables, and how long it takes.

use super::error::{self, Stop};
use super::files::{self, Migration};
use super::history;
use super::run::{self, Wanted};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::database::describe;
use crate::{App, Failure, Invocation};
use postgres::error::SqlState;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Instant;

/// What the transaction holds of tables that were there before, and is more than reading needs.
const LOCKS: &str = "
    SELECT DISTINCT l.relation::regclass::text, l.mode FROM pg_locks l
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
      AND l.relation IN (SELECT oid FROM pg_temp.plain_lambda_tables)";

/// Tables whose file is another than before: they were written anew.
const REWRITTEN: &str = "
    SELECT t.oid::regclass::text FROM pg_temp.plain_lambda_tables t JOIN pg_class c USING (oid)
    WHERE c.relfilenode <> t.relfilenode";

const REMEMBER: &str = "
    CREATE TEMPORARY TABLE plain_lambda_tables ON COMMIT DROP AS
    SELECT c.oid, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%'
      AND n.nspname NOT IN ('information_schema', 'plain_lambda')";

/// Tries the pending files; answers
/// `{"status":"dry run","would_apply":[{"version","name","ms","locks","rewrites"}…],"not_tried":[…]}`.
///
/// # Errors
/// As `run::migrate`.
pub fn dry_run(app: &App, invocation: &Invocation, wanted: &Wanted) -> Result<Value, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    let mut session = Session::open(app, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?);
    let work = run::work(&status, wanted)?;
    session
        .begin(None)
        .map_err(|stop| run::unfinished(stop, &app.settings.migrations_dir))?;
    session
        .batch_execute(REMEMBER)
        .map_err(history::unavailable)?;
    let mut tried = Tried::default();
    for (migration, steps) in &work {
        let outcome = try_one(&mut session, migration, steps, &mut tried);
        if let Err(stop) = outcome {
            session.roll_back();
            return Err(run::unfinished(stop, &migration.up.path));
        }
    }
    session.roll_back();
    Ok(json!({"status": "dry run", "would_apply": tried.applied, "not_tried": tried.not}))
}

#[derive(Default)]
struct Tried {
    applied: Vec<Value>,
    not: Vec<Value>,
    /// What earlier files have locked and rewritten.
    known: BTreeSet<(String, String)>,
}

fn try_one(
    session: &mut Session,
    migration: &Migration,
    steps: &Steps,
    tried: &mut Tried,
) -> Result<(), Stop> {
    let mut json = migration.to_json();
    if !steps.whole {
        json["reason"] = "it does not run in a transaction".into();
        tried.not.push(json);
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
                return Err(refused(migration, steps, at, &error, tried));
            }
            session.batch_execute("ROLLBACK TO SAVEPOINT plain_lambda")?;
            json["reason"] = describe(&error).into();
            tried.not.push(json);
            return Ok(());
        }
    }
    json["ms"] = (started.elapsed().as_millis() as u64).into();
    session.be_ourselves()?;
    json["locks"] = news(session, LOCKS, tried, |row| {
        let (table, mode): (String, String) = (row.get(0), row.get(1));
        (table, mode)
    })?;
    json["rewrites"] = news(session, REWRITTEN, tried, |row| {
        (row.get(0), "rewritten".to_string())
    })?;
    tried.applied.push(json);
    Ok(())
}

/// What this file has brought about and no earlier one.
fn news(
    session: &mut Session,
    query: &str,
    tried: &mut Tried,
    read: fn(&postgres::Row) -> (String, String),
) -> Result<Value, Stop> {
    let rows = session.query_typed(query, &[])?;
    let found = rows
        .iter()
        .map(read)
        .filter(|one| tried.known.insert(one.clone()));
    let shown = found.map(|(table, mode)| match mode.as_str() {
        "rewritten" => json!(table),
        _ => json!({"table": table, "mode": mode}),
    });
    Ok(shown.collect::<Vec<_>>().into())
}

fn refused(
    migration: &Migration,
    steps: &Steps,
    at: usize,
    error: &postgres::Error,
    tried: &Tried,
) -> Stop {
    let outcome = match tried.not.is_empty() {
        true => "in a dry run, which is rolled back",
        false => "in a dry run, which is rolled back and could not try all files before it",
    };
    error::failed(&migration.up, &steps.statements, Some(at), error, outcome).into()
}
