//! The cost of a cold start in counts, not in times: instructions, system calls, page faults, touched
//! pages, threads and bytes, each with its budget in `cold_start/budget.txt`.
//!
//! A failure says where to look. `watch` runs a start under the tools that count, `before_next` checks
//! what a start must not do, `order` writes the linker's list of symbols.

mod before_next;
mod order;
mod watch;

use crate::support::{RuntimeApi, SECRET, USUAL, bootstrap, needs, root};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const BUDGET: &str = include_str!("cold_start/budget.txt");

#[test]
fn a_cold_start_stays_within_its_budget() {
    needs!(Shipped, Valgrind, Strace);
    let executable = bootstrap();
    let budget = budget();
    let mut counted = BTreeMap::from([("bytes of the executable", size(&executable))]);
    // The first starts of a file that was just written have more page faults than later ones.
    let starts = (0..5).map(|_| processes(&executable));
    counted.extend(
        starts
            .min_by_key(|[_, (_, faults)]| *faults)
            .expect("there were five starts"),
    );
    let instructions = |events| watch::instructions(&executable, events);
    counted.insert("instructions until /next", instructions(0));
    counted.insert("instructions until the response", instructions(1));
    let calls = watch::system_calls(&executable, 1, "POST /2018").len();
    counted.insert("system calls until the response", calls as u64);
    let pages = watch::touched(&executable, 1).pages().len();
    counted.insert("pages touched until the response", pages as u64);
    let names: Vec<_> = budget.keys().copied().collect();
    assert_eq!(names, counted.keys().copied().collect::<Vec<_>>());
    let mut over = String::new();
    for (name, count) in counted {
        let (allowed, look) = budget[name];
        println!("{name}: {count} of {allowed}");
        if count > allowed {
            over.push_str(&format!("{name}: {count} and not {allowed}; {look}\n"));
        }
    }
    let shipped = is_x86_64_musl(&executable);
    assert!(over.is_empty() || !shipped, "\n{over}");
    if !shipped {
        println!("the budget is that of x86_64-unknown-linux-musl, so it was only counted");
    }
}

#[test]
fn the_peers_of_the_benchmark_send_the_same_query_as_ours() {
    let statement = |path: &str, name: &str| {
        let text = fs::read_to_string(root().join(path)).expect("it is in the checkout");
        let begin = format!("const {name}: &str = ");
        let (_, rest) = text.split_once(&begin).expect("the statement is there");
        rest.split_once("\";").expect("it ends").0.to_string()
    };
    let ours = statement("crates/migrate/src/history.rs", "SELECT");
    assert_eq!(ours, statement("tests/bench/peers/page.rs", "APPLIED"));
}

/// Returns the budget: by name, the allowed count, and where to look when there are more.
fn budget() -> BTreeMap<&'static str, (u64, &'static str)> {
    let lines = BUDGET.lines().filter(|line| !line.starts_with('#'));
    let entry = |line: &'static str| {
        let [name, count, look] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a name, a count and a place to look: {line}");
        };
        (name.trim(), (count.trim().parse().expect("a number"), look))
    };
    lines.map(entry).collect()
}

/// Returns whether the budget is that of the executable's target. The counts of others are only printed.
fn is_x86_64_musl(executable: &Path) -> bool {
    executable
        .to_string_lossy()
        .contains("x86_64-unknown-linux-musl")
}

fn size(executable: &Path) -> u64 {
    fs::metadata(executable).expect("it is built").len()
}

/// Returns the threads at the first `/next` and the page faults at the second, as the kernel counts them.
fn processes(executable: &Path) -> [(&'static str, u64); 2] {
    // Started without a script, whose page faults would be counted too.
    let url = [
        ("DATABASE_URL", "postgres://nowhere/app"),
        ("APP_ENV", "lambda"),
        ("SECRET_KEY_BASE", SECRET),
    ];
    let mut api = RuntimeApi::with(executable, "http", &url);
    let stat = format!("/proc/{}/stat", api.program().pid());
    // The fields are numbered as in proc_pid_stat(5).
    let field = |number: usize| -> u64 {
        let stat = fs::read_to_string(&stat).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("the name is in parentheses");
        let field = fields
            .split(' ')
            .nth(number - 3)
            .expect("the file has 52 fields");
        field.parse().expect("it is a number")
    };
    api.expect_next();
    let threads = field(20);
    api.hand_over("a", USUAL, watch::event());
    api.expect_answer("a", "response");
    api.expect_next();
    [
        ("threads before /next", threads),
        ("page faults until the response", field(10)),
    ]
}
