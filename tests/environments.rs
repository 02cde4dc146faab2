//! The execution environments of `local`: reused, frozen, killed and replaced as on Lambda.

use crate::support::{
    Database, Local, Options, install, root, signal, state, test_handler, wait_for,
};
use serde_json::json;
use std::fs;
use std::thread;

fn local_with_test_handler(database: &Database) -> Local {
    Local::with(database)
        .bootstrap(&test_handler())
        .args(["--functions", "test_handler=test_handler", "--timeout", "2"])
        .start()
}

fn broken_runtime(database: &Database, way: &str, args: &[&str]) -> Options {
    Local::with(database)
        .bootstrap(&root().join("tests/broken_runtime.py"))
        .env("BROKEN_RUNTIME", way)
        .args(args)
}

#[test]
fn a_panic_is_reported_and_the_loop_continues() {
    let database = Database::new();
    let local = local_with_test_handler(&database);
    let first = local
        .invoke("test_handler", r#"{"do":"echo"}"#)
        .expect("it echoes");
    let error = local
        .invoke("test_handler", r#"{"do":"panic"}"#)
        .expect_err("it panics");
    assert_eq!(error["errorType"], "Function.Panic");
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(
        message.contains("tests/test_handler.rs:") && message.contains("on demand"),
        "{message}"
    );
    let after = local
        .invoke("test_handler", r#"{"do":"echo"}"#)
        .expect("it echoes");
    assert_eq!(after["pid"], first["pid"], "the same process goes on");
    local.expect_log("on demand");
    assert_eq!(
        local.log().matches("on demand").count(),
        1,
        "logged once: {}",
        local.log()
    );
}

#[test]
fn a_failure_is_reported_with_its_kind_its_message_and_its_causes() {
    let database = Database::new();
    let error = local_with_test_handler(&database)
        .invoke("test_handler", r#"{"do":"fail"}"#)
        .expect_err("it fails");
    assert_eq!(
        error,
        json!({
            "errorType": "Function.OnDemand",
            "errorMessage": "failed on demand: it was asked to",
            "stackTrace": ["it was asked to"],
        })
    );
}

#[test]
fn an_environment_that_exits_is_replaced() {
    let database = Database::new();
    let local = local_with_test_handler(&database);
    let first = local
        .invoke("test_handler", r#"{"do":"echo"}"#)
        .expect("it echoes");
    let error = local
        .invoke("test_handler", r#"{"do":"exit"}"#)
        .expect_err("it exits");
    assert_eq!(error["errorType"], "Runtime.ExitError", "{error}");
    let second = local
        .invoke("test_handler", r#"{"do":"echo"}"#)
        .expect("a new one echoes");
    assert_ne!(first["pid"], second["pid"]);
}

#[test]
fn an_environment_that_is_killed_while_it_waits_is_replaced_unseen() {
    let database = Database::new();
    let local = Local::start(&database);
    local.expect_database();
    let environment = local.frozen();
    signal(environment, "KILL");
    wait_for("the killed environment to be gone", || {
        (!local.environments().contains(&environment)).then_some(())
    });
    local.expect_database();
    assert_ne!(local.frozen(), environment);
}

#[test]
fn an_environment_that_takes_too_long_is_killed_and_replaced() {
    let database = Database::new();
    let local = local_with_test_handler(&database);
    let error = local
        .invoke("test_handler", r#"{"do":"hang"}"#)
        .expect_err("it takes too long");
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(
        message.contains("Task timed out after 2.00 seconds"),
        "{message}"
    );
    local
        .invoke("test_handler", r#"{"do":"echo"}"#)
        .expect("a new one echoes");
}

#[test]
fn an_unknown_handler_is_an_init_error_that_names_the_known_ones() {
    let database = Database::new();
    let local = Local::with(&database)
        .args(["--functions", "web=htttp"])
        .start();
    let error = local
        .invoke("web", "{}")
        .expect_err("there is no such handler");
    assert_eq!(error["errorType"], "Runtime.UnknownHandler", "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(
        message.contains("`htttp`") && message.contains("http, migrate"),
        "{message}"
    );
}

#[test]
fn a_wrong_setting_is_an_init_error_that_says_what_it_may_be() {
    let database = Database::new();
    let local = Local::with(&database).env("APP_ENV", "staging").start();
    let error = local
        .invoke("web", "{}")
        .expect_err("there is no such environment");
    assert_eq!(error["errorType"], "Function.InvalidSettings", "{error}");
}

#[test]
fn an_environment_is_frozen_between_invocations() {
    let database = Database::new();
    let local = Local::start(&database);
    assert_eq!(local.get("/up").0, 200);
    let environment = local.frozen();
    assert_eq!(local.get("/up").0, 200);
    assert_eq!(local.frozen(), environment);
}

#[test]
fn an_idle_environment_is_ended() {
    let database = Database::new();
    let local = Local::with(&database).args(["--idle", "1"]).start();
    assert_eq!(local.get("/up").0, 200);
    let environment = local.frozen();
    wait_for("the idle environment to end", || {
        local.environments().is_empty().then_some(())
    });
    assert_eq!(local.get("/up").0, 200);
    assert_ne!(local.frozen(), environment);
}

#[test]
fn nothing_stays_behind_when_local_is_interrupted_or_killed() {
    let database = Database::new();
    for kill in [false, true] {
        let mut local = Local::start(&database);
        local.expect_database();
        let environment = local.frozen();
        if kill {
            local.kill();
        } else {
            assert!(local.interrupt().success());
        }
        wait_for("the environment to end", || {
            state(environment).is_empty().then_some(())
        });
    }
}

#[test]
fn reports_are_printed_as_lambda_prints_them() {
    let database = Database::new();
    let local = Local::start(&database);
    assert_eq!(local.get("/up").0, 200);
    local.frozen();
    assert_eq!(local.get("/up").0, 200);
    let reports = wait_for("two reports", || {
        let log = local.log();
        let reports: Vec<String> = log
            .lines()
            .filter(|line| line.starts_with("REPORT "))
            .map(str::to_string)
            .collect();
        (reports.len() == 2).then_some(reports)
    });
    assert!(reports[0].contains("\tInit Duration: "), "{reports:?}");
    assert!(!reports[1].contains("\tInit Duration: "), "{reports:?}");
    for part in [
        "\tDuration: ",
        "\tBilled Duration: ",
        "\tMemory Size: 128 MB",
    ] {
        assert!(
            reports.iter().all(|report| report.contains(part)),
            "{part} {reports:?}"
        );
    }
    assert_eq!(local.log().matches("START RequestId: ").count(), 2);
    assert_eq!(local.log().matches("END RequestId: ").count(), 2);
}

#[test]
fn a_runtime_that_breaks_the_contract_is_refused_and_named() {
    let database = Database::new();
    let mut local = broken_runtime(&database, "rules", &[]).start();
    let statuses = local.invoke("web", "{}").expect("it answers in the end");
    assert_eq!(statuses, json!([403, 400, 405, 404, 400, 403]));
    wait_for("its last call", || {
        local
            .log()
            .contains("Function-Error-Type \"\"")
            .then_some(())
    });
    assert_eq!(local.interrupt().code(), Some(1), "strict");
    let log = local.log();
    for words in [
        "POST /2018-06-01/runtime/init/error was answered 403",
        "/invocation/somebody-elses/response was answered 400",
        "/response was answered 405",
        "/response was answered 400",
        "GET /2018-06-01/runtime/nowhere was answered 404",
        "POST /2020-01-01/extension/register was answered 403",
        "/error has no Content-Type",
        "XRay-Error-Cause of 8 bytes that is no JSON object",
        "no JSON object with an errorMessage",
        "echoes Lambda-Runtime-Invocation-Id None",
        "contract was violated",
    ] {
        assert!(log.contains(words), "no {words:?} in {log}");
    }
}

#[test]
fn an_answer_after_the_timeout_is_refused_as_gone() {
    let database = Database::new();
    let local = broken_runtime(&database, "late", &["--timeout", "1"]).start();
    let error = local.invoke("web", "{}").expect_err("it takes too long");
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    wait_for("the late answer", || {
        local
            .log()
            .contains("the late answer got 410")
            .then_some(())
    });
}

#[test]
fn an_extension_is_registered_as_on_lambda() {
    let database = Database::new();
    let local = broken_runtime(&database, "extend", &[]).start();
    local.invoke("web", "{}").expect_err("it ends before /next");
    local.expect_log("registered with 200 8f0d9f0a-");
}

#[test]
fn a_failed_init_is_repeated_inside_the_invocation() {
    let database = Database::new();
    for (way, status) in [
        ("exit", "error\tError Type: Runtime.ExitError"),
        ("hang", "timeout"),
    ] {
        let dir = tempfile::tempdir().expect("there is room");
        let started = format!("STARTED={}", dir.path().join("started").display());
        let local = broken_runtime(&database, way, &["--env", &started]).start();
        let answer = local.invoke("web", "{}").expect("the second start serves");
        assert_eq!(answer, "served");
        local.expect_log("\nREPORT ");
        let log = local.log();
        let report = log
            .lines()
            .find(|line| line.starts_with("INIT_REPORT "))
            .unwrap_or_else(|| panic!("no report of the first init: {log}"));
        assert!(
            report.ends_with(&format!("Phase: init\tStatus: {status}")),
            "{report}"
        );
        assert!(
            !log.contains("\tInit Duration: "),
            "the second init is part of the invocation: {log}"
        );
    }
}

#[test]
fn a_failed_init_counts_as_concurrency_until_it_is_repeated() {
    let database = Database::new();
    let local = Local::with(&database)
        .args(["--functions", "web=htttp", "--max-concurrency", "1"])
        .start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let invoke = || local.try_invoke("web", "{}");
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(invoke)).collect();
        let joined = calls
            .into_iter()
            .map(|call| call.join().expect("it answers"));
        joined
            .map(|(status, body)| {
                let error = &body["errorType"];
                assert!(status == 429 || error == "Runtime.UnknownHandler", "{body}");
                status
            })
            .collect()
    });
    assert!(statuses.contains(&200), "{statuses:?}");
    let log = local.log();
    let count = |phase: &str| log.matches(&format!("\tPhase: {phase}\t")).count();
    assert_eq!(count("init"), count("invoke"), "{log}");
}

#[test]
fn the_log_of_an_invocation_holds_no_line_of_another() {
    let database = Database::new();
    let local = Local::with(&database)
        .bootstrap(&test_handler())
        .args([
            "--functions",
            "test_handler=test_handler",
            "--max-concurrency",
            "2",
        ])
        .start();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    if let Some(tail) = local.invoke_with_log("test_handler", r#"{"do":"log"}"#) {
                        let lines: Vec<&str> = tail.lines().collect();
                        let kinds: Vec<&str> = lines
                            .iter()
                            .map(|line| line.split(' ').next().unwrap_or_default())
                            .collect();
                        assert_eq!(kinds, ["START", "INFO", "WARN", "END", "REPORT"], "{tail}");
                    }
                }
            });
        }
    });
}

#[test]
fn a_graceful_shutdown_gets_sigterm_and_is_waited_for() {
    let database = Database::new();
    let mut local = Local::with(&database)
        .args(["--env", "GRACEFUL_SHUTDOWN=true"])
        .start();
    local.expect_database();
    local.frozen();
    assert!(local.interrupt().success(), "{}", local.log());
    local.expect_log("INFO ended in order after SIGTERM");
}

#[test]
fn a_rebuilt_executable_is_picked_up_by_the_next_request() {
    let database = Database::new();
    let dir = tempfile::tempdir().expect("there is room");
    let (built, rebuilt) = (dir.path().join("bootstrap"), dir.path().join("next"));
    install(&test_handler(), &built);
    let local = Local::with(&database)
        .bootstrap(&built)
        .args(["--functions", "test_handler=test_handler"])
        .start();
    let pid = || local.invoke("test_handler", "{}").expect("it echoes")["pid"].clone();
    let first = pid();
    local.frozen();
    assert_eq!(pid(), first);
    local.frozen();
    install(&test_handler(), &rebuilt);
    fs::rename(&rebuilt, &built).expect("they are in one directory");
    assert_ne!(pid(), first);
}

#[test]
fn a_reply_that_is_too_large_is_an_error_and_no_violation_of_the_contract() {
    let database = Database::new();
    let local = local_with_test_handler(&database);
    let event = json!({"do": "reply", "bytes": 7_000_000}).to_string();
    let error = local
        .invoke("test_handler", &event)
        .expect_err("Lambda takes less");
    assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");
    local
        .invoke("test_handler", r#"{"do":"echo"}"#)
        .expect("the loop goes on");
}
