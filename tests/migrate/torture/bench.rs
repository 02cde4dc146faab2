//! A server of one's own and the database on it that is struck; the runs of `migrate` on it; and what
//! a person does whom a run asks. Knows no strike.

use super::End;
use crate::migrate::MIGRATE;
use crate::support::proxy::{self, Fault, NO_FAULT};
use crate::support::{RuntimeApi, Server, bootstrap, root, run, wait_for};
use postgres::{Client, NoTls};
use serde_json::Value;
use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The name of the database.
const DATABASE: &str = "torture";

/// The steps of `tally` that a block adds which commits by itself, in [`COMMITTING`].
const STEPS_OF_A_BLOCK: i64 = 4;

/// The files with such a block. Only a person knows whether it has run when its run was killed.
const COMMITTING: [&str; 2] = ["026", "027"];

/// A server, and two ways to it that a strike needs.
pub(super) struct Bench {
    /// The address of the server's first database.
    pub address: String,
    /// Where `psql` and its like are.
    pub programs: PathBuf,
    counted: u16,
    told: Receiver<()>,
    cut: u16,
    /// The messages until the connection is cut.
    pub until_cut: Arc<AtomicUsize>,
    /// What the next invocation allows: a person's answer.
    allow: RefCell<Option<String>>,
    _server: Server,
}

/// A running `bootstrap migrate`.
pub(super) struct Run(Child);

/// What an invocation came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Partial,
    Failed(String),
    Killed,
}

impl Bench {
    /// Starts the server.
    pub(super) fn new(name: &str) -> Bench {
        let server = Server::start(name);
        let query = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
        let programs: String = server
            .client()
            .query_one(query, &[])
            .expect("it may")
            .get(0);
        let config: postgres::Config = server.url().parse().expect("it is a URL");
        let port = config.get_ports()[0];
        let (teller, told) = mpsc::channel();
        let until_cut = Arc::new(AtomicUsize::new(NO_FAULT));
        Bench {
            counted: proxy::start(port, Fault::TellAll(teller)),
            cut: proxy::start(port, Fault::CutOnceAfter(Arc::clone(&until_cut))),
            address: server.url().to_string(),
            programs: programs.into(),
            told,
            until_cut,
            allow: RefCell::new(None),
            _server: server,
        }
    }

    /// Makes the database anew, without what a run before has left on the server.
    pub(super) fn make_database(&self) {
        self.make_database_with("");
    }

    /// Does so with further words of `CREATE DATABASE`.
    pub(super) fn make_database_with(&self, words: &str) {
        self.allow.take();
        self.until_cut.store(NO_FAULT, Ordering::Relaxed);
        let mut admin = self.admin();
        for statement in [
            format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"),
            "DROP ROLE IF EXISTS torture_owner, torture_reader".to_string(),
            format!("CREATE DATABASE {DATABASE} {words}"),
        ] {
            admin.batch_execute(&statement).expect("it is ours");
        }
    }

    /// Applies the history by psql, each file in a session of its own.
    pub(super) fn by_psql(&self) -> End {
        self.make_database();
        for path in history() {
            // psql has no batches: it takes all rows at once.
            let text = fs::read_to_string(&path).expect("it is there");
            let path = match text.starts_with("-- batched:") {
                true => {
                    let whole = root().join("target/tests/torture-batched.sql");
                    let text = text.replace("$1", "0").replace("$2", "1000000");
                    fs::write(&whole, text).expect("there is room");
                    whole
                }
                false => path,
            };
            let mut psql = Command::new(self.programs.join("psql"));
            psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url()]);
            run(psql.arg("-f").arg(path).stdout(Stdio::null()));
        }
        self.end()
    }

    /// Reads what the database has.
    pub(super) fn end(&self) -> End {
        End::of(&self.url(), &mut self.client(), &self.programs)
    }

    pub(super) fn url(&self) -> String {
        let (server, _) = self.address.rsplit_once('/').expect("it has a path");
        format!("{server}/{DATABASE}")
    }

    fn url_at(&self, port: u16) -> String {
        let url = self.url();
        let (account, _) = url.rsplit_once(':').expect("it has a port");
        format!("{account}:{port}/{DATABASE}")
    }

    /// The address of the database, through a proxy that counts messages.
    pub(super) fn counted(&self) -> String {
        self.url_at(self.counted)
    }

    /// The address of the database, through a proxy that can be cut.
    pub(super) fn cut(&self) -> String {
        self.url_at(self.cut)
    }

    /// Takes the number of messages since the last call.
    pub(super) fn messages(&self) -> u64 {
        self.told.try_iter().count() as u64
    }

    /// Connects to the server's first database.
    pub(super) fn admin(&self) -> Client {
        connect(&self.address)
    }

    /// Connects to the database, past the proxies.
    pub(super) fn client(&self) -> Client {
        connect(&self.url())
    }

    /// Returns the number of the last file that is applied.
    pub(super) fn applied(&self) -> u64 {
        let query = "SELECT coalesce(max(version::bigint), 0) FROM plain_lambda.migrations
                     WHERE applied_at IS NOT NULL AND version NOT LIKE 'plain-lambda/%'";
        let applied = self.client().query_one(query, &[]);
        applied.map_or(0, |row| row.get::<_, i64>(0) as u64)
    }

    /// Checks that the history has every file as applied, and none as under way.
    ///
    /// # Errors
    /// What it has instead.
    pub(super) fn check_history(&self) -> Result<(), String> {
        let query = "SELECT count(applied_at), count(*) FROM plain_lambda.migrations
                     WHERE version NOT LIKE 'plain-lambda/%'";
        let row = self.client().query_one(query, &[]).expect("it is there");
        let (applied, rows): (i64, i64) = (row.get(0), row.get(1));
        let files = history().len() as i64;
        match (applied, rows) == (files, files) {
            true => Ok(()),
            false => Err(format!("of {files} files, {applied} of {rows} are applied")),
        }
    }

    /// Applies the files before one.
    pub(super) fn go_before(&self, file: u64) -> Outcome {
        let names = history();
        let names = names
            .iter()
            .filter_map(|path| path.file_name()?.to_str()?.get(..3));
        let mut before = names.filter(|name| name.parse().is_ok_and(|number: u64| number < file));
        let before = before.next_back().expect("there is one before");
        let event = format!(r#"{{"action":"migrate","to":"{before}"}}"#);
        self.start_with(self.url(), &event).finish()
    }

    /// Returns the event of the next invocation, with what a person allows in it.
    fn event(&self) -> String {
        match self.allow.take() {
            Some(allow) => format!(r#"{{"action":"migrate","allow":["{allow}"]}}"#),
            None => MIGRATE.to_string(),
        }
    }

    /// Starts a run of the command line at an address.
    pub(super) fn start(&self, url: String) -> Run {
        self.start_with(url, &self.event())
    }

    fn start_with(&self, url: String, event: &str) -> Run {
        let child = Command::new(bootstrap())
            .args(["migrate", event])
            .env("DATABASE_URL", url)
            .env("MIGRATIONS_DIR", history_dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Run(child.expect("it runs"))
    }

    /// Invokes once, and waits.
    pub(super) fn invoke(&self) -> Outcome {
        self.start(self.url()).finish()
    }

    /// Starts a run as Lambda does, which must answer before a deadline.
    pub(super) fn invoke_until(&self, deadline: Duration) -> RuntimeApi {
        let url = self.url();
        let dir = history_dir();
        let variables = [
            ("DATABASE_URL", url.as_str()),
            ("APP_ENV", "test"),
            ("MIGRATIONS_DIR", dir.to_str().expect("the path is UTF-8")),
        ];
        let mut api = RuntimeApi::with(&bootstrap(), "migrate", &variables);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = (now.expect("it is after 1970") + deadline).as_millis();
        let headers = format!("Lambda-Runtime-Deadline-Ms: {at}\r\n");
        api.hand_only("torture", &headers, self.event());
        api
    }

    /// Answers what a failed run asks, as a person does who looks at the database.
    ///
    /// # Errors
    /// The outcome, if it asks nothing.
    pub(super) fn answer(&self, outcome: &Outcome) -> Result<(), String> {
        let asked = match outcome {
            Outcome::Failed(said) => said.split_once("again:").map(|(_, rest)| rest),
            _ => None,
        };
        let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect();
        let version: String = asked.map(digits).unwrap_or_default();
        if !COMMITTING.contains(&version.as_str()) {
            return Err(format!("{outcome:?}"));
        }
        let mut client = self.client();
        let whole = format!("file = {version} AND step <= {STEPS_OF_A_BLOCK}");
        let count = format!("SELECT count(*) FROM tally WHERE {whole}");
        let done: i64 = client.query_one(&count, &[]).expect("it is there").get(0);
        let answer = match done {
            STEPS_OF_A_BLOCK => "done",
            0 => "again",
            _ => {
                let undo = format!("DELETE FROM tally WHERE {whole}");
                client.batch_execute(&undo).expect("a person may");
                "again"
            }
        };
        self.allow.replace(Some(format!("{answer}:{version}")));
        Ok(())
    }
}

impl Run {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("it is ours").is_some()
    }

    pub(super) fn kill(&mut self) {
        self.0.kill().expect("it is ours");
    }

    /// Waits for the end.
    pub(super) fn finish(self) -> Outcome {
        let output = self.0.wait_with_output().expect("it ends");
        let log = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            None => Outcome::Killed,
            Some(0) => Outcome::of(&output.stdout),
            Some(_) => {
                let failed = log.find("\nfailed to").map_or(&*log, |at| &log[at..]);
                Outcome::Failed(failed.trim().to_string())
            }
        }
    }
}

impl Outcome {
    /// Reads a reply.
    pub(super) fn of(reply: &[u8]) -> Outcome {
        let reply: Value = serde_json::from_slice(reply).expect("the reply is JSON");
        match reply["status"].as_str() {
            Some("done") => Outcome::Done,
            Some("partial") => Outcome::Partial,
            _ => Outcome::Failed(format!("an odd reply: {reply}")),
        }
    }
}

/// Connects, once the server takes connections.
fn connect(url: &str) -> Client {
    wait_for("the server to take connections", || {
        Client::connect(url, NoTls).ok()
    })
}

/// Returns the folder of the history.
fn history_dir() -> PathBuf {
    root().join("tests/migrate/torture/history")
}

/// Returns the files in their order.
fn history() -> Vec<PathBuf> {
    let entries = fs::read_dir(history_dir()).expect("it is there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it is").path()).collect();
    paths.sort();
    paths
}
