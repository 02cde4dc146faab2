//! Creates and drops the whole database, and makes it anew.
//!
//! A database that holds anything is dropped only by somebody who names it.

use super::run::{self, Wanted};
use super::seed;
use crate::database::describe;
use crate::{App, Failure, Invocation};
use postgres::Client;
use postgres::error::SqlState;
use postgres::types::Type;
use serde_json::{Value, json};

/// Databases that every server has, and from which another can be created and dropped.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";

const TABLES: &str = "
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname <> 'information_schema'
      AND n.nspname NOT LIKE 'pg\\_%'";

/// Creates the database; answers `{"created":true}`, or false when it is there.
///
/// # Errors
/// `Function.DatabaseUnavailable`, `Function.CreateFailed`.
pub fn create(app: &App, _: &Invocation) -> Result<Value, Failure> {
    let name = app.database.name()?;
    let mut server = server(app, &name)?;
    let created = create_on(&mut server, &name)?;
    Ok(json!({"database": name, "created": created}))
}

/// Drops the database; answers `{"dropped":true}`, or false when there is none.
///
/// # Errors
/// `Function.Unconfirmed` when it holds a table and `confirm` is not its name;
/// `Function.DatabaseUnavailable`, `Function.DropFailed`.
pub fn drop(app: &App, _: &Invocation, confirm: Option<&str>) -> Result<Value, Failure> {
    let name = app.database.name()?;
    let dropped = drop_confirmed(app, &name, confirm, "drop")?;
    Ok(json!({"database": name, "dropped": dropped}))
}

/// Drops, creates, migrates and seeds; answers what the last two answer.
///
/// # Errors
/// Those of all four.
pub fn reset(app: &App, invocation: &Invocation, confirm: Option<&str>) -> Result<Value, Failure> {
    let name = app.database.name()?;
    drop_confirmed(app, &name, confirm, "reset")?;
    create_on(&mut server(app, &name)?, &name)?;
    let all = Wanted {
        to: None,
        allow: Vec::new(),
    };
    let mut reply = run::migrate(app, invocation, &all)?;
    reply["seeded"] = match reply["status"] == "done" {
        true => seed::seed_if_there(app, invocation)?,
        false => Value::Null,
    };
    Ok(reply)
}

fn drop_confirmed(
    app: &App,
    name: &str,
    confirm: Option<&str>,
    what: &str,
) -> Result<bool, Failure> {
    let mut server = server(app, name)?;
    if !exists(&mut server, name)? {
        return Ok(false);
    }
    let tables = tables(&mut app.database.connect_to(name)?)?;
    if tables > 0 && confirm != Some(name) {
        let message = format!(
            "failed to {what} database `{name}`: it holds {tables} tables, and nothing was done; \
             send \"confirm\":\"{name}\" if they may go, else unset RESET_DATABASE if it is set"
        );
        return Err(Failure::new("Function.Unconfirmed", message));
    }
    app.database.disconnect();
    log::warn!("dropping database {name}");
    server
        .batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", quote(name)))
        .map(|()| true)
        .map_err(|error| {
            let message = format!("failed to drop database `{name}`");
            Failure::new("Function.DropFailed", message).because(describe(&error))
        })
}

fn create_on(server: &mut Client, name: &str) -> Result<bool, Failure> {
    match server.batch_execute(&format!("CREATE DATABASE {}", quote(name))) {
        Ok(()) => {
            log::info!("created database {name}");
            Ok(true)
        }
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(false),
        Err(error) => {
            let message = format!("failed to create database `{name}`");
            Err(Failure::new("Function.CreateFailed", message).because(describe(&error)))
        }
    }
}

/// A connection from which the database can be created and dropped.
fn server(app: &App, name: &str) -> Result<Client, Failure> {
    let mut others = MAINTENANCE.into_iter().filter(|other| *other != name);
    let first = others.next().expect("there are two");
    app.database
        .connect_to(first)
        .or_else(|failure| match others.next() {
            Some(second) => app.database.connect_to(second).map_err(|_| failure),
            None => Err(failure),
        })
}

fn exists(server: &mut Client, name: &str) -> Result<bool, Failure> {
    let row = server.query_typed_one(EXISTS, &[(&name, Type::TEXT)]);
    row.map(|row| row.get(0)).map_err(unreadable)
}

fn tables(client: &mut Client) -> Result<i64, Failure> {
    let row = client.query_typed_one(TABLES, &[]);
    row.map(|row| row.get(0)).map_err(unreadable)
}

fn unreadable(error: postgres::Error) -> Failure {
    Failure::new("Function.QueryFailed", "failed to read the catalogue").because(describe(&error))
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
