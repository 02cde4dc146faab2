//! The care for a statement that runs outside of a transaction, by its kind: what is remembered
//! before it, what is looked up after a kill, and what is cleaned up after a failure.
//!
//! A kill leaves such a statement done, undone or half done, and its row in the history cannot tell.
//! Each kind that can tell has a file of its own. Must not know the history, or when a statement is
//! tried again.

mod create_index;
mod detach;
mod drop_index;
mod reindex;

use super::session::Session;
use super::sql::{Concurrent, Statement};
use database::describe;
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};

/// The kinds of statements that run outside of a transaction.
pub(crate) enum Care<'a> {
    /// `CREATE INDEX CONCURRENTLY`: an index of its table that was not there before is it.
    CreateIndex {
        table: &'a str,
        name: Option<&'a str>,
    },
    /// `REINDEX … CONCURRENTLY`: runs again, once its leftovers are dropped.
    Reindex,
    /// `DROP INDEX CONCURRENTLY`: the index is there or not.
    DropIndex { index: &'a str },
    /// `DETACH PARTITION … CONCURRENTLY`: Postgres knows whether it is pending, and finalizes it.
    Detach { table: &'a str, partition: &'a str },
    /// `DO` and `CALL`: what they have committed is not known, so a person has to say.
    Ask,
    /// Others, such as `VACUUM` and `CREATE DATABASE`: run again; an error that says that it is done
    /// is none.
    Repeat,
}

/// What to do with a statement that may be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is done.
    Done,
    /// It has to run.
    Undone,
}

impl<'a> Care<'a> {
    /// Returns the care for a statement.
    pub(crate) fn of(statement: &'a Statement) -> Care<'a> {
        match statement.concurrent() {
            Some(Concurrent::CreateIndex { table, name }) => Care::CreateIndex {
                table,
                name: name.as_deref(),
            },
            Some(Concurrent::Reindex) => Care::Reindex,
            Some(Concurrent::DropIndex { index }) => Care::DropIndex { index },
            Some(Concurrent::Detach { table, partition }) => Care::Detach { table, partition },
            None if matches!(statement.keyword(), "do" | "call") => Care::Ask,
            None => Care::Repeat,
        }
    }

    /// Returns whether the statement waits for older transactions, so that a `lock_timeout` would
    /// leave it half done.
    pub(crate) fn is_concurrent(&self) -> bool {
        !matches!(self, Care::Ask | Care::Repeat)
    }

    /// Returns what has to be remembered before the statement begins.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn remember(&self, session: &mut Session) -> Result<String, postgres::Error> {
        match self {
            Care::CreateIndex { table, .. } => create_index::remember(session, table),
            Care::Reindex => reindex::remember(session),
            Care::DropIndex { index } => drop_index::remember(session, index),
            Care::Detach { .. } | Care::Ask | Care::Repeat => Ok(String::new()),
        }
    }

    /// Looks before the statement begins for what an earlier attempt at it has left. `remembered` is
    /// what a killed run remembered, if there was one.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn look(
        &self,
        session: &mut Session,
        remembered: Option<&str>,
    ) -> Result<Finding, postgres::Error> {
        match self {
            Care::CreateIndex { table, name } => {
                create_index::look(session, table, *name, remembered)
            }
            Care::Reindex => reindex::look(session, remembered),
            Care::DropIndex { index } => drop_index::look(session, index, remembered),
            Care::Detach { table, partition } => {
                detach::look(session, table, partition, remembered.is_some())
            }
            Care::Ask | Care::Repeat => Ok(Finding::Undone),
        }
    }

    /// Looks after the statement has succeeded whether it has done its work: `IF NOT EXISTS` takes an
    /// invalid index for the wanted one.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn check(&self, session: &mut Session) -> Result<Finding, postgres::Error> {
        match self {
            Care::CreateIndex {
                table,
                name: Some(name),
            } => create_index::check(session, table, name),
            _ => Ok(Finding::Done),
        }
    }

    /// Cleans up after the statement has failed. Returns whether nothing of it is left, so that the
    /// next attempt need not look.
    pub(crate) fn clean_up(
        &self,
        session: &mut Session,
        remembered: &str,
        error: &postgres::Error,
    ) -> bool {
        let cleaned = match self {
            Care::CreateIndex { table, .. } => in_a_second(session, |session| {
                create_index::clean_up(session, table, remembered)
            }),
            Care::Reindex => in_a_second(session, |session| reindex::clean_up(session, remembered)),
            // The next attempt has to look whether it is pending.
            Care::Detach { .. } => return false,
            // A syntax error is found before the statement begins.
            Care::Ask => return error.code() == Some(&SqlState::SYNTAX_ERROR),
            Care::DropIndex { .. } | Care::Repeat => Ok(()),
        };
        if let Err(error) = &cleaned {
            log::warn!(
                "failed to drop an invalid index, which the next run does: {}",
                describe(error)
            );
        }
        cleaned.is_ok()
    }

    /// Returns whether the error of a statement that may have been done says that it was.
    pub(crate) fn says_done(&self, error: &postgres::Error) -> bool {
        let codes = [
            &SqlState::DUPLICATE_OBJECT,
            &SqlState::DUPLICATE_DATABASE,
            &SqlState::UNDEFINED_OBJECT,
            &SqlState::INVALID_CATALOG_NAME,
        ];
        matches!(self, Care::Repeat) && error.code().is_some_and(|code| codes.contains(&code))
    }
}

/// Marks what was remembered. A run of a release that remembered nothing left an empty text.
const REMEMBERED: &str = "before:";

/// Reads the object ids that were remembered; none if the run remembered nothing.
fn remembered_oids(remembered: &str) -> Option<Vec<u32>> {
    let oids = remembered.strip_prefix(REMEMBERED)?;
    Some(
        oids.split_whitespace()
            .filter_map(|oid| oid.parse().ok())
            .collect(),
    )
}

/// Runs a query with one parameter that is a text.
fn query(
    session: &mut Session,
    query: &str,
    parameter: &str,
) -> Result<Vec<postgres::Row>, postgres::Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&parameter, Type::TEXT)];
    session.query_typed(query, &parameters)
}

/// Works with a `statement_timeout` of a second, as little time may be left. Puts the timeout back.
fn in_a_second(
    session: &mut Session,
    work: impl FnOnce(&mut Session) -> Result<(), postgres::Error>,
) -> Result<(), postgres::Error> {
    let row = session.query_typed_one("SELECT current_setting('statement_timeout')", &[])?;
    let before: String = row.get(0);
    session.batch_execute("SET statement_timeout = '1s'")?;
    let outcome = work(session);
    session.batch_execute(&format!("SET statement_timeout = '{before}'"))?;
    outcome
}

/// An index that may be what a statement has left.
struct Index {
    oid: u32,
    /// The name with its schema, quoted.
    quoted: String,
    name: String,
    valid: bool,
    /// Whether another session is building it.
    is_being_built: bool,
}

impl Index {
    fn of(row: &postgres::Row) -> Index {
        Index {
            oid: row.get(0),
            quoted: row.get(1),
            name: row.get(2),
            valid: row.get(3),
            is_being_built: row.get(4),
        }
    }

    fn drop(&self, session: &mut Session) -> Result<(), postgres::Error> {
        log::warn!(
            "dropping index {}, which a failed or killed statement has left invalid",
            self.quoted
        );
        session.batch_execute(&format!(
            "DROP INDEX CONCURRENTLY IF EXISTS {}",
            self.quoted
        ))
    }
}

/// The columns of [`Index`]; the query goes on with its condition.
macro_rules! select_indexes {
    ($condition:literal) => {
        concat!(
            "SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relname::text, i.indisvalid,
                    EXISTS (SELECT FROM pg_stat_progress_create_index p
                            WHERE i.indexrelid = p.index_relid AND p.pid <> pg_backend_pid())
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                  JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind = 'i' AND ",
            $condition
        )
    };
}
use select_indexes;
