//! Starts `local` for a test and sends it requests.

use super::program::{self, Program};
use super::{Database, migrations, root, wait_for};
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

/// A running `local`; interrupted when dropped.
pub(crate) struct Local {
    program: Program,
    url: String,
    agent: Agent,
}

/// The options of a `local` that is not started yet.
pub(crate) struct Options {
    command: Command,
}

impl Local {
    /// Starts `local` with the executable and the project's migrations.
    pub(crate) fn start(database: &Database) -> Local {
        Local::with(database).start()
    }

    /// Returns the options of `start`, to be changed before `local` is started.
    pub(crate) fn with(database: &Database) -> Options {
        let mut command = Command::new(program::local());
        command
            .args(["--port", "0", "--attached", "--strict", "--bootstrap"])
            .arg(program::bootstrap())
            .arg("--dir")
            .arg(root().join("target/tests/local"));
        command
            .env("DATABASE_URL", database.url())
            .env("APP_ENV", "test");
        Options { command }.migrations(&migrations())
    }

    /// Returns the address of `local`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns the HTTP client.
    pub(super) fn agent(&self) -> Agent {
        self.agent.clone()
    }

    /// Returns what `local` and its functions have logged until now.
    pub(crate) fn log(&self) -> String {
        self.program.log()
    }

    /// Waits until the log contains a text, which may arrive after the answer.
    #[track_caller]
    pub(crate) fn expect_log(&self, text: &str) {
        wait_for(&format!("`{text}` in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// Gets a page; returns its status and text.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> (StatusCode, String) {
        let mut response = self.response("GET", path);
        let body = response
            .body_mut()
            .read_to_string()
            .expect("the body is whole");
        (response.status(), body)
    }

    /// Sends a request without a body.
    #[track_caller]
    pub(crate) fn response(&self, method: &str, path: &str) -> Response<Body> {
        self.ask(method, path, &[])
    }

    /// Sends a request with headers and without a body.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
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

    /// Checks that the web function reaches the database, migrated or not.
    #[track_caller]
    pub(crate) fn expect_database(&self) {
        let (_, said) = self.get("/up?db");
        assert!(said == "up\n" || said.ends_with("are pending\n"), "{said}");
    }

    /// Invokes a function; returns `Err` with the error's JSON when the function fails.
    #[track_caller]
    pub(crate) fn invoke(&self, function: &str, event: &str) -> Result<Value, Value> {
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

    /// Invokes a function; returns the status and the JSON without checking them.
    #[track_caller]
    pub(crate) fn try_invoke(&self, function: &str, event: &str) -> (u16, Value) {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.url);
        let mut response = self.agent.post(url).send(event).expect("local answers");
        let body = response
            .body_mut()
            .read_to_string()
            .expect("the body is whole");
        let json = serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"));
        (response.status().as_u16(), json)
    }

    /// Invokes a function; returns the tail of its log, or `None` when the invocation was throttled.
    #[track_caller]
    pub(crate) fn invoke_with_log(&self, function: &str, event: &str) -> Option<String> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.url);
        let request = self.agent.post(url).header("X-Amz-Log-Type", "Tail");
        let response = request.send(event).expect("local answers");
        let log = response.headers().get("x-amz-log-result")?;
        let log = BASE64_STANDARD.decode(log).expect("it is base64");
        Some(String::from_utf8(log).expect("it is text"))
    }

    /// Returns the process id of `local`.
    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Returns the process ids of the environments.
    pub(crate) fn environments(&self) -> Vec<u32> {
        let output = Command::new("pgrep")
            .args(["-P", &self.program.pid().to_string()])
            .output();
        let output = output.expect("pgrep is there: install procps");
        let pids = String::from_utf8(output.stdout).expect("pgrep prints numbers");
        pids.lines()
            .map(|pid| pid.parse().expect("pgrep prints numbers"))
            .collect()
    }

    /// Waits until there is one environment and it is frozen; returns its process id.
    #[track_caller]
    pub(crate) fn frozen(&self) -> u32 {
        wait_for("one frozen environment", || match self.environments()[..] {
            [pid] => state(pid).starts_with('T').then_some(pid),
            _ => None,
        })
    }

    /// Sends `local` a signal, and does not wait.
    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Waits for the end of `local`.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.program.wait()
    }

    /// Interrupts `local` as Ctrl-C does, and waits for its end.
    pub(crate) fn interrupt(&mut self) -> std::process::ExitStatus {
        self.program.signal("INT");
        self.program.wait()
    }

    /// Kills `local` with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.program.signal("KILL");
        self.program.wait();
    }
}

impl Drop for Local {
    /// Interrupts `local`, which fails if the runtime violated the contract. So every test checks it.
    fn drop(&mut self) {
        if !thread::panicking() && !self.program.has_ended() {
            let status = self.interrupt();
            assert!(status.success(), "{}", self.log());
        }
    }
}

/// Returns the state of a process as `ps` prints it; empty when the process does not exist.
pub(crate) fn state(pid: u32) -> String {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output();
    let output = output.expect("ps is there: install procps");
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// Returns the resident memory of a process in KiB.
pub(crate) fn resident_kb(pid: u32) -> usize {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", &pid.to_string()])
        .output();
    let output = output.expect("ps is there: install procps");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
    text.parse().unwrap_or_else(|_| panic!("no size: {text}"))
}

impl Options {
    /// Sets the directory of the migrations.
    pub(crate) fn migrations(mut self, dir: &Path) -> Self {
        self.command.env("MIGRATIONS_DIR", dir);
        self
    }

    /// Sets the executable.
    pub(crate) fn bootstrap(self, path: &Path) -> Self {
        self.args(["--bootstrap".as_ref(), path.as_os_str()])
    }

    /// Adds arguments of `local`.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable of the functions.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts `local`.
    #[track_caller]
    pub(crate) fn start(mut self) -> Local {
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

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
