//! The connection to Postgres: one, kept between invocations, replaced unseen when it died.
//!
//! Knows how to get a working connection or the real reason why not; knows no table.

mod address;
mod connector;
mod direct;
mod error;
pub mod notice;
mod observer;
mod tls;
mod transaction;
mod transient;

pub use direct::MARK;
pub use error::{describe, wrong_value};
pub use observer::Observer;
pub use transaction::{Access, Row, Transaction};

use crate::settings::DatabaseSettings;
use crate::{Failure, Invocation};
use connector::Connector;
use postgres::error::SqlState;
use postgres::{Client, Config, SimpleQueryMessage};
use r2d2::{Pool, PooledConnection};
use scheduled_thread_pool::ScheduledThreadPool;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Neon takes up to 13 s to wake a sleeping database, and the connection hangs meanwhile.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// What is kept of the invocation's time to answer with the reason when Postgres does not.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// The pause before a server that is starting up, or busy, is asked again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

const HANDED_OUT: &str = "only a successful attempt becomes a connection";

/// The database that the settings name.
pub struct Database {
    settings: DatabaseSettings,
    /// A connection for each invocation that is handled at the same time: one on Lambda.
    connections: usize,
    /// The mark of this process's own sessions, for migrations.
    mark: OnceLock<String>,
    /// Each made by the first invocation that needs it.
    pages: Mutex<Option<Pool<Connector>>>,
    migrations: Mutex<Option<Pool<Connector>>>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To answer requests: as the settings say, through a pooler if they name one.
    Pages,
    /// To run migrations: with the server itself where that is known, and not for long when the
    /// process dies.
    Migrations,
}

/// A working connection; back in the pool when dropped.
pub struct Connection(PooledConnection<Connector>);

impl Database {
    /// Connects to nothing yet.
    pub fn new(settings: DatabaseSettings, connections: usize) -> Database {
        Database {
            settings,
            connections,
            mark: OnceLock::new(),
            pages: Mutex::new(None),
            migrations: Mutex::new(None),
        }
    }

    /// Closes the connections that nobody uses, and forgets the pools.
    pub fn disconnect(&self) {
        for pool in [&self.pages, &self.migrations] {
            *pool.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A working connection: the one of the last invocation, or a new one.
    ///
    /// # Errors
    /// `Function.InvalidSettings`; `Function.DatabaseUnavailable` with Postgres's own words: at
    /// once when it refuses, shortly before the invocation's deadline when it is silent, starting
    /// up or waking.
    pub fn connection(
        &self,
        invocation: &Invocation,
        purpose: Purpose,
    ) -> Result<Connection, Failure> {
        let pool = self.pool(purpose)?;
        let limit = limit(invocation);
        let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let Ok(attempt) = pool.get_timeout(left.max(FIRST_PAUSE)) else {
                // The pool's one thread may hang in this attempt for ever; a new pool has a new one.
                self.disconnect();
                return Err(unavailable(
                    &self.settings,
                    format!("no answer within {limit:.1?}"),
                ));
            };
            let Some(Err(error)) = &attempt.outcome else {
                return Ok(Connection(attempt));
            };
            let cause = describe(error);
            if !transient::is_transient(error) || started.elapsed() + pause >= limit {
                let advice = transient::advice(error);
                return Err(unavailable(&self.settings, cause).and(advice));
            }
            drop(attempt);
            log::info!("waiting for Postgres: {cause}");
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Looks at a session while it waits for its statement.
    ///
    /// # Errors
    /// `Function.InvalidSettings`.
    pub fn observer(&self, session: &Client, pid: i32) -> Result<Observer, Failure> {
        Ok(Observer::new(
            self.connector(Purpose::Migrations, None)?,
            session,
            pid,
        ))
    }

    /// The database's name.
    ///
    /// # Errors
    /// `Function.InvalidSettings`.
    pub fn name(&self) -> Result<String, Failure> {
        let config = address::config(&self.settings)?;
        let name = config.get_dbname().or(config.get_user());
        Ok(name.unwrap_or_default().to_string())
    }

    /// Where it is, without the password.
    ///
    /// # Errors
    /// `Function.InvalidSettings`.
    pub fn place(&self) -> Result<String, Failure> {
        address::config(&self.settings).map(|config| address::display(&config))
    }

    /// A connection to another database of the same server, outside of the pools.
    ///
    /// # Errors
    /// `Function.InvalidSettings`; `Function.DatabaseUnavailable`.
    pub fn connect_to(&self, name: &str) -> Result<Client, Failure> {
        let connector = self.connector(Purpose::Migrations, Some(name))?;
        connector
            .client()
            .map_err(|error| unavailable(&self.settings, describe(&error)))
    }

    /// The mark that a session of this process has: a pooler may have put another server session
    /// behind a connection, and may put yet another one there for the next transaction.
    pub fn mark(&self) -> &str {
        self.mark.get_or_init(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.unwrap_or_default().as_nanos().to_string()
        })
    }

    fn connector(&self, purpose: Purpose, name: Option<&str>) -> Result<Connector, Failure> {
        let mut config = address::config(&self.settings)?;
        if let Some(name) = name {
            config.dbname(name);
        }
        let tls = tls::connector(self.settings.root_certificates.as_deref())?;
        let told = |mut config: Config| {
            config.notice_callback(|notice| notice::log(&notice));
            config
        };
        Ok(match purpose {
            Purpose::Pages => Connector::new(told(config), None, tls),
            Purpose::Migrations => {
                let direct = direct::config(&config, self.mark());
                Connector::new(told(direct), Some(told(config)), tls)
            }
        })
    }

    fn pool(&self, purpose: Purpose) -> Result<Pool<Connector>, Failure> {
        let pool = match purpose {
            Purpose::Pages => &self.pages,
            Purpose::Migrations => &self.migrations,
        };
        let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = &*pool {
            return Ok(pool.clone());
        }
        let made = Pool::builder()
            .max_size(u32::try_from(self.connections).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            // Both would need a reaper's thread, and a frozen process has no use for one.
            .idle_timeout(None)
            .max_lifetime(None)
            .thread_pool(Arc::new(ScheduledThreadPool::new(1)))
            .test_on_check_out(true)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(self.connector(purpose, None)?);
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

/// A query of a page has failed, or was stopped at the limit before the deadline.
pub fn failed(error: postgres::Error) -> Failure {
    let (kind, message) = match error.code() {
        Some(&SqlState::QUERY_CANCELED) => (
            "Function.OutOfTime",
            "failed to read the database in the time of one invocation",
        ),
        Some(&SqlState::UNDEFINED_TABLE) if is_of_the_tool(&error) => (
            "Function.MigrationsPending",
            "failed to find the tool's own tables: run {\"action\":\"migrate\"} first",
        ),
        _ => ("Function.QueryFailed", "failed to read the database"),
    };
    Failure::new(kind, message).because(describe(&error))
}

/// Whether a missing table is one of the migrations that come with the project.
fn is_of_the_tool(error: &postgres::Error) -> bool {
    let error = error.as_db_error();
    error.is_some_and(|error| error.message().contains("plain_lambda."))
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

impl Connection {
    /// Asks for what a page shows: one message, one transaction that writes nothing, and a limit
    /// before the invocation's deadline.
    ///
    /// # Errors
    /// Postgres's own; `QUERY_CANCELED` at the limit.
    pub fn ask(
        &mut self,
        invocation: &Invocation,
        statements: &str,
    ) -> Result<Vec<SimpleQueryMessage>, postgres::Error> {
        let limit = limit(invocation).as_millis().max(1);
        let message =
            format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; {statements}; COMMIT");
        let answer = self.simple_query(&message);
        if answer.is_err() && !self.is_closed() {
            self.batch_execute("ROLLBACK")?;
        }
        answer
    }
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
