//! The action `check`: what the pending statements would do to large tables, and what is safe instead.
//! `migrate` asks the same before it runs, and refuses what would stop others for long.
//!
//! Runs no statement of a file, and reads no table: how large a table is, the catalog says. Must not
//! know how a statement runs.

mod alter;
mod catalog;
mod operation;
mod pending;
mod read;
mod types;
mod words;

use crate::Migrator;
use crate::files::Migration;
use crate::listing::list;
use crate::sql::Place;
use crate::status::{self, Status};
use crate::steps::Steps;
use catalog::Table;
use database::Purpose;
use handler::{Failure, Invocation, Kind};
use operation::{Lock, Operation, Work};
use pending::{Pending, Statement};
use postgres::Client;
use serde_json::{Value, json};

/// The kind of a statement that takes long while the transaction holds a lock on another table.
const HOLD: &str = "hold";

/// Judges the pending files; answers `{"status":"checked","advice":[{"version","name","line",
/// "statement","lock","table","rows","bytes","work","about_seconds","instead","allow"}…],
/// "unknown":[{"version","name","line","statement","reason"}…]}`. `allow` is null where `migrate` does
/// not refuse. What is not known is listed only if the database has a large table.
///
/// # Errors
/// Those of [`status::compare`]; `Function.InvalidMigrations`, `Function.DatabaseUnavailable` and
/// `Function.QueryFailed`.
pub(crate) fn check(migrator: &Migrator, invocation: &Invocation) -> Result<Value, Failure> {
    let mut connection = migrator
        .database
        .connection(invocation, Purpose::Migrations)?;
    let status = status::compare(migrator, &mut connection)?;
    let mut pending = Pending::default();
    for migration in &status.pending {
        let steps = Steps::of(&migration.up)?;
        pending.add(migration, &steps, done(&status, migration));
    }
    let advice = advise(&mut connection, &pending)?;
    let unknown = pending.statements.iter();
    let mut unknown: Vec<Value> = unknown.filter_map(Statement::unknown_json).collect();
    if !unknown.is_empty() && !catalog::has_large_table(&mut connection)? {
        unknown.clear();
    }
    let advice: Vec<Value> = advice.iter().map(Advice::to_json).collect();
    Ok(json!({"status": "checked", "advice": advice, "unknown": unknown}))
}

/// Refuses the planned files if a statement would stop others for long, unless `allow` names it. Asks
/// the catalog only if there is such a statement.
///
/// # Errors
/// `Function.UnsafeMigration`, naming every statement, its lock, what is safe instead and what allows
/// it; `Function.QueryFailed`.
pub(crate) fn refuse_unsafe(
    client: &mut Client,
    status: &Status,
    planned: &[(&Migration, Steps)],
    allow: &[String],
) -> Result<(), Failure> {
    let mut pending = Pending::default();
    for (migration, steps) in planned {
        if !migration.built_in {
            pending.add(migration, steps, done(status, migration));
        }
    }
    if !pending.may_be_unsafe() {
        return Ok(());
    }
    let advice = advise(client, &pending)?;
    let refused = advice
        .iter()
        .filter(|advice| matches!(&advice.allow, Some(name) if !allow.contains(name)));
    let refused: Vec<String> = refused.map(Advice::to_sentence).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let message = format!(
        "failed to find the pending files safe to run, and ran none: {}",
        list(&refused)
    );
    Err(Failure::new(Kind::UnsafeMigration, message))
}

/// What is to be said about a statement and a table.
struct Advice<'a> {
    statement: &'a Statement<'a>,
    lock: Lock,
    table: Table,
    work: &'static str,
    seconds: i64,
    instead: String,
    /// The entry of `allow` without which `migrate` refuses.
    allow: Option<String>,
}

/// A lock that the open transaction holds, and the first byte of the statement that took it.
struct Held {
    lock: Lock,
    table: Table,
    start: usize,
}

/// Returns the number of a file's statements that have run.
fn done(status: &Status, migration: &Migration) -> usize {
    status.begun(migration).map_or(0, |row| row.statements)
}

/// Lists what is to be said about the pending statements, in their order.
fn advise<'a>(client: &mut Client, pending: &'a Pending<'a>) -> Result<Vec<Advice<'a>>, Failure> {
    let statements = pending.statements.iter();
    let asked: Vec<(&Operation, &[String])> = statements
        .flat_map(|one| {
            one.operations
                .iter()
                .map(|operation| (operation, &one.path[..]))
        })
        .collect();
    let mut tables = catalog::tables(client, &asked)?.into_iter();
    let (mut advice, mut held, mut transaction) = (Vec::new(), Vec::new(), 0);
    for statement in &pending.statements {
        if statement.transaction != transaction {
            held.clear();
            transaction = statement.transaction;
        }
        let found: Vec<(&Operation, Table)> = statement
            .operations
            .iter()
            .zip(tables.by_ref())
            .filter_map(|(operation, table)| Some((operation, table?)))
            .collect();
        judge(statement, &found, &held, &mut advice);
        let locks = found
            .into_iter()
            .filter(|(one, table)| one.lock.stops_writes() && table.rows > 0);
        held.extend(locks.map(|(operation, table)| Held {
            lock: operation.lock,
            table,
            start: statement.start,
        }));
    }
    Ok(advice)
}

/// Adds what is to be said about one statement.
fn judge<'a>(
    statement: &'a Statement<'a>,
    found: &[(&Operation, Table)],
    held: &[Held],
    advice: &mut Vec<Advice<'a>>,
) {
    let first = advice.len();
    let large = found
        .iter()
        .filter(|(operation, table)| table.applies && is_large(operation, table));
    let is_rewritten = |name: &str| {
        let mut rewrites = large.clone().filter(|(one, _)| one.work == Work::Rewrite);
        rewrites.any(|(_, table)| table.name == name)
    };
    let mut longest = 0;
    for (operation, table) in large.clone() {
        let seconds = seconds(operation, table);
        longest = longest.max(seconds);
        // One pass that writes the table anew also checks it and builds its indexes.
        let is_part =
            matches!(operation.work, Work::Scan | Work::Index) && is_rewritten(&table.name);
        let work = operation.work.name();
        let is_said = advice[first..]
            .iter()
            .any(|said| said.table.name == table.name && said.work == work);
        if is_part || is_said || !operation.is_worth_saying() {
            continue;
        }
        let instead = match operation.work == Work::Index && table.is_partitioned {
            true => PARTITIONED.to_string(),
            false => operation.instead.to_string(),
        };
        let allow = operation
            .is_unsafe()
            .then(|| format!("{work}:{}", table.name));
        advice.push(Advice {
            statement,
            lock: operation.lock,
            table: table.clone(),
            work,
            seconds,
            instead,
            allow,
        });
    }
    if longest == 0 {
        return;
    }
    for lock in held {
        let is_said = advice[first..]
            .iter()
            .any(|said| said.table.name == lock.table.name && said.allow.is_some());
        if !is_said {
            advice.push(lock.advice(statement, longest));
        }
    }
}

/// `CREATE INDEX CONCURRENTLY` does not work on a partitioned table.
const PARTITIONED: &str = "CREATE INDEX ON ONLY the table, CREATE INDEX CONCURRENTLY on each partition, \
                           then ALTER INDEX … ATTACH PARTITION";

/// Returns whether the work of an operation takes noticeably long, or is worth a word because many
/// rows are at stake.
fn is_large(operation: &Operation, table: &Table) -> bool {
    table.rows >= catalog::MANY_ROWS || bytes(operation, table) >= catalog::MANY_BYTES
}

fn bytes(operation: &Operation, table: &Table) -> i64 {
    match operation.work {
        Work::Rewrite => table.bytes + table.toast_bytes,
        _ => table.bytes,
    }
}

/// Returns about how long the work takes; zero if there is none.
fn seconds(operation: &Operation, table: &Table) -> i64 {
    match operation.work {
        Work::Nothing => 0,
        work => (bytes(operation, table) / work.bytes_per_second()).max(1),
    }
}

impl Held {
    /// Returns what is to be said about a statement that takes long while the lock is held.
    fn advice<'a>(&self, statement: &'a Statement<'a>, seconds: i64) -> Advice<'a> {
        let line = Place::of(&statement.migration.up.text, self.start).line;
        Advice {
            statement,
            lock: self.lock,
            table: self.table.clone(),
            work: HOLD,
            seconds,
            instead: format!(
                "move this statement into a file of its own: the lock of line {line} is held until COMMIT"
            ),
            allow: Some(format!("{HOLD}:{}", self.table.name)),
        }
    }
}

impl Statement<'_> {
    /// Returns `{"version","name","line","statement"}`.
    fn to_json(&self) -> Value {
        let text = &self.migration.up.text;
        let first_line = text[self.start..].lines().next().unwrap_or_default();
        let mut json = self.migration.to_json();
        json["line"] = Place::of(text, self.start).line.into();
        json["statement"] = first_line.chars().take(80).collect::<String>().into();
        json
    }

    fn unknown_json(&self) -> Option<Value> {
        let mut json = self.to_json();
        json["reason"] = self.unknown?.into();
        Some(json)
    }
}

impl Advice<'_> {
    fn to_json(&self) -> Value {
        let mut json = self.statement.to_json();
        json["lock"] = self.lock.name().into();
        json["table"] = self.table.name.clone().into();
        json["rows"] = self.table.rows.into();
        json["bytes"] = self.table.bytes.into();
        json["work"] = self.work.into();
        json["about_seconds"] = self.seconds.into();
        json["instead"] = self.instead.clone().into();
        json["allow"] = self.allow.clone().into();
        json
    }

    fn to_sentence(&self) -> String {
        let migration = self.statement.migration;
        let (path, table) = (migration.up.path.display(), &self.table);
        format!(
            "`{path}:{}` has `{}` locked {} (about {} rows, {} MB) for about {} s ({}); instead: {}; or \
             send \"allow\":[\"{}\"]",
            Place::of(&migration.up.text, self.statement.start),
            table.name,
            self.lock.name(),
            table.rows,
            table.bytes / 1_000_000,
            self.seconds,
            self.work,
            self.instead,
            self.allow.as_deref().unwrap_or_default(),
        )
    }
}
