//! A history of forty files is struck at random moments, as often as one likes: the process is killed
//! or stopped, its session ended, the server crashed, the time is over, another run comes. In the end,
//! the database is what `psql` makes of the same files.
//!
//! A run is told by its seed: `make torture RUNS=1 SEED=…` repeats it, as far as two machines' clocks
//! agree.

mod bench;
mod chance;
mod end;
mod rare;
mod strike;

use bench::{Bench, Outcome};
use chance::Chance;
use end::End;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use strike::{Kind, Strike};

/// The runs of `make test`.
const RUNS: u64 = 100;

/// The most strikes of one run.
const MOST_STRIKES: u64 = 3;

/// The invocations that may be needed after the last strike: a file may ask twice what to do.
const LAST_INVOCATIONS: usize = 5;

/// What an undisturbed run is: how a strike finds its moment.
struct Undisturbed {
    end: End,
    took: Duration,
    messages: u64,
}

/// What the runs came to.
#[derive(Default)]
struct Tally {
    /// By the kind of strike: how many hit a run, and how many came too late.
    strikes: BTreeMap<Kind, (u64, u64)>,
    bad: Vec<String>,
}

#[test]
fn a_history_that_is_struck_anywhere_ends_as_psql_ends_it() {
    let (runs, seed) = (number("RUNS", RUNS), number("SEED", 1));
    let undisturbed = undisturbed();
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    let began = Instant::now();
    thread::scope(|scope| {
        let benches = thread::available_parallelism().map_or(6, |count| 3 * count.get().min(8));
        for number in 0..benches {
            let (next, tally) = (&next, &tally);
            scope.spawn(move || {
                let bench = Bench::new(&format!("torture-{number}"));
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        break;
                    }
                    one_run(&bench, seed + run, undisturbed, tally);
                }
            });
        }
    });
    let Tally { strikes, bad } = tally.into_inner().expect("no holder panics");
    println!(
        "{runs} runs from seed {seed} in {:.0?}; undisturbed: {:.0?}, {} messages",
        began.elapsed(),
        undisturbed.took,
        undisturbed.messages
    );
    for (kind, (hit, late)) in strikes {
        println!("{hit:6} {kind:?}, and {late} that came too late");
    }
    let bad = bad.join("\n\n");
    assert!(bad.is_empty(), "{bad}");
}

/// Returns what the history is without a strike.
fn undisturbed() -> &'static Undisturbed {
    static UNDISTURBED: OnceLock<Undisturbed> = OnceLock::new();
    UNDISTURBED.get_or_init(run_undisturbed)
}

/// Runs the history once without a strike, and compares that with psql.
fn run_undisturbed() -> Undisturbed {
    let bench = Bench::new("torture-undisturbed");
    let end = bench.by_psql();
    bench.make_database();
    let began = Instant::now();
    let outcome = bench.start(bench.counted()).finish();
    let took = began.elapsed();
    assert_eq!(outcome, Outcome::Done);
    assert_eq!(bench.end().differs(&end), None, "without any strike");
    Undisturbed {
        end,
        took,
        messages: bench.messages(),
    }
}

fn one_run(bench: &Bench, seed: u64, undisturbed: &Undisturbed, tally: &Mutex<Tally>) {
    let mut chance = Chance::of(seed);
    let (mut story, mut strikes) = (String::new(), Vec::new());
    let judged = panic::catch_unwind(AssertUnwindSafe(|| {
        bench.make_database();
        for _ in 0..chance.between(1, MOST_STRIKES) {
            let strike = Strike::by(&mut chance, undisturbed, bench.applied());
            let _ = writeln!(story, "  {strike:?}");
            let hit = strike.strike(bench, &mut story)?;
            strikes.push((strike.kind, hit));
        }
        finish(bench, &mut story)?;
        match bench.end().differs(&undisturbed.end) {
            None => Ok(()),
            Some(difference) => Err(difference),
        }
    }));
    let judged = judged.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied());
        Err(format!("the test panicked: {}", said.unwrap_or_default()))
    });
    let mut tally = tally.lock().expect("no holder panics");
    for (kind, hit) in strikes {
        let (hits, lates) = tally.strikes.entry(kind).or_default();
        *(if hit { hits } else { lates }) += 1;
    }
    if let Err(why) = judged {
        let again = format!("make torture RUNS=1 SEED={seed}");
        let bad = format!("bad: {again}\n{story}  {why}");
        println!("{bad}");
        tally.bad.push(bad);
    }
}

/// Invokes until everything is applied, as whoever deploys would.
fn finish(bench: &Bench, story: &mut String) -> Result<(), String> {
    for _ in 0..LAST_INVOCATIONS {
        match bench.invoke() {
            Outcome::Done => return bench.check_history(),
            Outcome::Partial => {}
            outcome => {
                let _ = writeln!(story, "  undisturbed: {outcome:?}");
                bench.answer(&outcome)?;
            }
        }
    }
    Err(format!("not done after {LAST_INVOCATIONS} invocations"))
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
        Err(_) => default,
    }
}
