//! Observes a session that waits for its statement: cancels the statement, and finds the sessions
//! that block it.
//!
//! Connects when it is first used. Knows no statement of the session.

use super::connector::Connector;
use postgres::types::Type;
use postgres::{CancelToken, Client};

/// Describes the sessions that block `$1`, without their statements, which may hold a secret.
const BLOCKERS: &str = "
    SELECT string_agg(format('pid %s, application %L, user %s, %s for %s s', pid, application_name,
                             usename, state, round(extract(epoch FROM now() - state_change))), '; ')
    FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))";

/// An observer of one session, with a connection of its own.
///
/// ```no_run
/// # fn look(
/// #     database: &database::Database, session: &postgres::Client, pid: i32,
/// # ) -> Result<(), handler::Failure> {
/// let mut observer = database.observer(session, pid)?;
/// if let Some(blockers) = observer.blockers() {
///     println!("blocked by {blockers}");
///     observer.cancel();
/// }
/// # Ok(())
/// # }
/// ```
pub struct Observer {
    connector: Connector,
    cancel: CancelToken,
    pid: i32,
    client: Option<Client>,
}

impl Observer {
    /// Creates an observer of a session; `pid` is the id of the session's server process.
    pub(crate) fn new(connector: Connector, session: &Client, pid: i32) -> Observer {
        Observer {
            connector,
            cancel: session.cancel_token(),
            pid,
            client: None,
        }
    }

    /// Cancels the session's statement, if one runs.
    pub fn cancel(&self) {
        if let Err(error) = self.cancel.cancel_query(self.connector.tls()) {
            log::warn!("failed to cancel a statement: {}", crate::describe(&error));
        }
    }

    /// Returns the sessions that hold the lock which the session waits for: process id,
    /// application, user, state and the seconds since the state changed. `None` when the session
    /// waits for no lock, or when Postgres could not be asked.
    pub fn blockers(&mut self) -> Option<String> {
        if self.client.is_none() {
            self.client = self.connector.client().ok().map(|(client, _)| client);
        }
        let client = self.client.as_mut()?;
        match client.query_typed_one(BLOCKERS, &[(&self.pid, Type::INT4)]) {
            Ok(row) => row.get(0),
            Err(_) => {
                self.client = None;
                None
            }
        }
    }
}
