//! A connection that a page or a migration has: how long it may wait, and what replaces it when it
//! is lost before anything has happened.
//!
//! Knows no table.

use crate::connector::Connector;
use crate::error::{is_lost, is_silence};
use crate::limit::Limit;
use crate::{ANSWER_MARGIN, Purpose, describe, time_limit};
use handler::Invocation;
use postgres::{Client, SimpleQueryMessage};
use r2d2::{Pool, PooledConnection};
use std::ops::{Deref, DerefMut};

const HANDED_OUT: &str = "only a successful attempt becomes a connection";

/// A working connection; returns to its pool when dropped.
pub struct Connection {
    /// `None` when the connection was lost and could not be replaced.
    pooled: Option<PooledConnection<Connector>>,
    /// The connection that was lost: every statement fails on it.
    lost: Option<Client>,
    pool: Pool<Connector>,
}

impl Connection {
    /// Wraps a successful attempt, and limits how long it may wait.
    pub(crate) fn new(
        attempt: PooledConnection<Connector>,
        pool: Pool<Connector>,
        invocation: &Invocation,
        purpose: Purpose,
    ) -> Connection {
        match purpose {
            Purpose::Pages => limit_statements(&attempt.limit, invocation),
            Purpose::Migrations => limit_connection(&attempt.limit, invocation),
        }
        Connection {
            pooled: Some(attempt),
            lost: None,
            pool,
        }
    }

    /// Runs statements in a read-only transaction with a time limit before the invocation's
    /// deadline, all sent in one message: one round trip. A connection that is lost meanwhile is
    /// replaced, once.
    ///
    /// # Errors
    /// Postgres's; `QUERY_CANCELED` at the time limit.
    pub fn ask(
        &mut self,
        invocation: &Invocation,
        statements: &str,
    ) -> Result<Vec<SimpleQueryMessage>, postgres::Error> {
        let limit = time_limit(invocation).as_millis().max(1);
        let message =
            format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {limit}; {statements}; COMMIT");
        let answer = self.begin(invocation, &message);
        if answer.is_err() && !self.is_closed() {
            self.batch_execute("ROLLBACK")?;
        }
        answer
    }

    /// Sends the message that begins a transaction, with the time that the invocation has left. If
    /// the connection is lost, nothing has happened, and the message is sent once more over another
    /// connection.
    pub(crate) fn begin(
        &mut self,
        invocation: &Invocation,
        message: &str,
    ) -> Result<Vec<SimpleQueryMessage>, postgres::Error> {
        if let Some(attempt) = &self.pooled {
            limit_statements(&attempt.limit, invocation);
        }
        let answer = self.simple_query(message);
        match answer {
            Err(error) if is_lost(&error) && !is_silence(&error) && self.replace(invocation) => {
                log::info!("replaced a lost connection: {}", describe(&error));
                self.simple_query(message)
            }
            other => other,
        }
    }

    /// Replaces the connection, which is lost. Returns whether there is another one.
    fn replace(&mut self, invocation: &Invocation) -> bool {
        if let Some(mut attempt) = self.pooled.take()
            && let Some(Ok(client)) = attempt.outcome.take()
        {
            self.lost = Some(client);
        }
        let Ok(attempt) = self.pool.get_timeout(time_limit(invocation)) else {
            return false;
        };
        if !matches!(attempt.outcome, Some(Ok(_))) {
            return false;
        }
        limit_statements(&attempt.limit, invocation);
        self.pooled = Some(attempt);
        true
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        match (&self.pooled, &self.lost) {
            (Some(attempt), _) => match &attempt.outcome {
                Some(Ok(client)) => client,
                _ => unreachable!("{HANDED_OUT}"),
            },
            (None, Some(lost)) => lost,
            (None, None) => unreachable!("{HANDED_OUT}"),
        }
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        match (&mut self.pooled, &mut self.lost) {
            (Some(attempt), _) => match &mut attempt.outcome {
                Some(Ok(client)) => client,
                _ => unreachable!("{HANDED_OUT}"),
            },
            (None, Some(lost)) => lost,
            (None, None) => unreachable!("{HANDED_OUT}"),
        }
    }
}

/// Cancels the statement of a page that runs at the time limit. A connection over which no answer
/// comes even then fails, while there is time to say so.
fn limit_statements(limit: &Limit, invocation: &Invocation) {
    let left = time_limit(invocation);
    let margin = match invocation.remaining() {
        Some(remaining) => remaining.saturating_sub(left).min(ANSWER_MARGIN),
        None => ANSWER_MARGIN,
    };
    limit.cancel_after(left, margin / 2);
}

/// Lets a connection for migrations fail shortly before the deadline. Their statements have limits
/// of their own.
fn limit_connection(limit: &Limit, invocation: &Invocation) {
    match invocation.remaining() {
        Some(remaining) => limit.fail_after(remaining - (ANSWER_MARGIN / 2).min(remaining / 8)),
        None => limit.remove(),
    }
}
