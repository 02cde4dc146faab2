//! The action `migrate`: applies the pending migrations in order, until the invocation's time is
//! over.
//!
//! Must not know how one file runs (`apply`) or how files and history are compared (`status`).

use super::apply::{self, HistoryEffect};
use super::batched;
use super::check;
use super::error::RunError;
use super::files::{self, Files, Migration, Version};
use super::history::{self, Applied};
use super::resume::resume;
use super::session::Session;
use super::status::{Status, to_json};
use super::steps::Steps;
use crate::Migrator;
use crate::built_in::display_version;
use crate::callbacks::Around;
use handler::{Failure, Invocation, Kind};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a run applies.
#[derive(Default)]
pub(crate) struct Options {
    /// The newest version to apply; `None` applies all.
    pub to: Option<String>,
    /// The differences between files and history that do not stop the run.
    pub allow: Vec<String>,
}

/// Applies the pending migrations in order. Answers the applied ones, and the ones that are still
/// pending when the invocation's time is over.
///
/// # Errors
/// `Function.InvalidMigrations`, `Function.InvalidEvent`, `Function.MigrationsDiffer` and
/// `Function.UnsafeMigration` before
/// anything runs; `Function.MigrationFailed` with the place and Postgres's message;
/// `Function.OutOfTime` when not even one file, or one step of a file, was done; those of
/// [`Session::open`].
pub(crate) fn migrate(
    migrator: &Migrator,
    invocation: &Invocation,
    options: &Options,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    migrate_in(&mut session, migrator, files, options)
}

/// Does what [`migrate`] does, in a session that is open, with files that are read.
///
/// # Errors
/// Those of [`migrate`].
pub(crate) fn migrate_in(
    session: &mut Session,
    migrator: &Migrator,
    files: Files,
    options: &Options,
) -> Result<Value, Failure> {
    let status = Status::of(files, history::applied(session)?, migrator.built_in);
    let planned = plan(&status, options)?;
    let around = Around::of(&status.callbacks)?;
    check::refuse_unsafe(session, &status, &planned, &options.allow)?;
    around.before(session).map_err(of_callback)?;
    let mut applied = applied_before(session, &status.applied);
    let mut built_in = applied_before(session, &status.built_in_applied);
    let in_order: Vec<(&Migration, &Steps)> =
        planned.iter().map(|(file, steps)| (*file, steps)).collect();
    let progress = apply_in_order(session, &status, &in_order)?;
    applied.extend(progress.applied);
    built_in.extend(progress.built_in);
    let (done, built_in_count) = (progress.done, status.built_in_pending.len());
    if done == planned.len() {
        around.after(session).map_err(of_callback)?;
    }
    let mut reply = json!({
        "status": "done",
        "applied": applied,
        "pending": to_json(&status.pending[done.saturating_sub(built_in_count)..]),
        "built_in": {
            "applied": built_in,
            "pending": to_json(&status.built_in_pending[done.min(built_in_count)..]),
        },
    });
    if done < planned.len() {
        reply["status"] = "partial".into();
        reply["next"] = "invoke again".into();
    }
    if let Some(progress) = progress.under_way {
        reply["pending"][0]["progress"] = progress;
    }
    Ok(reply)
}

/// How far a run came.
#[derive(Default)]
pub(crate) struct Progress {
    /// The files that were applied, as replies list them.
    pub applied: Vec<Value>,
    /// The built-in migrations that were applied.
    pub built_in: Vec<Value>,
    /// How many migrations were done, in their order.
    pub done: usize,
    /// How far the next one came, if it runs in batches.
    pub under_way: Option<Value>,
}

/// Applies migrations in order, until the invocation's time is over.
///
/// # Errors
/// `Function.MigrationFailed`; `Function.OutOfTime` when not even one file, or one step of a file,
/// was done.
pub(crate) fn apply_in_order(
    session: &mut Session,
    status: &Status,
    planned: &[(&Migration, &Steps)],
) -> Result<Progress, Failure> {
    let around = Around::of(&status.callbacks)?;
    let mut progress = Progress::default();
    let mut slowest = Duration::ZERO;
    for (index, (migration, steps)) in planned.iter().enumerate() {
        if progress.done > 0 && session.deadline.is_short_of(slowest) {
            break;
        }
        let started = Instant::now();
        let begun = status.begun(migration);
        if !migration.built_in {
            around.before_each(session).map_err(of_callback)?;
        }
        let next = planned.get(index + 1);
        let goes_on = next.is_some_and(|(_, next)| next.begins_at_once());
        match apply_one(session, migration, steps, begun, goes_on) {
            Ok(json) if migration.built_in => progress.built_in.push(json),
            Ok(json) => progress.applied.push(json),
            // Built-in migrations take little time, and do not count as progress with the files.
            Err(RunError::OutOfTime(blockers)) => {
                let row = row_of(session, migration)?;
                if progress.applied.is_empty() && !has_gone_on(row.as_ref(), begun) {
                    let error = RunError::OutOfTime(blockers);
                    return Err(to_failure(error, &migration.up.path));
                }
                progress.under_way = row.as_ref().and_then(batched::to_json);
                break;
            }
            Err(error) => return Err(to_failure(error, &migration.up.path)),
        }
        if !migration.built_in {
            around.after_each(session).map_err(of_callback)?;
        }
        progress.done += 1;
        slowest = slowest.max(started.elapsed());
    }
    Ok(progress)
}

/// Lists the pending migrations that a run applies, with their steps: all built-in migrations, then
/// the files up to `options.to`.
///
/// # Errors
/// `Function.InvalidMigrations`, `Function.InvalidEvent`, `Function.MigrationsDiffer`.
pub(crate) fn plan<'a>(
    status: &'a Status,
    options: &Options,
) -> Result<Vec<(&'a Migration, Steps)>, Failure> {
    status.check(&options.allow)?;
    let to = options
        .to
        .as_deref()
        .map(|to| known_version(status, to))
        .transpose()?;
    let mut planned = Vec::new();
    for migration in &status.built_in_pending {
        planned.push((migration, Steps::of(&migration.up)?));
    }
    for migration in &status.pending {
        if to.as_ref().is_some_and(|to| migration.version > *to) {
            break;
        }
        let mut steps = Steps::of(&migration.up)?;
        if let Some(row) = status.begun(migration) {
            steps.resume = Some(resume(migration, &steps, row, &options.allow)?);
        }
        planned.push((migration, steps));
    }
    Ok(planned)
}

/// Checks what can be known of the files before there is a database: that the version `options.to` is
/// there, and that no file holds a statement that must not run.
///
/// # Errors
/// `Function.InvalidMigrations`, `Function.InvalidEvent`.
pub(crate) fn check_files(files: &Files, options: &Options) -> Result<(), Failure> {
    Around::of(&files.callbacks)?;
    let start = files.start.iter().map(|start| &start.migration);
    let mut all = files.migrations.iter().chain(start);
    for file in all.clone() {
        Steps::of(&file.up)?;
    }
    match &options.to {
        Some(to) if !all.any(|file| file.version.same(to)) => Err(unknown_version(to)),
        _ => Ok(()),
    }
}

/// Reads a version that one of the files has.
///
/// # Errors
/// `Function.InvalidEvent` when no file has it.
pub(crate) fn known_version(status: &Status, text: &str) -> Result<Version, Failure> {
    match status.file(text) {
        Some(file) => Ok(file.version.clone()),
        None if status.is_covered(text) => {
            let message = format!(
                "failed to find version `{text}`: as nothing is applied, a baseline or structure.sql \
                 stands for it; give its version or a newer one"
            );
            Err(Failure::new(Kind::InvalidEvent, message))
        }
        None => Err(unknown_version(text)),
    }
}

fn unknown_version(text: &str) -> Failure {
    let message = format!("failed to find version `{text}`: no file has it");
    Failure::new(Kind::InvalidEvent, message)
}

/// Returns the failure of a run that stopped at a callback.
fn of_callback((error, path): (RunError, &Path)) -> Failure {
    to_failure(error, path)
}

/// Returns the failure of a run that stopped at the script of this path.
pub(crate) fn to_failure(error: RunError, path: &Path) -> Failure {
    let path = path.display();
    match error {
        RunError::Failed(failure) => failure,
        RunError::Refused(_, error) => history::unavailable(error),
        RunError::OutOfTime(blockers) => {
            let failure = Failure::new(
                Kind::OutOfTime,
                format!(
                    "failed to finish `{path}` in the time of one invocation; what it had not \
                     committed is rolled back: give the function a longer timeout, or run \
                     `bootstrap migrate` from your machine"
                ),
            );
            match blockers {
                Some(blockers) => failure.append(&format!(
                    "; it waited for a lock, so a longer timeout may not help: blocked by {blockers}"
                )),
                None => failure,
            }
        }
    }
}

fn apply_one(
    session: &mut Session,
    migration: &Migration,
    steps: &Steps,
    begun: Option<&Applied>,
    goes_on: bool,
) -> Result<Value, RunError> {
    let path = migration.up.path.display();
    match begun {
        Some(row) => log::info!("resuming {path} after {} statements", row.statements),
        None => log::info!("applying {path}"),
    }
    if let Some(row) = begun.filter(|row| row.version != migration.history_version()) {
        session.batch_execute(&history::rename(&row.version, migration))?;
    }
    let effect = HistoryEffect::Applies(migration);
    let mut json = migration.to_json();
    let outcome = match &steps.batched {
        Some(mark) => batched::apply(session, migration, steps, mark, begun)?,
        None => apply::apply(session, &migration.up, steps, effect, goes_on)?,
    };
    match outcome {
        Some(took) => {
            let ms = took.as_millis() as u64;
            log::info!("applied {path} in {ms} ms");
            json["ms"] = ms.into();
            if steps.batched.is_some() {
                let row = row_of(session, migration)?;
                json["progress"] = row.as_ref().and_then(batched::to_json).into();
            }
        }
        None => {
            log::info!("{path} was applied by another run meanwhile");
            json["by"] = "another run".into();
        }
    }
    Ok(json)
}

/// Returns the history's row of a migration.
fn row_of(session: &mut Session, migration: &Migration) -> Result<Option<Applied>, Failure> {
    let rows = history::applied(session)?;
    Ok(rows.into_iter().find(|row| migration.has_row(row)))
}

/// Returns whether a file that runs step by step has completed a step in this run, or one that runs
/// in batches a batch.
fn has_gone_on(row: Option<&Applied>, begun: Option<&Applied>) -> bool {
    row.is_some_and(|row| {
        let before = begun.map(|begun| (begun.statements, &begun.progress));
        before.unwrap_or((0, &None)) != (row.statements, &row.progress)
    })
}

/// Lists the migrations that this run applied before it lost its connection, and those that the run
/// applied whose lock this run waited for: a caller that invokes again while a run is under way (the
/// AWS CLI does after a minute) gets the first run's result.
fn applied_before(session: &Session, applied: &[Applied]) -> Vec<Value> {
    let awaited = session.waited_for.as_deref().unwrap_or_default();
    let rows = applied.iter().filter(|row| !row.run.is_empty());
    let rows = rows.filter(|row| row.run == session.run || row.run == awaited);
    rows.map(|row| {
        let version = display_version(row);
        let mut json = json!({"version": version, "name": row.name, "ms": row.ms});
        if row.run != session.run {
            json["by"] = awaited.into();
        }
        json
    })
    .collect()
}
