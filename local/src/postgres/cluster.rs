//! One cluster: created once, started and stopped, with the programs that come with Postgres.
//!
//! Knows neither where the programs come from nor who uses the server.

use super::account::Account;
use super::binaries::Binaries;
use super::write_secret;
use crate::Result;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use uuid::Uuid;

/// A locale that every machine has, and in which the order of strings never changes.
const LOCALE: &str = if cfg!(target_os = "macos") {
    "C"
} else {
    "C.UTF-8"
};

/// The server's settings.
///
/// It listens on the loopback interface only, and has no socket file, whose path may be too long.
/// It does not call `fsync`, because the data may be thrown away at any time. It takes 200
/// connections, because every environment and every test that runs at the same time has its own.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= \
                        -c fsync=off -c max_connections=200";

/// A cluster of one major version.
pub(super) struct Cluster {
    binaries: Binaries,
    home: PathBuf,
    account: Option<Account>,
}

impl Cluster {
    /// Returns the cluster in `dir` for the version of `binaries`, which may not exist yet.
    pub(super) fn new(binaries: Binaries, dir: &Path, account: Option<Account>) -> Cluster {
        let home = dir.join(binaries.major.to_string());
        Cluster {
            binaries,
            home,
            account,
        }
    }

    /// Creates the cluster with an empty database, unless it exists, and returns its password.
    pub(super) fn prepare(&self, database: &str) -> Result<String> {
        let password = self.home.join("password");
        if !self.home.exists() {
            self.make(database)?;
        }
        let password = fs::read_to_string(&password)
            .map_err(|cause| format!("failed to read `{}`: {cause}", password.display()))?;
        Ok(password.trim_end().to_owned())
    }

    /// Starts the server on a free port, waits until it accepts connections, and returns its port.
    pub(super) fn start(&self) -> Result<u16> {
        self.stop_leftover()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        self.start_at(port)?;
        Ok(port)
    }

    /// Starts the server on `port`, and waits until it accepts connections.
    pub(super) fn start_at(&self, port: u16) -> Result<()> {
        let log = self.home.join("log");
        // `pg_ctl` gives the server a session of its own, so a terminal's Ctrl-C reaches only
        // `local`.
        let mut command = self.pg_ctl(&self.home.join("data"));
        command
            .args(["start", "--wait", "--timeout=30", "--silent", "--log"])
            .arg(&log);
        command
            .arg("--options")
            .arg(format!("-p {port} {SETTINGS}"));
        self.run(command, None).map_err(|cause| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(10)..].join("\n");
            format!(
                "failed to start Postgres in `{}`: {cause}\n{last}",
                self.home.display()
            )
        })?;
        Ok(())
    }

    /// Ends all sessions and the server, and waits for the server's end.
    pub(super) fn stop(&self) -> Result<()> {
        self.stop_in_mode("fast")
    }

    /// Stops the server of a `local` that was killed, which leaves its server running.
    fn stop_leftover(&self) -> Result<()> {
        let file = self.home.join("data").join("postmaster.pid");
        let Ok(contents) = fs::read_to_string(&file) else {
            return Ok(());
        };
        let pid = contents.lines().next().unwrap_or_default().to_owned();
        if self.is_ours(&pid) {
            self.stop_in_mode("immediate")?;
        }
        // After a crash of the machine, another process may have this id, and Postgres would refuse
        // to start.
        let _ = fs::remove_file(file);
        Ok(())
    }

    /// Returns whether the process is a server of this cluster.
    fn is_ours(&self, pid: &str) -> bool {
        let output = Command::new("ps").args(["-o", "args=", "-p", pid]).output();
        let data = self.home.join("data").display().to_string();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&data))
    }

    fn stop_in_mode(&self, mode: &str) -> Result<()> {
        let mut command = self.pg_ctl(&self.home.join("data"));
        command.args(["stop", "--wait", "--timeout=30", "--silent", "--mode", mode]);
        Ok(self.run(command, None).map_err(|cause| {
            format!(
                "failed to stop Postgres in `{}`: {cause}",
                self.home.display()
            )
        })?)
    }

    fn make(&self, database: &str) -> Result<()> {
        eprintln!(
            "making a Postgres {} cluster in {}",
            self.binaries.major,
            self.home.display()
        );
        let partial = self.home.with_extension("partial");
        let _ = fs::remove_dir_all(&partial);
        let failed = |cause| format!("failed to make `{}`: {cause}", partial.display());
        fs::create_dir(&partial).map_err(failed)?;
        let password = partial.join("password");
        write_secret(&password, &Uuid::new_v4().simple().to_string())?;
        if let Some(account) = &self.account {
            account.own(&partial)?;
            account.own(&password)?;
        }
        let data = partial.join("data");
        let mut initdb = self.program("initdb", &partial);
        initdb.args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--no-sync",
        ]);
        initdb
            .arg(format!("--locale={LOCALE}"))
            .arg("--pwfile")
            .arg(&password);
        initdb.arg("--pgdata").arg(&data);
        self.run(initdb, None)?;
        // The server's single-user mode: every build has it, while some have no `createdb`.
        let mut single = self.program("postgres", &partial);
        single.args(["--single", "-D"]).arg(&data).arg("postgres");
        self.run(single, Some(&format!("CREATE DATABASE {database}\n")))?;
        // The rename is one step, so half of a cluster is never used.
        Ok(fs::rename(&partial, &self.home).map_err(failed)?)
    }

    fn pg_ctl(&self, data: &Path) -> Command {
        let mut command = self.program("pg_ctl", &self.home);
        command.arg("--pgdata").arg(data);
        command
    }

    /// Returns a command for one of Postgres's programs, as the account. It runs in `directory`, as
    /// the account may not be able to enter the current directory.
    fn program(&self, name: &str, directory: &Path) -> Command {
        let mut command = Command::new(self.binaries.program(name));
        command.current_dir(directory);
        if let Some(account) = &self.account {
            account.apply_to(&mut command);
        }
        command
    }

    fn run(&self, mut command: Command, input: Option<&str>) -> Result<()> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |cause: &dyn std::fmt::Display| format!("failed to run `{program}`: {cause}");
        let stdin = if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|cause| failed(&cause))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin
                .write_all(input.as_bytes())
                .map_err(|cause| failed(&cause))?;
        }
        let output = child.wait_with_output().map_err(|cause| failed(&cause))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                Err(failed(&format!("{}: {}", output.status, stderr.trim_end())).into())
            }
        }
    }
}
