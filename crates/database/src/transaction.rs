//! A page's transaction, with a time limit before the invocation's deadline.
//!
//! Every value is a parameter of type `text`, which the statement casts; statements are unnamed, so
//! that they work through a pooler. Knows no table.

use crate::{Connection, FromRow, ReadError};
use handler::{Failure, Invocation};
use postgres::SimpleQueryMessage;
use postgres::types::{ToSql, Type};

/// Whether a transaction may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The transaction reads.
    ReadOnly,
    /// The transaction reads and writes.
    ReadWrite,
}

/// The values of a row as Postgres writes them; `None` for NULL.
pub type Row = Vec<Option<String>>;

/// A transaction, rolled back when it is dropped before [`commit`](Transaction::commit).
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    open: bool,
}

impl Connection {
    /// Begins a transaction. Settings of the role or the database do not apply to the form of
    /// values: times are in UTC, and dates are ISO. The isolation level is READ COMMITTED, so that
    /// a statement which follows a wait for a lock sees what the lock's holder committed.
    ///
    /// # Errors
    /// `Function.QueryFailed`.
    pub fn transaction(
        &mut self,
        invocation: &Invocation,
        access: Access,
    ) -> Result<Transaction<'_>, Failure> {
        let limit = crate::time_limit(invocation).as_millis().max(1);
        // Without a mode, a transaction may write unless the server, the database or the role says
        // otherwise.
        let mode = match access {
            Access::ReadOnly => " READ ONLY",
            Access::ReadWrite => "",
        };
        // After 3 s a person is told that somebody else holds the lock. A session whose client has
        // fallen silent ends, and with it its locks.
        let lock_limit = limit.min(3000);
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED{mode}; SET LOCAL statement_timeout = {limit}; \
             SET LOCAL lock_timeout = {lock_limit}; \
             SET LOCAL idle_in_transaction_session_timeout = {limit}; SET LOCAL timezone = 'UTC'; \
             SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
             SET LOCAL bytea_output = 'hex'"
        );
        self.begin(invocation, &begin).map_err(crate::failed)?;
        Ok(Transaction {
            connection: self,
            open: true,
        })
    }
}

impl Transaction<'_> {
    /// Returns the rows of a statement whose columns are all `text`; `$1` is the first value.
    ///
    /// ```no_run
    /// # fn page(transaction: &mut database::Transaction) -> Result<(), postgres::Error> {
    /// let rows = transaction.rows("SELECT name FROM parts WHERE id = $1::bigint", &[Some("7")])?;
    /// let name: Option<&str> = rows.first().and_then(|row| row[0].as_deref());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Postgres's.
    pub fn rows(
        &mut self,
        statement: &str,
        values: &[Option<&str>],
    ) -> Result<Vec<Row>, postgres::Error> {
        let rows = self.query_typed(statement, values)?;
        rows.iter()
            .map(|row| (0..row.len()).map(|column| row.try_get(column)).collect())
            .collect()
    }

    /// Returns the rows of a statement as Rust values; `$1` is the first of `values`, which are
    /// `text` and cast by the statement.
    ///
    /// ```no_run
    /// # fn page(transaction: &mut database::Transaction) -> Result<(), database::ReadError> {
    /// let rows: Vec<(String, i64)> = transaction.query(
    ///     "SELECT name, stock FROM parts WHERE stock < $1::bigint",
    ///     &[Some("10")],
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ReadError`]: Postgres's error, or the column that has another type than the value.
    pub fn query<T: FromRow>(
        &mut self,
        statement: &str,
        values: &[Option<&str>],
    ) -> Result<Vec<T>, ReadError> {
        let rows = self.query_typed(statement, values)?;
        rows.iter().map(T::from_row).collect()
    }

    /// Returns the rows of each of several statements without values, in one round trip.
    ///
    /// # Errors
    /// Postgres's.
    pub fn results(&mut self, statements: &str) -> Result<Vec<Vec<Row>>, postgres::Error> {
        let mut results = vec![Vec::new()];
        for message in self.connection.simple_query(statements)? {
            match message {
                SimpleQueryMessage::Row(row) => {
                    let row = (0..row.len()).map(|column| row.get(column).map(str::to_string));
                    let result = results.last_mut().expect("a result has begun");
                    result.push(row.collect());
                }
                SimpleQueryMessage::CommandComplete(_) => results.push(Vec::new()),
                _ => {}
            }
        }
        results.pop();
        Ok(results)
    }

    /// Runs an unnamed statement whose parameters are all `text`.
    fn query_typed(
        &mut self,
        statement: &str,
        values: &[Option<&str>],
    ) -> Result<Vec<postgres::Row>, postgres::Error> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> = values
            .iter()
            .map(|value| (value as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        self.connection.query_typed(statement, &values)
    }

    /// Runs statements that Postgres may refuse, after a savepoint: an error rolls back to the
    /// savepoint, and the transaction goes on.
    ///
    /// ```no_run
    /// # fn page(transaction: &mut database::Transaction) -> Result<(), handler::Failure> {
    /// let added = transaction.in_savepoint(|transaction| {
    ///     transaction.rows("INSERT INTO parts (name) VALUES ($1)", &[Some("bolt")])
    /// })?;
    /// if let Err(error) = added {
    ///     println!("refused: {}", database::describe(&error));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The inner error is that of the statements. After the outer error the transaction cannot go
    /// on.
    pub fn in_savepoint<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, postgres::Error>,
    ) -> Result<Result<T, postgres::Error>, Failure> {
        self.execute("SAVEPOINT page").map_err(crate::failed)?;
        match run(self) {
            Err(refused) => match self.execute("ROLLBACK TO SAVEPOINT page") {
                Ok(()) => Ok(Err(refused)),
                Err(_) => Err(crate::failed(refused)),
            },
            done => Ok(done),
        }
    }

    /// Runs statements without values, and ignores their rows.
    ///
    /// # Errors
    /// Postgres's.
    pub fn execute(&mut self, statements: &str) -> Result<(), postgres::Error> {
        self.connection.batch_execute(statements)
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// `Function.CommitInDoubt` when the connection is lost before the server has answered. After
    /// any other error, among them that of a deferred constraint, nothing is committed.
    pub fn commit(mut self) -> Result<(), Failure> {
        self.open = false;
        let committed = self.connection.batch_execute("COMMIT");
        committed.map_err(crate::error::not_committed)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open && !self.connection.is_closed() {
            // If this fails, the connection is lost, and the server rolls back.
            let _ = self.connection.batch_execute("ROLLBACK");
        }
    }
}
