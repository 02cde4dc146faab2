//! The actions `rollback` and `redo`: run the down files of the newest migrations, and apply those
//! migrations again.
//!
//! Refuses before the first change whatever it will not be able to do. Must not know how a script
//! runs (`apply`).

use super::apply::{self, HistoryEffect};
use super::check;
use super::error::RunError;
use super::files::{self, Migration, Script};
use super::history::{self, Applied};
use super::request::{Earlier, Request};
use super::resume::resume;
use super::run;
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::Migrator;
use handler::{Failure, Invocation, Kind};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Which of the newest migrations are rolled back.
pub(crate) enum Target {
    /// So many.
    Steps(usize),
    /// All above this version; all for version 0, which no file needs to have.
    Above(String),
}

/// Runs the down files of the newest migrations. Answers `{"rolled_back":[{"version","name","ms"}…]}`,
/// with `"status":"partial"` when the invocation's time was over before the last one. With `again`,
/// which holds what `allow` allows, applies the migrations again, and answers their list as `applied`,
/// too.
///
/// # Errors
/// `Function.CannotRollBack` before anything runs, when a migration has no down file or is half
/// applied; with `again` also `Function.MigrationsDiffer` and `Function.UnsafeMigration`; `Function.InvalidEvent`; those of
/// [`run::migrate`].
pub(crate) fn undo(
    migrator: &Migrator,
    invocation: &Invocation,
    mut request: Request,
    target: &Target,
    again: Option<&[String]>,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    let earlier = request.begin(&mut session)?;
    let rows = history::applied(&mut session)?;
    let status = Status::of(files, rows, migrator.built_in);
    let mut allow = None;
    let (left, mut reply) = match earlier {
        Earlier::Done(reply) => return Ok(reply),
        Earlier::HalfDone { left, reply } => (left, reply),
        Earlier::None => {
            allow = again;
            let reply = match again {
                Some(_) => json!({"rolled_back": [], "applied": []}),
                None => json!({"rolled_back": []}),
            };
            (plan(&status, target, again)?, reply)
        }
    };
    let plan = Plan::read(&status, &left)?;
    if let Some(allow) = allow {
        check::refuse_unsafe(&mut session, &status, &plan.ups, allow)?;
    }
    match plan.downs.is_empty() && plan.ups.is_empty() {
        true => session.commit_with(&request.record(&session, &[], &reply)),
        false => session.commit(),
    }
    .map_err(history::unavailable)?;
    let rolled_back = roll_back(&mut session, &request, &plan, &left, &mut reply);
    let is_whole = rolled_back.map_err(|failure| match reply["rolled_back"].as_array() {
        Some(done) if !done.is_empty() => failure.append(&format!(
            "; {} migrations before it are rolled back; to go on, {}",
            done.len(),
            request.how_to_go_on()
        )),
        _ => failure,
    })? && (plan.ups.is_empty()
        || apply_again(&mut session, &status, &request, &plan, &mut reply)?);
    if !is_whole {
        reply["status"] = "partial".into();
        reply["next"] = request.how_to_go_on().into();
    }
    Ok(reply)
}

/// Lists what to do, as it is remembered: `down <version>` for each row that is rolled back, then
/// `up <version>`.
fn plan(
    status: &Status,
    target: &Target,
    again: Option<&[String]>,
) -> Result<Vec<String>, Failure> {
    if let Some(row) = status.under_way.first() {
        let name = format!("{}_{}", row.version, row.name);
        let way_out = match status.has_file(row) {
            true => "migrate first, which resumes it",
            false => {
                "its file is missing: put it back and migrate, which resumes it; or undo by hand \
                 what its statements did, and send {\"action\":\"repair\"}, which forgets it"
            }
        };
        let message = format!("failed to roll back: `{name}` is half applied; {way_out}");
        return Err(Failure::new(Kind::CannotRollBack, message));
    }
    let newest = newest(status);
    let rows: Vec<&Applied> = match target {
        Target::Steps(count) => newest.take(*count).collect(),
        Target::Above(to) => {
            let to = match run::known_version(status, to) {
                Err(_) if is_zero(to) => None,
                known => Some(known?),
            };
            let is_above = |row: &&Applied| {
                let version = status.version(&row.version);
                to.as_ref().is_none_or(|to| version > *to)
            };
            newest.take_while(is_above).collect()
        }
    };
    let downs = rows.iter().map(|row| format!("down {}", row.version));
    let Some(allowed) = again else {
        return Ok(downs.collect());
    };
    let edited = rows.iter().map(|row| format!("edited:{}", row.version));
    let allow: Vec<String> = edited.chain(allowed.iter().cloned()).collect();
    status.check(&allow)?;
    let ups = rows.iter().rev().map(|row| format!("up {}", row.version));
    Ok(downs.chain(ups).collect())
}

/// Lists the rows that can be rolled back, the newest first. What is repeatable has no way back: it
/// runs again when its text changes.
fn newest(status: &Status) -> impl Iterator<Item = &Applied> {
    let is_repeatable = |row: &Applied| status.version(&row.version).is_repeatable();
    let rows = status.applied.iter().rev();
    rows.filter(move |row| !is_repeatable(row))
}

fn is_zero(version: &str) -> bool {
    !version.is_empty() && version.bytes().all(|byte| byte == b'0')
}

/// What to do, with the files that do it.
struct Plan<'a> {
    downs: Vec<Down<'a>>,
    ups: Vec<(&'a Migration, Steps)>,
}

/// A migration to roll back: its row, its file and its down script.
struct Down<'a> {
    row: &'a Applied,
    migration: &'a Migration,
    script: &'a Script,
    steps: Steps,
}

impl Plan<'_> {
    /// Finds the files of a list of [`plan`]'s form.
    fn read<'a>(status: &'a Status, list: &[String]) -> Result<Plan<'a>, Failure> {
        let mut plan = Plan {
            downs: Vec::new(),
            ups: Vec::new(),
        };
        let (mut newest, mut lacking) = (newest(status), Vec::new());
        for entry in list {
            if let Some(version) = entry.strip_prefix("down ") {
                let row = newest.next().filter(|row| row.version == *version);
                let row = row.ok_or_else(|| changed_meanwhile(version))?;
                let file = status.file(&row.version);
                match file.and_then(|file| Some((file, file.down.as_ref()?))) {
                    None => lacking.push(format!("`{}_{}`", row.version, row.name)),
                    Some((migration, script)) => plan.downs.push(Down {
                        row,
                        migration,
                        script,
                        steps: Steps::without_batches(script)?,
                    }),
                }
            } else if let Some(version) = entry.strip_prefix("up ") {
                let file = status.file(version);
                let file = file.ok_or_else(|| changed_meanwhile(version))?;
                let mut steps = Steps::of(&file.up)?;
                if let Some(row) = status.begun(file) {
                    steps.resume = Some(resume(file, &steps, row, &[])?);
                }
                plan.ups.push((file, steps));
            }
        }
        match lacking.is_empty() {
            true => Ok(plan),
            false => Err(Failure::new(
                Kind::CannotRollBack,
                format!(
                    "failed to roll back: {} has no down file; write it, or a new migration that \
                     undoes it",
                    lacking.join(", ")
                ),
            )),
        }
    }
}

fn changed_meanwhile(version: &str) -> Failure {
    let message = format!(
        "failed to go on with a request that was stopped halfway, at version `{version}`: the history \
         has changed since; look at {{\"action\":\"status\"}}, and send a new request"
    );
    Failure::new(Kind::CannotRollBack, message)
}

/// Runs the down scripts, and adds each to the reply's `rolled_back`. With each, its row is removed
/// and the request's progress is written. Returns false if the time was over before the last.
fn roll_back(
    session: &mut Session,
    request: &Request,
    plan: &Plan,
    left: &[String],
    reply: &mut Value,
) -> Result<bool, Failure> {
    let mut slowest = Duration::ZERO;
    for (done, down) in plan.downs.iter().enumerate() {
        if done > 0 && session.deadline.is_short_of(slowest) {
            return Ok(false);
        }
        let path = down.script.path.display();
        log::info!("rolling back with {path}");
        let started = Instant::now();
        let new_reply = RefCell::new(Value::Null);
        let record = |session: &Session| {
            let mut json = down.migration.to_json();
            json["ms"] = (started.elapsed().as_millis() as u64).into();
            let mut with_it = reply.clone();
            if let Some(list) = with_it["rolled_back"].as_array_mut() {
                list.push(json);
            }
            let progress = request.record(session, &left[done + 1..], &with_it);
            new_reply.replace(with_it);
            format!("{}; {progress}", history::remove(&down.row.version))
        };
        let effect = HistoryEffect::Then(&record);
        match apply::apply(session, down.script, &down.steps, effect, false) {
            Ok(took) => {
                let ms = took.unwrap_or_default().as_millis();
                log::info!("rolled back with {path} in {ms} ms");
            }
            Err(RunError::OutOfTime(_)) if done > 0 => return Ok(false),
            Err(error) => return Err(run::to_failure(error, &down.script.path)),
        }
        *reply = new_reply.into_inner();
        slowest = slowest.max(started.elapsed());
    }
    Ok(true)
}

/// Applies the migrations that were rolled back, and adds them to the reply's `applied`. Returns
/// false if the time was over before the last.
fn apply_again(
    session: &mut Session,
    status: &Status,
    request: &Request,
    plan: &Plan,
    reply: &mut Value,
) -> Result<bool, Failure> {
    // A run that was stopped halfway may have applied the first of them.
    let is_done = |file: &Migration| {
        plan.downs.is_empty() && status.applied.iter().any(|row| file.has_row(row))
    };
    let (done, rest): (Vec<_>, Vec<_>) = plan.ups.iter().partition(|(file, _)| is_done(file));
    let rest: Vec<(&Migration, &Steps)> = rest.iter().map(|(file, steps)| (*file, steps)).collect();
    let progress = run::apply_in_order(session, status, &rest).map_err(|failure| {
        failure.append(&format!(
            "; the migrations are rolled back; to apply them again, {}",
            request.how_to_go_on()
        ))
    })?;
    let rows = status.applied.iter();
    let rows = rows.filter(|row| done.iter().any(|(file, _)| file.has_row(row)));
    let applied: Vec<Value> = rows.map(Applied::to_json).chain(progress.applied).collect();
    reply["applied"] = applied.into();
    if progress.done < rest.len() {
        return Ok(false);
    }
    request.finish(session, reply)?;
    Ok(true)
}
