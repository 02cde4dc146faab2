//! Runs one script, and writes into the history what it has done, in the same transaction.
//!
//! What cannot be one transaction goes step by step: what is about to run outside of a transaction
//! is written down before, and what has run after, so that a killed run resumes where it was. Knows
//! nothing of other files.

use super::error::{self, Stop};
use super::files::{Migration, Script};
use super::history::{self, Applied, Entry};
use super::index;
use super::session::Session;
use super::steps::{self, Step, Steps};
use crate::Failure;
use crate::database::{describe, notice};
use postgres::Client;
use postgres::error::SqlState;
use std::io::{self, Write};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// How often a script is tried whose locks others hold.
const ATTEMPTS: u32 = 10;

/// The pause before the second attempt; it doubles, as long as it is less than the other.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What a script means for the history.
#[derive(Clone, Copy)]
pub enum Meaning<'a> {
    /// The migration is applied.
    Applies(&'a Migration),
    /// It is no longer.
    Reverts(&'a Migration),
    /// Nothing.
    None,
}

/// Runs a script; how long its statements took, or `None` when another run has applied it.
///
/// A lock that others hold is waited for briefly, and the whole script tried again.
///
/// # Errors
/// `Stop::Failed`, what could be rolled back being rolled back; `Stop::OutOfTime`.
pub fn apply(
    session: &mut Session,
    script: &Script,
    steps: &Steps,
    meaning: Meaning,
    resumed: Option<&Applied>,
) -> Result<Option<Duration>, Stop> {
    let mut whole = steps.whole && resumed.is_none();
    let mut next = Next {
        statement: resumed.map_or(0, |row| row.statements),
        doubt: resumed.is_some_and(|row| row.begun),
    };
    let (mut attempt, mut pause) = (1, FIRST_PAUSE);
    loop {
        let mut run = Run {
            session,
            script,
            steps,
            meaning,
            line: (0, 1),
        };
        let outcome = match whole {
            true => run.in_one_transaction(),
            false => run.step_by_step(&mut next),
        };
        notice::place(String::new());
        run.session.watch.rests();
        let Err(Stop::Refused(at, error)) = outcome else {
            return outcome;
        };
        session.roll_back();
        if was_cancelled(session, &error) {
            return Err(Stop::OutOfTime(session.watch.blockers()));
        }
        if whole && wants_steps(&error) {
            let path = script.path.display();
            log::info!(
                "{path} goes step by step, as Postgres says: {}",
                describe(&error)
            );
            whole = false;
            continue;
        }
        let patient = attempt < ATTEMPTS && !session.clock.is_short_of(pause);
        if !is_about_locks(&error) || !patient {
            return Err(failure(session, script, steps, at, &error, whole).into());
        }
        let by = session
            .watch
            .blockers()
            .unwrap_or_else(|| "nobody who is still there".into());
        let path = script.path.display();
        log::warn!(
            "trying {path} again in {pause:?}: {}; blocked by {by}",
            describe(&error)
        );
        session.watch.is_blocked();
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        attempt += 1;
    }
}

/// Where a script that goes step by step goes on.
struct Next {
    statement: usize,
    /// Whether a killed run may have done it.
    doubt: bool,
}

struct Run<'a> {
    session: &'a mut Session,
    script: &'a Script,
    steps: &'a Steps,
    meaning: Meaning<'a>,
    /// A byte of the script and its line: the last statement's.
    line: (usize, usize),
}

impl Run<'_> {
    /// BEGIN, each statement and COMMIT travel as messages of their own: were they one, the server
    /// would go on and commit after we are killed.
    fn in_one_transaction(&mut self) -> Result<Option<Duration>, Stop> {
        let version = match self.meaning {
            Meaning::Applies(migration) => Some(migration.version.to_string()),
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
        self.remember(self.steps.statements.len(), took, false)?;
        Ok(Some(took))
    }

    fn step_by_step(&mut self, next: &mut Next) -> Result<Option<Duration>, Stop> {
        if !self.session.is_direct() {
            return Err(self.needs_its_own_session().into());
        }
        self.session.refresh()?;
        let started = Instant::now();
        while let Some(step) = self.steps.step(next.statement) {
            if self.session.clock.is_short_of(Duration::from_millis(1)) {
                return Err(Stop::OutOfTime(None));
            }
            next.statement = match step {
                Step::Together(range) => {
                    self.together(range.clone())?;
                    range.end
                }
                Step::Alone(at) => {
                    self.alone(at, next.doubt)?;
                    at + 1
                }
            };
            next.doubt = false;
        }
        Ok(Some(started.elapsed()))
    }

    /// Statements that may be in a transaction: done with their entry, or not at all.
    fn together(&mut self, range: Range<usize>) -> Result<(), Stop> {
        self.session.step()?;
        let started = Instant::now();
        for at in range.clone() {
            if steps::is_frame(&self.steps.statements[at]) {
                continue;
            }
            match self.send(at) {
                Err(Stop::Refused(_, error)) if range.len() == 1 && wants_steps(&error) => {
                    self.session.roll_back();
                    return self.alone(at, false);
                }
                sent => sent?,
            }
        }
        self.remember(range.end, started.elapsed(), false)
    }

    /// A statement that may not be in a transaction. When it is in doubt, a run was killed after it
    /// was written down: it may have been done, or half done.
    fn alone(&mut self, at: usize, doubt: bool) -> Result<(), Stop> {
        let statement = &self.steps.statements[at];
        let sent = &self.script.text[statement.span.clone()];
        let care = index::Care::of(self.session, statement, sent)?;
        if doubt && care.is_done() {
            return self.remember_alone(at + 1, Duration::ZERO, false);
        }
        self.remember_alone(at, Duration::ZERO, true)?;
        let started = Instant::now();
        let mut outcome = care
            .prepare(self.session, doubt)
            .map_err(Stop::from)
            .and_then(|()| self.send(at));
        if let Err(Stop::Refused(_, error)) = &outcome {
            care.clean(self.session);
            if doubt && says_it_is_done(error) {
                let path = self.script.path.display();
                log::warn!("{path}: the killed run had done it: {}", describe(error));
                outcome = Ok(());
            } else if error.as_db_error().is_some() {
                self.remember_alone(at, started.elapsed(), false)?;
            }
        }
        care.end(self.session)?;
        outcome?;
        self.remember_alone(at + 1, started.elapsed(), false)
    }

    fn send(&mut self, at: usize) -> Result<(), Stop> {
        let statement = &self.steps.statements[at];
        let sent = &self.script.text[statement.span.clone()];
        self.tell(statement.span.start, sent, at);
        let sent = match &statement.data {
            None if statement.keyword() == "copy" && copies_out(sent) => drain(self.session, sent),
            None => self.session.batch_execute(sent),
            Some(data) => copy(
                self.session,
                sent,
                &self.script.text.as_bytes()[data.clone()],
            ),
        };
        sent.map_err(|error| Stop::Refused(Some(at), error))
    }

    /// Where we are, for the server's notices and for a person at a terminal.
    fn tell(&mut self, start: usize, sent: &str, at: usize) {
        let (from, line) = self.line;
        let line = line + self.script.text[from..start].matches('\n').count();
        self.line = (start, line);
        let path = self.script.path.display();
        notice::place(format!("{path}:{line}"));
        let shown: String = sent
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        let count = self.steps.statements.len();
        self.session.watch.works_on(format!(
            "{path}:{line}: statement {} of {count}: {shown}",
            at + 1
        ));
    }

    /// Writes into the history, in the transaction that is open, and commits it.
    fn remember(&mut self, done: usize, took: Duration, begun: bool) -> Result<(), Stop> {
        let finished = done == self.steps.statements.len();
        let row = match self.meaning {
            Meaning::Reverts(migration) if finished => {
                history::remove(&migration.version.to_string())
            }
            Meaning::None | Meaning::Reverts(_) => String::new(),
            Meaning::Applies(migration) => history::put(&Entry {
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
                Some(_) => Stop::Refused(None, error),
                None => Stop::Failed(error::lost(path, &error)),
            })
    }

    fn remember_alone(&mut self, done: usize, took: Duration, begun: bool) -> Result<(), Stop> {
        self.session.step()?;
        self.remember(done, took, begun)
    }

    fn needs_its_own_session(&self) -> Failure {
        let path = self.script.path.display();
        let message = format!(
            "failed to apply `{path}`: it does not run in one transaction, and behind a pooler nothing \
             else is safe; give the migrations function a DATABASE_URL of the server itself"
        );
        Failure::new("Function.PoolerInTheWay", message)
    }
}

/// `COPY … FROM STDIN` with its data.
///
/// # Errors
/// Postgres's own.
pub fn copy(client: &mut Client, statement: &str, data: &[u8]) -> Result<(), postgres::Error> {
    let mut writer = client.copy_in(statement)?;
    // What the server refuses meanwhile is told at the end.
    let _ = writer.write_all(data);
    writer.finish().map(|_rows| ())
}

/// What psql would print, and nobody reads here.
fn drain(client: &mut Client, statement: &str) -> Result<(), postgres::Error> {
    let mut reader = client.copy_out(statement)?;
    // An error of the server's comes again with the next statement, as the transaction has failed.
    let _ = io::copy(&mut reader, &mut io::sink());
    Ok(())
}

fn copies_out(statement: &str) -> bool {
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
    at: Option<usize>,
    error: &postgres::Error,
    whole: bool,
) -> Failure {
    let outcome = match (whole, at) {
        (true, _) => "and rolled it back".to_string(),
        (false, Some(0)) => "before any of it had run".to_string(),
        (false, Some(at)) => format!(
            "and kept what its {at} statements before have done, as they cannot be undone; mend the \
             statement and invoke again: it resumes there"
        ),
        (false, None) => "and kept what has run".to_string(),
    };
    let failure = error::failed(script, &steps.statements, at, error, &outcome);
    match session.watch.blockers().filter(|_| is_about_locks(error)) {
        Some(blockers) => failure.and(&format!("; blocked by {blockers}")),
        None => failure,
    }
}

fn was_cancelled(session: &Session, error: &postgres::Error) -> bool {
    let cancelled = error.code() == Some(&SqlState::QUERY_CANCELED);
    let over =
        session.watch.has_cancelled() || session.clock.is_short_of(Duration::from_millis(50));
    cancelled && over
}

fn is_about_locks(error: &postgres::Error) -> bool {
    let codes = [
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// Postgres wants no transaction here, or wants the enum's new value committed before its use.
fn wants_steps(error: &postgres::Error) -> bool {
    let codes = [
        &SqlState::ACTIVE_SQL_TRANSACTION,
        &SqlState::INVALID_TRANSACTION_TERMINATION,
        &SqlState::UNSAFE_NEW_ENUM_VALUE_USAGE,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// What was to be made is there, or what was to be dropped is not.
fn says_it_is_done(error: &postgres::Error) -> bool {
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
