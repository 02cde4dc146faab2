//! One migration run at a time on a database, and each file in a session as fresh as psql's.
//!
//! Polls `pg_try_advisory_lock`: a statement that waits for the lock would hold a snapshot, and
//! deadlock with the holder's `CREATE INDEX CONCURRENTLY`. Behind a pooler a session is nothing to
//! hold a lock with, so there each file's transaction takes the lock for itself.

use super::clock::Clock;
use super::error::Stop;
use super::history;
use super::watch::Watch;
use crate::database::{Connection, MARK, Purpose, describe};
use crate::{App, Failure, Invocation};
use postgres::types::Type;
use postgres::{Client, SimpleQueryMessage};
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Advisory locks live in one database, so a constant is enough: "plain_la" in ASCII.
const KEY: i64 = 0x706c_6169_6e5f_6c61;

const TRY_LOCK: &str = "
    SELECT CASE WHEN current_setting($1, true) = $2
                 AND set_config('application_name', $4, false) <> ''
                THEN pg_try_advisory_lock($3) END,
           pg_backend_pid(),
           current_setting('server_version_num')::int >= 140000 AND version() LIKE '%linux%'";

const HOLDER: &str = "
    SELECT format('pid %s, application %L, connected for %s s, in its statement for %s s', a.pid,
                  a.application_name, round(extract(epoch FROM now() - a.backend_start)),
                  round(extract(epoch FROM now() - a.query_start))),
           a.application_name
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = $1";

/// How long a second runner waits when no deadline says so.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// What waits longer for a lock holds up all who come after it, so it is tried again instead.
pub const LOCK_TIMEOUT: &str = "3s";

/// A session of the whole server's for whatever a file has left behind.
const FORGET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; \
    CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES";

/// For the rest of a transaction, whatever role the file has taken.
const BE_OURSELVES: &str = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL ROLE NONE";

const LEAVE_NOTHING: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// What this process's names begin with in `pg_stat_activity`; the request id follows.
const NAME: &str = "plain-lambda ";

/// A connection that runs migrations, and holds the lock until it is dropped.
pub struct Session {
    connection: Connection,
    /// Whether the connection is the server's own session, or a pooler's.
    direct: bool,
    /// Whether the server can notice that its client is gone while a statement runs.
    notices_loss: bool,
    /// Whether a transaction was begun and not ended.
    open: bool,
    /// The invocation's time.
    pub clock: Clock,
    /// The invocation.
    pub run: String,
    /// The run that was waited for.
    pub waited_for: Option<String>,
    /// Looks on.
    pub watch: Watch,
}

impl Session {
    /// Waits for the lock, and makes the history's table if it is missing.
    ///
    /// # Errors
    /// `Function.MigrationLocked`, naming who holds it; `Function.DatabaseUnavailable`.
    pub fn open(app: &App, invocation: &Invocation) -> Result<Session, Failure> {
        let clock = Clock::of(invocation);
        let mut connection = app.database.connection(invocation, Purpose::Migrations)?;
        let name = name(&invocation.request_id);
        let (started, mut waited_for) = (Instant::now(), None);
        let (direct, pid, notices_loss) = loop {
            let (locked, pid, notices_loss) = try_lock(app, &mut connection, &name)?;
            match locked {
                Some(true) => break (true, pid, notices_loss),
                None => break (false, pid, notices_loss),
                Some(false) => {}
            }
            let over = clock
                .left()
                .map_or(started.elapsed() >= WAIT_LIMIT, |left| left.is_zero());
            if over {
                return Err(held(&mut connection, started.elapsed()));
            }
            if waited_for.is_none() {
                waited_for = holder(&mut connection).map(|(shown, name)| {
                    log::info!("waiting for another migration run to end ({shown})");
                    name.strip_prefix(NAME).unwrap_or_default().to_string()
                });
            }
            thread::sleep(pause());
        };
        let watch = Watch::start(app.database.observer(&connection, pid)?, clock);
        let run = invocation.request_id.clone();
        let mut session = Session {
            connection,
            direct,
            notices_loss,
            open: false,
            clock,
            run,
            waited_for,
            watch,
        };
        session.prepare()?;
        Ok(session)
    }

    /// Whether statements may be run outside of a transaction: their effect on the session, and the
    /// lock, must not be another client's.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    /// Begins a transaction in a session where nothing of the last file is left. `false`, and no
    /// transaction, when another run has applied the version meanwhile.
    ///
    /// # Errors
    /// `Stop::OutOfTime` when the lock cannot be had; Postgres's own.
    pub fn begin(&mut self, version: Option<&str>) -> Result<bool, Stop> {
        let settings = self.settings("SET LOCAL");
        self.open = true;
        if self.direct {
            // The lock is the session's, and since it was had nobody else has applied anything.
            let begin = format!("{FORGET}; BEGIN; {settings}");
            self.connection.batch_execute(&begin)?;
            return Ok(true);
        }
        // Behind a pooler nothing but this transaction is ours.
        let version = version.unwrap_or_default().replace('\'', "''");
        let begin = format!(
            "BEGIN; {settings}; SELECT pg_try_advisory_xact_lock({KEY}); SELECT count(*) = 0 \
             FROM plain_lambda.migrations WHERE version = '{version}' AND applied_at IS NOT NULL"
        );
        loop {
            self.open = true;
            let answers = self.connection.simple_query(&begin)?;
            let mut said = answers.iter().filter_map(|answer| match answer {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            let (to_do, locked) = (said.next_back() == Some("t"), said.next_back() == Some("t"));
            if locked && to_do {
                return Ok(true);
            }
            self.roll_back();
            if locked {
                return Ok(false);
            }
            self.wait_for_the_lock()?;
        }
    }

    /// Forgets what the last file has left in the session, for a file that runs step by step.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn refresh(&mut self) -> Result<(), postgres::Error> {
        let settings = self.settings("SET");
        self.connection
            .batch_execute(&format!("{FORGET}; {settings}"))
    }

    /// Begins a transaction for a step of a file, whose settings stay as they are.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn step(&mut self) -> Result<(), postgres::Error> {
        self.open = true;
        self.connection.batch_execute("BEGIN")
    }

    /// Makes the rest of the transaction ours, to write the history.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn be_ourselves(&mut self) -> Result<(), postgres::Error> {
        let ourselves = self.ourselves();
        self.connection.batch_execute(ourselves)
    }

    fn ourselves(&self) -> &'static str {
        // Behind a pooler a file's settings would be the next client's.
        match self.direct {
            true => BE_OURSELVES,
            false => LEAVE_NOTHING,
        }
    }

    /// Writes the history as ourselves and commits, all in one message: what is before it has
    /// succeeded, and what fails in it undoes all.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn commit_with(&mut self, statement: &str) -> Result<(), postgres::Error> {
        let ourselves = self.ourselves();
        self.connection
            .batch_execute(&format!("{ourselves}; {statement}; COMMIT"))?;
        self.open = false;
        Ok(())
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// Postgres's own.
    pub fn commit(&mut self) -> Result<(), postgres::Error> {
        self.connection.batch_execute("COMMIT")?;
        self.open = false;
        Ok(())
    }

    /// Ends the transaction without a trace; where the connection is lost, the server does.
    pub fn roll_back(&mut self) {
        if self.open && self.connection.batch_execute("ROLLBACK").is_ok() {
            self.open = false;
        }
    }

    fn wait_for_the_lock(&self) -> Result<(), Stop> {
        if self.clock.is_short_of(Duration::from_millis(1)) {
            return Err(Stop::OutOfTime(None));
        }
        thread::sleep(pause());
        Ok(())
    }

    /// The session's settings: who it is, and when it gives up.
    fn settings(&self, set: &str) -> String {
        let left = self.clock.left().map_or(0, |left| left.as_millis().max(1));
        let name = name(&self.run);
        // There since version 14, and only where the system can tell.
        let interval = match self.notices_loss {
            true => format!("; {set} client_connection_check_interval = '1s'"),
            false => String::new(),
        };
        format!(
            "{set} application_name = '{name}'; {set} lock_timeout = '{LOCK_TIMEOUT}'; \
             {set} statement_timeout = {left}{interval}"
        )
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        if self.direct {
            return history::prepare(&mut self.connection);
        }
        log::warn!(
            "connected through a pooler: a file that cannot run in a transaction needs a \
             DATABASE_URL of the server itself"
        );
        let lock = format!("BEGIN; SELECT pg_try_advisory_xact_lock({KEY})::int");
        loop {
            self.open = true;
            let answers = self
                .connection
                .simple_query(&lock)
                .map_err(history::unavailable)?;
            let locked = answers.iter().any(
                |answer| matches!(answer, SimpleQueryMessage::Row(row) if row.get(0) == Some("1")),
            );
            if locked {
                history::prepare(&mut self.connection)?;
                return self.commit().map_err(history::unavailable);
            }
            self.roll_back();
            if self.wait_for_the_lock().is_err() {
                return Err(held(&mut self.connection, Duration::ZERO));
            }
        }
    }
}

/// `None` when the session is not our own; also its process id, and whether its server can notice
/// that a client is gone.
fn try_lock(
    app: &App,
    connection: &mut Connection,
    name: &str,
) -> Result<(Option<bool>, i32, bool), Failure> {
    let mark = app.database.mark();
    let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 4] = [
        (&MARK, Type::TEXT),
        (&mark, Type::TEXT),
        (&KEY, Type::INT8),
        (&name, Type::TEXT),
    ];
    let row = connection
        .query_typed_one(TRY_LOCK, &parameters)
        .map_err(|error| {
            let message = "failed to ask for the migration lock";
            Failure::new("Function.DatabaseUnavailable", message).because(describe(&error))
        })?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// What a run is called in `pg_stat_activity`: whoever waits for it knows its request id.
fn name(run: &str) -> String {
    let plain = run
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    NAME.chars().chain(plain.take(40)).collect()
}

/// 100 to 200 ms, so that runners which started together do not ask together for ever.
fn pause() -> Duration {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_millis(100 + u64::from(now.subsec_micros()) % 100)
}

/// Who holds the lock, and its name in `pg_stat_activity`.
fn holder(client: &mut Client) -> Option<(String, String)> {
    let row = client
        .query_typed_opt(HOLDER, &[(&KEY, Type::INT8)])
        .ok()??;
    Some((row.get(0), row.get(1)))
}

fn held(client: &mut Client, waited: Duration) -> Failure {
    let holder = holder(client).map_or("it has just been released".to_string(), |(shown, _)| shown);
    let message = format!(
        "failed to get the migration lock within {waited:.0?}: another run holds it ({holder}); \
         invoke again when it has ended"
    );
    Failure::new("Function.MigrationLocked", message)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.roll_back();
        // Unlocks, and takes back whatever a file set for the session. When it fails the
        // connection is broken, and with it the server ends the session and the lock.
        let discarded = match self.direct {
            true => self.connection.batch_execute("DISCARD ALL"),
            false => Ok(()),
        };
        if let Err(error) = discarded {
            log::warn!("failed to release the migration lock: {}", describe(&error));
        }
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
