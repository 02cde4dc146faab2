//! Connections to Postgres, kept between invocations and replaced when they are dead.
//!
//! From the settings to a working connection, or to the server's own reason why there is none; from
//! there to a page's transaction. Knows no table.

mod address;
mod connection;
mod connector;
mod error;
mod limit;
pub mod notice;
mod observer;
mod pooler;
mod quote;
mod read;
mod settings;
mod tls;
mod transaction;
mod transient;

pub use connection::Connection;
pub use error::{describe, failed, wrong_value};
pub use observer::Observer;
pub use pooler::SESSION_MARKER;
#[doc(hidden)]
pub use postgres::Row as PostgresRow;
pub use quote::quote;
pub use read::{FromRow, ReadError, named};
pub use settings::Settings;
pub use transaction::{Access, Row, Transaction};

use connector::Connector;
use handler::{Failure, Invocation, Kind};
use limit::{Limit, Tls};
use postgres::{Client, Config};
use r2d2::Pool;
use scheduled_thread_pool::ScheduledThreadPool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest time for a connection or a statement. Neon takes up to 13 s to wake a sleeping
/// database, and the connection attempt hangs meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The part of the invocation's time that is kept to answer with the reason when Postgres is
/// silent.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// The pause before the second attempt to connect to a server that is starting up or busy; doubles
/// with each further attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The time in which a server that is about to start has to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The database that the settings name, with its pools of connections.
///
/// ```no_run
/// use database::{Access, Database, Purpose, Settings};
/// use handler::{AppEnv, Invocation, Variables};
///
/// let variables = Variables::of_process();
/// let settings = Settings::read(&variables, AppEnv::read(&variables)?)?;
/// let database = Database::new(settings, 1);
///
/// let invocation = Invocation::default();
/// let mut connection = database.connection(&invocation, Purpose::Pages)?;
/// let mut transaction = connection.transaction(&invocation, Access::ReadOnly)?;
/// let versions: Vec<(String,)> = transaction.query("SELECT version()", &[])?;
/// # Ok::<(), handler::Failure>(())
/// ```
pub struct Database {
    settings: Settings,
    /// The size of each pool: the number of invocations that run at the same time, which is 1
    /// except on Lambda Managed Instances.
    connections: usize,
    /// The value of [`SESSION_MARKER`] in this process's sessions for migrations.
    session_marker: OnceLock<String>,
    /// The pool for pages; created by the first invocation that needs it.
    pages: Mutex<Option<Pool<Connector>>>,
    /// The pool for migrations; created by the first invocation that needs it.
    migrations: Mutex<Option<Pool<Connector>>>,
}

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Answering requests: connects as the settings say, through a pooler if they name one.
    Pages,
    /// Running migrations: connects to the server itself where its host is known, and asks the
    /// server to end the session soon after the process died.
    Migrations,
}

impl Database {
    /// Creates a database with pools of up to `connections` connections. Connects to nothing.
    pub fn new(settings: Settings, connections: usize) -> Database {
        Database {
            settings,
            connections,
            session_marker: OnceLock::new(),
            pages: Mutex::new(None),
            migrations: Mutex::new(None),
        }
    }

    /// Closes the idle connections, and drops the pools.
    pub fn disconnect(&self) {
        for pool in [&self.pages, &self.migrations] {
            *pool.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Returns a working connection: one that an earlier invocation used, or a new one.
    ///
    /// # Errors
    /// `Function.InvalidSettings`; `Function.DatabaseUnavailable`, with Postgres's own message: at
    /// once when Postgres refuses the connection, and after 20 s, or shortly before the
    /// invocation's deadline, when Postgres is silent, starting up or busy.
    pub fn connection(
        &self,
        invocation: &Invocation,
        purpose: Purpose,
    ) -> Result<Connection, Failure> {
        self.connect(invocation, purpose, Duration::ZERO)
    }

    /// Returns a working connection for migrations, also of a server that is about to start: one
    /// where nobody listens yet is waited for, for up to 10 s.
    ///
    /// # Errors
    /// Those of [`Database::connection`].
    pub fn connection_once_started(&self, invocation: &Invocation) -> Result<Connection, Failure> {
        self.connect(invocation, Purpose::Migrations, START_LIMIT)
    }

    fn connect(
        &self,
        invocation: &Invocation,
        purpose: Purpose,
        start_limit: Duration,
    ) -> Result<Connection, Failure> {
        let pool = self.pool(purpose)?;
        let limit = time_limit(invocation);
        let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let Ok(attempt) = pool.get_timeout(left.max(FIRST_PAUSE)) else {
                // The pool's only thread may hang in this attempt for ever; a new pool has a new
                // thread.
                self.disconnect();
                return Err(unavailable(
                    &self.settings,
                    format!("no answer within {limit:.1?}"),
                ));
            };
            let Some(Err(error)) = &attempt.outcome else {
                return Ok(Connection::new(attempt, pool, invocation, purpose));
            };
            let cause = describe(error);
            let limit = match error::is_refused(error) {
                true => limit.min(start_limit),
                false if transient::is_transient(error) => limit,
                false => Duration::ZERO,
            };
            if started.elapsed() + pause >= limit {
                let advice = transient::advice(error);
                return Err(unavailable(&self.settings, cause).append(advice));
            }
            drop(attempt);
            log::info!("waiting for Postgres: {cause}");
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Creates an observer of a session; `pid` is the id of the session's server process.
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

    /// Returns the name of the database.
    ///
    /// # Errors
    /// `Function.InvalidSettings`.
    pub fn name(&self) -> Result<String, Failure> {
        let config = address::config(&self.settings)?;
        let name = config.get_dbname().or(config.get_user());
        Ok(name.unwrap_or_default().to_string())
    }

    /// Returns the host, the port, the name of the database and the user, for messages.
    ///
    /// # Errors
    /// `Function.InvalidSettings`.
    pub fn place(&self) -> Result<String, Failure> {
        address::config(&self.settings).map(|config| address::display(&config))
    }

    /// Connects to another database of the same server, outside of the pools.
    ///
    /// # Errors
    /// `Function.InvalidSettings`; `Function.DatabaseUnavailable`.
    pub fn connect_to(&self, name: &str) -> Result<Client, Failure> {
        let connector = self.connector(Purpose::Migrations, Some(name))?;
        let (client, _) = connector
            .client()
            .map_err(|error| unavailable(&self.settings, describe(&error)))?;
        Ok(client)
    }

    /// Returns the value that [`SESSION_MARKER`] has in this process's sessions for migrations, and
    /// in no other session. A pooler may give a connection the server session of another process,
    /// and another one for each transaction.
    pub fn session_marker(&self) -> &str {
        self.session_marker.get_or_init(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.unwrap_or_default().as_nanos().to_string()
        })
    }

    fn connector(&self, purpose: Purpose, name: Option<&str>) -> Result<Connector, Failure> {
        let mut config = address::config(&self.settings)?;
        if let Some(name) = name {
            config.dbname(name);
        }
        let tls = Tls {
            rustls: Some(tls::connector(self.settings.root_certificates.as_deref())?),
            limit: Limit::default(),
        };
        let with_notices = |mut config: Config| {
            config.notice_callback(|notice| notice::log(&notice));
            config
        };
        Ok(match purpose {
            Purpose::Pages => Connector::new(with_notices(config), None, tls),
            Purpose::Migrations => {
                let direct = pooler::config(&config, self.session_marker());
                Connector::new(with_notices(direct), Some(with_notices(config)), tls)
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
        let new = Pool::builder()
            .max_size(u32::try_from(self.connections).unwrap_or(u32::MAX))
            .min_idle(Some(0))
            // Each of these two would run a job every 30 s, which is no use to a frozen process.
            .idle_timeout(None)
            .max_lifetime(None)
            .thread_pool(Arc::new(ScheduledThreadPool::new(1)))
            .test_on_check_out(true)
            .error_handler(Box::new(r2d2::NopErrorHandler))
            .build_unchecked(self.connector(purpose, None)?);
        Ok(pool.insert(new).clone())
    }
}

/// Returns how long a connection or a statement may take: the rest of the invocation's time, less a
/// margin to answer with the reason when Postgres does not answer in time.
fn time_limit(invocation: &Invocation) -> Duration {
    match invocation.remaining() {
        Some(remaining) => (remaining - ANSWER_MARGIN.min(remaining / 4)).min(LONGEST_WAIT),
        None => LONGEST_WAIT,
    }
}

fn unavailable(settings: &Settings, cause: String) -> Failure {
    let message = match address::config(settings) {
        Ok(config) => format!(
            "failed to connect to Postgres at {}",
            address::display(&config)
        ),
        Err(_) => "failed to connect to Postgres".to_string(),
    };
    Failure::new(Kind::DatabaseUnavailable, message).with_source(cause)
}
