//! Care for `CREATE INDEX CONCURRENTLY` and `REINDEX … CONCURRENTLY`, which leave an invalid index
//! behind when they fail, one that `IF NOT EXISTS` then takes for the index itself.
//!
//! Drops what is invalid and ours; knows no history.

use super::session::{LOCK_TIMEOUT, Session};
use super::sql::Statement;
use crate::database::describe;
use postgres::types::Type;

/// The invalid indexes of a table, and what is left of reindexing any; but none that another
/// session is building.
const INVALID: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), c.relname
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i'
      AND (i.indrelid = to_regclass($1) OR c.relname ~ '_cc(new|old)[0-9]*$')
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                      WHERE i.indexrelid = p.index_relid AND p.pid <> pg_backend_pid())";

const IS_VALID: &str = "
    SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                   WHERE i.indrelid = to_regclass($1) AND c.relname = $2 AND i.indisvalid)";

/// What has to be looked after around one statement.
pub enum Care {
    /// Nothing.
    None,
    /// It works concurrently, and may leave indexes that were not there before.
    Concurrent {
        /// Its table, quoted; empty when it names none.
        table: String,
        /// The index that it makes.
        name: Option<String>,
        /// The invalid ones of before, with and without their schemas.
        before: Vec<(String, String)>,
        /// Whether the index is there and valid.
        valid: bool,
    },
}

impl Care {
    /// Looks at what is there before a statement runs.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn of(
        session: &mut Session,
        statement: &Statement,
        sent: &str,
    ) -> Result<Care, postgres::Error> {
        if !sent.to_lowercase().contains("concurrently") {
            return Ok(Care::None);
        }
        let made = statement.concurrent_index();
        let table = made.as_ref().map_or(String::new(), |made| {
            let schema = made.schema.as_ref().map(|schema| quote(schema) + ".");
            schema.unwrap_or_default() + &quote(&made.table)
        });
        let name = made.and_then(|made| made.name);
        let before = invalid(session, &table)?;
        let valid = match &name {
            None => false,
            Some(name) => {
                let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 2] =
                    [(&table, Type::TEXT), (name, Type::TEXT)];
                session.query_typed_one(IS_VALID, &parameters)?.get(0)
            }
        };
        Ok(Care::Concurrent {
            table,
            name,
            before,
            valid,
        })
    }

    /// Whether the statement's index is there, and usable.
    pub fn is_done(&self) -> bool {
        matches!(self, Care::Concurrent { valid: true, .. })
    }

    /// Drops an invalid index of the name that is about to be made; when a killed run may have
    /// begun to make one of a name that Postgres chose, all that are invalid.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn prepare(&self, session: &mut Session, doubt: bool) -> Result<(), postgres::Error> {
        let Care::Concurrent {
            table,
            name,
            before,
            ..
        } = self
        else {
            return Ok(());
        };
        // It waits for older transactions, and a limit would leave what this module cleans up.
        session.batch_execute("SET lock_timeout = 0")?;
        let made = !table.is_empty();
        for (index, bare) in before {
            let ours = name.as_ref().map_or(doubt && made, |name| name == bare);
            if ours {
                log::warn!("dropping index {index}, which an earlier attempt has left invalid");
                session.batch_execute(&format!("DROP INDEX CONCURRENTLY {index}"))?;
            }
        }
        Ok(())
    }

    /// Drops what a failed statement has left.
    pub fn clean(&self, session: &mut Session) {
        let Care::Concurrent { table, before, .. } = self else {
            return;
        };
        // Little time may be left, and whatever stays is dropped by the next attempt.
        let cleaned = session
            .batch_execute("SET statement_timeout = '1s'")
            .and_then(|()| {
                let after = invalid(session, table)?;
                for (index, _) in after.iter().filter(|index| !before.contains(index)) {
                    session.batch_execute(&format!("DROP INDEX CONCURRENTLY IF EXISTS {index}"))?;
                    log::info!(
                        "dropped index {index}, which the failed statement had left invalid"
                    );
                }
                Ok(())
            });
        if let Err(error) = cleaned {
            log::warn!(
                "failed to drop an invalid index, which the next run does: {}",
                describe(&error)
            );
        }
    }

    /// Puts back what `prepare` has set.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn end(&self, session: &mut Session) -> Result<(), postgres::Error> {
        match self {
            Care::None => Ok(()),
            Care::Concurrent { .. } => {
                session.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))
            }
        }
    }
}

fn invalid(session: &mut Session, table: &str) -> Result<Vec<(String, String)>, postgres::Error> {
    let table = (!table.is_empty()).then_some(table);
    let rows = session.query_typed(INVALID, &[(&table, Type::TEXT)])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
