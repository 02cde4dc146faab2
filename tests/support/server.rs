//! A Postgres of a test's own, which it may stop, crash and make a standby.

use super::program::{Program, local, run};
use super::{Cluster, root, wait_for};
use postgres::{Client, NoTls};
use std::fs;
use std::path::{Path, PathBuf};
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
        let mut server = Server::prepare(name);
        server.start_again();
        server
    }

    /// Starts a server whose disk has 128 MB, half of which a new server takes.
    pub(crate) fn on_a_small_disk(name: &str) -> Server {
        let mut server = Server::prepare(name);
        fs::create_dir_all(&server.dir).expect("there is room");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=128m,mode=755", "tmpfs"]);
        run(mount.arg(&server.dir));
        server.start_again();
        server
    }

    fn prepare(name: &str) -> Server {
        // Where Postgres has to be fetched, the run's own cluster does it, and once.
        Cluster::get();
        let dir = root().join("target/tests").join(name);
        clear(&dir);
        Server {
            dir,
            url: String::new(),
            program: None,
        }
    }

    /// Returns the folder of its files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stops the server.
    pub(crate) fn stop(&mut self) {
        self.program = None;
    }

    /// Starts the server that was stopped, or stops it and starts it again. Its address changes.
    pub(crate) fn start_again(&mut self) {
        self.stop();
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
        clear(&self.dir);
    }
}

/// Removes a directory and, where a disk is mounted on it, the disk.
fn clear(dir: &Path) {
    let _ = Command::new("umount").arg(dir).output();
    let _ = fs::remove_dir_all(dir);
}
