//! The candidates: the shipped executable, its peers and the floor, each with its variables. Knows
//! where they are built; starts nothing.

use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// A program that serves invocations.
pub(crate) struct Candidate {
    /// Its name in the tables.
    pub name: &'static str,
    /// Its executable.
    pub program: PathBuf,
    /// The program that waits for a byte and then executes `program`.
    pub launcher: PathBuf,
    /// Its environment variables, without those that Lambda sets for every function.
    pub variables: Vec<(&'static str, String)>,
}

/// The name of the shipped executable in the tables.
pub(crate) const OURS: &str = "plain-lambda";

/// Where `make bench` has built the candidates.
pub(crate) struct Built {
    root: PathBuf,
    /// The shipped executable.
    pub bootstrap: PathBuf,
    triple: String,
}

impl Built {
    /// Reads which target is shipped.
    pub(crate) fn find(root: &Path) -> Result<Built> {
        let triple = fs::read_to_string(root.join("target/triple"))
            .map_err(|error| format!("failed to read target/triple: {error}; run `make bench`"))?;
        let triple = triple.trim().to_string();
        let bootstrap = match std::env::var_os("BOOTSTRAP") {
            Some(path) => root.join(path),
            None => root.join(format!("target/{triple}/release/bootstrap")),
        };
        Ok(Built {
            root: root.to_path_buf(),
            bootstrap,
            triple,
        })
    }

    /// Returns the candidates that answer `GET /up`; the floor, which is the baseline, first.
    pub(crate) fn hello(&self) -> Result<Vec<Candidate>> {
        let nowhere = "postgres://nobody@127.0.0.1:1/nothing".to_string();
        let tuned = format!("peers/{}/tuned/lambda_http_tuned", self.triple);
        [
            self.other("floor, in C", "floor", Vec::new()),
            self.ours(vec![("DATABASE_URL", nowhere)]),
            self.other("lambda_http, tuned", &tuned, Vec::new()),
            self.other("lambda_runtime", "peers/release/lambda_runtime", Vec::new()),
            self.other("lambda_http", "peers/release/lambda_http", Vec::new()),
        ]
        .into_iter()
        .collect()
    }

    /// Returns the candidates that answer `GET /up?db` from a database; the baseline first.
    pub(crate) fn page(&self, variables: &[(&'static str, String)]) -> Result<Vec<Candidate>> {
        let peer = |name, path| self.other(name, path, variables.to_vec());
        let migrations = self.root.join("migrations").display().to_string();
        let mut ours = variables.to_vec();
        ours.push(("MIGRATIONS_DIR", migrations));
        let tuned = format!("peers/{}/tuned/page_tokio_postgres", self.triple);
        [
            peer(
                "lambda_http + tokio-postgres",
                "peers/release/page_tokio_postgres",
            ),
            self.ours(ours),
            peer("lambda_http + tokio-postgres, tuned", &tuned),
            peer("lambda_http + sqlx 0.8", "peers/release/page_sqlx"),
        ]
        .into_iter()
        .collect()
    }

    fn ours(&self, mut variables: Vec<(&'static str, String)>) -> Result<Candidate> {
        variables.push(("APP_ENV", "test".to_string()));
        self.candidate(OURS, self.bootstrap.clone(), variables)
    }

    fn other(
        &self,
        name: &'static str,
        path: &str,
        variables: Vec<(&'static str, String)>,
    ) -> Result<Candidate> {
        self.candidate(name, self.root.join("target/bench").join(path), variables)
    }

    fn candidate(
        &self,
        name: &'static str,
        program: PathBuf,
        variables: Vec<(&'static str, String)>,
    ) -> Result<Candidate> {
        let launcher = self.root.join("target/bench/launch");
        for path in [&program, &launcher] {
            if !path.exists() {
                return Err(format!("`{}` is missing: run `make bench`", path.display()).into());
            }
        }
        Ok(Candidate {
            name,
            program,
            launcher,
            variables,
        })
    }
}
