//! The executable on the command line: one event, its reply and its exit code; and `make user`, which
//! writes such an event.

use crate::migrate::files;
use crate::support::{Database, MIGRATIONS, bootstrap, migrations, root, run};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Seek, Write, pipe};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

fn command(database: &Database) -> Command {
    with_database(Command::new(bootstrap()), database)
}

/// Runs the command on this database, outside of Lambda.
pub(crate) fn with_database(mut command: Command, database: &Database) -> Command {
    command
        .env_remove("AWS_LAMBDA_RUNTIME_API")
        .env_remove("_HANDLER");
    command
        .env("DATABASE_URL", database.url())
        .env("MIGRATIONS_DIR", migrations());
    command
}

fn finish(command: &mut Command) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it prints UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn an_event_as_an_argument_is_handled_and_its_reply_printed() {
    let database = Database::new();
    let (code, out, err) = finish(command(&database).args(["migrate", r#"{"action":"migrate"}"#]));
    assert_eq!(code, Some(0), "{err}");
    let reply: Value = serde_json::from_str(&out).expect("the reply is JSON");
    assert_eq!(reply["applied"].as_array().map(Vec::len), Some(MIGRATIONS));
    assert!(database.has("orders"));
}

#[test]
fn an_event_that_is_not_an_argument_is_read_from_standard_input() {
    let database = Database::new();
    let mut command = command(&database);
    command
        .arg("migrate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    input
        .write_all(br#"{"action":"status"}"#)
        .expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let reply: Value = serde_json::from_slice(&output.stdout).expect("the reply is JSON");
    assert_eq!(reply["applied"], json!([]));
}

#[test]
fn a_failure_exits_with_1_and_prints_no_reply() {
    let database = Database::new();
    for arguments in [
        ["migrate", "{}"],
        ["migrate", "{"],
        ["nothing", "{}"],
        ["http", "{}"],
    ] {
        let (code, out, err) = finish(command(&database).args(arguments));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(err.starts_with("failed to "), "{err}");
        let kind = err.lines().last().expect("it says something");
        assert!(
            kind.starts_with("(Function.") || kind == "(Runtime.UnknownHandler)",
            "{err}"
        );
    }
}

#[test]
fn a_word_is_an_action_and_no_event_is_refused() {
    let database = Database::new();
    let (code, out, err) = finish(command(&database).args(["migrate", "status"]));
    assert_eq!(code, Some(0), "{err}");
    let reply: Value = serde_json::from_str(&out).expect("the reply is JSON");
    assert_eq!(reply["applied"], json!([]));
    let (code, _, err) = finish(command(&database).args(["migrate", "statu"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("`statu`"), "{err}");
    let (code, _, err) = finish(command(&database).arg("migrate").stdin(Stdio::null()));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("nothing is there; give the event as an argument"),
        "{err}"
    );
}

#[test]
fn a_reply_that_was_made_elsewhere_is_shown_as_it_is_in_a_pipe() {
    let database = Database::new();
    let mut show = command(&database);
    let mut file = tempfile::tempfile().expect("there is room");
    file.write_all(br#"{"b":[],"a":1}"#).expect("there is room");
    file.rewind().expect("it is a file");
    let (code, out, _) = finish(show.arg("--show").stdin(file));
    assert_eq!((code, out.as_str()), (Some(0), "{\"b\":[],\"a\":1}\n"));
}

#[test]
fn each_run_has_an_id_of_its_own() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_b.sql", "create table b ()"),
    ]);
    let ids = ["1", "2"].map(|to| {
        let event = json!({"action": "migrate", "to": to}).to_string();
        let mut command = command(&database);
        command.env("MIGRATIONS_DIR", dir.path());
        let (code, _, err) = finish(command.args(["migrate", &event]));
        assert_eq!(code, Some(0), "{err}");
        let query = "SELECT run FROM plain_lambda.migrations WHERE version = $1";
        let row = database.client().query_one(query, &[&to]);
        row.expect("it is readable").get::<_, String>(0)
    });
    assert!(
        ids[0] != ids[1] && ids[0].starts_with("command-line-"),
        "{ids:?}"
    );
}

#[test]
fn without_arguments_or_with_help_the_usage_is_printed() {
    let database = Database::new();
    for arguments in [&[][..], &["--help"], &["-h"]] {
        let (code, out, _) = finish(command(&database).args(arguments));
        assert_eq!(code, Some(0));
        assert!(
            out.contains("Usage: bootstrap HANDLER") && out.contains("http, migrate"),
            "{out}"
        );
    }
    let (code, _, err) = finish(command(&database).args(["migrate", "{}", "more"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("there are too many"), "{err}");
}

#[test]
fn make_user_takes_an_address_as_it_is_typed_whatever_the_shell_would_make_of_it() {
    let database = Database::new();
    run(command(&database).args(["migrate", r#"{"action":"migrate"}"#]));
    let invoke = format!("INVOKE='{}' migrate", bootstrap().display());
    let make_user = |email: &str| {
        let mut make = with_database(Command::new("make"), &database);
        // `make test` runs this test: its flags are not those of this `make`.
        make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        // With ON=aws nothing is built; INVOKE replaces the invocation on AWS.
        make.args(["--silent", "user", "ROLE=viewer", "ON=aws", &invoke])
            .arg(format!("EMAIL={email}"))
            .current_dir(root());
        make
    };
    for email in ["o'neill@example.com", "a'b'c$d`e`f#g@example.com"] {
        run(&mut make_user(email));
        let query = "SELECT count(*) FROM plain_lambda.users WHERE email = $1";
        let row = database.client().query_one(query, &[&email]);
        let count: i64 = row.expect("the table is readable").get(0);
        assert_eq!(count, 1, "{email}");
    }
    // The tool refuses these two characters: neither the shell nor JSON has met them.
    let (_, out, err) = finish(&mut make_user(r#"a"b\c@example.com"#));
    let said = format!("{out}{err}");
    assert!(said.contains("This is not an email address."), "{said}");
}

#[test]
fn an_argument_that_is_not_utf_8_is_refused() {
    let database = Database::new();
    let argument = OsStr::from_bytes(b"{\"action\":\"caf\xe9\"}");
    let (code, out, err) = finish(command(&database).arg("migrate").arg(argument));
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("one of them is not UTF-8"), "{err}");
}

#[test]
fn a_reply_that_cannot_be_written_is_said_and_has_an_exit_code_of_its_own() {
    let database = Database::new();
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux has it")
    };
    for arguments in [&["--help"][..], &["migrate", r#"{"action":"status"}"#]] {
        let (code, _, err) = finish(command(&database).args(arguments).stdout(full()));
        assert_eq!(code, Some(3), "{err}");
        assert!(err.contains("failed to write the "), "{err}");
        let (reader, writer) = pipe().expect("the kernel has pipes");
        drop(reader);
        let (code, _, err) = finish(command(&database).args(arguments).stdout(writer));
        assert_eq!(code, Some(3), "{err}");
    }
}
