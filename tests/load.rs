//! Many at once and many in a row: nothing is lost, answered twice, or left behind.

use crate::stage::{Database, Local, faulty, resident_kb, state, wait_for};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[test]
fn a_burst_is_answered_or_throttled_and_leaves_nothing_behind() {
    let database = Database::new();
    let mut local = Local::with(&database)
        .bootstrap(&faulty())
        .args(["--functions", "faulty=faulty", "--max-concurrency", "50"])
        .start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let request = |number: usize| {
            let local = &local;
            scope.spawn(move || {
                let (status, body) =
                    local.try_invoke("faulty", &json!({"number": number}).to_string());
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
fn twenty_thousand_invocations_with_faults_lose_nothing_and_grow_nothing() {
    const CLIENTS: usize = 4;
    const EACH: usize = 5000;
    let database = Database::new();
    let local = Local::with(&database)
        .bootstrap(&faulty())
        .args(["--functions", "faulty=faulty"])
        .start();
    let answered = AtomicUsize::new(0);
    let early = AtomicUsize::new(0);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (local, answered, early) = (&local, &answered, &early);
            scope.spawn(move || {
                for number in 0..EACH {
                    one(local, client * EACH + number);
                    if answered.fetch_add(1, Ordering::Relaxed) == CLIENTS * EACH / 5 {
                        early.store(resident_kb(local.pid()), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let (early, late) = (early.into_inner(), resident_kb(local.pid()));
    println!("local's memory after a fifth: {early} kB, after all: {late} kB");
    // may_minihttp's headers are leaked, some 400 bytes an invocation.
    let leaked = CLIENTS * EACH * 400 / 1000;
    assert!(late < early * 3 / 2 + leaked, "from {early} to {late} kB");
}

/// One invocation; each kind of fault comes round in its turn.
fn one(local: &Local, number: usize) {
    let fault = match number % 500 {
        100 => "exit",
        200 => "panic",
        300 => "fail",
        _ => "echo",
    };
    if number % 500 == 400 {
        // Whoever it serves gets an error, and only he.
        if let Some(environment) = local.environments().first() {
            // It may have ended by itself meanwhile.
            let _ = Command::new("kill")
                .args(["-s", "KILL", &environment.to_string()])
                .output();
        }
    }
    let event = json!({"do": fault, "number": number});
    let (status, body) = local.try_invoke("faulty", &event.to_string());
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
