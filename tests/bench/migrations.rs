//! Applies a history of migrations to a fresh database with three runners in turns: the shipped
//! executable, `psql` for each file, and sqlx's command line. Times whole runs; knows no cold start.

use crate::Result;
use crate::database::Database;
use crate::rounds::Order;
use crate::statistics::{median, paired_ratio};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The number of files in the history; each has one or two statements.
pub(crate) const FILES: usize = 1_000;

/// The runners with their names.
const RUNNERS: [(&str, Runner); 3] = [
    (crate::candidate::OURS, ours),
    ("psql -1 -f, file by file", psql),
    ("sqlx migrate run", sqlx),
];

type Runner = fn(&Tools, &str) -> Result<()>;

/// The paths of the runners' programs and of the history.
pub(crate) struct Tools {
    /// The shipped executable.
    pub bootstrap: PathBuf,
    /// The server's own `psql`, as Debian's is a script around it.
    pub psql: PathBuf,
    /// sqlx's command line, which `make bench` installed.
    pub sqlx: PathBuf,
    /// The directory of the history.
    pub migrations: PathBuf,
}

/// The times of all runs in milliseconds, by runner.
pub(crate) struct Runs(Vec<(&'static str, Vec<f64>)>);

/// Applies the history to fresh databases, `rounds` times with each runner.
///
/// # Errors
/// When a runner fails or does not make every table.
pub(crate) fn run(tools: &Tools, database: &Database, rounds: usize) -> Result<Runs> {
    write(&tools.migrations)?;
    let mut runs = Runs(RUNNERS.map(|(name, _)| (name, Vec::new())).to_vec());
    let mut order = Order::of(RUNNERS.len());
    // The first round brings the files into the page cache, and is not counted.
    for round in 0..=rounds {
        for index in order.shuffled() {
            let (name, runner) = RUNNERS[index];
            let url = database.fresh("bench_migrations")?;
            let started = Instant::now();
            runner(tools, &url).map_err(|error| format!("{name}: {error}"))?;
            let ms = started.elapsed().as_secs_f64() * 1e3;
            let tables = database.tables("bench_migrations", "t%")?;
            if tables != FILES / 4 {
                return Err(format!("{name} made {tables} tables of {}", FILES / 4).into());
            }
            if round > 0 {
                runs.0[index].1.push(ms);
            }
        }
    }
    Ok(runs)
}

impl Runs {
    /// Returns the times as a Markdown table.
    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "| {:<26} | {:>16} | {:>20} |\n|{}|{}:|{}:|\n",
            "runner",
            "s (least–most)",
            "ours × [95 %]",
            "-".repeat(28),
            "-".repeat(17),
            "-".repeat(21)
        );
        for (name, ms) in &self.0 {
            let ratio = paired_ratio(&self.0[0].1, ms);
            let least = ms.iter().copied().fold(f64::INFINITY, f64::min);
            let most = ms.iter().copied().fold(0.0, f64::max);
            let seconds = [median(ms), least, most].map(|ms| ms / 1e3);
            let [middle, least, most] = seconds;
            let took = format!("{middle:.1} ({least:.1}–{most:.1})");
            let ratio = format!("{:.2} [{:.2}–{:.2}]", ratio.median, ratio.low, ratio.high);
            table += &format!("| {name:<26} | {took:>16} | {ratio:>20} |\n");
        }
        table
    }

    /// Returns the time of every run as JSON.
    pub(crate) fn json(&self) -> Value {
        let runs = self.0.iter();
        json!({
            "files": FILES,
            "ms": runs.map(|(name, ms)| ((*name).to_string(), json!(ms))).collect::<Value>(),
        })
    }
}

/// Writes a history that makes tables, columns, indexes and rows.
fn write(dir: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir)?;
    for file in 1..=FILES {
        let table = format!("t{}", (file - 1) / 4);
        let text = match file % 4 {
            1 => format!(
                "CREATE TABLE {table} (\n    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n    \
                 name text NOT NULL,\n    made_at timestamptz NOT NULL DEFAULT now()\n);\n"
            ),
            2 => format!(
                "ALTER TABLE {table} ADD COLUMN note text;\n\
                 COMMENT ON COLUMN {table}.note IS 'of file {file}';\n"
            ),
            3 => format!("CREATE INDEX {table}_name ON {table} (name);\n"),
            _ => format!("INSERT INTO {table} (name) VALUES ('a'), ('b');\n"),
        };
        fs::write(dir.join(format!("{file:04}_step.sql")), text)?;
    }
    Ok(())
}

fn ours(tools: &Tools, url: &str) -> Result<()> {
    let mut command = Command::new(&tools.bootstrap);
    command.args(["migrate", r#"{"action":"migrate"}"#]);
    command.env("APP_ENV", "test").env("DATABASE_URL", url);
    succeed(command.env("MIGRATIONS_DIR", &tools.migrations))
}

fn psql(tools: &Tools, url: &str) -> Result<()> {
    for file in 1..=FILES {
        let path = tools.migrations.join(format!("{file:04}_step.sql"));
        let mut command = Command::new(&tools.psql);
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-d", url, "-f"]);
        succeed(command.arg(path))?;
    }
    Ok(())
}

fn sqlx(tools: &Tools, url: &str) -> Result<()> {
    let mut command = Command::new(&tools.sqlx);
    command.args(["migrate", "run", "--no-dotenv", "--database-url", url]);
    succeed(command.arg("--source").arg(&tools.migrations))
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("failed to start {}: {error}", program.display()))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}
