//! One private Postgres for the whole run, by `local postgres`, and its administrator.

use super::program::{Program, local};
use super::{record, root};
use postgres::{Client, NoTls};
use std::ffi::OsStr;
use std::process::Command;
use std::sync::OnceLock;

/// The Postgres of this run. It ends with us: `--attached` watches our end of a pipe.
pub struct Cluster {
    url: String,
    _program: Program,
}

impl Cluster {
    /// The running cluster; the first caller starts it.
    pub fn get() -> &'static Cluster {
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

    /// The address of one of its databases, as its administrator.
    pub fn url(&self, database: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').expect("a URL ends in /database");
        format!("{server}/{database}")
    }

    /// An administrator's connection.
    pub fn admin(&self) -> Client {
        Client::connect(&self.url("postgres"), NoTls).expect("the cluster takes connections")
    }

    /// A command of its own programs, such as `psql`, of which the machine may have others or none.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let query = "SELECT setting FROM pg_config WHERE name = 'BINDIR'";
        let row = self.admin().query_one(query, &[]);
        let folder: String = row.expect("the administrator may").get(0);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.env("PATH", format!("{folder}:{path}"));
        command
    }

    /// Databases that a killed run left.
    fn sweep(&self) {
        let mut admin = self.admin();
        let left = admin
            .query(
                "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'",
                &[],
            )
            .expect("the catalogue is readable");
        for row in left {
            let name: String = row.get(0);
            admin
                .batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"))
                .expect("it is ours");
        }
    }
}
