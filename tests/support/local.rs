//! `local` as a process of the test's own, and the requests that it takes.

use super::program::{self, Program};
use super::{Database, migrations, wait_for};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};

/// A running `local`.
pub struct Local {
    program: Program,
    url: String,
    agent: Agent,
}

/// How to start one.
pub struct Options {
    command: Command,
}

impl Local {
    /// `local` with the shipped executable and the project's migrations.
    pub fn start(database: &Database) -> Local {
        Local::with(database).start()
    }

    /// The same, to be changed before it is started.
    pub fn with(database: &Database) -> Options {
        let mut command = Command::new(program::local());
        command
            .args(["--port", "0", "--attached", "--strict", "--bootstrap"])
            .arg(program::bootstrap());
        command
            .env("DATABASE_URL", database.url())
            .env("APP_ENV", "test");
        Options { command }.migrations(&migrations())
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What asks it.
    pub(super) fn agent(&self) -> Agent {
        self.agent.clone()
    }

    /// What it and its functions have logged until now.
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Waits until the log says something: it comes on its own way, not with the answer.
    #[track_caller]
    pub fn expect_log(&self, text: &str) {
        wait_for(&format!("`{text}` in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// A page.
    #[track_caller]
    pub fn get(&self, path: &str) -> (StatusCode, String) {
        let mut response = self.response("GET", path);
        let body = response
            .body_mut()
            .read_to_string()
            .expect("the body is whole");
        (response.status(), body)
    }

    /// A response to a request without a body.
    #[track_caller]
    pub fn response(&self, method: &str, path: &str) -> Response<Body> {
        self.ask(method, path, &[])
    }

    /// The same with headers of its own.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a valid request");
        let response = self.agent.run(request);
        response.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Whether a page gets to the database, migrated or not.
    #[track_caller]
    pub fn expect_database(&self) {
        let (_, said) = self.get("/up?db");
        assert!(said == "up\n" || said.ends_with("are pending\n"), "{said}");
    }

    /// Invokes a function; `Err` with the error's JSON when it fails.
    #[track_caller]
    pub fn invoke(&self, function: &str, event: &str) -> Result<Value, Value> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.url);
        let mut response = self.agent.post(url).send(event).expect("local answers");
        let failed = response.headers().contains_key("x-amz-function-error");
        let body = response
            .body_mut()
            .read_to_string()
            .expect("the body is whole");
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        assert_eq!(response.status(), 200, "{body}");
        if failed { Err(body) } else { Ok(body) }
    }

    /// Invokes a function; the status and the JSON, whatever they are.
    #[track_caller]
    pub fn try_invoke(&self, function: &str, event: &str) -> (u16, Value) {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.url);
        let mut response = self.agent.post(url).send(event).expect("local answers");
        let body = response
            .body_mut()
            .read_to_string()
            .expect("the body is whole");
        let json = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        (response.status().as_u16(), json)
    }

    /// Invokes a function; the end of its log, unless it was throttled.
    #[track_caller]
    pub fn invoke_with_log(&self, function: &str, event: &str) -> Option<String> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.url);
        let request = self.agent.post(url).header("X-Amz-Log-Type", "Tail");
        let response = request.send(event).expect("local answers");
        let log = response.headers().get("x-amz-log-result")?;
        let log = BASE64_STANDARD.decode(log).expect("it is base64");
        Some(String::from_utf8(log).expect("it is text"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Its environments' processes.
    pub fn environments(&self) -> Vec<u32> {
        let output = Command::new("pgrep")
            .args(["-P", &self.program.pid().to_string()])
            .output();
        let output = output.expect("pgrep is there: install procps");
        let pids = String::from_utf8(output.stdout).expect("pgrep prints numbers");
        pids.lines()
            .map(|pid| pid.parse().expect("pgrep prints numbers"))
            .collect()
    }

    /// Waits until the one environment is frozen; its process.
    #[track_caller]
    pub fn frozen(&self) -> u32 {
        wait_for("one frozen environment", || match self.environments()[..] {
            [pid] => state(pid).starts_with('T').then_some(pid),
            _ => None,
        })
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(&mut self) -> std::process::ExitStatus {
        self.program.signal("INT");
        self.program.wait()
    }

    /// Kills it, as no program expects.
    pub fn kill(&mut self) {
        self.program.signal("KILL");
        self.program.wait();
    }
}

impl Drop for Local {
    /// Every test is also one of the contract: a violation ends `local` with a failure.
    fn drop(&mut self) {
        if !thread::panicking() && !self.program.has_ended() {
            let status = self.interrupt();
            assert!(status.success(), "{}", self.log());
        }
    }
}

/// A process's state as `ps` shows it; empty when there is none.
pub fn state(pid: u32) -> String {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output();
    let output = output.expect("ps is there: install procps");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// A process's resident memory.
pub fn resident_kb(pid: u32) -> usize {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &pid.to_string()])
        .output();
    let output = output.expect("ps is there: install procps");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    text.parse().unwrap_or_else(|_| panic!("no size: {text}"))
}

impl Options {
    /// Other migrations.
    pub fn migrations(mut self, dir: &Path) -> Self {
        self.command.env("MIGRATIONS_DIR", dir);
        self
    }

    /// Another executable.
    pub fn bootstrap(self, path: &Path) -> Self {
        self.args(["--bootstrap".as_ref(), path.as_os_str()])
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// An environment variable of the functions.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn start(mut self) -> Local {
        let mut program = Program::start(&mut self.command);
        let url = program.first_line().trim_end_matches('/').to_string();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .build()
            .into();
        Local {
            program,
            url,
            agent,
        }
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
