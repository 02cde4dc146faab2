//! How the pool makes a connection and finds out whether it still works.
//!
//! r2d2 hides why it could not connect: it retries until its timeout and then says that it timed
//! out. So a failed attempt is a connection too, one that only holds the reason; the pool hands it
//! out at once and drops it when it comes back.

use super::direct;
use postgres::{Client, Config};
use r2d2::ManageConnection;
use r2d2_postgres::PostgresConnectionManager;
use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection that was idle this long is asked whether it lives: while the process was frozen,
/// the server, a pooler or a router may have ended it. Asking costs a round trip, so it is not done
/// between the requests of one page.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// How long a living connection may take to say so.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// Connects by a fixed configuration.
pub struct Connector {
    manager: Manager,
    /// What to do without the options that a pooler refuses.
    plain: Option<Manager>,
    tls: MakeRustlsConnect,
}

type Manager = PostgresConnectionManager<MakeRustlsConnect>;

/// An attempt to connect, and the connection if it succeeded.
pub struct Attempt {
    /// The connection, or why there is none; nothing once it was found dead.
    pub outcome: Option<Result<Client, postgres::Error>>,
    /// By the wall clock: a frozen machine's monotonic clock may stand still.
    used: SystemTime,
}

/// The connection did not survive; the pool makes another.
#[derive(Debug)]
pub struct Dead;

impl Connector {
    /// Connects nowhere yet; `plain` is the configuration for a pooler that takes no options.
    pub fn new(config: Config, plain: Option<Config>, tls: MakeRustlsConnect) -> Connector {
        let manager = |config| PostgresConnectionManager::new(config, tls.clone());
        Connector {
            manager: manager(config),
            plain: plain.map(manager),
            tls,
        }
    }

    /// A connection.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn client(&self) -> Result<Client, postgres::Error> {
        match (self.manager.connect(), &self.plain) {
            (Err(error), Some(plain)) if direct::refuses_options(&error) => plain.connect(),
            (outcome, _) => outcome,
        }
    }

    /// What speaks TLS.
    pub fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }
}

impl ManageConnection for Connector {
    type Connection = Attempt;
    type Error = Dead;

    fn connect(&self) -> Result<Attempt, Dead> {
        Ok(Attempt {
            outcome: Some(self.client()),
            used: SystemTime::now(),
        })
    }

    fn is_valid(&self, attempt: &mut Attempt) -> Result<(), Dead> {
        let dead = match &mut attempt.outcome {
            Some(Ok(client)) => !lives(client, attempt.used),
            _ => false,
        };
        if !dead {
            return Ok(());
        }
        // Its drop waits for the server's answer to the question, perhaps for ever.
        let client = attempt.outcome.take();
        thread::spawn(move || drop(client));
        Err(Dead)
    }

    /// Asked when the connection comes back, which is also when it was used last.
    fn has_broken(&self, attempt: &mut Attempt) -> bool {
        attempt.used = SystemTime::now();
        match &mut attempt.outcome {
            Some(Ok(client)) => self.manager.has_broken(client),
            _ => true,
        }
    }
}

fn lives(client: &mut Client, used: SystemTime) -> bool {
    // A clock that went back says nothing of how long it was.
    let idle = used.elapsed().unwrap_or(ASK_AFTER);
    !client.is_closed() && (idle < ASK_AFTER || client.is_valid(ASK_LIMIT).is_ok())
}

impl fmt::Display for Dead {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("the connection is dead")
    }
}

impl std::error::Error for Dead {}
