//! One migration run at a time on a database.
//!
//! Polls `pg_try_advisory_lock`: a statement that waits for the lock would hold a snapshot, and
//! deadlock with the holder's `CREATE INDEX CONCURRENTLY`.

use crate::database::{Connection, describe};
use crate::{Failure, Invocation};
use postgres::types::Type;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Advisory locks live in one database, so a constant is enough: "plain_la" in ASCII.
const KEY: i64 = 0x706c_6169_6e5f_6c61;

const HOLDER: &str = "
    SELECT format('pid %s, application %L, in its statement for %s s', a.pid, a.application_name,
                  round(extract(epoch FROM now() - a.query_start)))
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = $1";

/// How long a second runner waits when no deadline says so.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// What is kept of the invocation's time to run and to answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);

/// A connection that holds the lock, until it is dropped.
pub struct Locked(Connection);

impl Locked {
    /// Waits for the lock.
    ///
    /// # Errors
    /// `Function.MigrationLocked`, naming who holds it; `Function.DatabaseUnavailable`.
    pub fn acquire(mut connection: Connection, invocation: &Invocation) -> Result<Locked, Failure> {
        let limit = match invocation.remaining() {
            Some(remaining) => remaining.saturating_sub(ANSWER_MARGIN),
            None => WAIT_LIMIT,
        };
        let started = Instant::now();
        let mut told = false;
        while !try_lock(&mut connection)? {
            if started.elapsed() >= limit {
                return Err(held(&mut connection, limit));
            }
            if !told {
                log::info!("waiting for another migration run to end");
                told = true;
            }
            thread::sleep(pause());
        }
        Ok(Locked(connection))
    }
}

fn try_lock(connection: &mut Connection) -> Result<bool, Failure> {
    connection
        .query_typed_one("SELECT pg_try_advisory_lock($1)", &[(&KEY, Type::INT8)])
        .map(|row| row.get(0))
        .map_err(|error| {
            Failure::new(
                "Function.DatabaseUnavailable",
                "failed to ask for the migration lock",
            )
            .because(describe(&error))
        })
}

/// 100 to 200 ms, so that runners which started together do not ask together for ever.
fn pause() -> Duration {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_millis(100 + u64::from(now.subsec_micros()) % 100)
}

fn held(connection: &mut Connection, waited: Duration) -> Failure {
    let holder = match connection.query_typed_opt(HOLDER, &[(&KEY, Type::INT8)]) {
        Ok(Some(row)) => row.get(0),
        Ok(None) => "it has just been released".to_string(),
        Err(error) => format!("unknown: {}", describe(&error)),
    };
    let message = format!(
        "failed to get the migration lock within {waited:.0?}: another run holds it ({holder}); \
         invoke again when it has ended"
    );
    Failure::new("Function.MigrationLocked", message)
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Unlocks, and takes back whatever a file set for the session. When it fails the
        // connection is broken, and with it the server ends the session and the lock.
        if let Err(error) = self.0.batch_execute("DISCARD ALL") {
            log::warn!("failed to release the migration lock: {}", describe(&error));
        }
    }
}

impl Deref for Locked {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}
