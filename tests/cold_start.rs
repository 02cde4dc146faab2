//! What a cold start does, counted and not timed: instructions, system calls, page faults, threads
//! and bytes, each with its budget in `cold_start/budget.txt`.
//!
//! A budget that is exceeded says where to look. `make order` writes the linker's list of what a
//! start runs (`bootstrap/build.rs`), which keeps the page faults where they are.

use crate::emulator::get;
use crate::stage::{RuntimeApi, USUAL, bootstrap, root, run, tool_on_path};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const BUDGET: &str = include_str!("cold_start/budget.txt");

/// As many as Lambda sets, of the same lengths: every look-up walks them.
const ENVIRONMENT: &str = "AWS_LAMBDA_RUNTIME_API=\"$AWS_LAMBDA_RUNTIME_API\" _HANDLER=http \
    AWS_LAMBDA_FUNCTION_NAME=web AWS_LAMBDA_FUNCTION_VERSION='$LATEST' \
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128 AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/web \
    AWS_LAMBDA_LOG_STREAM_NAME='2026/01/01/[$LATEST]4f1f31e5ea484ab58a0f7f7a7f0c9a4f' \
    AWS_LAMBDA_INITIALIZATION_TYPE=on-demand AWS_REGION=eu-central-1 \
    AWS_DEFAULT_REGION=eu-central-1 AWS_ACCESS_KEY_ID=ASIAIOSFODNN7EXAMPLE \
    AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY AWS_SESSION_TOKEN=IQoJb3JpZ2luX2Vj \
    AWS_XRAY_DAEMON_ADDRESS=169.254.79.129:2000 AWS_XRAY_CONTEXT_MISSING=LOG_ERROR \
    LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime TZ=:UTC LANG=en_US.UTF-8 \
    PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin LD_LIBRARY_PATH=/lib64:/usr/lib64:/var/runtime:/opt/lib \
    DATABASE_URL=postgres://app:secret@ep-x.eu-central-1.aws.neon.tech/app APP_ENV=lambda";

#[test]
fn a_cold_start_stays_within_its_budget() {
    let executable = bootstrap();
    let budget = budget();
    let mut counted = BTreeMap::from([("bytes of the executable", size(&executable))]);
    // The first starts of a file that was just written fault for what others find mapped.
    let starts = (0..5).map(|_| processes(&executable));
    counted.extend(
        starts
            .min_by_key(|[_, (_, faults)]| *faults)
            .expect("there are five"),
    );
    counted.insert("instructions until /next", instructions(&executable, 0));
    counted.insert(
        "instructions until the response",
        instructions(&executable, 1),
    );
    counted.insert("system calls until the response", system_calls(&executable));
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
    let shipped = executable
        .to_string_lossy()
        .contains("x86_64-unknown-linux-musl");
    assert!(over.is_empty() || !shipped, "\n{over}");
    if !shipped {
        println!("the budget is that of x86_64-unknown-linux-musl, so it was only counted");
    }
}

#[test]
fn the_pages_of_the_bench_ask_what_ours_asks() {
    let (ours, theirs) = ("app/src/pages/home.rs", "tests/bench/peers/page.rs");
    for name in ["DATABASE", "TABLES"] {
        let [ours, theirs] = [ours, theirs].map(|path| {
            let text = fs::read_to_string(root().join(path)).expect("it is in the checkout");
            let begin = format!("const {name}: &str = ");
            let (_, rest) = text.split_once(&begin).expect("the statement is there");
            rest.split_once("\";").expect("it ends").0.to_string()
        });
        assert_eq!(ours, theirs, "{name}");
    }
}

/// `make order`: writes the functions that the executable of the variable UNSTRIPPED runs until
/// after its first response, and those of the same names in the executable of UNSTRIPPED_TOO.
#[test]
#[ignore = "make order runs it"]
fn the_functions_of_a_start_are_written_for_the_linker() {
    let unstripped = |name: &str| root().join(std::env::var(name).expect("make order sets it"));
    let dir = tempfile::tempdir().expect("there is room");
    let profile = callgrind(&unstripped("UNSTRIPPED"), 1, &dir);
    let profile = fs::read_to_string(profile).expect("callgrind wrote it");
    let run: BTreeSet<&str> = profile
        .lines()
        .filter_map(|line| line.strip_prefix("fn=").or(line.strip_prefix("cfn=")))
        .filter_map(|function| Some(function.split_once(") ")?.1))
        .map(|name| name.split('\'').next().unwrap_or(name))
        .chain(OF_ASSEMBLY)
        .collect();
    let mut order = functions(&unstripped("UNSTRIPPED"));
    order.retain(|name| run.contains(&**name));
    let plainly: BTreeSet<&str> = run.iter().map(|name| plain(name)).collect();
    let mut other = functions(&unstripped("UNSTRIPPED_TOO"));
    other.retain(|name| plainly.contains(plain(name)));
    order.append(&mut other);
    let order: Vec<String> = order.into_iter().collect();
    let path = root().join("bootstrap/startup-order.txt");
    fs::write(path, order.join("\n") + "\n").expect("it is ours");
}

/// Written without sizes, so callgrind does not know their names.
const OF_ASSEMBLY: [&str; 4] = ["memcpy", "memmove", "memset", "__set_thread_area"];

/// A symbol without its hash, which differs from target to target.
fn plain(symbol: &str) -> &str {
    symbol.rsplit_once("17h").map_or(symbol, |(name, _)| name)
}

fn functions(executable: &Path) -> BTreeSet<String> {
    let symbols = run(Command::new(tool_on_path("nm", "binutils")).arg(executable));
    let name = |symbol: &str| match symbol.split(' ').collect::<Vec<_>>()[..] {
        [_, "t" | "T" | "w" | "W", name] => Some(name.to_string()),
        _ => None,
    };
    symbols.lines().filter_map(name).collect()
}

/// By name: how many, and where to look when there are more.
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

fn size(executable: &Path) -> u64 {
    fs::metadata(executable).expect("it is built").len()
}

/// What the kernel says of the process: threads at `/next`, page faults at the second.
fn processes(executable: &Path) -> [(&'static str, u64); 2] {
    // Not through a script: its faults would be counted too.
    let url = [
        ("DATABASE_URL", "postgres://nowhere/app"),
        ("APP_ENV", "lambda"),
    ];
    let mut api = RuntimeApi::with(executable, "http", &url);
    let stat = format!("/proc/{}/stat", api.program().pid());
    // Numbered as in proc_pid_stat(5).
    let field = |number: usize| -> u64 {
        let stat = fs::read_to_string(&stat).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("the name is in parentheses");
        let field = fields.split(' ').nth(number - 3).expect("there are 52");
        field.parse().expect("it is a number")
    };
    api.expect_next();
    let threads = field(20);
    api.hand_over("a", USUAL, get("/up").to_string());
    api.expect_answer("a", "response");
    api.expect_next();
    [
        ("threads before /next", threads),
        ("page faults until the response", field(10)),
    ]
}

fn instructions(executable: &Path, events: usize) -> u64 {
    let dir = tempfile::tempdir().expect("there is room");
    let profile = callgrind(executable, events, &dir);
    let profile = fs::read_to_string(profile).expect("callgrind wrote it");
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    let total = total.unwrap_or_else(|| panic!("no summary: {profile}"));
    total.trim().parse().expect("it is a number")
}

/// Runs the executable under callgrind until it has answered so many events and asks for another.
fn callgrind(executable: &Path, events: usize, dir: &TempDir) -> PathBuf {
    let profile = dir.path().join("profile");
    let valgrind = tool_on_path("valgrind", "valgrind");
    let under = format!(
        "'{}' --tool=callgrind --demangle=no --callgrind-out-file='{}'",
        valgrind.display(),
        profile.display()
    );
    serve(start(executable, dir, &under), events);
    profile
}

fn system_calls(executable: &Path) -> u64 {
    let dir = tempfile::tempdir().expect("there is room");
    let calls = dir.path().join("calls");
    let strace = tool_on_path("strace", "strace");
    // With -D the process is not strace's child but what the test started.
    let under = format!("'{}' -D -o '{}'", strace.display(), calls.display());
    serve(start(executable, &dir, &under), 1);
    let calls = fs::read_to_string(calls).expect("strace wrote it");
    let response = calls.lines().position(|call| call.contains("POST /2018"));
    response.unwrap_or_else(|| panic!("no response: {calls}")) as u64 + 1
}

/// Starts it in Lambda's environment, under a program that looks on.
fn start(executable: &Path, dir: &TempDir, under: &str) -> RuntimeApi {
    let script = dir.path().join("bootstrap");
    let executable = executable.display();
    let text = format!("#!/bin/sh\nexec env -i {ENVIRONMENT} {under} '{executable}'\n");
    fs::write(&script, text).expect("there is room");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    RuntimeApi::with(&script, "http", &[])
}

fn serve(mut api: RuntimeApi, events: usize) {
    for number in 0..events {
        let id = format!("id-{number}");
        api.hand(&id, get("/up").to_string());
        api.expect_answer(&id, "response");
    }
    api.expect_next();
    api.program().signal("TERM");
    api.end();
}
