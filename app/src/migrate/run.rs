//! Applies the pending files in order, as far as the invocation's time allows.

use super::apply::{self, Meaning};
use super::error::Stop;
use super::files::{self, Migration, Version};
use super::history::{self, Applied};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::{App, Failure, Invocation};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is wanted of a run.
pub struct Wanted {
    /// The newest version to apply; all when absent.
    pub to: Option<String>,
    /// Which disagreements with the history do not matter.
    pub allow: Vec<String>,
}

/// Applies every pending file in order; answers which, and which are left when the time was over.
///
/// # Errors
/// `Function.InvalidMigrations` and `Function.MigrationsDiffer` before anything runs;
/// `Function.MigrationFailed` with the place and Postgres's own words; those of the lock.
pub fn migrate(app: &App, invocation: &Invocation, wanted: &Wanted) -> Result<Value, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    let mut session = Session::open(app, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?);
    let work = work(&status, wanted)?;
    let mut applied = by_the_run_that_was_waited_for(&session, &status);
    let mut slowest = Duration::ZERO;
    let mut done = 0;
    for (migration, steps) in &work {
        if done > 0 && session.clock.is_short_of(slowest) {
            break;
        }
        let started = Instant::now();
        let begun = status.begun(migration);
        match one(&mut session, migration, steps, begun) {
            Ok(json) => applied.push(json),
            Err(Stop::OutOfTime(_))
                if done > 0 || has_come_further(&mut session, migration, begun)? =>
            {
                break;
            }
            Err(stop) => return Err(unfinished(stop, &migration.up.path)),
        }
        done += 1;
        slowest = slowest.max(started.elapsed());
    }
    let left: Vec<Value> = work[done..]
        .iter()
        .map(|(migration, _)| migration.to_json())
        .collect();
    let beyond = status.pending[work.len()..].iter().map(Migration::to_json);
    Ok(match left.is_empty() {
        true => json!({
            "status": "done", "applied": applied, "pending": beyond.collect::<Vec<_>>(),
        }),
        false => json!({
            "status": "partial",
            "applied": applied,
            "pending": left.into_iter().chain(beyond).collect::<Vec<_>>(),
            "next": "invoke again",
        }),
    })
}

/// The pending files that are wanted, and how they run.
///
/// # Errors
/// `Function.InvalidMigrations`, `Function.InvalidEvent`, `Function.MigrationsDiffer`.
pub fn work<'a>(
    status: &'a Status,
    wanted: &Wanted,
) -> Result<Vec<(&'a Migration, Steps)>, Failure> {
    status.check(&wanted.allow)?;
    let to = wanted
        .to
        .as_deref()
        .map(|to| version(status, to))
        .transpose()?;
    let mut work = Vec::new();
    for migration in &status.pending {
        if to.as_ref().is_some_and(|to| migration.version > *to) {
            break;
        }
        let steps = Steps::of(&migration.up)?;
        if let Some(row) = status.begun(migration) {
            resumable(migration, &steps, row, &wanted.allow)?;
        }
        work.push((migration, steps));
    }
    Ok(work)
}

/// A version that one of the files has.
///
/// # Errors
/// `Function.InvalidEvent`.
pub fn version(status: &Status, text: &str) -> Result<Version, Failure> {
    let known = |version: &Version| {
        status.files.contains_key(version)
            || status.pending.iter().any(|one| one.version == *version)
    };
    Version::read(text).filter(known).ok_or_else(|| {
        let message = format!("failed to find version `{text}`: no file has it");
        Failure::new("Function.InvalidEvent", message)
    })
}

/// The failure of a script that stopped a run; it may be that time was all that it wanted.
pub fn unfinished(stop: Stop, path: &Path) -> Failure {
    let path = path.display();
    match stop {
        Stop::Failed(failure) => failure,
        Stop::Refused(_, error) => history::unavailable(error),
        Stop::OutOfTime(blockers) => {
            let failure = Failure::new(
                "Function.OutOfTime",
                format!(
                    "failed to apply `{path}` in the time of one invocation, and rolled it back: \
                     give the function a longer timeout, or run `bootstrap migrate` from your machine"
                ),
            );
            match blockers {
                Some(blockers) => failure.and(&format!("; blocked by {blockers}")),
                None => failure,
            }
        }
    }
}

fn one(
    session: &mut Session,
    migration: &Migration,
    steps: &Steps,
    begun: Option<&Applied>,
) -> Result<Value, Stop> {
    let path = migration.up.path.display();
    match begun {
        Some(row) => log::info!("resuming {path} after {} statements", row.statements),
        None => log::info!("applying {path}"),
    }
    let meaning = Meaning::Applies(migration);
    let mut json = migration.to_json();
    match apply::apply(session, &migration.up, steps, meaning, begun)? {
        Some(took) => {
            let ms = took.as_millis() as u64;
            log::info!("applied {path} in {ms} ms");
            json["ms"] = ms.into();
        }
        None => {
            log::info!("{path} was applied by another run meanwhile");
            json["by"] = "another run".into();
        }
    }
    Ok(json)
}

/// What has run must not have changed since: the statements after it are counted from there.
fn resumable(
    migration: &Migration,
    steps: &Steps,
    row: &Applied,
    allow: &[String],
) -> Result<(), Failure> {
    let allowed = format!("edited:{}", row.version);
    let same = row.statements <= steps.statements.len()
        && steps.sha256_until(&migration.up, row.statements) == row.sha256;
    if same || (allow.contains(&allowed) && row.statements <= steps.statements.len()) {
        return Ok(());
    }
    let path = migration.up.path.display();
    let message = format!(
        "failed to resume `{path}`: it was edited in its first {} statements, which have already \
         run; put them back, or send \"allow\":[\"{allowed}\"]",
        row.statements
    );
    Err(Failure::new("Function.MigrationsDiffer", message))
}

/// Whether a file that goes step by step has done a step in this run.
fn has_come_further(
    session: &mut Session,
    migration: &Migration,
    begun: Option<&Applied>,
) -> Result<bool, Failure> {
    let rows = history::applied(session)?;
    let row = rows.iter().find(|row| migration.version.same(&row.version));
    let before = begun.map_or(0, |row| row.statements);
    Ok(row.is_some_and(|row| row.statements > before))
}

/// Whoever invokes again while a run is under way (the AWS CLI does after a minute) wants to know
/// what that run has done.
fn by_the_run_that_was_waited_for(session: &Session, status: &Status) -> Vec<Value> {
    let Some(run) = session.waited_for.as_deref().filter(|run| !run.is_empty()) else {
        return Vec::new();
    };
    let rows = status.applied.iter().filter(|row| row.run == run);
    rows.map(|row| json!({"version": row.version, "name": row.name, "ms": row.ms, "by": run}))
        .collect()
}
