//! The action `baseline`: records files as applied without running them, for a database that
//! another tool or a person has migrated.
//!
//! Reads the history tables of eight other tools. Must never write to them.

use super::files::{self, Migration, Version};
use super::history::{self, Entry};
use super::run;
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
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
    to: Option<&str>,
    from: Option<&str>,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    let mut session = Session::open(migrator, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?, migrator.built_in);
    let (versions, newest) = match (to, from) {
        (Some(to), None) => (Vec::new(), Some(run::known_version(&status, to)?)),
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
    let baselined: Vec<&Migration> = status.pending.iter().filter(is_applied).collect();
    session.begin_step().map_err(history::unavailable)?;
    for migration in &baselined {
        let entry = Entry {
            migration,
            sha256: migration.up.sha256(),
            took: Duration::ZERO,
            statements: Steps::of(&migration.up)?.statements.len(),
            begun: false,
            run: invocation.request_id.as_str(),
            finished: true,
        };
        let row = history::put(&entry);
        session.batch_execute(&row).map_err(history::unavailable)?;
    }
    session.commit().map_err(history::unavailable)?;
    let files = || status.files.values().chain(baselined.iter().copied());
    let without_file: Vec<&String> = versions
        .iter()
        .filter(|version| !files().any(|file| file.version.same(version)))
        .collect();
    let baselined: Vec<Value> = baselined.into_iter().map(Migration::to_json).collect();
    Ok(json!({"baselined": baselined, "without_file": without_file}))
}

/// The tools, each with the query of its history: a row has a version, and whether its migration
/// succeeded.
const TOOLS: [(&str, &str); 8] = [
    ("rails", "SELECT version::text, true FROM schema_migrations"),
    (
        "sqlx",
        "SELECT version::text, success FROM _sqlx_migrations",
    ),
    (
        "flyway",
        "SELECT DISTINCT ON (version) version::text, success FROM flyway_schema_history h
         WHERE version IS NOT NULL AND NOT EXISTS (
            SELECT FROM flyway_schema_history u WHERE u.version = h.version
            AND u.type LIKE 'UNDO%' AND u.installed_rank > h.installed_rank)
         AND type NOT LIKE 'UNDO%' ORDER BY version, installed_rank DESC",
    ),
    (
        "diesel",
        "SELECT version::text, true FROM __diesel_schema_migrations",
    ),
    (
        "prisma",
        "SELECT migration_name::text, finished_at IS NOT NULL
         FROM _prisma_migrations WHERE rolled_back_at IS NULL",
    ),
    (
        "goose",
        "SELECT version, true FROM (SELECT DISTINCT ON (version_id) version_id::text AS version,
            is_applied FROM goose_db_version WHERE version_id > 0 ORDER BY version_id, id DESC) v
         WHERE is_applied",
    ),
    (
        GOLANG_MIGRATE,
        "SELECT version::text, NOT dirty FROM schema_migrations",
    ),
    (
        "dbmate",
        "SELECT version::text, true FROM schema_migrations",
    ),
];

/// The tool whose history holds only the newest version.
const GOLANG_MIGRATE: &str = "golang-migrate";

/// Reads the versions that a tool's history names. Also returns the newest, if it stands for all
/// older ones.
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
    let mut versions = Vec::new();
    for row in &rows {
        let (version, succeeded): (String, bool) = (row.get(0), row.get(1));
        if !succeeded {
            let cause = format!("version {version} has failed there; end it with {tool} first");
            return Err(unreadable(cause));
        }
        versions.push(version);
    }
    let newest = match tool {
        GOLANG_MIGRATE => versions.first().and_then(|version| Version::read(version)),
        _ => None,
    };
    Ok((versions, newest))
}
