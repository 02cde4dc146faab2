//! Takes over a database that another tool has migrated, or a person: calls files applied without
//! running them.
//!
//! Knows the history tables of other tools; reads them and never writes there.

use super::files::{self, Migration, Version};
use super::history::{self, Entry};
use super::run;
use super::session::Session;
use super::status::Status;
use super::steps::Steps;
use crate::database::describe;
use crate::{App, Failure, Invocation};
use serde_json::{Value, json};
use std::time::Duration;

/// A tool; the versions that it has applied; whether all older ones are too.
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

/// It remembers the newest version only.
const GOLANG_MIGRATE: &str = "golang-migrate";

/// Writes rows for the pending files up to a version, or for those that another tool's history
/// says are applied; answers `{"baselined":[…],"without_file":[versions]}`.
///
/// # Errors
/// `Function.InvalidEvent`; `Function.BaselineFailed` when the other history cannot be read, or
/// holds a migration that failed.
pub fn baseline(
    app: &App,
    invocation: &Invocation,
    to: Option<&str>,
    from: Option<&str>,
) -> Result<Value, Failure> {
    let files = files::migrations(&app.settings.migrations_dir)?;
    let mut session = Session::open(app, invocation)?;
    let status = Status::of(files, history::applied(&mut session)?);
    let (theirs, newest) = match (to, from) {
        (Some(to), None) => (Vec::new(), Some(run::version(&status, to)?)),
        (None, Some(tool)) => of_tool(&mut session, tool)?,
        _ => {
            let tools: Vec<&str> = TOOLS.iter().map(|(tool, _)| *tool).collect();
            let message = format!(
                "failed to read action `baseline`: give to, a version, or from, one of {}",
                tools.join(", ")
            );
            return Err(Failure::new("Function.InvalidEvent", message));
        }
    };
    let is_theirs = |file: &&Migration| {
        theirs.iter().any(|version| file.version.same(version))
            || newest.as_ref().is_some_and(|to| file.version <= *to)
    };
    let taken: Vec<&Migration> = status.pending.iter().filter(is_theirs).collect();
    session.step().map_err(history::unavailable)?;
    for migration in &taken {
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
    let files = || status.files.values().chain(taken.iter().copied());
    let without = theirs
        .iter()
        .filter(|version| !files().any(|file| file.version.same(version)));
    let without: Vec<&String> = without.collect();
    let taken: Vec<Value> = taken.into_iter().map(Migration::to_json).collect();
    Ok(json!({"baselined": taken, "without_file": without}))
}

/// The versions of another tool's history, and the newest where all older ones are meant.
type Theirs = (Vec<String>, Option<Version>);

fn of_tool(session: &mut Session, tool: &str) -> Result<Theirs, Failure> {
    let Some((_, query)) = TOOLS.iter().find(|(known, _)| *known == tool) else {
        let known: Vec<&str> = TOOLS.iter().map(|(known, _)| *known).collect();
        let message = format!(
            "failed to find tool `{tool}`: give one of {}",
            known.join(", ")
        );
        return Err(Failure::new("Function.InvalidEvent", message));
    };
    let unread = |cause: String| {
        let message = format!("failed to read the history of {tool}");
        Failure::new("Function.BaselineFailed", message).because(cause)
    };
    let rows = session
        .query_typed(query, &[])
        .map_err(|error| unread(describe(&error)))?;
    let mut versions = Vec::new();
    for row in &rows {
        let (version, succeeded): (String, bool) = (row.get(0), row.get(1));
        if !succeeded {
            let cause = format!("version {version} has failed there; end it with {tool} first");
            return Err(unread(cause));
        }
        versions.push(version);
    }
    let newest = match tool {
        GOLANG_MIGRATE => versions.first().and_then(|version| Version::read(version)),
        _ => None,
    };
    Ok((versions, newest))
}
