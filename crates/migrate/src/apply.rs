//! Runs one script, and records it in the history in the same transaction.
//!
//! A script that cannot be one transaction runs step by step (`step_by_step`). A statement that waits
//! in vain for a lock is tried again, with all that was rolled back with it. Must not know of other
//! files, or of the order of migrations.

mod send;
mod step_by_step;

use super::alone::Care;
use super::error::{self, RunError, Sent};
use super::files::{Migration, Script};
use super::history::{self, Entry};
use super::session::{LOCK_IS_LOST, STANDBY, Session};
use super::sql::Place;
use super::steps::Steps;
use database::{describe, notice};
use handler::{Failure, Kind};
use postgres::error::SqlState;
use std::thread;
use std::time::{Duration, Instant};
use step_by_step::Progress;

/// The number of attempts at a script that waits in vain for a lock.
const ATTEMPTS: u32 = 10;

/// The pause before the second attempt; doubles with each further attempt, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The time that a file takes in a run that is quick: after it, the statements of the next file are
/// sent in one message. If one of them fails and Postgres does not say where, they run once more, one
/// by one.
const QUICK: Duration = Duration::from_secs(1);

/// The time after which statements do not run once more to find the place of an error.
const LONG: Duration = Duration::from_secs(10);

/// How a script changes the history.
#[derive(Clone, Copy)]
pub(crate) enum HistoryEffect<'a> {
    /// Adds the row of this migration.
    Applies(&'a Migration),
    /// Runs these statements in the transaction of the script's last step.
    Then(&'a dyn Fn(&Session) -> String),
    /// Changes no row.
    None,
}

/// Runs a script. Returns how long its statements took, or `None` if another run has applied it
/// meanwhile. With `goes_on`, the message that commits also begins the transaction of the next file.
///
/// A statement waits briefly for a lock that another session holds; then the transaction is rolled
/// back, and the script is tried again from there.
///
/// # Errors
/// `RunError::Failed`, with the open transaction rolled back; `RunError::OutOfTime`.
pub(crate) fn apply(
    session: &mut Session,
    script: &Script,
    steps: &Steps,
    effect: HistoryEffect,
    goes_on: bool,
) -> Result<Option<Duration>, RunError> {
    let mut single_transaction = steps.begins_at_once();
    let mut progress = Progress::of(script, steps, session.quick);
    let (mut attempt, mut pause, began) = (1, FIRST_PAUSE, Instant::now());
    loop {
        let mut run = Run::of(session, script, steps, effect);
        let outcome = match single_transaction {
            true => run.in_one_transaction(&progress, goes_on),
            false => run.step_by_step(&mut progress),
        };
        notice::place(String::new());
        run.session.watchdog.clear();
        let Err(RunError::Refused(sent, error)) = outcome else {
            // The built-in migrations are quick, which says nothing of the files.
            let is_file = !matches!(effect, HistoryEffect::Applies(one) if one.built_in);
            session.quick = is_file && outcome.is_ok() && began.elapsed() < QUICK;
            session.defaults_changed |= steps.changes_defaults;
            return outcome;
        };
        session.roll_back();
        // The place of an error is worth another run of statements that took little time.
        let has_to_be_placed = !std::mem::replace(&mut progress.is_placed, true) && sent.is_none();
        let failed = Failed {
            script,
            steps,
            effect,
            progress: &progress,
            single_transaction,
        };
        if was_cancelled(session, &error) {
            return Err(match failed.asks() {
                true => failed.failure(session, sent, &error).into(),
                false => RunError::OutOfTime(session.watchdog.take_blockers()),
            });
        }
        if single_transaction && needs_steps(&error) && !steps.is_one_frame() {
            steps.check_session(script)?;
            let path = script.path.display();
            log::info!(
                "running {path} step by step, as it does not run in one transaction: {}",
                describe(&error)
            );
            single_transaction = false;
            continue;
        }
        if has_to_be_placed && !is_lock_error(&error) && began.elapsed() < LONG {
            continue;
        }
        let may_retry =
            attempt < ATTEMPTS && !session.deadline.is_short_of(pause) && !failed.asks();
        if !is_lock_error(&error) || !may_retry {
            return Err(failed.failure(session, sent, &error).into());
        }
        let blockers = match session.watchdog.take_blockers() {
            Some(blockers) => format!("; blocked by {blockers}"),
            None => String::new(),
        };
        let path = script.path.display();
        log::warn!(
            "trying {path} again in {pause:?}: {}{blockers}",
            describe(&error)
        );
        session.watchdog.find_blockers();
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        attempt += 1;
    }
}

/// One attempt at a script.
pub(crate) struct Run<'a> {
    pub(super) session: &'a mut Session,
    pub(super) script: &'a Script,
    pub(super) steps: &'a Steps,
    pub(super) effect: HistoryEffect<'a>,
    /// The first byte of the last statement that was sent, and its line.
    pub(super) line: (usize, usize),
}

impl<'a> Run<'a> {
    /// Makes a run whose next statement is the script's first.
    pub(crate) fn of(
        session: &'a mut Session,
        script: &'a Script,
        steps: &'a Steps,
        effect: HistoryEffect<'a>,
    ) -> Run<'a> {
        Run {
            session,
            script,
            steps,
            effect,
            line: (0, 1),
        }
    }

    /// Sends BEGIN, the statements and COMMIT in messages of their own: if they were one message, the
    /// server would go on and commit after this process is killed.
    fn in_one_transaction(
        &mut self,
        progress: &Progress,
        goes_on: bool,
    ) -> Result<Option<Duration>, RunError> {
        let version = match self.effect {
            // A repeatable migration may have a row, of its former text.
            HistoryEffect::Applies(migration) if !migration.version.is_repeatable() => {
                Some(migration.history_version())
            }
            _ => None,
        };
        if !self.session.begin(version.as_deref())? {
            return Ok(None);
        }
        let started = Instant::now();
        self.send_all(self.steps.inner(), progress)?;
        let took = started.elapsed();
        let done = self.steps.statements.len();
        let goes_on = goes_on && !self.steps.changes_defaults;
        self.record_and_commit(done, self.script.sha256(), took, goes_on)?;
        Ok(Some(took))
    }

    /// Writes the history's row in the open transaction, and commits. `done` is the number of
    /// statements that are done, and `sha256` the checksum of their text.
    pub(super) fn record_and_commit(
        &mut self,
        done: usize,
        sha256: String,
        took: Duration,
        goes_on: bool,
    ) -> Result<(), RunError> {
        let row = self.row(done, sha256, took, history::put);
        let outcome = match goes_on {
            true => self.session.commit_and_begin(&row),
            false => self.session.commit_with(&row),
        };
        let Err(error) = outcome else {
            return Ok(());
        };
        let error = error::of_commit(&self.script.path, error);
        let is_refused = matches!(error, RunError::Refused(..));
        self.session.roll_back();
        // The error may be that of what follows the COMMIT in the message.
        match is_refused && goes_on && self.done_in_history() == Some(done) {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Returns the statement that writes the history's row, by way of `put`; empty if there is nothing
    /// to write yet.
    pub(super) fn row(
        &self,
        done: usize,
        sha256: String,
        took: Duration,
        put: impl FnOnce(&Entry) -> String,
    ) -> String {
        let finished = done == self.steps.statements.len();
        match self.effect {
            HistoryEffect::Then(statements) if finished => statements(self.session),
            HistoryEffect::None | HistoryEffect::Then(_) => String::new(),
            HistoryEffect::Applies(migration) => put(&Entry {
                migration,
                sha256,
                took,
                statements: done,
                run: &self.session.run,
                finished,
            }),
        }
    }

    /// Reads from the history how many statements this run has done; `None` if it has written no row.
    pub(super) fn done_in_history(&mut self) -> Option<usize> {
        let HistoryEffect::Applies(migration) = self.effect else {
            return None;
        };
        let version = migration.history_version();
        let rows = self
            .session
            .as_own_role(|session| history::applied(session));
        let rows = rows.ok()?.ok()?;
        let row = rows
            .iter()
            .find(|row| row.version == version && row.run == self.session.run)?;
        Some(row.statements)
    }
}

/// A script that has failed, for the words about it.
struct Failed<'a> {
    script: &'a Script,
    steps: &'a Steps,
    effect: HistoryEffect<'a>,
    progress: &'a Progress,
    single_transaction: bool,
}

impl Failed<'_> {
    /// Returns whether the statement that failed may be half done, so that only a person can tell
    /// what to do.
    fn asks(&self) -> bool {
        let statement = self.steps.statements.get(self.progress.statement);
        !self.single_transaction
            && self.progress.begun.is_some()
            && statement.is_some_and(|one| matches!(Care::of(one), Care::Ask))
    }

    fn failure(
        &self,
        session: &mut Session,
        sent: Option<Sent>,
        error: &postgres::Error,
    ) -> Failure {
        let (script, statements) = (self.script, &self.steps.statements);
        let failure = match error.as_db_error() {
            Some(error) if error.message().contains(LOCK_IS_LOST) => {
                let message = format!(
                    "failed to apply `{}`, {}: it has released the lock of the migration run, as \
                     pg_advisory_unlock_all() does; unlock by key",
                    script.path.display(),
                    self.outcome()
                );
                Failure::new(Kind::MigrationFailed, message)
            }
            Some(_) if session.is_refused_as_standby(error) => {
                let message = format!("failed to apply `{}`: {STANDBY}", script.path.display());
                Failure::new(Kind::DatabaseReadOnly, message).with_source(describe(error))
            }
            _ => error::failed(script, statements, sent, error, &self.outcome()),
        };
        match session
            .watchdog
            .take_blockers()
            .filter(|_| is_lock_error(error))
        {
            Some(blockers) => failure.append(&format!("; blocked by {blockers}")),
            None => failure,
        }
    }

    /// Says what happened to the statements before the error, and where the next run begins.
    fn outcome(&self) -> String {
        let done = self.progress.statement;
        let before = match done {
            1 => "its 1 statement before has done".to_string(),
            done => format!("its {done} statements before have done"),
        };
        let kept = match (self.single_transaction, done, self.asks()) {
            (true, _, _) => return "and rolled it back".to_string(),
            (false, 0, false) => return "before any of it had run".to_string(),
            (false, 0, true) => "and kept what the statement itself has committed".to_string(),
            (false, _, true) => {
                format!("and kept what the statement itself has committed, and what {before}")
            }
            (false, _, false) => format!("and kept what {before}"),
        };
        let line = match self.steps.statements.get(done) {
            Some(next) => Place::of(&self.script.text, next.span.start).line,
            None => return "and kept what has run".to_string(),
        };
        match (self.effect, self.asks()) {
            (HistoryEffect::Applies(migration), true) => {
                let version = migration.history_version();
                format!(
                    "{kept}: look at what it did, and send \"allow\":[\"again:{version}\"] to run it again, or \
                     \"allow\":[\"done:{version}\"] to go on behind it"
                )
            }
            (HistoryEffect::Applies(_), false) => format!(
                "{kept}, as that cannot be undone; mend the statement and invoke again: \
                 it resumes at line {line}"
            ),
            // The history has no row of how far a down file or a seed came.
            (HistoryEffect::Then(_) | HistoryEffect::None, _) => format!(
                "{kept}, as that cannot be undone; when invoked again, it starts at its \
                 first statement, so make its statements repeatable (IF EXISTS), or undo them first"
            ),
        }
    }
}

/// Returns whether the statement was cancelled because the invocation's time is over, not by the
/// file's own `statement_timeout` or by a person.
pub(crate) fn was_cancelled(session: &Session, error: &postgres::Error) -> bool {
    let is_cancelled = error.code() == Some(&SqlState::QUERY_CANCELED);
    let is_over =
        session.watchdog.has_cancelled() || session.deadline.is_short_of(Duration::from_millis(50));
    is_cancelled && is_over
}

/// Returns whether the error is a lock that was not granted in time, or a deadlock.
pub(crate) fn is_lock_error(error: &postgres::Error) -> bool {
    let codes = [
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// Returns whether Postgres refuses the statement in a transaction, or the use of an enum's new
/// value before it is committed.
pub(crate) fn needs_steps(error: &postgres::Error) -> bool {
    let codes = [
        &SqlState::ACTIVE_SQL_TRANSACTION,
        &SqlState::INVALID_TRANSACTION_TERMINATION,
        &SqlState::UNSAFE_NEW_ENUM_VALUE_USAGE,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}
