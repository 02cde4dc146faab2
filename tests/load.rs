//! Load: concurrent invocations, and many in a row. No reply is lost or sent twice, and no process and no
//! memory is left.

use crate::support::{Database, Local, RuntimeApi, resident_kb, state, test_handler, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, RandomState};
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

#[test]
fn a_burst_is_answered_or_throttled_and_leaves_nothing_behind() {
    let database = Database::new();
    let mut local = Local::with(&database)
        .bootstrap(&test_handler())
        .args([
            "--functions",
            "test_handler=test_handler",
            "--max-concurrency",
            "50",
        ])
        .start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let request = |number: usize| {
            let local = &local;
            scope.spawn(move || {
                let (status, body) =
                    local.try_invoke("test_handler", &json!({"number": number}).to_string());
                if status == 200 {
                    assert_eq!(body["number"], number, "somebody else's answer");
                }
                status
            })
        };
        let requests: Vec<_> = (0..200).map(request).collect();
        requests
            .into_iter()
            .map(|request| request.join().expect("an answer came"))
            .collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(count(200) + count(429), 200, "{statuses:?}");
    assert!(count(200) >= 50, "{} were answered", count(200));
    let environments = local.environments();
    assert!(
        environments.len() <= 50,
        "{} environments",
        environments.len()
    );
    assert!(local.interrupt().success(), "{}", local.log());
    for environment in environments {
        wait_for("every environment to end", || {
            state(environment).is_empty().then_some(())
        });
    }
}

#[test]
fn fifty_environments_answer_twenty_thousand_invocations_once_each() {
    const ENVIRONMENTS: usize = 50;
    const EACH: usize = 400;
    let dir = TempDir::new().expect("there is room");
    let file = dir.path().join("go");
    let database = Database::new();
    let local = Local::with(&database)
        .bootstrap(&test_handler())
        .args(["--functions", "test_handler=test_handler"])
        .args(["--max-concurrency", "50", "--timeout", "60"])
        .start();
    thread::scope(|scope| {
        for client in 0..ENVIRONMENTS {
            let (local, file) = (&local, &file);
            scope.spawn(move || {
                let wait = json!({"do": "wait", "file": file});
                let (status, body) = local.try_invoke("test_handler", &wait.to_string());
                assert_eq!(status, 200, "{body}");
                for number in 0..EACH {
                    let event = json!({"number": client * EACH + number});
                    let (status, body) = local.try_invoke("test_handler", &event.to_string());
                    assert_eq!((status, &body["number"]), (200, &event["number"]), "{body}");
                }
            });
        }
        // None is answered before all are there, so each has an environment of its own.
        wait_for("fifty environments to have an event", || {
            let begun = local.log().matches(" waiting").count();
            (begun == ENVIRONMENTS).then_some(())
        });
        fs::write(&file, "").expect("there is room");
    });
    assert_eq!(local.environments().len(), ENVIRONMENTS);
    let log = local.log();
    for line in ["START RequestId: ", "END RequestId: "] {
        let count = log.matches(line).count();
        assert_eq!(count, ENVIRONMENTS * (EACH + 1), "{line}");
    }
}

#[test]
fn twenty_thousand_invocations_with_random_faults_lose_no_reply_and_leak_no_memory() {
    grow(20_000);
}

#[test]
#[ignore = "takes minutes"]
fn half_a_million_invocations_leak_no_memory_but_the_headers() {
    grow(500_000);
}

/// Invokes from four clients, and checks that `local` grows by no more than the headers that
/// may_minihttp never frees: 281 bytes for each invocation, which are 304 to the allocator, and some
/// that lie between them.
fn grow(invocations: u64) {
    const CLIENTS: u64 = 4;
    const LEAK: u64 = 330;
    let database = Database::new();
    let local = Local::with(&database)
        .bootstrap(&test_handler())
        .args(["--functions", "test_handler=test_handler"])
        .start();
    let seed = RandomState::new().hash_one(());
    println!("the seed of the faults: {seed}");
    let (next, early) = (AtomicU64::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= invocations {
                        break;
                    }
                    one(&local, number, chance(seed, number));
                    if number % (invocations / 10) == 0 {
                        let kb = resident_kb(local.pid());
                        println!("local's memory after {number}: {kb} kB");
                    }
                    if number == invocations / 5 {
                        early.store(resident_kb(local.pid()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (early, late) = (early.into_inner(), resident_kb(local.pid()));
    println!("local's memory after a fifth: {early} kB, after all: {late} kB");
    let leaked = (invocations * 4 / 5 * LEAK / 1000) as usize;
    // What the allocator keeps for the threads of the environments differs from run to run.
    assert!(late < early + leaked + 4_000, "from {early} to {late} kB");
}

#[test]
fn environments_that_end_leave_no_memory_behind() {
    let database = Database::new();
    let local = Local::with(&database)
        .bootstrap(&test_handler())
        .args(["--functions", "test_handler=test_handler"])
        .start();
    let end = |count: usize| {
        for _ in 0..count {
            let (_, body) = local.try_invoke("test_handler", r#"{"do":"exit"}"#);
            assert_eq!(body["errorType"], "Runtime.ExitError", "{body}");
        }
        resident_kb(local.pid())
    };
    let (early, late) = (end(30), end(150));
    println!("local's memory after 30 environments: {early} kB, after 180: {late} kB");
    assert!(late < early + 700, "from {early} to {late} kB");
}

/// Returns a random number below 500; the same for the same seed.
fn chance(seed: u64, number: u64) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one((seed, number)) % 500
}

/// Invokes once; about one invocation in a hundred has a fault.
fn one(local: &Local, number: u64, chance: u64) {
    let fault = match chance {
        0 => "exit",
        1 => "panic",
        2 => "fail",
        _ => "echo",
    };
    if chance == 3 {
        // Only the invocation that the killed environment serves gets an error.
        if let Some(environment) = local.environments().first() {
            // The environment may have ended meanwhile.
            let _ = Command::new("kill")
                .args(["-s", "KILL", &environment.to_string()])
                .output();
        }
    }
    let event = json!({"do": fault, "number": number});
    let (status, body) = local.try_invoke("test_handler", &event.to_string());
    assert_eq!(status, 200, "{body}");
    let expected = match fault {
        "exit" => "Runtime.ExitError",
        "panic" => "Function.Panic",
        "fail" => "Function.OnDemand",
        _ if body["errorType"] == "Runtime.ExitError" => "Runtime.ExitError",
        _ => {
            assert_eq!(body["number"], number, "somebody else's answer");
            return;
        }
    };
    let killed = Value::from("Runtime.ExitError");
    assert!(
        body["errorType"] == expected || body["errorType"] == killed,
        "{body}"
    );
}

#[test]
fn one_process_is_as_large_after_twenty_thousand_events_as_after_a_thousand() {
    let mut api = RuntimeApi::with(&test_handler(), "test_handler", &[]);
    let pid = api.program().pid();
    let trace = "Lambda-Runtime-Trace-Id: Root=1-00000000-0123456789abcdef01234567\r\n";
    let mut early = 0;
    for number in 0..20_000 {
        let (id, kind) = (
            format!("id-{number}"),
            ["echo", "fail", "panic"][number % 3],
        );
        let event = json!({"do": kind, "text": "x".repeat(number % 3000)});
        api.hand_with(&id, trace, event.to_string());
        api.expect_answer(&id, if kind == "echo" { "response" } else { "error" });
        if number == 1000 {
            early = resident_kb(pid);
        }
    }
    let late = resident_kb(pid);
    println!("the runtime's memory after 1000: {early} kB, after all: {late} kB");
    assert!(late <= early + 64, "from {early} to {late} kB");
}
