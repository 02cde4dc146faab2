//! Runs the rounds: in each round every candidate starts once, in a new order, so that a disturbance of
//! the machine affects all candidates alike. Knows no times.

use crate::Result;
use crate::candidate::Candidate;
use crate::machine::Machine;
use crate::measure::{self, Start, Warm};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The pause after a start, in which the kernel cleans up the process and Postgres its session.
const PAUSE: Duration = Duration::from_millis(5);

/// The candidates of a scenario and the number of their starts.
pub(crate) struct Plan<'a> {
    /// The candidates.
    pub candidates: &'a [Candidate],
    /// The event that each candidate gets.
    pub event: &'a str,
    /// The starts of each candidate.
    pub rounds: usize,
    /// The timed warm invocations of each candidate; 0 skips them and `more`.
    pub warm: usize,
    /// The invocations after the warm ones over which the growth of memory is measured.
    pub more: usize,
    /// A function that runs before every start.
    pub before: &'a dyn Fn(),
}

/// The measurements of a candidate.
pub(crate) struct Outcome {
    /// The candidate's name.
    pub name: &'static str,
    /// The size of its executable.
    pub file_kib: f64,
    /// Its starts, in the order of the rounds.
    pub starts: Vec<Start>,
    /// Its warm invocations, if the plan has any.
    pub warm: Option<Warm>,
    /// Its system calls until the first response; `None` without `strace`.
    pub system_calls: Option<usize>,
}

/// Runs a plan; logs and traces go to `dir`.
pub(crate) fn run(machine: &Machine, plan: &Plan, dir: &Path) -> Result<Vec<Outcome>> {
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
    // The first round brings the files into the page cache, and is not counted.
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

/// Runs one start. An error names the candidate and holds its log.
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

/// A sequence of random orders, the same in every run.
pub(crate) struct Order {
    indices: Vec<usize>,
    state: u64,
}

impl Order {
    /// Returns the sequence for a number of candidates.
    pub(crate) fn of(count: usize) -> Order {
        Order {
            indices: (0..count).collect(),
            state: 1,
        }
    }

    /// Returns the order of the next round.
    pub(crate) fn shuffled(&mut self) -> Vec<usize> {
        for last in (1..self.indices.len()).rev() {
            // Knuth's 64-bit linear congruential generator (MMIX); its upper half is random enough.
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
