//! `make bench`: measures cold starts of the shipped executable, of its peers and of the floor below
//! them, and how fast a history of migrations is applied.
//!
//! Has the order of the measurements; the modules measure. No test depends on a time.

mod api;
mod candidate;
mod chart;
mod database;
mod machine;
mod measure;
mod migrations;
mod options;
mod report;
mod rounds;
mod statistics;

use candidate::{Built, Candidate};
use database::Database;
use machine::{Machine, Mode};
use migrations::Tools;
use options::{HELP, Options, Request, Scenario};
use report::Report;
use rounds::Plan;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A browser's request as a Function URL sends it; `PATH` and `QUERY` stand for its path and query.
const EVENT: &str = include_str!("event.json");

/// The invocations over which the growth of memory is measured.
const MORE: usize = 20_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            if let Some(source) = error.source() {
                eprintln!("  {source}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = match options::parse()? {
        Request::Help => {
            print!("{HELP}");
            return Ok(());
        }
        Request::Measure(options) => options,
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("tests/ is in the checkout");
    let dir = root.join("target/bench");
    fs::create_dir_all(&dir)?;
    let built = Built::find(root)?;
    if Command::new("strace").arg("-V").output().is_err() {
        println!("no system calls are counted: `strace` is missing, install the package strace\n");
    }
    let cpus = machine::cpus()?;
    let mut bench = Bench {
        options,
        root,
        dir,
        built,
        database: None,
    };
    for mode in bench.options.modes.clone() {
        match Machine::prepare(mode, cpus) {
            Ok(machine) => bench.measure_all(&machine)?,
            Err(reason) => println!("mode {mode} is left out: {reason}\n"),
        }
    }
    Ok(())
}

/// The state that the scenarios share.
struct Bench<'a> {
    options: Options,
    root: &'a Path,
    /// The directory for the results.
    dir: PathBuf,
    built: Built,
    /// Started by the first scenario that needs it.
    database: Option<Database>,
}

impl Bench<'_> {
    fn measure_all(&mut self, machine: &Machine) -> Result<()> {
        for scenario in self.options.scenarios.clone() {
            match scenario {
                Scenario::Hello => self.hello(machine)?,
                Scenario::Page => self.page(machine)?,
                Scenario::Asleep => self.asleep(machine)?,
                Scenario::Migrations => self.migrations(machine)?,
            }
        }
        Ok(())
    }

    fn hello(&self, machine: &Machine) -> Result<()> {
        let candidates = self.built.hello()?;
        self.measure(machine, Scenario::Hello, &candidates, &|| ())
    }

    fn page(&mut self, machine: &Machine) -> Result<()> {
        let variables = self.database(machine)?.variables(None);
        let candidates = self.built.page(&variables)?;
        self.measure(machine, Scenario::Page, &candidates, &|| ())
    }

    fn asleep(&mut self, machine: &Machine) -> Result<()> {
        let database = self.database(machine)?;
        let sleeper = database.sleeper(machine)?;
        let variables = database.variables(Some(sleeper.port));
        let candidates = self.built.page(&variables)?;
        self.measure(machine, Scenario::Asleep, &candidates, &|| sleeper.sleep())
    }

    fn migrations(&mut self, machine: &Machine) -> Result<()> {
        let rounds = self.options.rounds(Scenario::Migrations, machine.mode);
        let (bootstrap, dir) = (self.root.join(&self.built.bootstrap), self.dir.clone());
        let database = self.database(machine)?;
        let tools = Tools {
            bootstrap,
            psql: database.psql()?,
            sqlx: dir.join("sqlx/bin/sqlx"),
            migrations: dir.join("migrations"),
        };
        let load = machine::load();
        let runs = migrations::run(&tools, database, rounds)?;
        let (described, mode, date) = (machine::describe(), machine.mode, now());
        println!(
            "migrations, {mode}: {} files into a fresh database, {rounds} runs each\n\
             {described}; load {load} → {}; {date} UTC\n\n{}",
            migrations::FILES,
            machine::load(),
            runs.table()
        );
        let mut json = runs.json();
        json["machine"] = described.into();
        json["date"] = date.into();
        let path = dir.join(format!("migrations-{mode}.json"));
        Ok(fs::write(path, format!("{json:#}\n"))?)
    }

    fn database(&mut self, machine: &Machine) -> Result<&Database> {
        if self.database.is_none() {
            let database = Database::start(machine, self.root, &self.built.bootstrap)?;
            self.database = Some(database);
        }
        Ok(self.database.as_ref().expect("it was started"))
    }

    fn measure(
        &self,
        machine: &Machine,
        scenario: Scenario,
        candidates: &[Candidate],
        before: &dyn Fn(),
    ) -> Result<()> {
        let (path, query) = match scenario {
            Scenario::Hello => ("/up", ""),
            _ => ("/up", "db"),
        };
        let warm = match scenario {
            Scenario::Hello | Scenario::Page => self.options.warm,
            _ => 0,
        };
        let more = match (scenario, machine.mode) {
            (Scenario::Hello, Mode::Shared) => MORE,
            _ => 0,
        };
        let plan = Plan {
            candidates,
            event: &EVENT.trim().replace("PATH", path).replace("QUERY", query),
            rounds: self.options.rounds(scenario, machine.mode),
            warm,
            more,
            before,
        };
        let load = machine::load();
        let outcomes = rounds::run(machine, &plan, &self.dir)?;
        let report = Report {
            scenario: scenario.name(),
            mode: machine.mode.to_string(),
            machine: &machine::describe(),
            load: (load, machine::load()),
            date: now(),
            outcomes: &outcomes,
            baseline: 0,
        };
        println!("{}", report.table());
        let json = format!("{}-{}.json", scenario.name(), machine.mode);
        fs::write(self.dir.join(json), format!("{:#}\n", report.json()))?;
        match &self.options.svg {
            Some(path) if scenario == Scenario::Hello && machine.mode == Mode::Shared => {
                write_chart(path, &report)
            }
            _ => Ok(()),
        }
    }
}

fn write_chart(path: &Path, report: &Report) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, chart::draw(report))?;
    println!("drawn to {}\n", path.display());
    Ok(())
}

/// Returns the time in UTC, as `2026-01-31 23:59`.
fn now() -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M"])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_string()
}
