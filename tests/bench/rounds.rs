//! The rounds: every candidate starts once in each, in another order each time, so that what
//! disturbs the machine disturbs them all. Knows no times.

use crate::Result;
use crate::candidate::Candidate;
use crate::machine::Machine;
use crate::measure::{self, Start, Warm};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// After a start, the machine has the last process to bury and, with a database, its session.
const PAUSE: Duration = Duration::from_millis(5);

/// What is run, how often.
pub struct Plan<'a> {
    /// Who starts.
    pub candidates: &'a [Candidate],
    /// The event that each is given.
    pub event: &'a str,
    /// Starts of each.
    pub rounds: usize,
    /// Warm invocations of each; none of them when 0.
    pub warm: usize,
    /// Invocations after those, to see whether memory grows.
    pub more: usize,
    /// Called before every start.
    pub before: &'a dyn Fn(),
}

/// What became of a candidate.
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// The size of its executable.
    pub file_kib: f64,
    /// By round.
    pub starts: Vec<Start>,
    /// If it was asked for.
    pub warm: Option<Warm>,
    /// Until the first response, where `strace` is installed.
    pub system_calls: Option<usize>,
}

/// Runs a plan; logs and traces go to `dir`.
pub fn run(machine: &Machine, plan: &Plan, dir: &Path) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for candidate in plan.candidates {
        outcomes.push(Outcome {
            name: candidate.name,
            file_kib: kib(&candidate.program)?,
            starts: Vec::with_capacity(plan.rounds),
            warm: None,
            system_calls: None,
        });
    }
    let mut order = Order::of(plan.candidates.len());
    // The first round reads the files, and does not count.
    for round in 0..=plan.rounds {
        for index in order.shuffled() {
            let start = attempt(plan, index, dir, |candidate, log| {
                measure::start(machine, candidate, plan.event, log)
            })?;
            if round > 0 {
                outcomes[index].starts.push(start);
            }
            thread::sleep(PAUSE);
        }
    }
    for (index, outcome) in outcomes.iter_mut().enumerate() {
        outcome.system_calls = attempt(plan, index, dir, |candidate, _| {
            measure::system_calls(candidate, plan.event, dir)
        })?;
        if plan.warm > 0 {
            outcome.warm = Some(attempt(plan, index, dir, |candidate, log| {
                measure::warm(machine, candidate, plan.event, log, (plan.warm, plan.more))
            })?);
        }
    }
    Ok(outcomes)
}

/// One start, whatever for; an error says whose and where its log is.
fn attempt<T>(
    plan: &Plan,
    index: usize,
    dir: &Path,
    start: impl FnOnce(&Candidate, &Path) -> Result<T>,
) -> Result<T> {
    let log = dir.join("candidate.log");
    let candidate = &plan.candidates[index];
    (plan.before)();
    start(candidate, &log).map_err(|error| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("{}: {error}\n{said}", candidate.name).into()
    })
}

fn kib(path: &Path) -> Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a file is not that large")]
    let bytes = fs::metadata(path)?.len() as f64;
    Ok(bytes / 1024.0)
}

/// The same orders in every run.
pub struct Order {
    indices: Vec<usize>,
    state: u64,
}

impl Order {
    /// Of so many candidates.
    pub fn of(count: usize) -> Order {
        Order {
            indices: (0..count).collect(),
            state: 1,
        }
    }

    /// The next round's.
    pub fn shuffled(&mut self) -> Vec<usize> {
        for last in (1..self.indices.len()).rev() {
            // Knuth's generator of 64 bits; its upper half is random enough.
            self.state = self
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let random = usize::try_from(self.state >> 33).expect("31 bits fit");
            self.indices.swap(last, random % (last + 1));
        }
        self.indices.clone()
    }
}
