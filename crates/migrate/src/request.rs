//! Requests that come twice. A table remembers what each request did, in the transaction that did it:
//! the same request again gets the same answer, and changes nothing.
//!
//! A request is known by the event's `id`, else by the invocation's request id. A request that
//! waited for the lock while another one did the same takes that one's answer. Must not know any
//! action.

use super::history::{self, literal};
use super::run;
use super::session::Session;
use handler::{Failure, Invocation, Kind};
use postgres::types::{ToSql, Type};
use serde_json::{Value, json};
use std::array;
use std::path::Path;

/// A request to change something that must not be changed twice.
#[derive(Clone)]
pub(crate) struct Request {
    /// The id; empty if the request has none, so that nothing is remembered.
    id: String,
    /// The event without its id.
    event: String,
}

/// What is known of an earlier request with the same id, or of one that was waited for.
pub(crate) enum Earlier {
    /// There was none.
    None,
    /// It is done, and this was its answer.
    Done(Value),
    /// It was stopped halfway.
    HalfDone {
        /// What it had still to do.
        left: Vec<String>,
        /// What it had done until then.
        reply: Value,
    },
}

const CREATE: &str = "
    CREATE TABLE plain_lambda.requests (
        id     text PRIMARY KEY,
        event  text NOT NULL,
        run    text NOT NULL,
        at     timestamptz NOT NULL,
        left_over jsonb NOT NULL,
        reply  jsonb NOT NULL
    );
    COMMENT ON TABLE plain_lambda.requests IS
        'what a request has done, so that it is not done again when it comes twice; for 7 days';
    COMMENT ON COLUMN plain_lambda.requests.left_over IS 'what it had still to do'";

const IS_THERE: &str = "SELECT to_regclass('plain_lambda.requests') IS NOT NULL";

/// Finds the request of an id; else the newest request of the same event that ended while this one
/// waited for the lock: `$3` is the run that held it, `$4` how long the wait took. The COMMIT that
/// follows `at` is given a second.
const FIND: &str = "
    SELECT id, event, run, left_over::text, reply::text FROM plain_lambda.requests
    WHERE id = $1 OR event = $2 AND $4 > 0
          AND (run = $3 OR at >= clock_timestamp() - make_interval(secs => $4 + 1))
    ORDER BY id = $1 DESC, at DESC LIMIT 1";

fn is_there(session: &mut Session) -> Result<bool, Failure> {
    let row = session.query_typed_one(IS_THERE, &[]);
    row.map(|row| row.get(0)).map_err(history::unavailable)
}

impl Request {
    /// Makes the request of an event. `id` is the event's own; the invocation's request id stands in
    /// for it.
    pub(crate) fn of(event: &Value, id: Option<String>, invocation: &Invocation) -> Request {
        let mut event = event.clone();
        if let Some(fields) = event.as_object_mut() {
            fields.remove("id");
        }
        Request {
            id: id.unwrap_or_else(|| invocation.request_id.clone()),
            event: event.to_string(),
        }
    }

    /// Begins a transaction under the lock, and looks in it for what is known of the request. Takes
    /// over the id of a half done request that was waited for.
    ///
    /// # Errors
    /// `Function.InvalidEvent` when another event had the id; `Function.HistoryUnavailable`.
    pub(crate) fn begin(&mut self, session: &mut Session) -> Result<Earlier, Failure> {
        session
            .begin(None)
            .map_err(|error| run::to_failure(error, Path::new("plain_lambda.requests")))?;
        if is_there(session)? {
            return self.find(session);
        }
        session
            .batch_execute(CREATE)
            .map_err(history::unavailable)?;
        Ok(Earlier::None)
    }

    /// Looks for what is known of the request, and changes nothing.
    ///
    /// # Errors
    /// As [`Request::begin`].
    pub(crate) fn look(&mut self, session: &mut Session) -> Result<Earlier, Failure> {
        match is_there(session)? {
            true => self.find(session),
            false => Ok(Earlier::None),
        }
    }

    fn find(&mut self, session: &mut Session) -> Result<Earlier, Failure> {
        let awaited = session.waited_for.clone().unwrap_or_default();
        let waited = session.waited.as_secs_f64();
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (&self.id, Type::TEXT),
            (&self.event, Type::TEXT),
            (&awaited, Type::TEXT),
            (&waited, Type::FLOAT8),
        ];
        let row = session
            .query_typed_opt(FIND, &parameters)
            .map_err(history::unavailable)?;
        let Some(row) = row else {
            return Ok(Earlier::None);
        };
        let [id, event, run, left, reply]: [String; 5] = array::from_fn(|at| row.get(at));
        if event != self.event {
            let message = format!(
                "failed to take request `{id}`: another request had this id: {event}; give each \
                 request an id of its own"
            );
            return Err(Failure::new(Kind::InvalidEvent, message));
        }
        let left: Vec<String> = serde_json::from_str(&left).unwrap_or_default();
        let mut reply: Value = serde_json::from_str(&reply).unwrap_or_default();
        if left.is_empty() {
            log::info!("request {id} was done before, by run {run}");
            if id != self.id {
                reply["by"] = run.into();
            }
            return Ok(Earlier::Done(reply));
        }
        log::info!("request {id} was stopped halfway");
        self.id = id;
        Ok(Earlier::HalfDone { left, reply })
    }

    /// Returns the statements that remember what the request has done, and what is left. They also
    /// forget requests of more than 7 days ago.
    pub(crate) fn record(&self, session: &Session, left: &[String], reply: &Value) -> String {
        if self.id.is_empty() {
            return String::new();
        }
        let [id, event, run] = [&self.id, &self.event, &session.run].map(|text| literal(text));
        let [left, reply] = [&json!(left), reply].map(|json| literal(&json.to_string()));
        format!(
            "DELETE FROM plain_lambda.requests WHERE at < now() - interval '7 days';
             INSERT INTO plain_lambda.requests (id, event, run, at, left_over, reply)
             VALUES ({id}, {event}, {run}, clock_timestamp(), {left}, {reply})
             ON CONFLICT (id) DO UPDATE SET run = excluded.run, at = excluded.at,
                left_over = excluded.left_over, reply = excluded.reply"
        )
    }

    /// Returns whether the same request again would know what this one has done.
    pub(crate) fn is_remembered(&self) -> bool {
        !self.id.is_empty()
    }

    /// Remembers the request as done, in a transaction of its own.
    ///
    /// # Errors
    /// `Function.HistoryUnavailable`.
    pub(crate) fn finish(&self, session: &mut Session, reply: &Value) -> Result<(), Failure> {
        session.begin_step().map_err(history::unavailable)?;
        let record = self.record(session, &[], reply);
        session.commit_with(&record).map_err(history::unavailable)
    }

    /// Returns how to go on after the request was stopped halfway.
    pub(crate) fn how_to_go_on(&self) -> String {
        format!("send the same again with \"id\":\"{}\"", self.id)
    }
}
