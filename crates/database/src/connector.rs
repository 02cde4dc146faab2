//! Makes the pool's connections, and checks whether an idle one still works.
//!
//! r2d2 retries a failed connection until its timeout, and then reports the last error as text: too
//! late, and without its SQLSTATE. Therefore a failed attempt is an item of the pool too, which
//! holds the error: the pool hands it out at once, and drops it when it is returned.

use super::pooler;
use postgres::{Client, Config};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;
use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The idle time after which a connection is checked: while the process was frozen, the server, a
/// pooler or a router may have closed it. A check costs a round trip, so there is none between the
/// requests of one page.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// The time in which a connection has to answer a check.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// Connects with a fixed configuration.
pub(crate) struct Connector {
    manager: Manager,
    /// Connects without the options in the startup packet, for a pooler that refuses them.
    without_options: Option<Manager>,
    tls: MakeRustlsConnect,
}

type Manager = PostgresConnectionManager<MakeRustlsConnect>;

/// An attempt to connect: the item of the pool.
pub(crate) struct Attempt {
    /// The connection, or the error; `None` after a check found the connection dead.
    pub outcome: Option<Result<Client, postgres::Error>>,
    /// By the wall clock: a frozen machine's monotonic clock may stand still.
    last_used: SystemTime,
}

/// A connection that did not pass its check; the pool replaces it.
#[derive(Debug)]
pub(crate) struct Dead;

impl Connector {
    /// Creates a connector, and connects to nothing. `without_options` is the configuration for a
    /// pooler that refuses the options of `config`.
    pub(crate) fn new(
        config: Config,
        without_options: Option<Config>,
        tls: MakeRustlsConnect,
    ) -> Connector {
        let manager = |config| PostgresConnectionManager::new(config, tls.clone());
        Connector {
            manager: manager(config),
            without_options: without_options.map(manager),
            tls,
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// The driver's, with the server's if the server refused.
    pub(crate) fn client(&self) -> Result<Client, postgres::Error> {
        match (self.manager.connect(), &self.without_options) {
            (Err(error), Some(manager)) if pooler::refuses_options(&error) => manager.connect(),
            (outcome, _) => outcome,
        }
    }

    /// Returns the TLS connector, which a request to cancel a statement needs.
    pub(crate) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }
}

impl ManageConnection for Connector {
    type Connection = Attempt;
    type Error = Dead;

    fn connect(&self) -> Result<Attempt, Dead> {
        Ok(Attempt {
            outcome: Some(self.client()),
            last_used: SystemTime::now(),
        })
    }

    fn is_valid(&self, attempt: &mut Attempt) -> Result<(), Dead> {
        let dead = match &mut attempt.outcome {
            Some(Ok(client)) => !is_alive(client, attempt.last_used),
            _ => false,
        };
        if !dead {
            return Ok(());
        }
        // Dropping the connection waits for the server's answer to the check, perhaps for ever.
        let client = attempt.outcome.take();
        thread::spawn(move || drop(client));
        Err(Dead)
    }

    /// Called by the pool when the connection is returned, so this is when it was last used.
    fn has_broken(&self, attempt: &mut Attempt) -> bool {
        attempt.last_used = SystemTime::now();
        match &mut attempt.outcome {
            Some(Ok(client)) => self.manager.has_broken(client),
            _ => true,
        }
    }
}

fn is_alive(client: &mut Client, last_used: SystemTime) -> bool {
    // The idle time is unknown when the clock was set back: check.
    let idle = last_used.elapsed().unwrap_or(CHECK_AFTER);
    !client.is_closed() && (idle < CHECK_AFTER || client.is_valid(CHECK_LIMIT).is_ok())
}

impl fmt::Display for Dead {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("the connection is dead")
    }
}

impl std::error::Error for Dead {}
