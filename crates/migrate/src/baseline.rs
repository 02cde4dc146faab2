//! The action `baseline`: records files as applied without running them, for a database that
//! another tool or a person has migrated.
//!
//! Reads the history tables of eight other tools. Must never write to them.

use super::files::{self, Migration, Version};
use super::history::{self, Entry};
use super::request::{Earlier, Request};
use super::run;
use super::session::Session;
use super::status::Status;
use crate::Migrator;
use database::describe;
use handler::{Failure, Invocation, Kind};
use serde_json::{Value, json};
use std::time::Duration;

/// Records the pending files up to the version `to`, or those that the history of the tool `from`
/// names; answers `{"baselined":[{"version","name"}…],"without_file":[version…]}`.
///
/// # Errors
/// `Function.InvalidEvent`; `Function.BaselineFailed` when the tool's history cannot be read, or
/// holds a failed migration; `Function.HistoryUnavailable`; `Function.InvalidMigrations`; those of
/// [`Session::open`].
pub(crate) fn baseline(
    migrator: &Migrator,
    invocation: &Invocation,
    mut request: Request,
    to: Option<&str>,
    from: Option<&str>,
) -> Result<Value, Failure> {
    let mut files = files::migrations(&migrator.settings.migrations_dir)?;
    // What stands for other migrations would take their place.
    let start = files.start.take();
    let mut session = Session::open(migrator, invocation)?;
    if let Earlier::Done(reply) = request.begin(&mut session)? {
        return Ok(reply);
    }
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    let (versions, newest) = match (to, from) {
        (Some(to), None) => {
            let start = start.as_ref().map(|start| &start.migration.version);
            let to = match start.filter(|version| version.same(to)) {
                Some(version) => version.clone(),
                None => run::known_version(&status, to)?,
            };
            (Vec::new(), Some(to))
        }
        (None, Some(tool)) => read_history(&mut session, tool)?,
        _ => {
            let tools: Vec<&str> = TOOLS.iter().map(|(tool, _)| *tool).collect();
            let message = format!(
                "failed to read action `baseline`: give to, a version, or from, one of {}",
                tools.join(", ")
            );
            return Err(Failure::new(Kind::InvalidEvent, message));
        }
    };
    let is_applied = |file: &&Migration| {
        versions.iter().any(|version| file.version.same(version))
            || newest.as_ref().is_some_and(|to| file.version <= *to)
    };
    let stand_ins: Vec<Migration> = start
        .iter()
        .flat_map(|start| {
            let tools = versions.iter().map(String::as_str);
            let is_older = |text: &&str| {
                let version = status.version(text);
                newest.as_ref().is_some_and(|newest| version <= *newest)
            };
            let covered = tools.chain(start.all_versions().filter(is_older));
            let without_file = covered.filter(|text| status.file(text).is_none());
            without_file.filter_map(|text| start.stand_in(status.version(text)))
        })
        .collect();
    let pending = status.pending.iter().filter(is_applied);
    let baselined: Vec<&Migration> = pending.chain(&stand_ins).collect();
    let mut statements = String::new();
    for migration in &baselined {
        statements += &history::put(&Entry {
            migration,
            sha256: migration.up.sha256(),
            took: Duration::ZERO,
            // The file is not read for it: only a file under way needs the number.
            statements: 0,
            run: &session.run,
            finished: true,
        });
        statements.push(';');
    }
    let files = || status.files.values().chain(baselined.iter().copied());
    let without_file: Vec<&String> = versions
        .iter()
        .filter(|version| !files().any(|file| file.version.same(version)))
        .collect();
    let baselined: Vec<Value> = baselined.into_iter().map(Migration::to_json).collect();
    let reply = json!({"baselined": baselined, "without_file": without_file});
    statements += &request.record(&session, &[], &reply);
    session
        .commit_with(&statements)
        .map_err(history::unavailable)?;
    Ok(reply)
}

/// The tools, each with the query of its history: a row has a version, whether its migration
/// succeeded, and whether it stands for all older versions, too.
const TOOLS: [(&str, &str); 8] = [
    ("rails", "SELECT version::text, true, false FROM schema_migrations"),
    (
        "sqlx",
        "SELECT version::text, success, false FROM _sqlx_migrations",
    ),
    (
        "flyway",
        "SELECT DISTINCT ON (version) version::text, success, type LIKE '%BASELINE'
         FROM flyway_schema_history h
         WHERE version IS NOT NULL AND NOT EXISTS (
            SELECT FROM flyway_schema_history u WHERE u.version = h.version
            AND u.type LIKE 'UNDO%' AND u.installed_rank > h.installed_rank)
         AND type NOT LIKE 'UNDO%' ORDER BY version, installed_rank DESC",
    ),
    (
        "diesel",
        "SELECT version::text, true, false FROM __diesel_schema_migrations",
    ),
    (
        "prisma",
        "SELECT migration_name::text, finished_at IS NOT NULL, false
         FROM _prisma_migrations WHERE rolled_back_at IS NULL",
    ),
    (
        "goose",
        "SELECT version, true, false FROM (SELECT DISTINCT ON (version_id) version_id::text AS version,
            is_applied FROM goose_db_version WHERE version_id > 0 ORDER BY version_id, id DESC) v
         WHERE is_applied",
    ),
    (
        "golang-migrate",
        "SELECT version::text, NOT dirty, true FROM schema_migrations",
    ),
    (
        "dbmate",
        "SELECT version::text, true, false FROM schema_migrations",
    ),
];

/// Reads the versions that a tool's history names. Also returns the newest that stands for all older
/// ones.
fn read_history(
    session: &mut Session,
    tool: &str,
) -> Result<(Vec<String>, Option<Version>), Failure> {
    let Some((_, query)) = TOOLS.iter().find(|(known, _)| *known == tool) else {
        let known: Vec<&str> = TOOLS.iter().map(|(known, _)| *known).collect();
        let message = format!(
            "failed to find tool `{tool}`: give one of {}",
            known.join(", ")
        );
        return Err(Failure::new(Kind::InvalidEvent, message));
    };
    let unreadable = |cause: String| {
        let message = format!("failed to read the history of {tool}");
        Failure::new(Kind::BaselineFailed, message).with_source(cause)
    };
    let rows = session
        .query_typed(query, &[])
        .map_err(|error| unreadable(describe(&error)))?;
    let (mut versions, mut newest) = (Vec::new(), None);
    for row in &rows {
        let (version, succeeded, is_for_all): (String, bool, bool) =
            (row.get(0), row.get(1), row.get(2));
        if !succeeded {
            let cause = format!("version {version} has failed there; end it with {tool} first");
            return Err(unreadable(cause));
        }
        if is_for_all {
            newest = newest.max(Version::read(&version));
        }
        versions.push(version);
    }
    Ok((versions, newest))
}
