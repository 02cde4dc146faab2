//! Runs a file's statement over a table in batches of rows, each in a transaction of its own with
//! the progress in the history: whatever is killed, each row is met once, and no row is locked for
//! long.
//!
//! The first batch fixes the last key, so rows that are inserted later are not met. A run goes on
//! until the invocation's time is over, and the next one continues. Must not know of other files.

mod key;
mod progress;
mod value;

pub(crate) use progress::to_json;

use crate::apply::{is_lock_error, was_cancelled};
use crate::error::{self, RunError, Sent};
use crate::files::{Mark, Migration};
use crate::history::{self, Applied, Entry, literal};
use crate::session::Session;
use crate::sql::Place;
use crate::steps::Steps;
use database::{describe, notice};
use handler::{Failure, Kind};
use key::{Key, KeyError};
use postgres::error::SqlState;
use postgres::types::{ToSql, Type};
use progress::Progress;
use std::thread;
use std::time::{Duration, Instant};
use value::Value;

/// The rows of the first batch.
const FIRST_SIZE: u64 = 100;

/// The most rows of a batch: they bound what one transaction writes ahead.
const LARGEST_SIZE: u64 = 50_000;

/// The time that a batch is to take. A person does not notice such a wait.
const AIM: Duration = Duration::from_millis(400);

/// The time that a batch is to take while other sessions wait for it.
const AIM_WHILE_OTHERS_WAIT: Duration = Duration::from_millis(100);

/// The limits of a batch's transaction, which keep its locks below a second: of its statement, of
/// its wait for a row that another session has locked, and of the time in which this process does
/// nothing because it is frozen.
const LIMITS: &str = "set_config('statement_timeout', '750ms', true) \
    || set_config('lock_timeout', '300ms', true) \
    || set_config('idle_in_transaction_session_timeout', '1s', true)";

/// The number of attempts at a batch that cannot lock its rows.
const ATTEMPTS: u32 = 10;

/// The number of attempts at a single row that takes too long, which may be the machine's doing.
const ATTEMPTS_AT_ONE_ROW: u32 = 3;

/// The pause before the second attempt; doubles with each further attempt, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// The longest wait for the standbys. A standby that is always behind slows the run down, and does
/// not stop it.
const LONGEST_WAIT_FOR_STANDBYS: Duration = Duration::from_secs(30);

/// Counts the sessions that wait for a lock of this one.
const WAITING: &str = "(SELECT count(*) FROM pg_locks \
    WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))";

/// Runs batches until none is left. Returns how long they took, or `None` if another run has
/// applied the file meanwhile.
///
/// # Errors
/// `RunError::Failed`, with the batches before it kept; `RunError::OutOfTime`, which is no failure
/// if a batch was done.
pub(crate) fn apply(
    session: &mut Session,
    migration: &Migration,
    steps: &Steps,
    mark: &Mark,
    begun: Option<&Applied>,
) -> Result<Option<Duration>, RunError> {
    let started = Instant::now();
    let mut run = Run {
        session,
        migration,
        steps,
        mark,
        progress: begun
            .and_then(|row| Progress::read(row.progress.as_deref()))
            .unwrap_or_default(),
        pauses: 0,
        has_paused: false,
        attempts: 0,
        standbys_since: None,
        since: started,
    };
    let outcome = run.pass_through();
    run.session.watchdog.clear();
    notice::place(String::new());
    let outcome = outcome.map_err(|error| match error {
        RunError::Refused(at, error) if !was_cancelled(run.session, &error) => {
            run.failed(at, &error).into()
        }
        RunError::Refused(..) => RunError::OutOfTime(run.session.watchdog.take_blockers()),
        other => other,
    });
    run.session.roll_back();
    if let Err(RunError::OutOfTime(_)) = outcome {
        let path = migration.up.path.display();
        log::info!(
            "stopped {path} at the end of the time: {}",
            run.progress.describe()
        );
    }
    Ok(outcome?.then(|| started.elapsed()))
}

/// A run over the rows of a table.
struct Run<'a> {
    session: &'a mut Session,
    migration: &'a Migration,
    steps: &'a Steps,
    mark: &'a Mark,
    progress: Progress,
    /// The number of last batches, without a gap, for which others have waited.
    pauses: u32,
    /// Whether there was a pause for those who waited for the last batch.
    has_paused: bool,
    /// The number of attempts in vain at the next batch.
    attempts: u32,
    /// When the wait for the standbys began.
    standbys_since: Option<Instant>,
    /// When the last batch was done.
    since: Instant,
}

/// The rows of a batch.
struct Batch {
    first: String,
    last: String,
    rows: u64,
}

/// What comes next.
enum Next {
    Batch(Batch),
    /// No row is left.
    End,
    /// The batch is planned again after a pause.
    Again(Duration),
    /// Another run has applied the file.
    Applied,
}

impl Run<'_> {
    /// Returns whether this run, and no other, has applied the file.
    fn pass_through(&mut self) -> Result<bool, RunError> {
        let Some(mut key) = self.begin()? else {
            return Ok(false);
        };
        let mut longest = Duration::from_millis(100);
        loop {
            let began = Instant::now();
            let next = match self.plan(&mut key) {
                Ok(Next::Batch(batch)) => {
                    self.run(&key, &batch).map(|()| Next::Again(Duration::ZERO))
                }
                next => next,
            };
            let pause = match next {
                Ok(Next::End) => return self.record(true).map(|()| true),
                Ok(Next::Applied) => return Ok(false),
                Ok(Next::Again(pause)) => pause,
                Ok(Next::Batch(_)) => Duration::ZERO,
                Err(RunError::Refused(at, error)) => self.after_refusal(at, error)?,
                Err(error) => return Err(error),
            };
            self.session.roll_back();
            longest = longest.max(began.elapsed());
            if self.session.deadline.is_short_of(pause + longest) {
                return Err(RunError::OutOfTime(self.waited_for()));
            }
            thread::sleep(pause);
        }
    }

    /// Returns who kept the next batch from being done.
    fn waited_for(&self) -> Option<String> {
        match self.standbys_since {
            Some(_) => Some(format!("the standbys, which are {}", self.progress.lag)),
            None => self.session.watchdog.take_blockers(),
        }
    }

    /// Looks up the key, and before the first batch the end of the table. Returns `None` if another
    /// run has applied the file.
    fn begin(&mut self) -> Result<Option<Key>, RunError> {
        let version = self.migration.history_version();
        if !self.session.begin(Some(&version))? {
            return Ok(None);
        }
        let key = Key::find(self.session, self.mark).map_err(|error| match error {
            KeyError::Postgres(error) => error.into(),
            KeyError::Refused(reason) => {
                let path = self.migration.up.path.display();
                let message = format!("failed to run `{path}` in batches: {reason}");
                RunError::Failed(Failure::new(Kind::MigrationFailed, message))
            }
        })?;
        if self.progress.batches == 0 {
            let greatest = self.session.query_typed_opt(&key.greatest(), &[])?;
            self.progress.until = greatest.map(|row| row.get(0));
            self.progress.size = FIRST_SIZE.min(self.largest_size());
        }
        self.progress.table.clone_from(&self.mark.table);
        self.progress.about = key.about;
        self.session.roll_back();
        let path = self.migration.up.path.display();
        self.session
            .watchdog
            .set_statement(format!("{path}: {}", self.progress.describe()));
        Ok(Some(key))
    }

    /// Begins a transaction, and finds the rows of the next batch.
    ///
    /// Behind a pooler another run may have gone on meanwhile, so the row of the history is read
    /// too.
    fn plan(&mut self, key: &mut Key) -> Result<Next, RunError> {
        let version = self.migration.history_version();
        if !self.session.begin(Some(&version))? {
            return Ok(Next::Applied);
        }
        let Some(query) = self.query(key, &version) else {
            return Ok(Next::End);
        };
        let row = match self.session.query_typed_one(&query, &[]) {
            Err(error) if key.reads_lag() && is_lag_refused(&error) => {
                key.forget_lag();
                return Ok(Next::Again(Duration::ZERO));
            }
            row => row?,
        };
        if let Some(recorded) = Progress::read(row.get(3)) {
            if recorded.after != self.progress.after {
                self.progress = recorded;
                return Ok(Next::Again(Duration::ZERO));
            }
            self.progress.waiting = recorded.waiting;
        }
        self.progress.lag = row.get(4);
        if let Some(pause) = self.pause() {
            return Ok(Next::Again(pause));
        }
        Ok(match (row.get(0), row.get(1)) {
            (Some(first), Some(last)) => Next::Batch(Batch {
                first,
                last,
                rows: row.get::<_, i64>(2).unsigned_abs(),
            }),
            _ => Next::End,
        })
    }

    /// Returns the query for the first key, the last key and the number of rows of the next batch;
    /// `None` if the table was empty. All rows with the last key belong to the batch, because the
    /// statement cannot tell them apart.
    fn query(&self, key: &Key, version: &str) -> Option<String> {
        let Key {
            table, column, lag, ..
        } = key;
        let after = self.progress.after.as_ref().map_or(String::new(), |after| {
            format!("{column} > {} AND", key.value(after))
        });
        let until = key.value(self.progress.until.as_ref()?);
        let size = self.progress.size;
        let version = literal(version);
        Some(format!(
            "WITH batch AS (
                 SELECT {column} AS key, row_number() OVER (ORDER BY {column}) AS number
                 FROM {table} WHERE {after} {column} <= {until}
                 ORDER BY {column} FETCH FIRST {size} ROWS WITH TIES)
             SELECT (SELECT to_jsonb(key) #>> '{{}}' FROM batch WHERE number = 1),
                    (SELECT to_jsonb(key) #>> '{{}}' FROM batch ORDER BY number DESC LIMIT 1),
                    (SELECT count(*) FROM batch),
                    (SELECT progress::text FROM plain_lambda.migrations WHERE version = {version}),
                    {lag}, {LIMITS}"
        ))
    }

    /// Returns how long to pause before the next batch, if others waited for the last one, or if
    /// the standbys are behind.
    fn pause(&mut self) -> Option<Duration> {
        if self.progress.waiting == 0 {
            self.pauses = 0;
        } else if !self.has_paused {
            self.has_paused = true;
            self.pauses += 1;
            return Some(AIM_WHILE_OTHERS_WAIT * 2_u32.pow(self.pauses.min(3) - 1));
        }
        if !self.progress.lag.starts_with("behind") {
            self.standbys_since = None;
            return None;
        }
        let waited = self
            .standbys_since
            .get_or_insert_with(Instant::now)
            .elapsed();
        if waited >= LONGEST_WAIT_FOR_STANDBYS {
            self.standbys_since = None;
            return None;
        }
        let path = self.migration.up.path.display();
        log::info!(
            "{path} waits for the standbys, which are {}",
            self.progress.lag
        );
        Some((waited / 2).clamp(FIRST_PAUSE, LONGEST_PAUSE))
    }

    /// Runs the statement over a batch, and commits it with the progress.
    fn run(&mut self, key: &Key, batch: &Batch) -> Result<(), RunError> {
        let script = &self.migration.up;
        let span = self.steps.statements[0].span.clone();
        let path = script.path.display();
        notice::place(format!(
            "{path}:{}",
            Place::of(&script.text, span.start).line
        ));
        self.session
            .watchdog
            .set_progress(format!("{path}: {}", self.progress.describe()));
        let began = Instant::now();
        let sent = Sent {
            at: 0,
            start: span.start,
        };
        let (first, last) = (Value(&batch.first), Value(&batch.last));
        let parameters: [(&(dyn ToSql + Sync), Type); 2] =
            [(&first, key.type_.clone()), (&last, key.type_.clone())];
        let changed = self
            .session
            .execute_typed(&script.text[span], &parameters)
            .map_err(|error| RunError::Refused(Some(sent), error))?;
        if self.mark.changes_table && changed > batch.rows {
            return self.refuse_more_rows(batch.rows, changed);
        }
        let before = self.progress.clone();
        self.progress.after = Some(batch.last.clone());
        self.progress.rows += batch.rows;
        self.progress.changed += changed;
        self.progress.batches += 1;
        if let Err(error) = self.record(false) {
            self.progress = before;
            return Err(error);
        }
        self.attempts = 0;
        self.has_paused = false;
        self.adapt(began.elapsed());
        Ok(())
    }

    /// Writes the progress into the history, with the number of sessions that wait for this batch,
    /// and commits.
    fn record(&mut self, finished: bool) -> Result<(), RunError> {
        let script = &self.migration.up;
        let put = history::put(&Entry {
            migration: self.migration,
            sha256: script.sha256(),
            took: self.since.elapsed(),
            statements: usize::from(finished),
            run: &self.session.run,
            finished,
        });
        let progress = literal(&self.progress.to_row());
        let version = literal(&self.migration.history_version());
        let row = format!(
            "{put}; UPDATE plain_lambda.migrations
             SET progress = {progress}::jsonb || jsonb_build_object('waiting', {WAITING})
             WHERE version = {version}"
        );
        self.session
            .commit_with(&row)
            .map_err(|error| error::of_commit(&script.path, error))?;
        self.since = Instant::now();
        Ok(())
    }

    /// Chooses the size of the next batch by the time that this one has taken: at most twice as many
    /// rows, and at least a quarter.
    fn adapt(&mut self, took: Duration) {
        let aim = match self.progress.waiting {
            0 => AIM,
            _ => AIM_WHILE_OTHERS_WAIT,
        };
        let size = self.progress.size;
        let fitting = u128::from(size) * aim.as_micros() / took.as_micros().max(1);
        let fitting = u64::try_from(fitting).unwrap_or(LARGEST_SIZE);
        let fitting = fitting.clamp(size / 4, size * 2).max(1);
        self.progress.size = fitting.min(self.largest_size());
    }

    fn largest_size(&self) -> u64 {
        self.mark.most.unwrap_or(LARGEST_SIZE)
    }

    /// Rolls back a batch that could not lock its rows, or that took too long, and makes the next
    /// one smaller. Returns how long to pause before it.
    fn after_refusal(
        &mut self,
        at: Option<Sent>,
        error: postgres::Error,
    ) -> Result<Duration, RunError> {
        let is_slow = error.code() == Some(&SqlState::QUERY_CANCELED);
        let is_blocked =
            is_lock_error(&error) || error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE);
        if was_cancelled(self.session, &error) || !(is_slow || is_blocked) {
            return Err(RunError::Refused(at, error));
        }
        self.session.roll_back();
        let is_single = self.progress.size == 1;
        self.progress.size = (self.progress.size / 2).max(1);
        if is_slow && !is_single {
            return Ok(Duration::ZERO);
        }
        self.attempts += 1;
        let most = if is_slow {
            ATTEMPTS_AT_ONE_ROW
        } else {
            ATTEMPTS
        };
        if self.attempts >= most {
            return Err(RunError::Refused(at, error));
        }
        let pause = (FIRST_PAUSE * 2_u32.pow(self.attempts.min(8) - 1)).min(LONGEST_PAUSE);
        self.session.watchdog.find_blockers();
        let path = self.migration.up.path.display();
        log::warn!(
            "trying a batch of {path} again in {pause:?}: {}",
            describe(&error)
        );
        Ok(pause)
    }

    /// Refuses a statement that changes more rows than its batch has, once it is certain that no row
    /// was inserted meanwhile.
    fn refuse_more_rows(&mut self, rows: u64, changed: u64) -> Result<(), RunError> {
        self.attempts += 1;
        if self.attempts < ATTEMPTS_AT_ONE_ROW {
            self.session.roll_back();
            return Ok(());
        }
        let path = self.migration.up.path.display();
        let message = format!(
            "failed to apply `{path}`, {}: the statement changed {changed} rows in a batch of {rows}; \
             `{} BETWEEN $1 AND $2` has to hold for every row: put what stands beside it with OR into \
             parentheses",
            self.kept(),
            self.mark.key
        );
        Err(Failure::new(Kind::MigrationFailed, message).into())
    }

    /// Returns the failure of a batch.
    fn failed(&mut self, at: Option<Sent>, error: &postgres::Error) -> Failure {
        let mut outcome = self.kept();
        if error.code() == Some(&SqlState::QUERY_CANCELED) {
            outcome += "; a batch of one row takes too long: look at the statement's plan, as an \
                        index may be missing";
        }
        let failure = error::failed(
            &self.migration.up,
            &self.steps.statements,
            at,
            error,
            &outcome,
        );
        match self.session.watchdog.take_blockers() {
            Some(blockers) if is_lock_error(error) => {
                failure.append(&format!("; blocked by {blockers}"))
            }
            _ => failure,
        }
    }

    /// Says what is kept of a run that fails.
    fn kept(&self) -> String {
        let version = &self.migration.version;
        format!(
            "and kept the {} batches before; when invoked again it goes on there, with an edited \
             file if \"allow\":[\"edited:{version}\"] is sent",
            self.progress.batches
        )
    }
}

/// Returns whether this session may not ask about the standbys, or the server does not know them.
fn is_lag_refused(error: &postgres::Error) -> bool {
    let codes = [
        &SqlState::INSUFFICIENT_PRIVILEGE,
        &SqlState::UNDEFINED_FUNCTION,
        &SqlState::UNDEFINED_TABLE,
        &SqlState::FEATURE_NOT_SUPPORTED,
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}
