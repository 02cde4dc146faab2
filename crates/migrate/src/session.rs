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
use database::{Connection, SESSION_MARKER, describe};
use handler::{Failure, Invocation, Kind};
use postgres::error::SqlState;
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
    /// Whether the server was a standby when the session began.
    is_standby: bool,
    /// Whether the server can detect a lost client while a statement runs.
    detects_lost_client: bool,
    /// The `lock_timeout` and `statement_timeout` with which the role's sessions begin, in
    /// milliseconds; 0 is none.
    own_timeouts: [i64; 2],
    /// Whether a transaction was begun and not ended.
    open: bool,
    /// Whether the open transaction is that of the next file, and nothing has run in it.
    fresh: bool,
    /// Whether a file has changed what sessions begin with, which this session has to follow.
    pub defaults_changed: bool,
    /// Whether the last file took little time.
    pub quick: bool,
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

/// Takes the lock twice, for [`proof`].
const TRY_LOCK: &str = "
    SELECT CASE WHEN current_setting($1, true) = $2
                 AND set_config('application_name', $4, false) <> ''
                THEN pg_try_advisory_lock($3) AND pg_try_advisory_lock($3) END,
           pg_backend_pid(), pg_is_in_recovery(),
           current_setting('server_version_num')::int >= 140000 AND version() LIKE '%linux%',
           (1000 * extract(epoch FROM current_setting('lock_timeout')::interval))::bigint,
           (1000 * extract(epoch FROM current_setting('statement_timeout')::interval))::bigint";

/// Why nothing can be applied, and what to do about it.
pub(crate) const STANDBY: &str = "the server is a standby, which takes no changes; give the \
    migrations function a DATABASE_URL of the primary";

/// The words of the error that [`proof`] raises.
pub(crate) const LOCK_IS_LOST: &str = "the run no longer holds its lock";

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

/// The time that a statement waits for a table's lock, in milliseconds. A statement that waits longer
/// blocks every session that asks for the lock after it, so the file is rolled back and tried again
/// instead.
const LOCK_TIMEOUT: i64 = 3000;

/// Resets the session: all that `DISCARD ALL` does, except for releasing the advisory lock and
/// dropping cached plans.
const RESET_SESSION: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; DEALLOCATE ALL; \
    CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES";

/// Takes over the settings that the database and the role have now, as a new session would; the
/// settings of both are the last word.
const FOLLOW_DEFAULTS: &str = "
    SELECT set_config(split_part(one, '=', 1), substr(one, strpos(one, '=') + 1), false)
    FROM (SELECT unnest(setconfig) AS one FROM pg_db_role_setting
          WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
          ORDER BY setrole <> 0, setdatabase <> 0) defaults";

/// Puts back the connection's own role for the rest of the transaction; a file may have changed it.
/// DEFAULT is the role that `ALTER ROLE … SET role` names, if it names one.
const RESTORE_ROLE: &str = "SET LOCAL SESSION AUTHORIZATION DEFAULT; SET LOCAL role TO DEFAULT";

/// Fires the deferred triggers, and checks the deferred constraints, under the file's own role and
/// settings, as its COMMIT in psql would: what follows puts back the connection's own.
const FIRE_DEFERRED: &str = "SET CONSTRAINTS ALL IMMEDIATE";

/// Puts back the role and all settings for good: behind a pooler, the settings of a file would
/// reach the next client.
const RESTORE_ROLE_AND_SETTINGS: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// Ends what a file has made in a session behind a pooler, which the next client would find there.
const LEAVE_NOTHING: &str = "SELECT pg_advisory_unlock_all(); DISCARD TEMP; CLOSE ALL; UNLISTEN *";

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
        let mut connection = migrator.database.connection_once_started(invocation)?;
        let name = application_name(&invocation.request_id);
        let (started, mut waited_for) = (Instant::now(), None);
        let mut waited = Duration::ZERO;
        let answer = loop {
            let answer = try_lock(migrator, &mut connection, &name)?;
            if answer.locked != Some(false) {
                break answer;
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
        let watchdog = Watchdog::start(
            migrator.database.observer(&connection, answer.pid)?,
            deadline,
        );
        let run = invocation.request_id.clone();
        Ok(Session {
            connection,
            direct: answer.locked.is_some(),
            is_standby: answer.is_standby,
            detects_lost_client: answer.detects_lost_client,
            own_timeouts: answer.own_timeouts,
            open: false,
            fresh: false,
            // The run that was waited for may have changed them.
            defaults_changed: !waited.is_zero(),
            quick: false,
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

    /// Returns whether the server refused a change because it is a standby, of which it says that the
    /// transaction is read-only, or that it is in recovery.
    pub(crate) fn is_refused_as_standby(&self, error: &postgres::Error) -> bool {
        let codes = [
            &SqlState::READ_ONLY_SQL_TRANSACTION,
            &SqlState::FEATURE_NOT_SUPPORTED,
        ];
        self.is_standby && error.code().is_some_and(|code| codes.contains(&code))
    }

    /// Begins a transaction in a session that is reset. Returns `false`, with no transaction open,
    /// if another run has applied the version meanwhile, which can happen only behind a pooler.
    ///
    /// # Errors
    /// `RunError::OutOfTime` when the lock is not free before the deadline; Postgres's own.
    pub(crate) fn begin(&mut self, version: Option<&str>) -> Result<bool, RunError> {
        if std::mem::take(&mut self.fresh) {
            return Ok(true);
        }
        self.open = true;
        if self.direct {
            // The session holds the lock, so no other run has applied anything since.
            let begin = self.begin_statements();
            self.connection.batch_execute(&begin)?;
            return Ok(true);
        }
        let settings = self.settings("SET LOCAL");
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

    /// Returns the statements that reset the session and begin a file's transaction.
    fn begin_statements(&self) -> String {
        let (reset, settings) = (self.reset_statements(), self.settings("SET LOCAL"));
        format!("{reset}; BEGIN; {settings}")
    }

    fn reset_statements(&self) -> String {
        match self.defaults_changed {
            false => RESET_SESSION.to_string(),
            // A transaction of its own, as a BEGIN in the same message would take in the query, and a
            // file could not set its isolation level after it.
            true => format!("BEGIN; {RESET_SESSION}; {FOLLOW_DEFAULTS}; COMMIT"),
        }
    }

    /// Resets the session, for a file that runs step by step.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn reset(&mut self) -> Result<(), postgres::Error> {
        let (reset, settings) = (self.reset_statements(), self.settings("SET"));
        self.connection
            .batch_execute(&format!("{reset}; {settings}"))
    }

    /// Resets the session in a transaction that goes on. `defaults_changed` says that the transaction
    /// may have changed the settings of the database or the role.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn reset_in_transaction(
        &mut self,
        defaults_changed: bool,
    ) -> Result<(), postgres::Error> {
        let follow = match defaults_changed {
            true => FOLLOW_DEFAULTS,
            false => "",
        };
        let settings = self.settings("SET LOCAL");
        self.connection
            .batch_execute(&format!("{RESET_SESSION}; {follow}; {settings}"))
    }

    /// Says that what is sent next begins a transaction itself.
    pub(crate) fn expect_begin(&mut self) {
        self.open = true;
    }

    /// Says that what was sent has committed the transaction itself.
    pub(crate) fn has_committed(&mut self) {
        self.open = false;
    }

    /// Reads in a transaction of the connection's own role, which is rolled back: a file may have
    /// set another role.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn as_own_role<T>(
        &mut self,
        read: impl FnOnce(&mut Session) -> T,
    ) -> Result<T, postgres::Error> {
        self.begin_step()?;
        self.restore_role()?;
        let outcome = read(self);
        self.roll_back();
        Ok(outcome)
    }

    /// Begins a transaction for one step of a file. Does not reset the session: the file's settings
    /// stay as they are.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn begin_step(&mut self) -> Result<(), postgres::Error> {
        self.open = true;
        self.connection.batch_execute("BEGIN READ WRITE")
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

    /// Puts back the connection's own role, proves the lock, runs the statement that writes the
    /// history, and commits. One message holds all of it: the file's statements have succeeded by
    /// now, and an error in the message rolls back the whole transaction.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn commit_with(&mut self, statement: &str) -> Result<(), postgres::Error> {
        let record = self.record_statements(statement);
        let after = match self.direct {
            true => "",
            false => LEAVE_NOTHING,
        };
        self.connection
            .batch_execute(&format!("{record}; COMMIT; {after}"))?;
        self.open = false;
        Ok(())
    }

    /// Does what [`Session::commit_with`] does, and begins the transaction of the next file in the
    /// same message, unless that is behind a pooler.
    ///
    /// # Errors
    /// Postgres's own, of the transaction or of what follows it.
    pub(crate) fn commit_and_begin(&mut self, statement: &str) -> Result<(), postgres::Error> {
        if !self.direct {
            return self.commit_with(statement);
        }
        let (record, begin) = (self.record_statements(statement), self.begin_statements());
        self.connection
            .batch_execute(&format!("{record}; COMMIT; {begin}"))?;
        self.fresh = true;
        Ok(())
    }

    /// Returns the statements that write the history in an open transaction, up to its COMMIT. They
    /// begin with what the COMMIT would do first.
    pub(crate) fn record_statements(&self, statement: &str) -> String {
        let proof = match self.direct {
            true => proof(),
            false => String::new(),
        };
        let restore = self.restore_statements();
        format!("{FIRE_DEFERRED}; {restore}; {proof}; {statement}")
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
        let message = match self.direct {
            true => "ROLLBACK".to_string(),
            false => format!("ROLLBACK; {LEAVE_NOTHING}"),
        };
        self.fresh = false;
        self.open = self.open && !self.insists(&message);
    }

    /// Runs statements, again if a cancellation hits them: one that was meant for the statement
    /// before may arrive late. Returns whether they ran.
    fn insists(&mut self, statements: &str) -> bool {
        (0..3).any(|_| {
            let outcome = self.connection.batch_execute(statements);
            if let Err(error) = &outcome {
                log::debug!("failed to run {statements}: {}", describe(error));
            }
            outcome.is_ok()
        })
    }

    /// Lets the statements that follow wait for locks without a limit: one that works concurrently
    /// waits for older transactions, and a timeout would leave it half done. Keeps a `lock_timeout`
    /// that is the file's own, or the role's. Returns whether it was changed.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn wait_for_locks(&mut self) -> Result<bool, postgres::Error> {
        let own = self.lock_timeout();
        if own != LOCK_TIMEOUT {
            return Ok(false);
        }
        let change = format!(
            "SELECT set_config('lock_timeout', '0', false)
             WHERE current_setting('lock_timeout')::interval = '{own} ms'"
        );
        let answers = self.connection.simple_query(&change)?;
        let is_row = |answer: &SimpleQueryMessage| matches!(answer, SimpleQueryMessage::Row(_));
        Ok(answers.iter().any(is_row))
    }

    /// Puts back the `lock_timeout` that [`Session::wait_for_locks`] has changed.
    ///
    /// # Errors
    /// Postgres's own.
    pub(crate) fn limit_locks(&mut self) -> Result<(), postgres::Error> {
        let own = self.lock_timeout();
        self.connection
            .batch_execute(&format!("SET lock_timeout = {own}"))
    }

    fn lock_timeout(&self) -> i64 {
        lower(self.own_timeouts[0], LOCK_TIMEOUT)
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
        let left = self.deadline.left().map_or(0, |left| {
            i64::try_from(left.as_millis()).unwrap_or(i64::MAX).max(1)
        });
        let (lock, statement) = (self.lock_timeout(), lower(self.own_timeouts[1], left));
        let name = application_name(&self.run);
        // Postgres has this setting since version 14, and only on systems that can report a closed
        // socket.
        let interval = match self.detects_lost_client {
            true => format!("; {set} client_connection_check_interval = '1s'"),
            false => String::new(),
        };
        format!(
            "{set} application_name = '{name}'; {set} lock_timeout = {lock}; \
             {set} statement_timeout = {statement}{interval}"
        )
    }

    fn prepare_history(&mut self) -> Result<(), Failure> {
        if self.direct {
            let advice = match self.is_standby {
                true => format!("; {STANDBY}"),
                false => String::new(),
            };
            let prepared = history::prepare(&mut self.connection);
            return prepared.map_err(|failure| failure.append(&advice));
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
                .map_err(no_transaction)?;
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

/// Returns the statement that fails if this session does not hold the lock of the run. A statement of
/// a file may have released it, although those that say so are refused:
/// `EXECUTE 'SELECT pg_advisory_unlock_all()'`. The session holds the lock twice, so giving it back
/// once lets no other session in. A look into `pg_locks` takes much longer.
fn proof() -> String {
    format!(
        "SELECT CASE WHEN pg_catalog.pg_advisory_unlock({LOCK_KEY})
                      AND pg_catalog.pg_try_advisory_lock({LOCK_KEY})
                THEN '1' ELSE '{LOCK_IS_LOST}' END::int"
    )
}

/// Returns the lower of two timeouts, of which 0 is none.
fn lower(one: i64, other: i64) -> i64 {
    match (one, other) {
        (0, timeout) | (timeout, 0) => timeout,
        (one, other) => one.min(other),
    }
}

/// Returns the failure to begin a transaction behind a pooler.
fn no_transaction(error: postgres::Error) -> Failure {
    if error.code() != Some(&SqlState::PROTOCOL_VIOLATION) {
        return history::unavailable(error);
    }
    let message = "failed to begin a transaction, which a pooler in statement mode refuses; give the \
                   migrations function a DATABASE_URL of the server itself";
    Failure::new(Kind::PoolerInTheWay, message).with_source(describe(&error))
}

/// What a session answers that was asked to take the lock.
struct Answer {
    /// Whether the lock was free; `None` if the connection is not this process's own session, so
    /// that no lock was tried.
    locked: Option<bool>,
    /// The process id of the session.
    pid: i32,
    /// Whether the server is a standby.
    is_standby: bool,
    /// Whether the server can detect a lost client.
    detects_lost_client: bool,
    /// The session's `lock_timeout` and `statement_timeout`, in milliseconds.
    own_timeouts: [i64; 2],
}

fn try_lock(
    migrator: &Migrator,
    connection: &mut Connection,
    name: &str,
) -> Result<Answer, Failure> {
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
    Ok(Answer {
        locked: row.get(0),
        pid: row.get(1),
        is_standby: row.get(2),
        detects_lost_client: row.get(3),
        own_timeouts: [row.get(4), row.get(5)],
    })
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
        if self.direct && !self.insists("DISCARD ALL") {
            log::warn!("failed to release the migration lock: the connection is lost");
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
