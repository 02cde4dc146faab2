//! Runs one script, and records it in the history in the same transaction.
//!
//! A script that cannot be one transaction runs step by step. Before a statement runs outside of a
//! transaction, the history records that it begins; after it, that it is done. So a killed run
//! resumes at that statement. Must not know of other files, or of the order of migrations.

use super::error::{self, RunError};
use super::files::{Migration, Script};
use super::history::{self, Applied, Entry};
use super::index;
use super::session::Session;
use super::steps::{self, Step, Steps};
use database::{describe, notice};
use handler::{Failure, Kind};
use postgres::Client;
use postgres::error::SqlState;
use std::io::{self, Write};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// The number of attempts at a script that waits in vain for a lock.
const ATTEMPTS: u32 = 10;

/// The pause before the second attempt; doubles with each further attempt, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

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
/// meanwhile.
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
    resumed: Option<&Applied>,
) -> Result<Option<Duration>, RunError> {
    let mut single_transaction = steps.single_transaction && resumed.is_none();
    let mut next = Next {
        statement: resumed.map_or(0, |row| row.statements),
        may_be_done: resumed.is_some_and(|row| row.begun),
    };
    let (mut attempt, mut pause) = (1, FIRST_PAUSE);
    loop {
        let mut run = Run::of(session, script, steps, effect);
        let outcome = match single_transaction {
            true => run.in_one_transaction(),
            false => run.step_by_step(&mut next),
        };
        notice::place(String::new());
        run.session.watchdog.clear();
        let Err(RunError::Refused(at, error)) = outcome else {
            return outcome;
        };
        session.roll_back();
        if was_cancelled(session, &error) {
            return Err(RunError::OutOfTime(session.watchdog.take_blockers()));
        }
        if single_transaction && needs_steps(&error) {
            let path = script.path.display();
            log::info!(
                "running {path} step by step, as it does not run in one transaction: {}",
                describe(&error)
            );
            single_transaction = false;
            continue;
        }
        let may_retry = attempt < ATTEMPTS && !session.deadline.is_short_of(pause);
        if !is_lock_error(&error) || !may_retry {
            let failure = failure(
                session,
                script,
                steps,
                effect,
                at,
                &error,
                single_transaction,
            );
            return Err(failure.into());
        }
        let blockers = session
            .watchdog
            .take_blockers()
            .unwrap_or_else(|| "an unknown session".into());
        let path = script.path.display();
        log::warn!(
            "trying {path} again in {pause:?}: {}; blocked by {blockers}",
            describe(&error)
        );
        session.watchdog.find_blockers();
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        attempt += 1;
    }
}

/// The next statement of a script that runs step by step.
struct Next {
    /// The index of the statement.
    statement: usize,
    /// Whether a killed run may have done it.
    may_be_done: bool,
}

/// One attempt at a script.
pub(crate) struct Run<'a> {
    session: &'a mut Session,
    script: &'a Script,
    steps: &'a Steps,
    effect: HistoryEffect<'a>,
    /// The first byte of the last statement that was sent, and its line.
    line: (usize, usize),
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

    /// Sends BEGIN, each statement and COMMIT in messages of their own: if they were one message, the
    /// server would go on and commit after this process is killed.
    fn in_one_transaction(&mut self) -> Result<Option<Duration>, RunError> {
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
        for (at, _) in self.steps.sent() {
            self.send(at)?;
        }
        let took = started.elapsed();
        self.record_and_commit(self.steps.statements.len(), took, false)?;
        Ok(Some(took))
    }

    /// Runs the steps from `next` on, and moves `next` behind each step that is done.
    fn step_by_step(&mut self, next: &mut Next) -> Result<Option<Duration>, RunError> {
        if !self.session.is_direct() {
            return Err(self.pooler_in_the_way().into());
        }
        self.session.reset()?;
        let started = Instant::now();
        while let Some(step) = self.steps.step(next.statement) {
            if self.session.deadline.is_short_of(Duration::from_millis(1)) {
                return Err(RunError::OutOfTime(None));
            }
            next.statement = match step {
                Step::Together(range) => {
                    self.run_together(range.clone())?;
                    range.end
                }
                Step::Alone(at) => {
                    self.run_alone(at, next.may_be_done)?;
                    at + 1
                }
            };
            next.may_be_done = false;
        }
        Ok(Some(started.elapsed()))
    }

    /// Runs statements in one transaction with their entry in the history. A single statement that
    /// turns out to refuse a transaction runs alone.
    fn run_together(&mut self, range: Range<usize>) -> Result<(), RunError> {
        self.session.begin_step()?;
        let started = Instant::now();
        for at in range.clone() {
            if steps::is_transaction_control(&self.steps.statements[at]) {
                continue;
            }
            match self.send(at) {
                Err(RunError::Refused(_, error)) if range.len() == 1 && needs_steps(&error) => {
                    self.session.roll_back();
                    return self.run_alone(at, false);
                }
                sent => sent?,
            }
        }
        self.record_and_commit(range.end, started.elapsed(), false)
    }

    /// Runs a statement outside of a transaction. `may_be_done` says that a run was killed after the
    /// history had recorded the statement's begin: it may be done, or half done.
    fn run_alone(&mut self, at: usize, may_be_done: bool) -> Result<(), RunError> {
        let statement = &self.steps.statements[at];
        let sent = &self.script.text[statement.span.clone()];
        let cleanup = index::Cleanup::of(self.session, statement, sent)?;
        if may_be_done && cleanup.is_done() {
            return self.record(at + 1, Duration::ZERO, false);
        }
        self.record(at, Duration::ZERO, true)?;
        let started = Instant::now();
        let mut outcome = cleanup
            .prepare(self.session, may_be_done)
            .map_err(RunError::from)
            .and_then(|()| self.send(at));
        if let Err(RunError::Refused(_, error)) = &outcome {
            cleanup.drop_leftovers(self.session);
            if may_be_done && is_already_done(error) {
                let path = self.script.path.display();
                log::warn!(
                    "{path}: the killed run had already done the statement: {}",
                    describe(error)
                );
                outcome = Ok(());
            } else if error.as_db_error().is_some() {
                self.record(at, started.elapsed(), false)?;
            }
        }
        cleanup.restore_lock_timeout(self.session)?;
        outcome?;
        self.record(at + 1, started.elapsed(), false)
    }

    /// Sends the statement of this index.
    ///
    /// # Errors
    /// `RunError::Refused`.
    pub(crate) fn send(&mut self, at: usize) -> Result<(), RunError> {
        let statement = &self.steps.statements[at];
        let sent = &self.script.text[statement.span.clone()];
        self.announce(statement.span.start, sent, at);
        let outcome = match &statement.data {
            None if statement.keyword() == "copy" && copies_to_stdout(sent) => {
                drain(self.session, sent)
            }
            None => self.session.batch_execute(sent),
            Some(data) => copy(
                self.session,
                sent,
                &self.script.text.as_bytes()[data.clone()],
            ),
        };
        outcome.map_err(|error| RunError::Refused(Some(at), error))
    }

    /// Names the statement that is about to be sent, for the log of the server's notices and for the
    /// progress line on a terminal.
    fn announce(&mut self, start: usize, sent: &str, at: usize) {
        let (from, line) = self.line;
        let line = line + self.script.text[from..start].matches('\n').count();
        self.line = (start, line);
        let path = self.script.path.display();
        notice::place(format!("{path}:{line}"));
        let first_line = sent.lines().next().unwrap_or_default();
        let excerpt: String = first_line.chars().take(60).collect();
        let count = self.steps.statements.len();
        self.session.watchdog.set_statement(format!(
            "{path}:{line}: statement {} of {count}: {excerpt}",
            at + 1
        ));
    }

    /// Writes the history's row in the open transaction, and commits. `done` is the number of
    /// statements that are done; `begun` says that the next one begins outside of a transaction.
    fn record_and_commit(
        &mut self,
        done: usize,
        took: Duration,
        begun: bool,
    ) -> Result<(), RunError> {
        let finished = done == self.steps.statements.len();
        let row = match self.effect {
            HistoryEffect::Then(statements) if finished => statements(self.session),
            HistoryEffect::None | HistoryEffect::Then(_) => String::new(),
            HistoryEffect::Applies(migration) => history::put(&Entry {
                migration,
                sha256: match finished {
                    true => self.script.sha256(),
                    false => self.steps.sha256_until(self.script, done),
                },
                took,
                statements: done,
                begun,
                run: &self.session.run,
                finished,
            }),
        };
        let path = &self.script.path;
        self.session
            .commit_with(&row)
            .map_err(|error| match error.as_db_error() {
                Some(_) => RunError::Refused(None, error),
                None => RunError::Failed(error::commit_unconfirmed(path, &error)),
            })
    }

    /// Writes the history's row in a transaction of its own.
    fn record(&mut self, done: usize, took: Duration, begun: bool) -> Result<(), RunError> {
        self.session.begin_step()?;
        self.record_and_commit(done, took, begun)
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

/// Runs a `COPY … FROM STDIN` with its data.
///
/// # Errors
/// Postgres's own.
fn copy(client: &mut Client, statement: &str, data: &[u8]) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(statement)?;
    // `finish` returns the server's error, if `write_all` fails because of one.
    let _ = writer.write_all(data);
    writer.finish().map(|_rows| ())
}

/// Runs a `COPY … TO STDOUT` and discards its rows, which psql would print.
fn drain(client: &mut Client, statement: &str) -> Result<(), postgres::Error> {
    let mut reader = client.copy_out(statement)?;
    // An error of the server's comes again with the next statement, as the transaction has failed.
    let _ = io::copy(&mut reader, &mut io::sink());
    Ok(())
}

fn copies_to_stdout(statement: &str) -> bool {
    let words: Vec<&str> = statement.split_ascii_whitespace().collect();
    words.windows(2).any(|pair| {
        let [to, stdout] = [pair[0], pair[1].trim_end_matches(';')];
        to.eq_ignore_ascii_case("to") && stdout.eq_ignore_ascii_case("stdout")
    })
}

fn failure(
    session: &mut Session,
    script: &Script,
    steps: &Steps,
    effect: HistoryEffect,
    at: Option<usize>,
    error: &postgres::Error,
    single_transaction: bool,
) -> Failure {
    let outcome = match (single_transaction, at, effect) {
        (true, _, _) => "and rolled it back".to_string(),
        (false, Some(0), _) => "before any of it had run".to_string(),
        (false, Some(at), HistoryEffect::Applies(_)) => format!(
            "and kept what its {at} statements before have done, as they cannot be undone; mend the \
             statement and invoke again: it resumes there"
        ),
        // The history has no row of how far a seed or a down file came.
        (false, Some(at), HistoryEffect::Then(_) | HistoryEffect::None) => format!(
            "and kept what its {at} statements before have done, as they cannot be undone; when \
             invoked again, it starts at its first statement"
        ),
        (false, None, _) => "and kept what has run".to_string(),
    };
    let failure = error::failed(script, &steps.statements, at, error, &outcome);
    match session
        .watchdog
        .take_blockers()
        .filter(|_| is_lock_error(error))
    {
        Some(blockers) => failure.append(&format!("; blocked by {blockers}")),
        None => failure,
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

/// Returns whether the error says that the object to create exists, or the object to drop does not.
fn is_already_done(error: &postgres::Error) -> bool {
    let codes = [
        &SqlState::DUPLICATE_OBJECT,
        &SqlState::DUPLICATE_TABLE,
        &SqlState::DUPLICATE_DATABASE,
        &SqlState::UNDEFINED_OBJECT,
        &SqlState::UNDEFINED_TABLE,
        &SqlState::INVALID_CATALOG_NAME,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}
