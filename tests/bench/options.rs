//! Parses and checks the command line of the benchmark. Runs nothing.

use crate::Result;
use crate::machine::Mode;
use std::path::PathBuf;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
Measures cold starts: ours, those of AWS's own Rust runtime, and the floor below both.

Usage:
  make bench                               everything, in mode `shared`
  make bench ARGS='--mode cold --rounds 20 --scenario hello'

Options:
  --scenario NAME   repeatable [default: all]
                      hello    GET /up: a process, and no database
                      page     GET /up?db: one query; Postgres over TLS, with SCRAM
                      asleep   the same while the database wakes up for half a second
                      migrations  1,000 files into a fresh database, against psql and sqlx-cli
  --mode NAME       what a function has of the machine; repeatable, or `all` [default: shared]
                      shared   one CPU, together with the Runtime API
                      two-cpus a CPU for each
                      128mb    a fourteenth of a CPU, as a function of 128 MB has (root)
                      cold     one CPU, and nothing in the page cache (root)
  --rounds N        starts of each candidate, in turns
                    [default: 40; 15 in mode cold; 10 asleep; 7 of migrations]
  --warm N          warm invocations that are timed; 0 is none [default: 2000]
  --svg PATH        draw the ratios of hello in mode shared
  --help            this text

A time begins when a waiting process is told to execute the program, and ends when the program's
first `/next`, or its first response, has arrived. A ratio is the median of the rounds' own ratios,
with a 95 % interval from order statistics. What was measured, with every single start, is written
to target/bench/SCENARIO-MODE.json.
";

/// A kind of measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scenario {
    /// `GET /up`: the start of a process.
    Hello,
    /// `GET /up?db`: the start of a process, and a connection.
    Page,
    /// The same with a database that has to wake up.
    Asleep,
    /// A whole history of migrations.
    Migrations,
}

/// The request of the command line.
pub(crate) enum Request {
    /// Print `HELP`.
    Help,
    /// Measure.
    Measure(Options),
}

/// The options of a measurement.
pub(crate) struct Options {
    /// The scenarios, in the order in which they run.
    pub scenarios: Vec<Scenario>,
    /// The modes in which each scenario runs.
    pub modes: Vec<Mode>,
    /// The starts of each candidate, instead of the default.
    pub rounds: Option<usize>,
    /// The number of timed warm invocations.
    pub warm: usize,
    /// The path of the chart.
    pub svg: Option<PathBuf>,
}

impl Scenario {
    /// All scenarios with their names.
    pub(crate) const ALL: [(&'static str, Scenario); 4] = [
        ("hello", Scenario::Hello),
        ("page", Scenario::Page),
        ("asleep", Scenario::Asleep),
        ("migrations", Scenario::Migrations),
    ];

    /// Returns the scenario's name.
    pub(crate) fn name(self) -> &'static str {
        let named = Scenario::ALL.iter().find(|(_, known)| *known == self);
        named.expect("all scenarios are listed").0
    }
}

impl Options {
    /// Returns how often each candidate is started in a scenario.
    pub(crate) fn rounds(&self, scenario: Scenario, mode: Mode) -> usize {
        self.rounds.unwrap_or(match (scenario, mode) {
            (Scenario::Migrations, _) => 7,
            (Scenario::Asleep, _) => 10,
            (_, Mode::Cold) => 15,
            _ => 40,
        })
    }
}

/// Parses the arguments.
///
/// # Errors
/// When an argument is unknown or invalid.
pub(crate) fn parse() -> Result<Request> {
    use lexopt::prelude::{Long, Short, ValueExt};
    let mut options = Options {
        scenarios: Vec::new(),
        modes: Vec::new(),
        rounds: None,
        warm: 2000,
        svg: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Request::Help),
            Long("scenario") => {
                let name = parser.value()?.string()?;
                options.scenarios.extend(named(&Scenario::ALL, &name)?);
            }
            Long("mode") => {
                let name = parser.value()?.string()?;
                options.modes.extend(named(&Mode::ALL, &name)?);
            }
            Long("rounds") => options.rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
            Long("warm") => options.warm = parser.value()?.parse()?,
            Long("svg") => options.svg = Some(parser.value()?.into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.scenarios.is_empty() {
        options.scenarios = named(&Scenario::ALL, "all")?;
    }
    if options.modes.is_empty() {
        options.modes = vec![Mode::Shared];
    }
    Ok(Request::Measure(options))
}

fn named<T: Copy>(known: &[(&str, T)], name: &str) -> Result<Vec<T>> {
    let found: Vec<T> = known
        .iter()
        .filter(|(known, _)| name == "all" || *known == name)
        .map(|(_, value)| *value)
        .collect();
    if found.is_empty() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        return Err(format!("`{name}` is none of {}", names.join(", ")).into());
    }
    Ok(found)
}
