//! Starts PgBouncer in transaction mode in front of the Postgres of the run.

use super::program::{Program, run};
use super::{Cluster, Database, Part, free_port, wait_for};
use std::fs::{self, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use tempfile::TempDir;

/// A running PgBouncer; ended when dropped.
pub(crate) struct PgBouncer {
    port: u16,
    _program: Program,
    _dir: TempDir,
}

impl PgBouncer {
    /// Starts PgBouncer with further settings of its section `[pgbouncer]`, one per line.
    pub(crate) fn start(database: &Database, settings: &str) -> PgBouncer {
        let url = Cluster::get().url("");
        let (_, account) = url.split_once("://").expect("it is a URL");
        let (account, _) = account.split_once('@').expect("it has a user");
        let (user, password) = account.split_once(':').expect("it has a password");
        let dir = tempfile::tempdir().expect("there is room");
        let (port, server) = (free_port(), database.port());
        let path = dir.path().display();
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr=127.0.0.1\n\
             listen_port={port}\nunix_socket_dir=\nauth_type=plain\nauth_file={path}/users\n\
             pool_mode=transaction\ndefault_pool_size=4\n{settings}\n"
        );
        fs::write(dir.path().join("config"), config).expect("there is room");
        let users = format!("\"{user}\" \"{password}\"\n");
        fs::write(dir.path().join("users"), users).expect("there is room");
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("it is ours");
        let mut command = Command::new(Part::PgBouncer.path());
        command.arg("-q").arg(dir.path().join("config"));
        // PgBouncer refuses to run as root.
        if run(Command::new("id").arg("-u")).trim() == "0" {
            let nobody = run(Command::new("id").args(["-u", "nobody"]));
            command.uid(nobody.trim().parse().expect("it is a number"));
        }
        let program = Program::start(&mut command);
        wait_for("PgBouncer to listen", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        PgBouncer {
            port,
            _program: program,
            _dir: dir,
        }
    }

    /// Returns the port of PgBouncer.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}
