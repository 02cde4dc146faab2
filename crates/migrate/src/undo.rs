//! The actions `rollback` and `redo`: run the down files of the newest migrations, and apply those
//! migrations again.
//!
//! Must not know how a script runs (`apply`).

use super::apply::{self, HistoryEffect};
use super::files::{self, Migration, Script};
use super::history;
use super::run::{self, Options};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use handler::{Failure, Invocation, Kind};
use serde_json::{Value, json};

/// Runs the down files of the newest migrations: all above the version `to`, or `steps` of them, or
/// one. Answers `{"rolled_back":[{"version","name","ms"}…]}`.
///
/// # Errors
/// `Function.CannotRollBack` before anything runs, when a migration has no down file or is half
/// applied; `Function.InvalidEvent`; those of [`run::migrate`].
pub(crate) fn rollback(
    migrator: &Migrator,
    invocation: &Invocation,
    steps: Option<usize>,
    to: Option<&str>,
) -> Result<Value, Failure> {
    if steps.is_some() && to.is_some() {
        let message = "failed to read action `rollback`: give steps or to, not both";
        return Err(Failure::new(Kind::InvalidEvent, message));
    }
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    let planned = newest(&status, steps, to)?;
    let mut rolled_back = Vec::new();
    for (migration, down, steps) in &planned {
        let path = down.path.display();
        log::info!("rolling back with {path}");
        let took = apply::apply(
            &mut session,
            down,
            steps,
            HistoryEffect::Reverts(migration),
            None,
        )
        .map_err(|error| run::to_failure(error, &down.path))?;
        let ms = took.unwrap_or_default().as_millis() as u64;
        log::info!("rolled back with {path} in {ms} ms");
        let mut json = migration.to_json();
        json["ms"] = ms.into();
        rolled_back.push(json);
    }
    Ok(json!({"rolled_back": rolled_back}))
}

/// Rolls back the newest migrations and applies them again; answers the reply of `rollback`, with
/// the `applied` of `migrate`.
///
/// # Errors
/// Those of [`rollback`] and [`run::migrate`].
pub(crate) fn redo(
    migrator: &Migrator,
    invocation: &Invocation,
    steps: usize,
) -> Result<Value, Failure> {
    let mut reply = rollback(migrator, invocation, Some(steps), None)?;
    let to = reply["rolled_back"][0]["version"]
        .as_str()
        .map(str::to_string);
    let allow = Vec::new();
    let applied = match to {
        None => json!([]),
        to => run::migrate(migrator, invocation, &Options { to, allow })?["applied"].take(),
    };
    reply["applied"] = applied;
    Ok(reply)
}

/// Migrations to roll back, each with its down script.
type Downs<'a> = Vec<(&'a Migration, &'a Script, Steps)>;

/// Lists the newest applied migrations, the newest first.
fn newest<'a>(
    status: &'a Status,
    steps: Option<usize>,
    to: Option<&str>,
) -> Result<Downs<'a>, Failure> {
    if let Some(row) = status.under_way.first() {
        let message = format!(
            "failed to roll back: `{}_{}` is half applied; migrate first, which resumes it",
            row.version, row.name
        );
        return Err(Failure::new(Kind::CannotRollBack, message));
    }
    let to = to.map(|to| run::known_version(status, to)).transpose()?;
    let count = match &to {
        Some(to) => status
            .applied
            .iter()
            .rev()
            .take_while(|row| files::Version::read(&row.version).is_some_and(|one| one > *to))
            .count(),
        None => steps.unwrap_or(1),
    };
    let (mut downs, mut lacking) = (Vec::new(), Vec::new());
    for row in status.applied.iter().rev().take(count) {
        let file = files::Version::read(&row.version).and_then(|one| status.files.get(&one));
        match file.and_then(|file| Some((file, file.down.as_ref()?))) {
            Some((file, down)) => downs.push((file, down, Steps::of(down)?)),
            None => lacking.push(format!("`{}_{}`", row.version, row.name)),
        }
    }
    match lacking.is_empty() {
        true => Ok(downs),
        false => Err(Failure::new(
            Kind::CannotRollBack,
            format!(
                "failed to roll back: {} has no down file; write it, or a new migration that undoes it",
                lacking.join(", ")
            ),
        )),
    }
}
