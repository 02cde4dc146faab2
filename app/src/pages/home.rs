//! `/`: the database's tables with their sizes, and the state of the migrations.

use super::frame::Frame;
use crate::database::{Connection, Purpose, describe};
use crate::http::Response;
use crate::migrate::status::{self, Status};
use crate::{App, Failure, Invocation};
use askama::Template;
use postgres::error::SqlState;
use postgres::{SimpleQueryMessage, SimpleQueryRow};

/// The largest first. A view stores nothing; Postgres estimates the rows when it analyses.
const TABLES: &str = "
    SELECT CASE WHEN n.nspname = 'public' THEN c.relname
                ELSE n.nspname || '.' || c.relname END,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                          WHEN 'f' THEN 'foreign table' ELSE 'table' END,
           CASE WHEN c.relkind IN ('r', 'p', 'm') AND c.reltuples >= 0
                THEN c.reltuples::bigint END,
           CASE WHEN c.relkind <> 'v' THEN pg_size_pretty(pg_total_relation_size(c.oid)) END
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND NOT c.relispartition
      AND n.nspname NOT IN ('information_schema', 'plain_lambda')
      AND n.nspname NOT LIKE 'pg\\_%'
    ORDER BY pg_total_relation_size(c.oid) DESC, 1";

const DATABASE: &str = "
    SELECT current_database(), pg_size_pretty(pg_database_size(current_database())),
           current_setting('server_version')";

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    database: String,
    size: String,
    server_version: String,
    tables: Vec<Table>,
    status: Status,
}

struct Table {
    name: String,
    kind: String,
    rows: Option<String>,
    size: Option<String>,
}

/// Reads the catalogue and shows it.
///
/// # Errors
/// Those of connecting and reading.
pub fn show(app: &App, invocation: &Invocation) -> Result<Response, Failure> {
    let mut client = app.database.connection(invocation, Purpose::Pages)?;
    let ([database, size, server_version], tables) =
        read(&mut client, invocation).map_err(unreadable)?;
    let status = status::compare(app, &mut client)?;
    let title = database.clone();
    let home = Home {
        database,
        size,
        server_version,
        tables,
        status,
    };
    let frame = Frame {
        section: "/",
        ..Frame::default()
    };
    Ok(frame.around(200, &title, &home))
}

/// Name, size and version, and the tables: two statements in one message, for one round trip.
fn read(
    client: &mut Connection,
    invocation: &Invocation,
) -> Result<([String; 3], Vec<Table>), postgres::Error> {
    let messages = client.ask(invocation, &format!("{DATABASE};{TABLES}"))?;
    let mut rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let database = rows.next().expect("the first statement has one row");
    let database = [0, 1, 2].map(|column| text(database, column).unwrap_or_default());
    Ok((database, rows.map(table).collect()))
}

fn table(row: &SimpleQueryRow) -> Table {
    Table {
        name: text(row, 0).unwrap_or_default(),
        kind: text(row, 1).unwrap_or_default(),
        rows: text(row, 2),
        size: text(row, 3),
    }
}

fn text(row: &SimpleQueryRow, column: usize) -> Option<String> {
    row.get(column).map(str::to_string)
}

fn unreadable(error: postgres::Error) -> Failure {
    if error.code() == Some(&SqlState::QUERY_CANCELED) {
        let message = "failed to read the catalogue in the time of one invocation";
        return Failure::new("Function.OutOfTime", message).because(describe(&error));
    }
    Failure::new("Function.QueryFailed", "failed to read the catalogue").because(describe(&error))
}
