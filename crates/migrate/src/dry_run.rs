//! The action `migrate` with `dry_run`: runs the pending files in one transaction, and rolls it
//! back.
//!
//! Running the files finds what listing them does not: errors, locks, rewritten tables and the time
//! that they take. Says what it could not try, and which sequences it advanced, because Postgres does
//! not roll those back. Must never commit.

use super::apply::{self, HistoryEffect, Run};
use super::check;
use super::error::{self, RunError};
use super::files::{self, Migration};
use super::history;
use super::run::{self, Options};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use database::describe;
use handler::{Failure, Invocation, Kind};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

/// Runs the pending files and rolls them back; answers
/// `{"status":"dry run","would_apply":[{"version","name","ms","locks","rewrites"}…],
/// "not_tried":[{"version","name","reason"}…],"built_in":{"would_apply":[…]},
/// "sequences":[{"sequence","from","to"}…]}`. The status is `partial dry run` when it ended before
/// the last file.
///
/// # Errors
/// Those of [`run::migrate`], except for `Function.OutOfTime`.
pub(crate) fn dry_run(
    migrator: &Migrator,
    invocation: &Invocation,
    options: &Options,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open_unprepared(migrator, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    let planned = run::plan(&status, options)?;
    // A dry run holds the same locks, and those of all files until its end.
    check::refuse_unsafe(&mut session, &status, &planned, &options.allow)?;
    let before = last_values(&mut session);
    let mut report = Report::default();
    let tried = report.try_all(&mut session, &planned);
    session.watchdog.clear();
    session.roll_back();
    let sequences = advanced(before, &last_values(&mut session));
    if let Err((error, migration)) = tried {
        let path = migration.map_or(&migrator.settings.migrations_dir, |one| &one.up.path);
        let failure = run::to_failure(error, path);
        return Err(match sequences.is_empty() {
            true => failure,
            false => failure.append(&format!(
                "; what is not rolled back: it advanced sequences {}",
                json!(sequences)
            )),
        });
    }
    if report.is_partial && invocation.is_interrupted() {
        return Err(Failure::new(Kind::OutOfTime, "failed to end the dry run"));
    }
    let mut reply = json!({
        "status": if report.is_partial { "partial dry run" } else { "dry run" },
        "would_apply": report.would_apply,
        "not_tried": report.not_tried,
        "built_in": {"would_apply": report.built_in},
        "sequences": sequences,
    });
    if !status.callbacks.is_empty() {
        reply["callbacks"] = "not tried; migrate runs them around the files".into();
    }
    if migrator.settings.reset_database {
        reply["note"] = "RESET_DATABASE is true: migrate would reset the database first; this dry \
                         run tried the database as it is"
            .into();
    }
    Ok(reply)
}

/// The tables, views and materialized views, each with the file that holds its rows.
const RELATIONS: &str = "
    SELECT c.oid, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%'
      AND n.nspname NOT IN ('information_schema', 'plain_lambda')";

/// Reads the locks that the transaction holds, except for the modes that reading takes, with the file
/// of the locked relation: Postgres rewrites or truncates a table only under such a lock.
const LOCKED: &str = "
    SELECT c.oid, c.oid::regclass::text, c.relfilenode, l.mode
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 2, 4";

/// Names the constraints that can be checked at COMMIT, and those that are unless a file says
/// otherwise. Not `ALL`: that would hold for the constraints that later files make, too.
const DEFERRABLE: &str = "
    SELECT string_agg(name, ', '), string_agg(name, ', ') FILTER (WHERE deferred) FROM (
        SELECT format('%I.%I', n.nspname, c.conname) AS name,
               bool_and(c.condeferrable) AND bool_or(c.condeferred) AS deferred
        FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
        WHERE has_schema_privilege(n.oid, 'USAGE') GROUP BY 1 HAVING bool_or(c.condeferrable)
    ) constraints";

/// Reads the sequences' last values. Those that the role may not read are null.
const LAST_VALUES: &str =
    "SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences";

/// The reply's lists, as far as files were tried.
#[derive(Default)]
struct Report {
    would_apply: Vec<Value>,
    built_in: Vec<Value>,
    not_tried: Vec<Value>,
    is_partial: bool,
    /// Whether a file may have changed the settings of the database or the role.
    defaults_changed: bool,
    /// The relations that existed before the dry run, each with its file as of now.
    relations: BTreeMap<u32, u32>,
    /// The locks that earlier files have taken, which are held until the end.
    locks: BTreeSet<(u32, String)>,
}

/// What came of a file.
enum Outcome {
    /// It would be applied, with these effects.
    Tried(Value),
    /// It cannot be tried; the reason.
    NotTried(String),
    /// Neither it nor any file after it can be tried; the reason.
    Ended(String),
}

impl Report {
    /// Tries the files in one transaction, which stays open. Fails with the file that would fail.
    fn try_all<'a>(
        &mut self,
        session: &mut Session,
        planned: &'a [(&'a Migration, Steps)],
    ) -> Result<(), (RunError, Option<&'a Migration>)> {
        self.begin(session).map_err(|error| (error, None))?;
        let mut ended = None;
        for (migration, steps) in planned {
            let outcome = match &ended {
                Some(reason) => Outcome::Ended(String::clone(reason)),
                None => self
                    .try_one(session, migration, steps)
                    .map_err(|error| (error, Some(*migration)))?,
            };
            let mut json = migration.to_json();
            match outcome {
                Outcome::Tried(effects) => {
                    for key in ["ms", "locks", "rewrites"] {
                        json[key] = effects[key].clone();
                    }
                    match migration.built_in {
                        true => self.built_in.push(json),
                        false => self.would_apply.push(json),
                    }
                    continue;
                }
                Outcome::NotTried(reason) => json["reason"] = reason.into(),
                Outcome::Ended(reason) => {
                    json["reason"] = reason.as_str().into();
                    ended = Some(reason);
                }
            }
            self.not_tried.push(json);
        }
        self.is_partial = ended.is_some();
        Ok(())
    }

    /// Begins the transaction, makes the history in it, and remembers what relations there are.
    fn begin(&mut self, session: &mut Session) -> Result<(), RunError> {
        session.begin(None)?;
        history::prepare(session)?;
        let rows = session.query_typed(RELATIONS, &[])?;
        self.relations = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(())
    }

    /// Runs one file in a savepoint, in a session that is reset.
    fn try_one(
        &mut self,
        session: &mut Session,
        migration: &Migration,
        steps: &Steps,
    ) -> Result<Outcome, RunError> {
        if session.deadline.is_short_of(Duration::from_millis(1)) {
            return Ok(Outcome::Ended(OUT_OF_TIME.into()));
        }
        if steps.batched.is_some() {
            return Ok(Outcome::NotTried(
                "it runs in batches, each a transaction of its own".into(),
            ));
        }
        if !steps.single_transaction {
            return Ok(Outcome::NotTried(
                "it does not run in one transaction".into(),
            ));
        }
        log::info!("trying {}", migration.up.path.display());
        session.reset_in_transaction(self.defaults_changed)?;
        session.batch_execute("SAVEPOINT plain_lambda")?;
        let started = Instant::now();
        match run_and_check(session, migration, steps) {
            Ok(()) => {}
            Err(RunError::Refused(sent, error)) => {
                return self.judge(session, migration, steps, sent, &error);
            }
            Err(error) => return Err(error),
        }
        let ms = started.elapsed().as_millis() as u64;
        // The names of relations are those of a session that is reset.
        self.defaults_changed |= steps.changes_defaults;
        session.reset_in_transaction(self.defaults_changed)?;
        session.batch_execute("RELEASE SAVEPOINT plain_lambda")?;
        let (locks, rewrites) = self.new_effects(session)?;
        Ok(Outcome::Tried(
            json!({"ms": ms, "locks": locks, "rewrites": rewrites}),
        ))
    }

    /// Tells an error that `migrate` would have too from one that only a dry run has, and goes back
    /// to the savepoint after the latter.
    fn judge(
        &self,
        session: &mut Session,
        migration: &Migration,
        steps: &Steps,
        sent: Option<error::Sent>,
        error: &postgres::Error,
    ) -> Result<Outcome, RunError> {
        session.watchdog.clear();
        if apply::was_cancelled(session, error) {
            return Ok(Outcome::Ended(OUT_OF_TIME.into()));
        }
        if error.code() == Some(&SqlState::OUT_OF_MEMORY) {
            return Ok(Outcome::Ended(format!(
                "a dry run keeps the locks of all its files to the end, and here the server had no \
                 room for more, which max_locks_per_transaction gives: {}",
                describe(error)
            )));
        }
        let first = self.not_tried.first();
        let reason = match first {
            _ if apply::needs_steps(error) || apply::is_lock_error(error) => describe(error),
            Some(first) if error.code() != Some(&SqlState::SYNTAX_ERROR) => format!(
                "it failed, perhaps because {} was not tried: {}",
                first["version"].as_str().unwrap_or_default(),
                describe(error)
            ),
            _ => {
                let outcome = match sent {
                    Some(_) => "in a dry run, which is rolled back",
                    None => "at its COMMIT, in a dry run, which is rolled back",
                };
                let statements = &steps.statements;
                return Err(error::failed(&migration.up, statements, sent, error, outcome).into());
            }
        };
        session
            .batch_execute("ROLLBACK TO SAVEPOINT plain_lambda; RELEASE SAVEPOINT plain_lambda")?;
        Ok(Outcome::NotTried(reason))
    }

    /// Lists the locks that are new since the last file, and the tables that were rewritten since
    /// then, of those that existed before the dry run.
    fn new_effects(&mut self, session: &mut Session) -> Result<(Vec<Value>, Vec<Value>), RunError> {
        let (mut locks, mut rewrites) = (Vec::new(), Vec::new());
        for row in &session.query_typed(LOCKED, &[])? {
            let (relation, name, file, mode): (u32, String, u32, String) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            let Some(before) = self.relations.get_mut(&relation) else {
                continue;
            };
            if mem::replace(before, file) != file {
                rewrites.push(json!(name));
            }
            if self.locks.insert((relation, mode.clone())) {
                locks.push(json!({"table": name, "mode": mode}));
            }
        }
        Ok((locks, rewrites))
    }
}

/// The reason not to try a file when there is no time left.
const OUT_OF_TIME: &str = "the invocation's time is over; give the function a longer timeout";

/// Runs the statements of a file, and then what COMMIT would check.
fn run_and_check(
    session: &mut Session,
    migration: &Migration,
    steps: &Steps,
) -> Result<(), RunError> {
    let mut run = Run::of(session, &migration.up, steps, HistoryEffect::None);
    for (at, _) in steps.sent() {
        run.send(at)?;
    }
    session.watchdog.set_statement(format!(
        "{}: the checks of its COMMIT",
        migration.up.path.display()
    ));
    session.restore_role()?;
    let row = session.query_typed_one(DEFERRABLE, &[])?;
    for (column, mode) in ["IMMEDIATE", "DEFERRED"].into_iter().enumerate() {
        if let Some(names) = row.get::<_, Option<String>>(column) {
            session.batch_execute(&format!("SET CONSTRAINTS {names} {mode}"))?;
        }
    }
    session.watchdog.clear();
    Ok(())
}

/// Reads the sequences' last values; none if they cannot be read.
fn last_values(client: &mut Client) -> BTreeMap<String, Option<i64>> {
    let rows = client.query_typed(LAST_VALUES, &[]).unwrap_or_default();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Lists the sequences that the dry run advanced, or another session meanwhile.
fn advanced(
    before: BTreeMap<String, Option<i64>>,
    after: &BTreeMap<String, Option<i64>>,
) -> Vec<Value> {
    let pairs = before
        .into_iter()
        .filter_map(|(name, from)| Some((after.get(&name)?, name, from)));
    pairs
        .filter(|(to, _, from)| *to != from)
        .map(|(to, sequence, from)| json!({"sequence": sequence, "from": from, "to": to}))
        .collect()
}
