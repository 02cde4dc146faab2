//! The actions `create`, `drop` and `reset`: create the database, drop it, or do both and migrate.
//!
//! Drops a database that holds a table only if the event confirms the database's name. Must not
//! know what the tables are.

use super::run::{self, Options};
use super::seed;
use crate::Migrator;
use database::{describe, quote};
use handler::{Failure, Invocation, Kind};
use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;
use serde_json::{Value, json};

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

/// Drops the database; answers `{"database","dropped"}`, where `dropped` is false if there is no
/// such database.
///
/// # Errors
/// `Function.Unconfirmed` when the database holds a table and `confirm` is not its name;
/// `Function.DatabaseUnavailable`, `Function.QueryFailed`, `Function.DropFailed`.
pub(crate) fn drop(migrator: &Migrator, confirm: Option<&str>) -> Result<Value, Failure> {
    let name = migrator.database.name()?;
    let dropped = drop_confirmed(migrator, &name, confirm, "drop")?;
    Ok(json!({"database": name, "dropped": dropped}))
}

/// Drops, creates, migrates and seeds the database; answers the reply of `migrate`, with the reply
/// of `seed` as `seeded`.
///
/// # Errors
/// Those of the four actions.
pub(crate) fn reset(
    migrator: &Migrator,
    invocation: &Invocation,
    confirm: Option<&str>,
    options: &Options,
) -> Result<Value, Failure> {
    let name = migrator.database.name()?;
    drop_confirmed(migrator, &name, confirm, "reset")?;
    create_on(&mut server(migrator, &name)?, &name)?;
    let mut reply = run::migrate(migrator, invocation, options)?;
    reply["seeded"] = match reply["status"] == "done" {
        true => seed::seed_if_there(migrator, invocation)?,
        false => Value::Null,
    };
    Ok(reply)
}

/// Databases that nearly every server has. Another database is created and dropped from a
/// connection to one of them.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// Asks whether the server has a database of this name.
const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";

/// Counts the tables and materialized views outside of the system's schemas; those of the schema
/// `plain_lambda` count too.
const TABLES: &str = "
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname <> 'information_schema'
      AND n.nspname NOT LIKE 'pg\\_%'";

/// Drops the database unless it holds a table and `confirm` is not its name; returns whether there
/// was such a database. `verb` is for the failure's message.
fn drop_confirmed(
    migrator: &Migrator,
    name: &str,
    confirm: Option<&str>,
    verb: &str,
) -> Result<bool, Failure> {
    let mut server = server(migrator, name)?;
    if !exists(&mut server, name)? {
        return Ok(false);
    }
    let tables = count_tables(&mut migrator.database.connect_to(name)?)?;
    if tables > 0 && confirm != Some(name) {
        let message = format!(
            "failed to {verb} database `{name}`: it holds {tables} tables, and nothing was done; \
             send \"confirm\":\"{name}\" if they may go, else unset RESET_DATABASE if it is set"
        );
        return Err(Failure::new(Kind::Unconfirmed, message));
    }
    migrator.database.disconnect();
    log::warn!("dropping database {name}");
    server
        .batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", quote(name)))
        .map(|()| true)
        .map_err(|error| {
            let message = format!("failed to drop database `{name}`");
            Failure::new(Kind::DropFailed, message).with_source(describe(&error))
        })
}

/// Creates the database; returns false if it exists already.
fn create_on(server: &mut Client, name: &str) -> Result<bool, Failure> {
    match server.batch_execute(&format!("CREATE DATABASE {}", quote(name))) {
        Ok(()) => {
            log::info!("created database {name}");
            Ok(true)
        }
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(false),
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

fn exists(server: &mut Client, name: &str) -> Result<bool, Failure> {
    let row = server.query_typed_one(EXISTS, &[(&name, Type::TEXT)]);
    row.map(|row| row.get(0)).map_err(unreadable)
}

fn count_tables(client: &mut Client) -> Result<i64, Failure> {
    let row = client.query_typed_one(TABLES, &[]);
    row.map(|row| row.get(0)).map_err(unreadable)
}

fn unreadable(error: postgres::Error) -> Failure {
    Failure::new(Kind::QueryFailed, "failed to read the catalog").with_source(describe(&error))
}
