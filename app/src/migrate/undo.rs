//! Takes the newest migrations back with their down files, and applies them again where asked.

use super::apply::{self, Meaning};
use super::files::{self, Migration, Script};
use super::history;
use super::run::{self, Wanted};
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::{App, Failure, Invocation};
use serde_json::{Value, json};

/// Runs the down files of the newest migrations: `steps` of them, one when it is not said, or all
/// above a version.
///
/// # Errors
/// `Function.CannotRollBack` when one has no down file, before anything runs; those of a run.
pub fn rollback(
    app: &App,
    invocation: &Invocation,
    steps: Option<usize>,
    to: Option<&str>,
) -> Result<Value, Failure> {
    if steps.is_some() && to.is_some() {
        let message = "failed to read action `rollback`: give steps or to, not both";
        return Err(Failure::new("Function.InvalidEvent", message));
    }
    let files = files::migrations(&app.settings.migrations_dir)?;
    let mut session = Session::open(app, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?);
    let work = newest(&status, steps, to)?;
    let mut rolled_back = Vec::new();
    for (migration, down, steps) in &work {
        let path = down.path.display();
        log::info!("rolling back with {path}");
        let took = apply::apply(&mut session, down, steps, Meaning::Reverts(migration), None)
            .map_err(|stop| run::unfinished(stop, &down.path))?;
        let ms = took.unwrap_or_default().as_millis() as u64;
        log::info!("rolled back with {path} in {ms} ms");
        let mut json = migration.to_json();
        json["ms"] = ms.into();
        rolled_back.push(json);
    }
    Ok(json!({"rolled_back": rolled_back}))
}

/// Rolls the newest back and applies them again.
///
/// # Errors
/// Those of both.
pub fn redo(app: &App, invocation: &Invocation, steps: usize) -> Result<Value, Failure> {
    let mut reply = rollback(app, invocation, Some(steps), None)?;
    let to = reply["rolled_back"][0]["version"]
        .as_str()
        .map(str::to_string);
    let allow = Vec::new();
    let applied = match to {
        None => json!([]),
        to => run::migrate(app, invocation, &Wanted { to, allow })?["applied"].take(),
    };
    reply["applied"] = applied;
    Ok(reply)
}

type Work<'a> = Vec<(&'a Migration, &'a Script, Steps)>;

fn newest<'a>(
    status: &'a Status,
    steps: Option<usize>,
    to: Option<&str>,
) -> Result<Work<'a>, Failure> {
    if let Some(row) = status.under_way.first() {
        let message = format!(
            "failed to roll back: `{}_{}` is half applied; migrate first, which resumes it",
            row.version, row.name
        );
        return Err(Failure::new("Function.CannotRollBack", message));
    }
    let to = to.map(|to| run::version(status, to)).transpose()?;
    let count = match &to {
        Some(to) => status
            .applied
            .iter()
            .rev()
            .take_while(|row| files::Version::read(&row.version).is_some_and(|one| one > *to))
            .count(),
        None => steps.unwrap_or(1),
    };
    let (mut work, mut lacking) = (Vec::new(), Vec::new());
    for row in status.applied.iter().rev().take(count) {
        let file = files::Version::read(&row.version).and_then(|one| status.files.get(&one));
        match file.and_then(|file| Some((file, file.down.as_ref()?))) {
            Some((file, down)) => work.push((file, down, Steps::of(down)?)),
            None => lacking.push(format!("`{}_{}`", row.version, row.name)),
        }
    }
    match lacking.is_empty() {
        true => Ok(work),
        false => Err(Failure::new(
            "Function.CannotRollBack",
            format!(
                "failed to roll back: {} has no down file; write it, or a new migration that undoes it",
                lacking.join(", ")
            ),
        )),
    }
}
