//! Runs a script that cannot be one transaction, step by step, so that a killed run resumes at the
//! step that it was at.
//!
//! A step's entry in the history is written in its own transaction. Before a statement runs outside
//! of a transaction, the history records that it begins; after it, that it is done. Must not know
//! why a step is tried again.

use super::{HistoryEffect, Run, needs_steps};
use crate::alone::{Care, Finding};
use crate::error::{self, RunError};
use crate::files::Script;
use crate::history;
use crate::sql::{Control, SessionEffect, Statement};
use crate::steps::{Frame, Prefix, Step, Steps};
use database::describe;
use handler::{Failure, Kind};
use std::time::{Duration, Instant};

/// The largest number of steps in one message.
const LARGEST_GROUP: usize = 128;

/// The length of a message to which another step is added, in bytes.
const LONG_MESSAGE: usize = 64 * 1024;

/// The time of a message after which the next one holds more steps.
const SHORT: Duration = Duration::from_millis(250);

/// The number of times that a statement runs which has not done its work.
const TIMES: usize = 3;

/// How far a script has come, over all attempts.
pub(crate) struct Progress {
    /// The index of the next statement.
    pub statement: usize,
    /// What the next statement found before it, if it was begun outside of a transaction and may be
    /// done.
    pub begun: Option<String>,
    /// Whether statements are sent one by one, so that an error has a place.
    pub is_placed: bool,
    /// Whether the session is that of the steps before.
    is_ready: bool,
    /// The number of steps to send in one message, and the statement from which on that is allowed.
    group: (usize, usize),
    prefix: Prefix,
}

impl Progress {
    /// Begins at the script's first statement, or where it is resumed. With `quick`, statements are
    /// sent together.
    pub(crate) fn of(script: &Script, steps: &Steps, quick: bool) -> Progress {
        let resume = steps.resume.as_ref();
        Progress {
            statement: resume.map_or(0, |resume| resume.statement),
            begun: resume.and_then(|resume| resume.begun.clone()),
            is_placed: !quick,
            is_ready: false,
            group: (1, 0),
            prefix: Prefix::of(script),
        }
    }
}

impl Run<'_> {
    /// Runs the steps from `progress` on.
    pub(super) fn step_by_step(
        &mut self,
        progress: &mut Progress,
    ) -> Result<Option<Duration>, RunError> {
        if !self.session.is_direct() {
            return Err(self.pooler_in_the_way().into());
        }
        if !progress.is_ready {
            self.session.roll_back();
            self.session.reset()?;
            self.replay_settings(progress.statement)?;
            progress.is_ready = true;
        }
        let started = Instant::now();
        // A file without statements, or whose last one is done, as a person has said.
        if progress.statement == self.steps.statements.len() {
            self.session.begin_step()?;
            self.finish(progress.statement, started, progress)?;
        }
        loop {
            let steps = self.steps.from(progress.statement);
            let Some(step) = steps.and_then(|steps| steps.first()) else {
                break;
            };
            if self.session.deadline.is_short_of(Duration::from_millis(1)) {
                return Err(RunError::OutOfTime(None));
            }
            match step {
                Step::Plain(at) if progress.begun.is_some() => self.run_alone(*at, progress)?,
                Step::Plain(at) => match self.group(progress) {
                    0 | 1 => self.run_plain(*at, progress)?,
                    count => self.run_group(*at..*at + count, progress)?,
                },
                Step::Frame(frame) => self.run_frame(frame, progress)?,
                Step::Alone(at) => self.run_alone(*at, progress)?,
            }
        }
        Ok(Some(started.elapsed()))
    }

    /// Makes the settings again which the statements up to `end` have made in another session, and
    /// undoes again those that a `ROLLBACK TO` has undone.
    fn replay_settings(&mut self, end: usize) -> Result<(), RunError> {
        let steps = self.steps;
        let done = &steps.statements[..end];
        let rolls_back = |one: &Statement| one.keyword() == "rollback" && one.control().is_none();
        let undoes = done.iter().any(rolls_back);
        let mut is_open = false;
        for (at, statement) in done.iter().enumerate() {
            let begins = undoes && statement.control() == Some(Control::Begin) && !is_open;
            if begins {
                self.session.expect_begin();
                is_open = true;
            }
            let is_undone = matches!(statement.keyword(), "savepoint" | "release" | "rollback");
            let effect = statement.session_effect(&self.script.text);
            // The role of one that was undone may be gone.
            let role = statement.role_word(&self.script.text);
            let is_role = |one: &Statement| one.role_word(&self.script.text) == role;
            if !undoes && role.is_some() && done[at + 1..].iter().any(is_role) {
                continue;
            }
            if begins || is_open && is_undone || effect == SessionEffect::Setting {
                self.send(at)?;
            }
            match statement.control() {
                Some(Control::CommitAndChain) if is_open => self.send(at)?,
                Some(Control::Commit) if is_open => {
                    self.send(at)?;
                    self.session.has_committed();
                    is_open = false;
                }
                _ => {}
            }
        }
        // The frame that follows a `COMMIT AND CHAIN` begins by itself.
        if is_open {
            self.session.batch_execute("COMMIT")?;
            self.session.has_committed();
        }
        Ok(())
    }

    /// Runs a statement in a transaction with its entry in the history. One that turns out to refuse
    /// a transaction runs alone.
    fn run_plain(&mut self, at: usize, progress: &mut Progress) -> Result<(), RunError> {
        let started = Instant::now();
        self.session.begin_step()?;
        if self.is_sent(at) {
            match self.send(at) {
                Err(RunError::Refused(_, error)) if needs_steps(&error) => {
                    self.session.roll_back();
                    return self.run_alone(at, progress);
                }
                sent => sent?,
            }
        }
        self.finish(at + 1, started, progress)?;
        if started.elapsed() < SHORT {
            progress.group.0 = 2;
        }
        Ok(())
    }

    /// Returns whether a statement between the script's own transactions does anything: a `COMMIT`
    /// and a `SET TRANSACTION` do not there.
    fn is_sent(&self, at: usize) -> bool {
        let statement = &self.steps.statements[at];
        statement.control() != Some(Control::Commit) && statement.modes().is_none()
    }

    /// Returns the number of steps that can be sent in one message.
    fn group(&self, progress: &Progress) -> usize {
        let (largest, from) = progress.group;
        let steps = self.steps.from(progress.statement).unwrap_or_default();
        // Without a row in the history, nothing tells which step of a message has failed.
        if progress.statement < from || !matches!(self.effect, HistoryEffect::Applies(_)) {
            return 1;
        }
        let start = self.steps.statements[progress.statement].span.start;
        let joins = |step: &&Step| match step {
            Step::Plain(at) => {
                let statement = &self.steps.statements[*at];
                self.joins(*at)
                    && self.is_sent(*at)
                    && statement.closed
                    && statement.span.start - start < LONG_MESSAGE
            }
            Step::Frame(_) | Step::Alone(_) => false,
        };
        steps.iter().take(largest).take_while(joins).count()
    }

    /// Runs steps in one message, each in a transaction of its own with its entry in the history. If
    /// this process is killed, the server may go on with the message: its history goes on, too.
    fn run_group(
        &mut self,
        range: std::ops::Range<usize>,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let started = Instant::now();
        let mut prefix = progress.prefix.clone();
        let mut message = String::new();
        for at in range.clone() {
            let sha256 = self.checksum(at + 1, &mut prefix);
            let put = match at == range.start {
                true => history::put_timed,
                false => history::advance_timed,
            };
            let row = self.row(at + 1, sha256, Duration::ZERO, put);
            message += "BEGIN;";
            message += &self.script.text[self.steps.statements[at].span.clone()];
            message += &self.session.record_statements(&row);
            message += ";COMMIT;";
        }
        self.announce(range.start, range.end);
        self.session.expect_begin();
        let Err(error) = self.session.batch_execute(&message) else {
            self.session.has_committed();
            progress.prefix = prefix;
            progress.statement = range.end;
            progress.group.0 = match started.elapsed() < SHORT {
                true => (range.len() * 2).min(LARGEST_GROUP),
                false => 1,
            };
            return Ok(());
        };
        self.session.roll_back();
        let error = error::of_commit(&self.script.path, error);
        if !matches!(error, RunError::Refused(..)) {
            return Err(error);
        }
        // The statement that failed runs once more, alone, so that its error has a place.
        match self.done_in_history() {
            Some(done) if range.contains(&done) => progress.statement = done,
            None if range.start == 0 => {}
            _ => return Err(error),
        }
        progress.group = (1, range.end);
        Ok(())
    }

    /// Runs a transaction of the script's own, with its entry in the history.
    fn run_frame(&mut self, frame: &Frame, progress: &mut Progress) -> Result<(), RunError> {
        let started = Instant::now();
        self.session.expect_begin();
        if frame.begin < frame.range.start {
            self.send(frame.begin)?;
        }
        self.send_all(frame.range.start..frame.range.end - 1, progress)?;
        if frame.read_only {
            // It has changed nothing, so it may run again if this process is killed here.
            self.session.commit()?;
            self.session.begin_step()?;
        }
        self.finish(frame.range.end, started, progress)
    }

    /// Runs a statement outside of a transaction.
    fn run_alone(&mut self, at: usize, progress: &mut Progress) -> Result<(), RunError> {
        let care = Care::of(&self.steps.statements[at]);
        let waits = care.is_concurrent() && self.session.wait_for_locks()?;
        let outcome = self.run_with_care(at, &care, progress);
        if waits {
            self.session.limit_locks()?;
        }
        outcome
    }

    fn run_with_care(
        &mut self,
        at: usize,
        care: &Care,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let started = Instant::now();
        if care.look(self.session, progress.begun.as_deref())? == Finding::Done {
            self.session.begin_step()?;
            return self.finish(at + 1, started, progress);
        }
        let may_be_done = progress.begun.is_some();
        let remembered = match progress.begun.take() {
            Some(remembered) => remembered,
            None => care.remember(self.session)?,
        };
        let begun = progress.begun.insert(remembered).clone();
        self.record_begun(at, &begun, progress)?;
        let mut outcome = self.send(at);
        for _ in 1..TIMES {
            if outcome.is_err() || care.check(self.session)? == Finding::Done {
                break;
            }
            outcome = self.send(at);
        }
        if let Err(RunError::Refused(_, error)) = &outcome {
            if may_be_done && care.says_done(error) {
                let path = self.script.path.display();
                log::warn!(
                    "{path}: the killed run had already done the statement: {}",
                    describe(error)
                );
                outcome = Ok(());
            } else if error.as_db_error().is_some()
                && care.clean_up(self.session, &begun, error)
                && self.record_undone(at, started, progress).is_ok()
            {
                progress.begun = None;
            }
        }
        outcome?;
        self.session.begin_step()?;
        self.finish(at + 1, started, progress)
    }

    /// Records that the steps up to the statement `done` are done, and commits the open transaction.
    fn finish(
        &mut self,
        done: usize,
        started: Instant,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let sha256 = self.checksum(done, &mut progress.prefix);
        self.record_and_commit(done, sha256, started.elapsed(), false)?;
        (progress.statement, progress.begun) = (done, None);
        Ok(())
    }

    /// Records that the statement begins outside of a transaction, and what was there before it.
    fn record_begun(
        &mut self,
        at: usize,
        remembered: &str,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let sha256 = self.checksum(at, &mut progress.prefix);
        let row = self.row(at, sha256, Duration::ZERO, |entry| {
            history::put_begun(entry, remembered)
        });
        self.session.begin_step()?;
        Ok(self.session.commit_with(&row)?)
    }

    /// Records that the statement has failed and left nothing.
    fn record_undone(
        &mut self,
        at: usize,
        started: Instant,
        progress: &mut Progress,
    ) -> Result<(), RunError> {
        let sha256 = self.checksum(at, &mut progress.prefix);
        self.session.begin_step()?;
        self.record_and_commit(at, sha256, started.elapsed(), false)
    }

    /// Returns the checksum of the text of the statements that are done; once all are, of the file's.
    fn checksum(&self, done: usize, prefix: &mut Prefix) -> String {
        match done == self.steps.statements.len() {
            true => self.script.sha256(),
            false => prefix.sha256_until(self.script, self.steps, done),
        }
    }

    fn pooler_in_the_way(&self) -> Failure {
        let path = self.script.path.display();
        let message = format!(
            "failed to apply `{path}`: it does not run in one transaction, and behind a pooler nothing \
             else is safe; give the migrations function a DATABASE_URL of the server itself"
        );
        Failure::new(Kind::PoolerInTheWay, message)
    }
}
