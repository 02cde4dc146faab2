//! The connection to Postgres: one, kept between invocations, replaced unseen when it died.
//!
//! Knows how to get a working connection or the real reason why not; knows no table.

mod address;
mod connector;
mod error;
mod tls;

pub use error::describe;

use crate::settings::DatabaseSettings;
use crate::{Failure, Invocation};
use connector::Connector;
use postgres::Client;
use r2d2::{Pool, PooledConnection};
use scheduled_thread_pool::ScheduledThreadPool;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Neon takes up to 13 s to wake a sleeping database, and the connection hangs meanwhile.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// What is kept of the invocation's time to answer with the reason when Postgres does not.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

const HANDED_OUT: &str = "only a successful attempt becomes a connection";

/// The database that the settings name.
pub struct Database {
    settings: DatabaseSettings,
    /// A connection for each invocation that is handled at the same time: one on Lambda.
    connections: usize,
    /// Made by the first invocation that needs it.
    pool: Mutex<Option<Pool<Connector>>>,
}

/// A working connection; back in the pool when dropped.
pub struct Connection(PooledConnection<Connector>);

impl Database {
    /// Connects to nothing yet.
    pub fn new(settings: DatabaseSettings, connections: usize) -> Database {
        Database {
            settings,
            connections,
            pool: Mutex::new(None),
        }
    }

    /// Closes the connections that nobody uses, and forgets the pool.
    pub fn disconnect(&self) {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A working connection: the one of the last invocation, or a new one.
    ///
    /// # Errors
    /// `Function.InvalidSettings`; `Function.DatabaseUnavailable` with Postgres's own words, at
    /// once when it refuses, and shortly before the invocation's deadline when it is silent.
    pub fn connection(&self, invocation: &Invocation) -> Result<Connection, Failure> {
        let pool = self.pool()?;
        let limit = limit(invocation);
        let Ok(attempt) = pool.get_timeout(limit) else {
            // The pool's one thread may hang in this attempt for ever; a new pool has a new one.
            self.disconnect();
            return Err(unavailable(
                &self.settings,
                format!("no answer within {limit:.1?}"),
            ));
        };
        match &attempt.outcome {
            Some(Err(error)) => Err(unavailable(&self.settings, describe(error))),
            _ => Ok(Connection(attempt)),
        }
    }

    fn pool(&self) -> Result<Pool<Connector>, Failure> {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*pool {
            return Ok(pool.clone());
        }
        let config = address::config(&self.settings)?;
        let tls = tls::connector(self.settings.root_certificates.as_deref())?;
        let made = Pool::builder()
            .max_size(u32::try_from(self.connections).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            // Both would need a reaper's thread, and a frozen process has no use for one.
            .idle_timeout(None)
            .max_lifetime(None)
            .thread_pool(Arc::new(ScheduledThreadPool::new(1)))
            .test_on_check_out(true)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(Connector::new(config, tls));
        Ok(pool.insert(made).clone())
    }
}

/// How long a connection may take: most of the invocation's time, so that some is left to say why
/// there is none.
fn limit(invocation: &Invocation) -> Duration {
    match invocation.remaining() {
        Some(remaining) => (remaining - ANSWER_MARGIN.min(remaining / 4)).min(CONNECT_LIMIT),
        None => CONNECT_LIMIT,
    }
}

fn unavailable(settings: &DatabaseSettings, cause: String) -> Failure {
    let message = match address::config(settings) {
        Ok(config) => format!(
            "failed to connect to Postgres at {}",
            address::display(&config)
        ),
        Err(_) => "failed to connect to Postgres".to_string(),
    };
    Failure::new("Function.DatabaseUnavailable", message).because(cause)
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        match &self.0.outcome {
            Some(Ok(client)) => client,
            _ => unreachable!("{HANDED_OUT}"),
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        match &mut self.0.outcome {
            Some(Ok(client)) => client,
            _ => unreachable!("{HANDED_OUT}"),
        }
    }
}
