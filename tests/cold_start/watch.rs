//! Runs a start under strace or valgrind: its instructions, its system calls, and the memory that it touches.
//!
//! Starts the executable in Lambda's environment and hands it a browser's event. Asserts no budget.

use crate::support::{Part, RuntimeApi, script};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A browser's request as a Function URL sends it; `PATH` and `QUERY` stand for its path and query.
const EVENT: &str = include_str!("../bench/event.json");

/// Returns the event of a browser's request for `/up`.
pub(super) fn event() -> String {
    EVENT.trim().replace("PATH", "/up").replace("QUERY", "")
}

/// As many variables as Lambda sets, of the same lengths: every look-up of a variable walks them.
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
    DATABASE_URL=postgres://app:secret@ep-x.eu-central-1.aws.neon.tech/app APP_ENV=lambda \
    SECRET_KEY_BASE=0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// The addresses of the memory that a start has used.
#[derive(Default)]
pub(super) struct Touched {
    /// The addresses of the instructions that ran.
    pub run: BTreeSet<u64>,
    /// The addresses that were read or written.
    pub data: BTreeSet<u64>,
}

impl Touched {
    /// Returns the pages of 4 KiB that hold the addresses.
    pub(super) fn pages(&self) -> BTreeSet<u64> {
        let all = self.run.iter().chain(&self.data);
        all.map(|address| address >> 12).collect()
    }
}

/// Counts the instructions until the executable has answered a number of events and sends `/next` again.
pub(super) fn instructions(executable: &Path, events: usize) -> u64 {
    let profile = under_valgrind(executable, events, "--tool=callgrind --callgrind-out-file=");
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: "));
    let total = total.unwrap_or_else(|| panic!("no summary: {profile}"));
    total.trim().parse().expect("it is a number")
}

/// Returns the memory used until the executable has answered a number of events and sends `/next` again.
pub(super) fn touched(executable: &Path, events: usize) -> Touched {
    let trace = under_valgrind(
        executable,
        events,
        "--tool=lackey --trace-mem=yes --log-file=",
    );
    let mut touched = Touched::default();
    for line in trace.lines() {
        // `I  0030e290,3` is an instruction; ` L`, ` S` and ` M` are data read, written, or both.
        let Some((kind, place)) = line.split_at_checked(3) else {
            continue;
        };
        let Some((address, _)) = place.split_once(',') else {
            continue;
        };
        let Ok(address) = u64::from_str_radix(address.trim(), 16) else {
            continue;
        };
        match kind {
            "I  " => touched.run.insert(address),
            " L " | " S " | " M " => touched.data.insert(address),
            _ => continue,
        };
    }
    assert!(!touched.run.is_empty(), "lackey says nothing: {trace}");
    touched
}

/// Returns the system calls, as `strace` prints them, up to the first one that contains `last`.
pub(super) fn system_calls(executable: &Path, events: usize, last: &str) -> Vec<String> {
    let dir = tempfile::tempdir().expect("there is room");
    let calls = dir.path().join("calls");
    let strace = Part::Strace.path();
    // With -D the executable stays the test's child and strace runs beside it; -f traces threads too.
    let under = format!("'{}' -D -f -o '{}'", strace.display(), calls.display());
    serve(start(executable, &dir, &under), events);
    let text = fs::read_to_string(calls).expect("strace wrote it");
    let mut calls: Vec<String> = text.lines().map(str::to_string).collect();
    let end = calls.iter().position(|call| call.contains(last));
    calls.truncate(end.unwrap_or_else(|| panic!("no `{last}`: {text}")) + 1);
    calls
}

/// Returns what a tool of valgrind writes to a file. The last of `options` is the option that names it.
fn under_valgrind(executable: &Path, events: usize, options: &str) -> String {
    let dir = tempfile::tempdir().expect("there is room");
    let file = dir.path().join("written");
    let valgrind = Part::Valgrind.path();
    let under = format!("'{}' {options}'{}'", valgrind.display(), file.display());
    serve(start(executable, &dir, &under), events);
    fs::read_to_string(file).expect("valgrind wrote it")
}

/// Starts the executable in Lambda's environment under the program `under`.
fn start(executable: &Path, dir: &TempDir, under: &str) -> RuntimeApi {
    let bootstrap = dir.path().join("bootstrap");
    let executable = executable.display();
    let text = format!("#!/bin/sh\nexec env -i {ENVIRONMENT} {under} '{executable}'\n");
    script(&bootstrap, &text);
    RuntimeApi::with(&bootstrap, "http", &[])
}

fn serve(mut api: RuntimeApi, events: usize) {
    for number in 0..events {
        let id = format!("id-{number}");
        api.hand(&id, event());
        api.expect_answer(&id, "response");
    }
    api.expect_next();
    api.program().signal("TERM");
    api.end();
}
