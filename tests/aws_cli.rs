//! The real AWS CLI invokes the functions of `local` as it invokes those of AWS.

use crate::support::{Database, Local, MIGRATIONS, Part, needs, wait_for};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

/// Invokes a function; returns the CLI's output and the reply that it wrote to a file.
fn invoke(local: &Local, function: &str, event: &str) -> (Output, Value) {
    invoke_as("RequestResponse", local, function, event)
}

fn invoke_as(kind: &str, local: &Local, function: &str, event: &str) -> (Output, Value) {
    let dir = tempfile::tempdir().expect("there is room");
    let (payload, reply) = (dir.path().join("event.json"), dir.path().join("reply.json"));
    fs::write(&payload, event).expect("there is room");
    // Started through the interpreter: the script's `#!` line cannot name a path with a space.
    let python = Part::AwsCli.path();
    let output = Command::new(&python)
        .arg(python.with_file_name("aws"))
        .args(["lambda", "invoke", "--invocation-type", kind])
        .args(["--log-type", "Tail"])
        .args(["--region", "local", "--no-sign-request", "--endpoint-url"])
        .args([local.url(), "--function-name", function, "--payload"])
        .arg(format!("fileb://{}", payload.display()))
        .arg(&reply)
        .output()
        .expect("the CLI starts");
    let reply = fs::read_to_string(&reply).unwrap_or_default();
    (output, serde_json::from_str(&reply).unwrap_or(Value::Null))
}

#[test]
fn the_aws_cli_invokes_a_function_by_its_name() {
    needs!(AwsCli);
    let database = Database::new();
    let local = Local::start(&database);
    let (output, reply) = invoke(&local, "migrations", r#"{"action":"migrate"}"#);
    let said: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(said["StatusCode"], 200, "{said}");
    assert!(said["FunctionError"].is_null(), "{said}");
    assert_eq!(
        reply["applied"].as_array().map(Vec::len),
        Some(MIGRATIONS),
        "{reply}"
    );
    assert!(database.has("customers"));
    let log = said["LogResult"].as_str().expect("it was asked for");
    let log = BASE64_STANDARD.decode(log).expect("it is base64");
    let log = String::from_utf8(log).expect("it is text");
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines[0].starts_with("START RequestId: "), "{log}");
    assert!(
        log.contains("\nINFO RequestId: "),
        "the log of the handler: {log}"
    );
    assert!(
        lines[lines.len() - 1].starts_with("REPORT RequestId: "),
        "{log}"
    );
}

#[test]
fn the_aws_cli_prints_that_a_function_failed_and_why() {
    needs!(AwsCli);
    let database = Database::new();
    let local = Local::start(&database);
    let (output, reply) = invoke(&local, "migrations", r#"{"action":"destroy"}"#);
    let said: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(said["FunctionError"], "Unhandled", "{said}");
    assert_eq!(reply["errorType"], "Function.UnknownAction", "{reply}");
}

#[test]
fn the_aws_cli_prints_that_a_function_does_not_exist() {
    needs!(AwsCli);
    let database = Database::new();
    let local = Local::start(&database);
    let (output, _) = invoke(&local, "nobody", "{}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("ResourceNotFoundException"),
        "{said}"
    );
    assert!(
        said.contains("nobody") && said.contains("migrations"),
        "{said}"
    );
}

#[test]
fn the_aws_cli_invokes_asynchronously_and_as_a_dry_run() {
    needs!(AwsCli);
    let database = Database::new();
    let local = Local::start(&database);
    let event = r#"{"action":"migrate"}"#;
    let status = |kind: &str| {
        let (output, _) = invoke_as(kind, &local, "migrations", event);
        let said: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        said["StatusCode"].clone()
    };
    assert_eq!(status("DryRun"), 204);
    assert!(local.environments().is_empty(), "a dry run starts nothing");
    assert_eq!(status("Event"), 202);
    wait_for("the event to be handled", || {
        database.has("order_totals").then_some(())
    });
}
