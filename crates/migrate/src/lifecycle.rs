//! The actions `create`, `drop` and `reset`: create the database, drop it, or do both and migrate.
//!
//! Drops a database that holds a table only if the event confirms the database's name. Must not
//! know what the tables are.

use super::deadline::Deadline;
use super::files;
use super::history;
use super::request::{Earlier, Request};
use super::run::{self, Options};
use super::seed;
use super::session::Session;
use crate::Migrator;
use database::{describe, quote};
use handler::{Failure, Invocation, Kind};
use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;
use serde_json::{Value, json};
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

/// Creates the database; answers `{"database","created"}`, where `created` is false if the database
/// exists already.
///
/// # Errors
/// `Function.DatabaseUnavailable`, `Function.CreateFailed`.
pub(crate) fn create(migrator: &Migrator) -> Result<Value, Failure> {
    let name = migrator.database.name()?;
    let mut server = server(migrator, &name)?;
    let created = create_on(&mut server, &name)?;
    Ok(json!({"database": name, "created": created}))
}

/// Drops the database, after a migration run that is under way in it; answers
/// `{"database","dropped"}`, where `dropped` is false if there is no such database.
///
/// # Errors
/// `Function.Unconfirmed` when the database holds a table and `confirm` is not its name;
/// `Function.DatabaseUnavailable`, `Function.MigrationLocked`, `Function.QueryFailed`,
/// `Function.DropFailed`.
pub(crate) fn drop(
    migrator: &Migrator,
    invocation: &Invocation,
    request: &mut Request,
    confirm: Option<&str>,
) -> Result<Value, Failure> {
    let name = migrator.database.name()?;
    let removal = Removal {
        migrator,
        invocation,
        name: &name,
        confirm,
        verb: "drop",
    };
    Ok(match removal.run(request)? {
        Removed::NotThere => json!({"database": name, "dropped": false}),
        Removed::Dropped => json!({"database": name, "dropped": true}),
        Removed::ByAnother => json!({"database": name, "dropped": true, "by": "another run"}),
        Removed::Before(reply) => reply.unwrap_or_default(),
    })
}

/// Drops, creates, migrates and seeds the database; answers the reply of `migrate`, with the reply
/// of `seed` as `seeded`. The new database remembers the request, so that the same one does not drop
/// it, too.
///
/// # Errors
/// Those of the four actions; what is wrong with the files is found before the database is dropped.
pub(crate) fn reset(
    migrator: &Migrator,
    invocation: &Invocation,
    mut request: Request,
    confirm: Option<&str>,
    options: &Options,
) -> Result<Value, Failure> {
    let files = files::migrations(&migrator.settings.migrations_dir)?;
    run::check_files(&files, options)?;
    let seed = match seed::is_there(migrator) {
        true => Some(seed::read(migrator)?),
        false => None,
    };
    let name = migrator.database.name()?;
    let removal = Removal {
        migrator,
        invocation,
        name: &name,
        confirm,
        verb: "reset",
    };
    if let Removed::Before(Some(reply)) = removal.run(&mut request)? {
        return Ok(reply);
    }
    create_on(&mut server(migrator, &name)?, &name)?;
    let mut session = Session::open(migrator, invocation)?;
    // Another run of the same request may have come first to the new database.
    if let Earlier::Done(reply) = request.begin(&mut session)? {
        return Ok(reply);
    }
    let record = request.record(&session, &["migrate".to_string()], &Value::Null);
    session.commit_with(&record).map_err(history::unavailable)?;
    let mut reply = run::migrate_in(&mut session, migrator, files, options)?;
    if reply["status"] != "done" {
        reply["next"] = request.how_to_go_on().into();
        return Ok(reply);
    }
    let Some((script, steps)) = seed else {
        reply["seeded"] = Value::Null;
        request.finish(&mut session, &reply)?;
        return Ok(reply);
    };
    seed::run_seed(&mut session, &script, &steps, &request, &|seeded| {
        let mut reply = reply.clone();
        reply["seeded"] = seeded;
        reply
    })
}

/// What came of the removal of a database.
enum Removed {
    /// There was none.
    NotThere,
    /// It was dropped.
    Dropped,
    /// Another run dropped it while this one waited.
    ByAnother,
    /// The database is a new one, which this request had made before, with this answer if it was
    /// done.
    Before(Option<Value>),
}

/// The removal of a database.
struct Removal<'a> {
    migrator: &'a Migrator<'a>,
    invocation: &'a Invocation,
    name: &'a str,
    confirm: Option<&'a str>,
    /// The action, for the failure's message.
    verb: &'static str,
}

impl Removal<'_> {
    /// Drops the database under the lock of a run, unless it holds a table and `confirm` is not its
    /// name, or the request has done so before.
    fn run(&self, request: &mut Request) -> Result<Removed, Failure> {
        let mut server = server(self.migrator, self.name)?;
        let Some(before) = oid(&mut server, self.name)? else {
            return Ok(Removed::NotThere);
        };
        let mut session = match Session::open_unprepared(self.migrator, self.invocation) {
            Ok(session) => session,
            // Another run that drops the database ends the session that waits, and only then drops it.
            Err(failure) => {
                let limit = match failure.kind() {
                    Kind::ConnectionLost => DROP_LIMIT,
                    _ => Duration::ZERO,
                };
                let limit = Deadline::of(self.invocation)
                    .left()
                    .map_or(limit, |left| left.min(limit));
                return match is_dropped_within(limit, &mut server, self.name, before)? {
                    true => Ok(Removed::ByAnother),
                    false => Err(failure),
                };
            }
        };
        if oid(&mut server, self.name)? != Some(before) {
            return Ok(Removed::ByAnother);
        }
        match request.look(&mut session)? {
            Earlier::None => {}
            Earlier::Done(reply) => return Ok(Removed::Before(Some(reply))),
            Earlier::HalfDone { .. } => return Ok(Removed::Before(None)),
        }
        self.check(count_tables(&mut session)?)?;
        log::warn!("dropping database {}", self.name);
        let drop = format!("DROP DATABASE {} WITH (FORCE)", quote(self.name));
        let dropped = server.batch_execute(&drop).map_err(|error| {
            let message = format!("failed to drop database `{}`", self.name);
            Failure::new(Kind::DropFailed, message).with_source(describe(&error))
        });
        if dropped.is_ok() {
            session.is_gone();
            mem::drop(session);
            self.migrator.database.disconnect();
        }
        dropped.map(|()| Removed::Dropped)
    }

    /// Refuses to drop tables that are not confirmed.
    fn check(&self, tables: i64) -> Result<(), Failure> {
        let (verb, name) = (self.verb, self.name);
        if tables == 0 || self.confirm == Some(name) {
            return Ok(());
        }
        let message = format!(
            "failed to {verb} database `{name}`: it holds {tables} tables, and nothing was done; \
             send \"confirm\":\"{name}\" if they may go, else unset RESET_DATABASE if it is set"
        );
        Err(Failure::new(Kind::Unconfirmed, message))
    }
}

/// Databases that nearly every server has. Another database is created and dropped from a
/// connection to one of them.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// Finds the database of this name.
const OID: &str = "SELECT oid FROM pg_database WHERE datname = $1";

/// How long `DROP DATABASE` may take after it has ended the sessions.
const DROP_LIMIT: Duration = Duration::from_secs(10);

/// Counts the tables and materialized views outside of the system's schemas; those of the schema
/// `plain_lambda` count too.
const TABLES: &str = "
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname <> 'information_schema'
      AND n.nspname NOT LIKE 'pg\\_%'";

/// Creates the database; returns false if it exists already.
fn create_on(server: &mut Client, name: &str) -> Result<bool, Failure> {
    match server.batch_execute(&format!("CREATE DATABASE {}", quote(name))) {
        Ok(()) => {
            log::info!("created database {name}");
            Ok(true)
        }
        // The second code is that of two sessions which create it at the same time.
        Err(error)
            if [SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION]
                .iter()
                .any(|code| error.code() == Some(code)) =>
        {
            Ok(false)
        }
        Err(error) => {
            let message = format!("failed to create database `{name}`");
            Err(Failure::new(Kind::CreateFailed, message).with_source(describe(&error)))
        }
    }
}

/// Connects to a database from which the database `name` can be created and dropped.
fn server(migrator: &Migrator, name: &str) -> Result<Client, Failure> {
    let mut others = MAINTENANCE.into_iter().filter(|other| *other != name);
    let first = others.next().expect("there are two");
    migrator
        .database
        .connect_to(first)
        .or_else(|failure| match others.next() {
            Some(second) => migrator.database.connect_to(second).map_err(|_| failure),
            None => Err(failure),
        })
}

fn oid(server: &mut Client, name: &str) -> Result<Option<u32>, Failure> {
    let row = server.query_typed_opt(OID, &[(&name, Type::TEXT)]);
    row.map(|row| row.map(|row| row.get(0))).map_err(unreadable)
}

/// Waits for a database to go, which `DROP DATABASE` does some time after it has ended the sessions.
/// Returns false if the database is still there after the limit.
fn is_dropped_within(
    limit: Duration,
    server: &mut Client,
    name: &str,
    before: u32,
) -> Result<bool, Failure> {
    let started = Instant::now();
    while oid(server, name)? == Some(before) {
        if started.elapsed() >= limit {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(true)
}

fn count_tables(client: &mut Client) -> Result<i64, Failure> {
    let row = client.query_typed_one(TABLES, &[]);
    row.map(|row| row.get(0)).map_err(unreadable)
}

fn unreadable(error: postgres::Error) -> Failure {
    Failure::new(Kind::QueryFailed, "failed to read the catalog").with_source(describe(&error))
}
