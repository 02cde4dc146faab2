//! Makes the pool's connections, and checks whether an idle one still works.
//!
//! r2d2 retries a failed connection until its timeout, and then reports the last error as text: too
//! late, and without its SQLSTATE. Therefore a failed attempt is an item of the pool too, which
//! holds the error: the pool hands it out at once, and drops it when it is returned.

use super::limit::{Limit, Tls, in_background};
use super::pooler;
use postgres::config::{Host, SslMode, SslNegotiation};
use postgres::{Client, Config};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;
use std::fmt;
use std::time::{Duration, SystemTime};

/// The idle time after which a connection is checked: while the process was frozen, the server, a
/// pooler or a router may have closed it. A check costs a round trip, so there is none between the
/// requests of one page.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// The time in which a connection has to answer a check.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

/// The time in which a server that was reached has to accept a connection. The pool's caller waits
/// no longer than it may; this ends the thread that waits for the server.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Connects with a fixed configuration.
pub(crate) struct Connector {
    config: Config,
    /// Connects without the options in the startup packet, for a pooler that refuses them.
    without_options: Option<Config>,
    tls: Tls,
}

/// An attempt to connect: the item of the pool.
pub(crate) struct Attempt {
    /// The connection, or the error; `None` after a check found the connection dead.
    pub outcome: Option<Result<Client, postgres::Error>>,
    /// How long the connection may wait for Postgres.
    pub limit: Limit,
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
        mut config: Config,
        mut without_options: Option<Config>,
        mut tls: Tls,
    ) -> Connector {
        // The driver hands a stream to us only where it asks for TLS. Where there is none, it does
        // so if it is told to begin with TLS at once, which then does nothing.
        let is_tcp = |host: &Host| matches!(host, Host::Tcp(_));
        if config.get_ssl_mode() == SslMode::Disable && config.get_hosts().iter().all(is_tcp) {
            tls.rustls = None;
            for config in [&mut config].into_iter().chain(&mut without_options) {
                config.ssl_mode(SslMode::Require);
                config.ssl_negotiation(SslNegotiation::Direct);
            }
        }
        Connector {
            config,
            without_options,
            tls,
        }
    }

    /// Connects. Also returns how long the connection may wait: until it is said, for ever.
    ///
    /// # Errors
    /// The driver's, with the server's if the server refused.
    pub(crate) fn client(&self) -> Result<(Client, Limit), postgres::Error> {
        let connect = |config: &Config| {
            let tls = self.tls();
            let limit = tls.limit.clone();
            limit.fail_after(CONNECT_LIMIT);
            let client = PostgresConnectionManager::new(config.clone(), tls).connect()?;
            limit.remove();
            limit.set_cancel(client.cancel_token(), self.tls());
            Ok((client, limit))
        };
        match (connect(&self.config), &self.without_options) {
            (Err(error), Some(config)) if pooler::refuses_options(&error) => connect(config),
            (outcome, _) => outcome,
        }
    }

    /// Returns the TLS connector, which a request to cancel a statement needs.
    pub(crate) fn tls(&self) -> Tls {
        self.tls.with_new_limit()
    }
}

impl ManageConnection for Connector {
    type Connection = Attempt;
    type Error = Dead;

    fn connect(&self) -> Result<Attempt, Dead> {
        let (outcome, limit) = match self.client() {
            Ok((client, limit)) => (Ok(client), limit),
            Err(error) => (Err(error), Limit::default()),
        };
        Ok(Attempt {
            outcome: Some(outcome),
            limit,
            last_used: SystemTime::now(),
        })
    }

    fn is_valid(&self, attempt: &mut Attempt) -> Result<(), Dead> {
        attempt.limit.fail_after(CHECK_LIMIT);
        let dead = match &mut attempt.outcome {
            Some(Ok(client)) => !is_alive(client, attempt.last_used),
            _ => false,
        };
        if !dead {
            return Ok(());
        }
        // Dropping the connection waits for the server's answer to the check: over a Unix socket,
        // which has no limit, perhaps for ever.
        let client = attempt.outcome.take();
        in_background(Box::new(move || drop(client)));
        Err(Dead)
    }

    /// Called by the pool when the connection is returned, so this is when it was last used.
    fn has_broken(&self, attempt: &mut Attempt) -> bool {
        attempt.last_used = SystemTime::now();
        match &mut attempt.outcome {
            Some(Ok(client)) if client.is_closed() || attempt.limit.has_cancelled() => true,
            Some(Ok(_)) => {
                attempt.limit.remove();
                false
            }
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
