//! The Postgres of a test run, started by `local postgres`, and its administrator's connection.

use super::program::{Program, local};
use super::{record, root};
use postgres::{Client, NoTls};
use std::ffi::OsStr;
use std::process::Command;
use std::sync::OnceLock;

/// The Postgres of this run. It ends with the run: with `--attached` it stops when its standard input ends.
pub(crate) struct Cluster {
    url: String,
    _program: Program,
}

impl Cluster {
    /// Returns the cluster; the first call starts it.
    pub(crate) fn get() -> &'static Cluster {
        record::begin();
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            let mut program = Program::start(
                Command::new(local())
                    .args(["postgres", "--attached", "--dir"])
                    .arg(root().join("target/tests/postgres")),
            );
            let url = program.first_line();
            let cluster = Cluster {
                url,
                _program: program,
            };
            cluster.sweep();
            cluster
        })
    }

    /// Returns the address of a database, with the administrator's user and password.
    pub(crate) fn url(&self, database: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').expect("a URL ends in /database");
        format!("{server}/{database}")
    }

    /// Connects as the administrator.
    pub(crate) fn admin(&self) -> Client {
        Client::connect(&self.url("postgres"), NoTls).expect("the cluster takes connections")
    }

    /// Returns a command that finds the programs of the cluster's Postgres, such as `psql`, first. The machine
    /// may have others or none.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let query = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
        let row = self.admin().query_one(query, &[]);
        let folder: String = row.expect("the administrator may").get(0);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env("PATH", format!("{folder}:{path}"));
        command
    }

    /// Drops the databases and the roles that a killed run left.
    fn sweep(&self) {
        let mut admin = self.admin();
        let left = admin
            .query(
                "SELECT 'DROP DATABASE ' || datname || ' WITH (FORCE)' FROM pg_database
                 WHERE datname LIKE 'test\\_%'
                 UNION ALL SELECT 'DROP ROLE ' || rolname FROM pg_roles
                 WHERE rolname LIKE 'test\\_%' ORDER BY 1",
                &[],
            )
            .expect("the catalog is readable");
        for row in left {
            let drop: String = row.get(0);
            admin.batch_execute(&drop).expect("it is ours");
        }
    }
}
