//! Cleans up around `CREATE INDEX CONCURRENTLY` and `REINDEX … CONCURRENTLY`. When one fails, it
//! leaves an invalid index, which `IF NOT EXISTS` then takes for the wanted one.
//!
//! Drops only invalid indexes, and none that another session is building. Must not know the history.

use super::session::{LOCK_TIMEOUT, Session};
use super::sql::Statement;
use database::{describe, quote};
use postgres::types::Type;

/// What to clean up around one statement.
pub(crate) enum Cleanup {
    /// The statement leaves no index.
    None,
    /// The statement works concurrently, and may leave an invalid index.
    Concurrent {
        /// The table of the index, quoted; empty unless the statement is `CREATE INDEX`.
        table: String,
        /// The name of the index to create, if the statement has one.
        name: Option<String>,
        /// The indexes that were invalid before: each quoted with its schema, and its bare name.
        before: Vec<(String, String)>,
        /// Whether the index of this name existed before, and was valid.
        valid: bool,
    },
}

/// Reads the invalid indexes of a table, and those that `REINDEX` has left of any table (their names
/// end in `_ccnew` or `_ccold`), except for those that another session is building.
const INVALID: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), c.relname
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relkind = 'i'
      AND (i.indrelid = to_regclass($1) OR c.relname ~ '_cc(new|old)[0-9]*$')
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p
                      WHERE i.indexrelid = p.index_relid AND p.pid <> pg_backend_pid())";

/// Asks whether the table has a valid index of this name.
const IS_VALID: &str = "
    SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                   WHERE i.indrelid = to_regclass($1) AND c.relname = $2 AND i.indisvalid)";

impl Cleanup {
    /// Reads which indexes exist before the statement runs.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn of(
        session: &mut Session,
        statement: &Statement,
        sent: &str,
    ) -> Result<Cleanup, postgres::Error> {
        if !sent.to_lowercase().contains("concurrently") {
            return Ok(Cleanup::None);
        }
        let index = statement.concurrent_index();
        let table = index.as_ref().map_or(String::new(), |index| {
            let schema = index.schema.as_ref().map(|schema| quote(schema) + ".");
            schema.unwrap_or_default() + &quote(&index.table)
        });
        let name = index.and_then(|index| index.name);
        let before = invalid_indexes(session, &table)?;
        let valid = match &name {
            None => false,
            Some(name) => {
                let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 2] =
                    [(&table, Type::TEXT), (name, Type::TEXT)];
                session.query_typed_one(IS_VALID, &parameters)?.get(0)
            }
        };
        Ok(Cleanup::Concurrent {
            table,
            name,
            before,
            valid,
        })
    }

    /// Returns whether the index existed before and was valid.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Cleanup::Concurrent { valid: true, .. })
    }

    /// Turns off `lock_timeout`, and drops an invalid index that has the name of the one to create.
    /// If the statement has no name, so that Postgres chooses one, and a killed run may have begun
    /// it, drops every index that was invalid before.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn prepare(
        &self,
        session: &mut Session,
        may_be_done: bool,
    ) -> Result<(), postgres::Error> {
        let Cleanup::Concurrent {
            table,
            name,
            before,
            ..
        } = self
        else {
            return Ok(());
        };
        // The statement waits for older transactions, and a timeout would leave an invalid index.
        session.batch_execute("SET lock_timeout = 0")?;
        let is_create_index = !table.is_empty();
        for (index, bare) in before {
            let is_leftover = name
                .as_ref()
                .map_or(may_be_done && is_create_index, |name| name == bare);
            if is_leftover {
                log::warn!("dropping index {index}, which an earlier attempt has left invalid");
                session.batch_execute(&format!("DROP INDEX CONCURRENTLY {index}"))?;
            }
        }
        Ok(())
    }

    /// Drops the invalid indexes that a failed statement has left.
    pub(crate) fn drop_leftovers(&self, session: &mut Session) {
        let Cleanup::Concurrent { table, before, .. } = self else {
            return;
        };
        // Little time may be left, and the next attempt drops any index that stays.
        let cleaned = session
            .batch_execute("SET statement_timeout = '1s'")
            .and_then(|()| {
                let after = invalid_indexes(session, table)?;
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

    /// Puts back the `lock_timeout` that [`Cleanup::prepare`] has turned off.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn restore_lock_timeout(
        &self,
        session: &mut Session,
    ) -> Result<(), postgres::Error> {
        match self {
            Cleanup::None => Ok(()),
            Cleanup::Concurrent { .. } => {
                session.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))
            }
        }
    }
}

fn invalid_indexes(
    session: &mut Session,
    table: &str,
) -> Result<Vec<(String, String)>, postgres::Error> {
    let table = (!table.is_empty()).then_some(table);
    let rows = session.query_typed(INVALID, &[(&table, Type::TEXT)])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
