//! The executables under test and the programs that drive them.

use super::parts::by_make;
use super::{record, root};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The executable: what is shipped, where `make test` has built it, else one that is built here.
pub(crate) fn bootstrap() -> PathBuf {
    by_make("BOOTSTRAP").unwrap_or_else(|| build("bootstrap"))
}

/// The same runtime with a handler that misbehaves.
pub(crate) fn test_handler() -> PathBuf {
    by_make("TEST_HANDLER").unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_test_handler")))
}

/// The executable that the rows of the conformance suite are about: ours, unless `CANDIDATE` names
/// another's.
pub(crate) fn candidate() -> PathBuf {
    by_make("CANDIDATE").unwrap_or_else(test_handler)
}

/// Whether our own runtime is judged, whose words are known too.
pub(crate) fn is_ours() -> bool {
    std::env::var_os("CANDIDATE").is_none()
}

/// `local`.
pub(crate) fn local() -> PathBuf {
    by_make("LOCAL").unwrap_or_else(|| build("local"))
}

/// An executable of the workspace for this machine, beside the tests' own; built once in a run.
fn build(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let own = Path::new(env!("CARGO_BIN_EXE_test_handler"));
        let target = own.ancestors().nth(2).expect("it is in target/debug");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--locked", "--package", "bootstrap"])
            .args(["--package", "local", "--target-dir"])
            .arg(target);
        // Of the tests' own package: to a build script they would be a change, and it would run anew.
        let of_the_package = |name: &OsStr| {
            let name = name.to_string_lossy();
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| of_the_package(name)) {
            cargo.env_remove(name);
        }
        // It says what it does for a minute.
        run(cargo.current_dir(root()).stderr(Stdio::inherit()));
        target.join("debug")
    });
    folder.join(name)
}

/// Makes an executable of a file. Another process writes it: what this one has open for writing is
/// open, too, in whatever another test is starting just then, and cannot be run (ETXTBSY).
#[track_caller]
pub(crate) fn install(file: &Path, executable: &Path) {
    let mut command = Command::new("install");
    run(command.args(["-m", "755"]).args([file, executable]));
}

/// Makes an executable of a script's text.
#[track_caller]
pub(crate) fn script(path: &Path, text: &str) {
    let written = path.with_extension("text");
    fs::write(&written, text).expect("there is room");
    install(&written, path);
}

/// Runs a command to its end; fails the test with all it printed when it fails.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    record::begin();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", said(&output));
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

/// The same for a command that reads `input`.
#[track_caller]
pub(crate) fn run_with(command: &mut Command, input: &str) -> String {
    let mut file = tempfile::tempfile().expect("there is room");
    file.write_all(input.as_bytes()).expect("there is room");
    file.rewind().expect("it is a file");
    run(command.stdin(file))
}

/// A finished command's status and both outputs, for a message.
pub(crate) fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    format!("{}\n{out}\n{err}", output.status)
}

/// A running program: its standard error is kept, and shown when the test fails.
pub(crate) struct Program {
    name: String,
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts a program.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Program {
        record::begin();
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
    pub(crate) fn first_line(&mut self) -> String {
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
    pub(crate) fn ignore_output(&mut self) {
        if let Some(mut stdout) = self.stdout.take() {
            thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error until now.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().expect("no holder panics").join("\n")
    }

    /// All that it has written to standard error, once it has ended.
    pub(crate) fn whole_log(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        self.log()
    }

    /// Sends a signal by its name, as `kill` knows it.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        super::wait_for("a program to end", || {
            self.child.try_wait().expect("it is our child")
        })
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, name: &str) {
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
