//! The executables under test and the programs that drive them.

use super::root;
use std::fs;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The shipped executable, as `make test` built it.
pub fn bootstrap() -> PathBuf {
    built("BOOTSTRAP")
}

/// The same for arm64, whatever this machine is.
pub fn arm64() -> PathBuf {
    built("ARM64")
}

/// The same runtime, built the same way, with a handler that misbehaves.
pub fn test_handler() -> PathBuf {
    built("TEST_HANDLER")
}

/// The executable that the rows of the conformance suite are about: ours, unless `CANDIDATE` names
/// another's.
pub fn candidate() -> PathBuf {
    match is_ours() {
        true => test_handler(),
        false => built("CANDIDATE"),
    }
}

/// Whether our own runtime is judged, whose words are known too.
pub fn is_ours() -> bool {
    std::env::var_os("CANDIDATE").is_none()
}

/// `local`.
pub fn local() -> PathBuf {
    built("LOCAL")
}

/// A program that `tests/tools/` installs.
#[track_caller]
pub fn tool(path: &str) -> PathBuf {
    let path = root().join("target/tools").join(path);
    assert!(
        path.exists(),
        "`{}` is missing: run `make tools`",
        path.display()
    );
    path
}

/// A program that the system's packages install.
#[track_caller]
pub fn tool_on_path(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = found.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("`{name}` is missing: apt-get install {package}"))
}

#[track_caller]
fn built(variable: &str) -> PathBuf {
    let path = std::env::var(variable).unwrap_or_else(|_| panic!("{variable}: run `make test`"));
    root().join(path)
}

/// Makes an executable of a file. Another process writes it: what this one has open for writing is
/// open, too, in whatever another test is starting just then, and cannot be run (ETXTBSY).
#[track_caller]
pub fn install(file: &Path, executable: &Path) {
    let mut command = Command::new("install");
    run(command.args(["-m", "755"]).args([file, executable]));
}

/// Makes an executable of a script's text.
#[track_caller]
pub fn script(path: &Path, text: &str) {
    let written = path.with_extension("text");
    fs::write(&written, text).expect("there is room");
    install(&written, path);
}

/// Runs a command to its end; fails the test with all it printed when it fails.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

/// The same for a command that reads `input`.
#[track_caller]
pub fn run_with(command: &mut Command, input: &str) -> String {
    let mut file = tempfile::tempfile().expect("there is room");
    file.write_all(input.as_bytes()).expect("there is room");
    file.rewind().expect("it is a file");
    run(command.stdin(file))
}

/// A finished command's status and both outputs, for a message.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    format!("{}\n{out}\n{err}", output.status)
}

/// A running program: its standard error is kept, and shown when the test fails.
pub struct Program {
    name: String,
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts a program.
    #[track_caller]
    pub fn start(command: &mut Command) -> Program {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = child.stderr.take().expect("it is piped");
        let kept = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().expect("no holder panics").push(line);
            }
        });
        Program {
            name,
            child,
            stdout: Some(stdout),
            lines,
            reader: Some(reader),
        }
    }

    /// The first line of its standard output.
    #[track_caller]
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("it is not ignored");
        stdout.read_line(&mut line).expect("it prints UTF-8");
        assert!(
            !line.is_empty(),
            "{} ended without a word\n{}",
            self.name,
            self.log()
        );
        line.trim_end().to_string()
    }

    /// Reads its standard output away, so that it never waits for a reader.
    pub fn ignore_output(&mut self) {
        if let Some(mut stdout) = self.stdout.take() {
            thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error until now.
    pub fn log(&self) -> String {
        self.lines.lock().expect("no holder panics").join("\n")
    }

    /// All that it has written to standard error, once it has ended.
    pub fn whole_log(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        self.log()
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        super::wait_for("a program to end", || {
            self.child.try_wait().expect("it is our child")
        })
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    run(Command::new("kill").args(["-s", name, &pid.to_string()]));
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = Command::new("kill").arg(self.pid().to_string()).status();
        }
        let asked = Instant::now();
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // Another's runtime may not listen.
            if asked.elapsed() > super::patience() {
                let _ = self.child.kill();
            }
            thread::park_timeout(Duration::from_millis(10));
        }
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.log());
        }
    }
}
