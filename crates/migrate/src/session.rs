//! Holds the lock that allows one migration run at a time on a database, and resets the session
//! before each file, so that a file starts as it would in psql.
//!
//! Polls `pg_try_advisory_lock`: a statement that waits for the lock would hold a snapshot, and
//! deadlock with the holder's `CREATE INDEX CONCURRENTLY`. A session behind a pooler cannot hold a
//! lock, so there each file's transaction takes the lock. Must not know what a file's statements do.

use super::deadline::Deadline;
use super::error::RunError;
use super::history;
use super::watchdog::Watchdog;
use crate::Migrator;
use database::{Connection, Purpose, SESSION_MARKER, describe};
use handler::{Failure, Invocation, Kind};
use postgres::types::Type;
use postgres::{Client, SimpleQueryMessage};
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// A connection for migrations. Holds the lock until it is dropped, unless it is behind a pooler.
pub(crate) struct Session {
    connection: Connection,
    /// Whether the connection is one session of the server; false behind a pooler.
    direct: bool,
    /// Whether the server can detect a lost client while a statement runs.
    detects_lost_client: bool,
    /// Whether a transaction was begun and not ended.
    open: bool,
    /// The deadline of the invocation.
    pub deadline: Deadline,
    /// The request id of the invocation.
    pub run: String,
    /// The request id of the run whose lock was waited for; empty if its holder is no run.
    pub waited_for: Option<String>,
    /// How long the lock was waited for; zero if it was free.
    pub waited: Duration,
    /// The watchdog of this session's statements.
    pub watchdog: Watchdog,
}

/// The key of the advisory lock: "plain_la" in ASCII. An advisory lock belongs to one database, so
/// a constant is enough.
const LOCK_KEY: i64 = 0x706c_6169_6e5f_6c61;

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

/// The time that a run waits for the lock of another run, if the invocation has no deadline.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// The time that a statement waits for a table's lock. A statement that waits longer blocks every
/// session that asks for the lock after it, so the file is rolled back and tried again instead.
pub(crate) const LOCK_TIMEOUT: &str = "3s";

/// Resets the session: all that `DISCARD ALL` does, except for releasing the advisory lock and
/// dropping cached plans.
const RESET_SESSION: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; \
    CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES";

/// Puts back the connection's own role for the rest of the transaction; a file may have changed it.
/// DEFAULT is the role that `ALTER ROLE … SET role` names, if it names one.
const RESTORE_ROLE: &str = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL role TO DEFAULT";

/// Puts back the role and all settings for good: behind a pooler, the settings of a file would
/// reach the next client.
const RESTORE_ROLE_AND_SETTINGS: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// The first part of a run's `application_name`; the request id follows.
const NAME_PREFIX: &str = "plain-lambda ";

impl Session {
    /// Connects, waits for the lock, and creates the history's table if it is missing.
    ///
    /// # Errors
    /// `Function.MigrationLocked`, naming the holder; `Function.HistoryUnavailable`; those of
    /// connecting: `Function.InvalidSettings` and `Function.DatabaseUnavailable`.
    pub(crate) fn open(migrator: &Migrator, invocation: &Invocation) -> Result<Session, Failure> {
        let mut session = Session::open_unprepared(migrator, invocation)?;
        session.prepare_history()?;
        Ok(session)
    }

    /// Connects and waits for the lock. Changes nothing: the history's table may be missing.
    ///
    /// # Errors
    /// `Function.MigrationLocked`, and those of connecting.
    pub(crate) fn open_unprepared(
        migrator: &Migrator,
        invocation: &Invocation,
    ) -> Result<Session, Failure> {
        let deadline = Deadline::of(invocation);
        let mut connection = migrator
            .database
            .connection(invocation, Purpose::Migrations)?;
        let name = application_name(&invocation.request_id);
        let (started, mut waited_for) = (Instant::now(), None);
        let mut waited = Duration::ZERO;
        let (direct, pid, detects_lost_client) = loop {
            let (locked, pid, detects_lost_client) = try_lock(migrator, &mut connection, &name)?;
            match locked {
                Some(true) => break (true, pid, detects_lost_client),
                None => break (false, pid, detects_lost_client),
                Some(false) => {}
            }
            let is_over = deadline
                .left()
                .map_or(started.elapsed() >= WAIT_LIMIT, |left| left.is_zero());
            if is_over {
                return Err(locked_failure(&mut connection, started.elapsed()));
            }
            if waited_for.is_none() {
                waited_for = holder(&mut connection).map(|(description, name)| {
                    log::info!("waiting for another migration run to end ({description})");
                    name.strip_prefix(NAME_PREFIX)
                        .unwrap_or_default()
                        .to_string()
                });
            }
            thread::sleep(pause());
            waited = started.elapsed();
        };
        let watchdog = Watchdog::start(migrator.database.observer(&connection, pid)?, deadline);
        let run = invocation.request_id.clone();
        Ok(Session {
            connection,
            direct,
            detects_lost_client,
            open: false,
            deadline,
            run,
            waited_for,
            waited,
            watchdog,
        })
    }

    /// Returns whether statements may run outside of a transaction. Behind a pooler they may not:
    /// what they set in the session, and the lock, could become another client's.
    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    /// Begins a transaction in a session that is reset. Returns `false`, with no transaction open,
    /// if another run has applied the version meanwhile, which can happen only behind a pooler.
    ///
    /// # Errors
    /// `RunError::OutOfTime` when the lock is not free before the deadline; Postgres's own.
    pub(crate) fn begin(&mut self, version: Option<&str>) -> Result<bool, RunError> {
        let settings = self.settings("SET LOCAL");
        self.open = true;
        if self.direct {
            // The session holds the lock, so no other run has applied anything since.
            let begin = format!("{RESET_SESSION}; BEGIN; {settings}");
            self.connection.batch_execute(&begin)?;
            return Ok(true);
        }
        // Behind a pooler only the transaction belongs to this run, so the transaction takes the
        // lock.
        let is_pending = match version.map(history::literal) {
            Some(version) => format!(
                "count(*) = 0 FROM plain_lambda.migrations WHERE version = {version} \
                 AND applied_at IS NOT NULL"
            ),
            None => "true".to_string(),
        };
        let begin = format!(
            "BEGIN; {settings}; SELECT pg_try_advisory_xact_lock({LOCK_KEY}); SELECT {is_pending}"
        );
        loop {
            self.open = true;
            let answers = self.connection.simple_query(&begin)?;
            let mut values = answers.iter().filter_map(|answer| match answer {
                SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            let is_pending = values.next_back() == Some("t");
            let locked = values.next_back() == Some("t");
            if locked && is_pending {
                return Ok(true);
            }
            self.roll_back();
            if locked {
                return Ok(false);
            }
            self.wait_for_lock()?;
        }
    }

    /// Resets the session, for a file that runs step by step.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn reset(&mut self) -> Result<(), postgres::Error> {
        let settings = self.settings("SET");
        self.connection
            .batch_execute(&format!("{RESET_SESSION}; {settings}"))
    }

    /// Begins a transaction for one step of a file. Does not reset the session: the file's settings
    /// stay as they are.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn begin_step(&mut self) -> Result<(), postgres::Error> {
        self.open = true;
        self.connection.batch_execute("BEGIN")
    }

    /// Puts back the connection's own role, which may write the history, for the rest of the
    /// transaction.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn restore_role(&mut self) -> Result<(), postgres::Error> {
        let restore = self.restore_statements();
        self.connection.batch_execute(restore)
    }

    fn restore_statements(&self) -> &'static str {
        match self.direct {
            true => RESTORE_ROLE,
            false => RESTORE_ROLE_AND_SETTINGS,
        }
    }

    /// Puts back the connection's own role, runs the statement that writes the history, and
    /// commits. One message holds all three: the file's statements have succeeded by now, and an
    /// error in the message rolls back the whole transaction.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn commit_with(&mut self, statement: &str) -> Result<(), postgres::Error> {
        let restore = self.restore_statements();
        self.connection
            .batch_execute(&format!("{restore}; {statement}; COMMIT"))?;
        self.open = false;
        Ok(())
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn commit(&mut self) -> Result<(), postgres::Error> {
        self.connection.batch_execute("COMMIT")?;
        self.open = false;
        Ok(())
    }

    /// Rolls back the open transaction, if there is one. Ignores an error: the server rolls back the
    /// transaction of a lost connection itself.
    pub(crate) fn roll_back(&mut self) {
        if self.open && self.connection.batch_execute("ROLLBACK").is_ok() {
            self.open = false;
        }
    }

    /// Says that the database is dropped, and the lock with it: there is nothing to release.
    pub(crate) fn is_gone(&mut self) {
        self.direct = false;
        self.open = false;
    }

    /// Sleeps before the next attempt to take the lock.
    ///
    /// # Errors
    /// `RunError::OutOfTime`.
    fn wait_for_lock(&mut self) -> Result<(), RunError> {
        if self.deadline.is_short_of(Duration::from_millis(1)) {
            return Err(RunError::OutOfTime(None));
        }
        let pause = pause();
        thread::sleep(pause);
        self.waited += pause;
        Ok(())
    }

    /// Returns the statements that set the session's name and timeouts; `set` is `SET` or
    /// `SET LOCAL`.
    fn settings(&self, set: &str) -> String {
        let left = self
            .deadline
            .left()
            .map_or(0, |left| left.as_millis().max(1));
        let name = application_name(&self.run);
        // Postgres has this setting since version 14, and only on systems that can report a closed
        // socket.
        let interval = match self.detects_lost_client {
            true => format!("; {set} client_connection_check_interval = '1s'"),
            false => String::new(),
        };
        format!(
            "{set} application_name = '{name}'; {set} lock_timeout = '{LOCK_TIMEOUT}'; \
             {set} statement_timeout = {left}{interval}"
        )
    }

    fn prepare_history(&mut self) -> Result<(), Failure> {
        if self.direct {
            return history::prepare(&mut self.connection);
        }
        log::warn!(
            "connected through a pooler: a file that cannot run in a transaction needs a \
             DATABASE_URL of the server itself"
        );
        let lock = format!("BEGIN; SELECT pg_try_advisory_xact_lock({LOCK_KEY})::int");
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
            if self.wait_for_lock().is_err() {
                return Err(locked_failure(&mut self.connection, Duration::ZERO));
            }
        }
    }
}

/// Tries to take the lock: `Some` says whether it was free, `None` that the connection is not this
/// process's own session, so that no lock was tried. Also returns the process id of the session,
/// and whether its server can detect a lost client.
fn try_lock(
    migrator: &Migrator,
    connection: &mut Connection,
    name: &str,
) -> Result<(Option<bool>, i32, bool), Failure> {
    let marker = migrator.database.session_marker();
    let parameters: [(&(dyn postgres::types::ToSql + Sync), Type); 4] = [
        (&SESSION_MARKER, Type::TEXT),
        (&marker, Type::TEXT),
        (&LOCK_KEY, Type::INT8),
        (&name, Type::TEXT),
    ];
    let row = connection
        .query_typed_one(TRY_LOCK, &parameters)
        .map_err(|error| {
            let cause = describe(&error);
            let kind = match database::failed(error).kind() {
                Kind::ConnectionLost => Kind::ConnectionLost,
                _ => Kind::DatabaseUnavailable,
            };
            Failure::new(kind, "failed to ask for the migration lock").with_source(cause)
        })?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// Returns the `application_name` of a run, from which a run that waits reads the request id.
fn application_name(run: &str) -> String {
    let plain = run
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    NAME_PREFIX.chars().chain(plain.take(40)).collect()
}

/// Returns a pause of 100 to 200 ms. It varies, so that runs which started at the same time do not
/// ask for the lock at the same time for ever.
fn pause() -> Duration {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_millis(100 + u64::from(now.subsec_micros()) % 100)
}

/// Returns a description of the session that holds the lock, and its `application_name`.
fn holder(client: &mut Client) -> Option<(String, String)> {
    let row = client
        .query_typed_opt(HOLDER, &[(&LOCK_KEY, Type::INT8)])
        .ok()??;
    Some((row.get(0), row.get(1)))
}

fn locked_failure(client: &mut Client, waited: Duration) -> Failure {
    let holder = holder(client).map_or("it has just been released".to_string(), |(holder, _)| {
        holder
    });
    let message = format!(
        "failed to get the migration lock within {waited:.0?}: another run holds it ({holder}); \
         invoke again when it has ended"
    );
    Failure::new(Kind::MigrationLocked, message)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.roll_back();
        // Releases the lock, and resets what a file has set in the session. If this fails, the
        // connection is broken, and the server ends the session and releases the lock.
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
