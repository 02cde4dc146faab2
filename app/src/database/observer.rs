//! A second look at a connection that waits for its statement: cancels it, and asks who blocks it.
//!
//! Connects only when it is asked something.

use super::connector::Connector;
use postgres::types::Type;
use postgres::{CancelToken, Client};

/// Who waits for a lock that another session holds is told by Postgres; not what the other one
/// runs, which may hold a secret.
const BLOCKERS: &str = "
    SELECT string_agg(format('pid %s, application %L, user %s, %s for %s s', pid, application_name,
                             usename, state, round(extract(epoch FROM now() - state_change))), '; ')
    FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))";

/// Observes one session.
pub struct Observer {
    connector: Connector,
    cancel: CancelToken,
    pid: i32,
    client: Option<Client>,
}

impl Observer {
    /// Of the session with a backend's process id.
    pub fn new(connector: Connector, session: &Client, pid: i32) -> Observer {
        Observer {
            connector,
            cancel: session.cancel_token(),
            pid,
            client: None,
        }
    }

    /// Cancels what the session runs, if it runs something.
    pub fn cancel(&self) {
        if let Err(error) = self.cancel.cancel_query(self.connector.tls()) {
            log::warn!("failed to cancel a statement: {}", super::describe(&error));
        }
    }

    /// Who holds the lock that the session waits for; `None` when it waits for none.
    pub fn blockers(&mut self) -> Option<String> {
        if self.client.is_none() {
            self.client = self.connector.client().ok();
        }
        let asked = self.client.as_mut()?;
        match asked.query_typed_one(BLOCKERS, &[(&self.pid, Type::INT4)]) {
            Ok(row) => row.get(0),
            Err(_) => {
                self.client = None;
                None
            }
        }
    }
}
