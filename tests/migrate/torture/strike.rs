//! The strikes at a run: what is done to it, and at which moment.

use super::Undisturbed;
use super::bench::{Bench, Outcome, Run};
use super::chance::Chance;
use crate::support::signal;
use postgres::{Client, NoTls};
use std::fmt::Write;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// One strike.
#[derive(Debug)]
pub(super) struct Strike {
    pub kind: Kind,
    moment: Moment,
    /// How long what takes time takes: a stop, the time until a deadline, holding a lock.
    lasts: Duration,
}

/// What is done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The process is killed.
    Kill,
    /// Its session is ended.
    Terminate,
    /// Its connection is cut.
    Cut,
    /// Its statement is cancelled.
    Cancel,
    /// A table is locked for longer than a statement waits, so that the file is tried again.
    Block,
    /// The process is stopped, and goes on later.
    Stop,
    /// The process is stopped, and goes on when another run has done its work.
    Replace,
    /// The process is stopped until its deadline is over.
    StopPastDeadline,
    /// Its invocation ends.
    Deadline,
    /// Its server process is killed: the server ends all sessions, and recovers.
    Crash,
    /// The server is shut down, and started.
    Restart,
    /// Another run comes.
    Second,
    /// Another run comes, and the first is killed.
    SecondThenKill,
}

/// The kinds, as often as they shall come.
const KINDS: [Kind; 23] = [
    Kind::Kill,
    Kind::Kill,
    Kind::Kill,
    Kind::Kill,
    Kind::Terminate,
    Kind::Terminate,
    Kind::Terminate,
    Kind::Cut,
    Kind::Cut,
    Kind::Cut,
    Kind::Cancel,
    Kind::Cancel,
    Kind::Block,
    Kind::Stop,
    Kind::Replace,
    Kind::Replace,
    Kind::StopPastDeadline,
    Kind::Deadline,
    Kind::Deadline,
    Kind::Crash,
    Kind::Restart,
    Kind::Second,
    Kind::SecondThenKill,
];

/// When it is done.
#[derive(Debug)]
pub(super) enum Moment {
    /// A time after the start.
    After(Duration),
    /// When the run has sent a number of messages.
    Message(u64),
    /// When the server runs a statement, which another session may hold up.
    Statement(Aim, Hold),
}

/// A statement to aim at, by its file, words of it, and its table.
pub(super) type Aim = (u64, &'static str, &'static str);

/// What is worth an aim: what runs outside of a transaction.
const AIMS: [Aim; 25] = [
    (10, "index concurrently customers_email on", "customers"),
    (11, "concurrently on customers (name)", "customers"),
    (11, "concurrently on customers (name, city)", "customers"),
    (12, "if not exists customers_lower", "customers"),
    (13, "concurrently customers_email_once", "customers"),
    (14, "concurrently made_x", "app.made"),
    (14, "concurrently on made (y)", "app.made"),
    (15, "reindex index concurrently", "customers"),
    (16, "reindex table concurrently", "customers"),
    (17, "drop index concurrently customers_lower", "customers"),
    (19, "concurrently measures_2024_at", "measures_2024"),
    (19, "concurrently measures_2025_at", "measures_2025"),
    (20, "detach partition measures_2024", "measures"),
    (20, "detach partition measures_2024", "measures"),
    (23, "view concurrently per_city", "customers"),
    (25, "alter type mood add value", "moods"),
    (26, "insert into tally values (26, step)", "customers"),
    (26, "insert into tally values (26, step)", "customers"),
    (27, "call fill(27)", "customers"),
    (28, "vacuum (analyze) customers", "customers"),
    (35, "concurrently steps_x", "customers"),
    (36, "concurrently many_id", "customers"),
    (37, "drop index concurrently customers_email", "customers"),
    (
        37,
        "concurrently customers_email on customers (email, id)",
        "customers",
    ),
    (43, "update orders set cents", "customers"),
];

/// What another session holds while the statement runs, so that it waits in the middle.
#[derive(Debug, Clone, Copy)]
pub(super) enum Hold {
    Nothing,
    /// An old snapshot, for which the end of a concurrent index waits.
    Snapshot,
    /// A lock of this mode, for which its beginning waits.
    Lock(&'static str),
}

const HOLDS: [Hold; 6] = [
    Hold::Nothing,
    Hold::Snapshot,
    Hold::Snapshot,
    Hold::Lock("ACCESS SHARE"),
    Hold::Lock("ROW EXCLUSIVE"),
    Hold::Lock("ROW EXCLUSIVE"),
];

/// How long a statement is waited for; another may stand in its way.
const LOOKS_FOR: Duration = Duration::from_secs(5);

/// How late an answer may come on a busy machine: the process has to start, too.
const LATEST: Duration = Duration::from_secs(5);

/// What no run says whatever has struck it, because it does not know what was done before.
const NEVER: [&str; 5] = [
    "already exists",
    "duplicate key",
    "panicked",
    "was edited",
    "InvalidMigrations",
];

impl Strike {
    /// Chooses a strike at a history whose first files are applied.
    pub(super) fn by(chance: &mut Chance, undisturbed: &Undisturbed, applied: u64) -> Strike {
        let kind = chance.one_of(&KINDS);
        // Somewhat less than what is left, so that few strikes come too late.
        let left = 80 - 80 * applied / 43;
        let aims: Vec<Aim> = AIMS.into_iter().filter(|aim| aim.0 > applied).collect();
        let message = Moment::Message(chance.between(1, undisturbed.messages * left / 100));
        let after = chance.between(1, undisturbed.took.as_millis() as u64 * left / 100);
        let after = Duration::from_millis(after);
        let moment = match (kind, chance.between(1, 4)) {
            (Kind::Cut, _) | (_, 1) => message,
            (_, 2) => Moment::After(after),
            _ if aims.is_empty() => message,
            _ => Moment::Statement(chance.one_of(&aims), chance.one_of(&HOLDS)),
        };
        let lasts = match kind {
            Kind::Deadline | Kind::StopPastDeadline => after + Duration::from_millis(50),
            Kind::Block => Duration::from_millis(3300),
            _ => Duration::from_millis(chance.one_of(&[0, 10, 100, 400, 1500])),
        };
        Strike {
            kind,
            moment,
            lasts,
        }
    }

    /// Strikes the next run. Returns whether the moment came.
    ///
    /// # Errors
    /// What a run must not say.
    pub(super) fn strike(&self, bench: &Bench, story: &mut String) -> Result<bool, String> {
        let held = self.moment.hold(bench)?;
        bench.messages();
        let (hit, outcome) = match self.kind {
            Kind::Deadline | Kind::StopPastDeadline => self.in_lambda(bench),
            Kind::Cut => {
                let Moment::Message(count) = self.moment else {
                    unreachable!("a connection is cut at a message");
                };
                bench.until_cut.store(count as usize, Ordering::Relaxed);
                let outcome = bench.start(bench.cut()).finish();
                (outcome != Outcome::Done, outcome)
            }
            _ => {
                let mut run = bench.start(bench.counted());
                match self.moment.comes(bench, || run.has_ended()) {
                    true => (true, self.hit(bench, run, held)?),
                    false => {
                        drop(held);
                        (false, run.finish())
                    }
                }
            }
        };
        let _ = writeln!(
            story,
            "    {}: {outcome:?}",
            if hit { "hit" } else { "late" }
        );
        // The server ends the session of a batch that is frozen for a second.
        let is_frozen_batch =
            matches!(&outcome, Outcome::Failed(said) if said.contains("SQLSTATE 25P03"));
        let spares = matches!(self.kind, Kind::Stop | Kind::Second | Kind::Block);
        let ours = hit && (is_frozen_batch || !spares);
        check(bench, &outcome, ours)?;
        Ok(hit)
    }

    /// Strikes a running run.
    fn hit(&self, bench: &Bench, mut run: Run, held: Option<Client>) -> Result<Outcome, String> {
        match self.kind {
            Kind::Kill => {
                run.kill();
                thread::sleep(self.lasts);
            }
            Kind::Terminate => bench.end_sessions("pg_terminate_backend"),
            Kind::Cancel => bench.end_sessions("pg_cancel_backend"),
            Kind::Block => {
                drop(held);
                let mut other = bench.client();
                // The table may not be there yet, or be in use for long.
                let lock = "SET lock_timeout = '1s'; BEGIN; LOCK TABLE tally";
                if other.batch_execute(lock).is_ok() {
                    thread::sleep(self.lasts);
                }
                drop(other);
                return Ok(run.finish());
            }
            Kind::Stop => {
                signal(run.pid(), "STOP");
                thread::sleep(self.lasts);
                signal(run.pid(), "CONT");
            }
            Kind::Replace => {
                signal(run.pid(), "STOP");
                bench.end_sessions("pg_terminate_backend");
                drop(held);
                let second = bench.invoke();
                signal(run.pid(), "CONT");
                let outcome = run.finish();
                check(bench, &second, false)?;
                return Ok(outcome);
            }
            Kind::Crash => bench.kill_a_session(),
            Kind::Restart => bench.shut_down("INT"),
            Kind::Second | Kind::SecondThenKill => {
                let second = bench.start(bench.url());
                thread::sleep(self.lasts.min(Duration::from_millis(100)));
                if self.kind == Kind::SecondThenKill {
                    run.kill();
                }
                drop(held);
                let outcome = run.finish();
                check(bench, &second.finish(), false)?;
                return Ok(outcome);
            }
            Kind::Cut | Kind::Deadline | Kind::StopPastDeadline => {
                unreachable!("it is struck by other means")
            }
        }
        drop(held);
        let outcome = run.finish();
        if matches!(self.kind, Kind::Crash | Kind::Restart) {
            // Whoever deploys waits for the server, too.
            drop(bench.admin());
        }
        Ok(outcome)
    }

    /// Invokes with a deadline.
    fn in_lambda(&self, bench: &Bench) -> (bool, Outcome) {
        let began = Instant::now();
        let mut api = bench.invoke_until(self.lasts);
        if self.kind == Kind::StopPastDeadline {
            let is_over = || began.elapsed() > self.lasts;
            if self.moment.comes(bench, is_over) {
                api.program().signal("STOP");
                thread::sleep(
                    self.lasts.saturating_sub(began.elapsed()) + Duration::from_millis(50),
                );
                api.program().signal("CONT");
            }
        }
        let request = api.request();
        let late = began.elapsed().saturating_sub(self.lasts);
        let is_stopped = self.kind == Kind::StopPastDeadline;
        assert!(is_stopped || late < LATEST, "the answer came {late:?} late");
        api.reply(202, r#"{"status":"OK"}"#);
        let outcome = match request.line.contains("/response ") {
            true => Outcome::of(&request.body),
            false => Outcome::Failed(request.json().to_string()),
        };
        (outcome != Outcome::Done, outcome)
    }
}

impl Moment {
    /// Goes to the file of a statement that is aimed at, and takes what holds it up.
    fn hold(&self, bench: &Bench) -> Result<Option<Client>, String> {
        let Moment::Statement((file, _, table), hold) = self else {
            return Ok(None);
        };
        check(bench, &bench.go_before(*file), false)?;
        let mut client = bench.client();
        let begin = match hold {
            Hold::Nothing => return Ok(None),
            Hold::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1".to_string(),
            Hold::Lock(mode) => format!("BEGIN; LOCK TABLE {table} IN {mode} MODE"),
        };
        // A table that is not there yet holds nothing up.
        let _ = client.batch_execute(&begin);
        Ok(Some(client))
    }

    /// Waits for the moment; returns `false` if the run ends before.
    pub(super) fn comes(&self, bench: &Bench, mut has_ended: impl FnMut() -> bool) -> bool {
        let began = Instant::now();
        let mut messages = 0;
        let mut client = bench.client();
        while !has_ended() {
            let is_now = match self {
                Moment::After(time) => began.elapsed() >= *time,
                Moment::Message(count) => {
                    messages += bench.messages();
                    messages >= *count
                }
                Moment::Statement((_, words, _), _) => {
                    if began.elapsed() > LOOKS_FOR {
                        return false;
                    }
                    runs(&mut client, words)
                }
            };
            if is_now {
                return true;
            }
            thread::sleep(Duration::from_micros(300));
        }
        false
    }
}

impl Bench {
    /// Ends the sessions of the runs, or their statements, by a function of Postgres.
    fn end_sessions(&self, function: &str) {
        let query = format!(
            "SELECT {function}(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'plain-lambda%'"
        );
        self.client().query(&query, &[]).expect("it may");
    }

    /// Kills the server process of a run, if there is one.
    fn kill_a_session(&self) {
        let query = "SELECT pid FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'plain-lambda%'";
        let rows = self.client().query(query, &[]).expect("it may");
        for row in rows {
            let pid: i32 = row.get(0);
            let _ = Command::new("kill")
                .args(["-s", "KILL", &pid.to_string()])
                .output();
        }
    }

    /// Ends the server by a signal; `local` starts it again.
    pub(super) fn shut_down(&self, name: &str) {
        let query = "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)";
        let row = self.client().query_one(query, &[]);
        let pid: String = row.expect("it may").get(0);
        signal(pid.parse().expect("it is a number"), name);
        // It may still take a connection for a moment.
        while Client::connect(&self.url(), NoTls).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Returns whether a run's statement with these words is running.
fn runs(client: &mut Client, words: &str) -> bool {
    let query = "SELECT count(*) > 0 FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                   AND application_name LIKE 'plain-lambda%' AND state = 'active'
                   AND position($1 IN query) > 0";
    let row = client.query_one(query, &[&words]);
    row.is_ok_and(|row| row.get(0))
}

/// Judges what a run said. A run that was struck may fail; another may only ask.
///
/// # Errors
/// What it must not say.
fn check(bench: &Bench, outcome: &Outcome, struck: bool) -> Result<(), String> {
    match outcome {
        Outcome::Failed(said) if is_untrue(bench, said) => {
            Err(format!("it was not rolled back: {said}"))
        }
        Outcome::Failed(said) if NEVER.iter().any(|words| said.contains(words)) => {
            Err(format!("a run says {said}"))
        }
        Outcome::Failed(_) if !struck => bench.answer(outcome),
        Outcome::Killed if !struck => Err("a run was killed by nobody".to_string()),
        _ => Ok(()),
    }
}

/// Returns whether a run says that it rolled a file back of which something is done.
fn is_untrue(bench: &Bench, said: &str) -> bool {
    let Some((before, _)) = said.split_once("rolled it back") else {
        return false;
    };
    let Some((_, name)) = before.rsplit_once("/torture/history/") else {
        return false;
    };
    let query = "SELECT count(*) > 0 FROM plain_lambda.migrations
                 WHERE version = $1 AND applied_at IS NULL AND statements > 0";
    let row = bench.client().query_one(query, &[&&name[..3]]);
    row.is_ok_and(|row| row.get(0))
}
