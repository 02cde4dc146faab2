//! `make bench`: cold starts of the shipped executable, of its peers and of the floor under both.
//!
//! Says what is measured in which order; how, is in the modules. No test depends on a time.

mod api;
mod candidate;
mod chart;
mod machine;
mod measure;
mod options;
mod report;
mod rounds;
mod statistics;

use candidate::Built;
use machine::{Machine, Mode};
use options::{HELP, Options, Request, Scenario};
use report::Report;
use rounds::Plan;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A browser's request as a Function URL sends it; `PATH` stands for its path.
const EVENT: &str = include_str!("event.json");

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
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
    for mode in &options.modes {
        match Machine::prepare(*mode, cpus) {
            Ok(machine) => {
                for scenario in &options.scenarios {
                    measure(&machine, *scenario, &built, &options, &dir)?;
                }
            }
            Err(reason) => println!("mode {mode} is left out: {reason}\n"),
        }
    }
    Ok(())
}

fn measure(
    machine: &Machine,
    scenario: Scenario,
    built: &Built,
    options: &Options,
    dir: &Path,
) -> Result<()> {
    let candidates = match scenario {
        Scenario::Hello => built.hello()?,
        Scenario::Page | Scenario::Asleep => return Ok(()),
    };
    let plan = Plan {
        candidates: &candidates,
        event: &EVENT.trim().replace("PATH", "/up"),
        rounds: options.rounds(scenario, machine.mode),
        warm: options.warm,
        before: &|| (),
    };
    conclude(machine, scenario, &plan, options, dir)
}

/// Runs a plan and says what came of it.
fn conclude(
    machine: &Machine,
    scenario: Scenario,
    plan: &Plan,
    options: &Options,
    dir: &Path,
) -> Result<()> {
    let load = machine::load();
    let outcomes = rounds::run(machine, plan, dir)?;
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
    let json = dir.join(format!("{}-{}.json", scenario.name(), machine.mode));
    fs::write(json, format!("{:#}\n", report.json()))?;
    match &options.svg {
        Some(path) if scenario == Scenario::Hello && machine.mode == Mode::Shared => {
            write_chart(path, &report)
        }
        _ => Ok(()),
    }
}

fn write_chart(path: &PathBuf, report: &Report) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, chart::draw(report))?;
    println!("drawn to {}\n", path.display());
    Ok(())
}

/// `2026-01-31 23:59`, in UTC.
fn now() -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M"])
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_string()
}
