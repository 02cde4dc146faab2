//! A transaction of a page: text in, text out, and a limit before the invocation's deadline.
//!
//! Every value goes as a parameter of type `text`, which the statement casts, in an unnamed
//! statement, which a pooler takes. Knows no table.

use super::Connection;
use crate::{Failure, Invocation};
use postgres::SimpleQueryMessage;
use postgres::types::{ToSql, Type};

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may not.
    ReadOnly,
    /// It may.
    ReadWrite,
}

/// A row: its values as Postgres writes them, `None` for NULL.
pub type Row = Vec<Option<String>>;

/// Open until it is committed; rolled back when dropped.
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    open: bool,
}

impl Connection {
    /// Begins a transaction. What a role or a database has set is undone for it, so that values
    /// read as they are written here: times in UTC, ISO dates; and each statement sees what was
    /// committed before it, so that who has waited for a lock decides by what is the case.
    ///
    /// # Errors
    /// `Function.QueryFailed`.
    pub fn transaction(
        &mut self,
        invocation: &Invocation,
        access: Access,
    ) -> Result<Transaction<'_>, Failure> {
        let limit = super::limit(invocation).as_millis().max(1);
        let mode = match access {
            Access::ReadOnly => "READ ONLY",
            Access::ReadWrite => "READ WRITE",
        };
        // A lock that somebody holds for longer is said to the person who waits.
        let lock_limit = limit.min(3000);
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED {mode}; SET LOCAL statement_timeout = {limit}; \
             SET LOCAL lock_timeout = {lock_limit}; SET LOCAL timezone = 'UTC'; \
             SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
             SET LOCAL bytea_output = 'hex'"
        );
        self.batch_execute(&begin).map_err(super::failed)?;
        Ok(Transaction {
            connection: self,
            open: true,
        })
    }
}

impl Transaction<'_> {
    /// The rows of a statement whose columns are all `text`; `$1` is the first value.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn rows(
        &mut self,
        statement: &str,
        values: &[Option<&str>],
    ) -> Result<Vec<Row>, postgres::Error> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> = values
            .iter()
            .map(|value| (value as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        let rows = self.connection.query_typed(statement, &values)?;
        rows.iter()
            .map(|row| (0..row.len()).map(|column| row.try_get(column)).collect())
            .collect()
    }

    /// The rows of each of several statements without values, in one round trip.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn results(&mut self, statements: &str) -> Result<Vec<Vec<Row>>, postgres::Error> {
        let mut results = vec![Vec::new()];
        for message in self.connection.simple_query(statements)? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let row = (0..row.len()).map(|column| row.get(column).map(str::to_string));
                    let result = results.last_mut().expect("one is begun");
                    result.push(row.collect());
                }
                SimpleQueryMessage::CommandComplete(_) => results.push(Vec::new()),
                _ => {}
            }
        }
        results.pop();
        Ok(results)
    }

    /// Asks what may be refused: what was done of it is undone then, and the transaction goes on.
    ///
    /// # Errors
    /// The inner one is the refusal; the outer one ends the transaction.
    pub fn attempt<T>(
        &mut self,
        ask: impl FnOnce(&mut Self) -> Result<T, postgres::Error>,
    ) -> Result<Result<T, postgres::Error>, Failure> {
        self.execute("SAVEPOINT attempt").map_err(super::failed)?;
        match ask(self) {
            Err(refused) => match self.execute("ROLLBACK TO SAVEPOINT attempt") {
                Ok(()) => Ok(Err(refused)),
                Err(_) => Err(super::failed(refused)),
            },
            answer => Ok(answer),
        }
    }

    /// Runs statements that have no rows and no values.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn execute(&mut self, statements: &str) -> Result<(), postgres::Error> {
        self.connection.batch_execute(statements)
    }

    /// Keeps what was written.
    ///
    /// # Errors
    /// Postgres's own: a deferred constraint speaks here.
    pub fn commit(mut self) -> Result<(), postgres::Error> {
        self.open = false;
        self.connection.batch_execute("COMMIT")
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open && !self.connection.is_closed() {
            // When even this fails, the connection is gone, and the transaction with it.
            let _ = self.connection.batch_execute("ROLLBACK");
        }
    }
}
