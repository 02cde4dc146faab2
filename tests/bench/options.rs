//! The command line: what is to be measured. Parses and checks; runs nothing.

use crate::Result;
use crate::machine::Mode;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
Measures cold starts: ours, those of AWS's own Rust runtime, and the floor under both.

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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// A process.
    Hello,
    /// A process and a connection.
    Page,
    /// A process, and a connection that has to wait.
    Asleep,
    /// A whole history.
    Migrations,
}

/// What to do.
pub enum Request {
    /// Print `HELP`.
    Help,
    /// Measure.
    Measure(Options),
}

/// How to do it.
pub struct Options {
    /// In this order.
    pub scenarios: Vec<Scenario>,
    /// Each scenario in each of them.
    pub modes: Vec<Mode>,
    /// Starts of each candidate, if not as many as is usual.
    pub rounds: Option<usize>,
    /// Warm invocations.
    pub warm: usize,
    /// Where to draw.
    pub svg: Option<PathBuf>,
}

impl Scenario {
    /// All of them by their names.
    pub const ALL: [(&'static str, Scenario); 4] = [
        ("hello", Scenario::Hello),
        ("page", Scenario::Page),
        ("asleep", Scenario::Asleep),
        ("migrations", Scenario::Migrations),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = Scenario::ALL.iter().find(|(_, known)| *known == self);
        named.expect("all scenarios are listed").0
    }
}

impl Options {
    /// How many starts of each candidate a scenario has.
    pub fn rounds(&self, scenario: Scenario, mode: Mode) -> usize {
        self.rounds.unwrap_or(match (scenario, mode) {
            (Scenario::Migrations, _) => 7,
            (Scenario::Asleep, _) => 10,
            (_, Mode::Cold) => 15,
            _ => 40,
        })
    }
}

/// Reads the arguments.
///
/// # Errors
/// When one is unknown or has no meaning.
pub fn parse() -> Result<Request> {
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
