//! A Postgres of a test's own, which it may stop, crash and make a standby.

use super::program::{Program, local};
use super::{Cluster, root, wait_for};
use postgres::{Client, NoTls};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A running server; ends with its value, and its files with it.
pub(crate) struct Server {
    dir: PathBuf,
    url: String,
    program: Option<Program>,
}

impl Server {
    /// Starts a server whose files are in `target/tests/<name>`.
    pub(crate) fn start(name: &str) -> Server {
        // Where Postgres has to be fetched, the run's own cluster does it, and once.
        Cluster::get();
        let dir = root().join("target/tests").join(name);
        let _ = fs::remove_dir_all(&dir);
        let mut server = Server {
            dir,
            url: String::new(),
            program: None,
        };
        server.start_again();
        server
    }

    /// Stops the server.
    pub(crate) fn stop(&mut self) {
        self.program = None;
    }

    /// Starts the server that was stopped. Its address changes.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new(local());
        command.args(["postgres", "--attached", "--dir"]);
        let mut program = Program::start(command.arg(&self.dir));
        self.url = program.first_line();
        self.program = Some(program);
    }

    /// Returns the address of the server's first database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Connects to the first database as the administrator.
    pub(crate) fn client(&self) -> Client {
        wait_for("the server to take connections", || {
            Client::connect(&self.url, NoTls).ok()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
