//! The executable on a terminal, which `tests/terminal.py` gives it: help, tables, colours, progress,
//! failures and Ctrl-C. What it prints into a pipe is in `command_line`.

use crate::command_line::with_database;
use crate::migrate::files;
use crate::support::{Database, Local, Part, bootstrap, needs, root, script};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a command did on a terminal.
struct Seen {
    /// The exit code.
    code: Option<i32>,
    /// All that the terminal received.
    received: String,
    /// The lines that are to be seen at the end, without colours.
    lines: Vec<String>,
}

impl Seen {
    #[track_caller]
    fn check(&self, code: i32, says: &[&str]) {
        let text = self.lines.join("\n");
        assert_eq!(self.code, Some(code), "{text}");
        for words in says {
            assert!(text.contains(words), "no {words:?} in:\n{text}");
        }
    }
}

/// Runs a command on a terminal of 100 columns; presses Ctrl-C when it shows `interrupt_at`.
fn run(database: &Database, dir: &Path, interrupt_at: &str, command: &[&str]) -> Seen {
    let mut python = with_database(Command::new("python3"), database);
    python
        .arg(root().join("tests/terminal.py"))
        .args(["100", interrupt_at])
        .args(command)
        .current_dir(root())
        .env("MIGRATIONS_DIR", dir)
        .env("TERM", "xterm")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    for variable in ["NO_COLOR", "COLUMNS", "JSON"] {
        python.env_remove(variable);
    }
    let output = python.output().expect("Python runs");
    let received = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let lines = lines(&received);
    Seen {
        code: output.status.code(),
        received,
        lines,
    }
}

/// Runs the executable so.
fn show(database: &Database, dir: &Path, arguments: &[&str]) -> Seen {
    let executable = bootstrap();
    let executable = executable.to_str().expect("its path is UTF-8");
    run(database, dir, "", &[&[executable], arguments].concat())
}

/// Returns the lines of a terminal that received this. Knows CR, LF, and how the rest of a line is erased;
/// passes over every other sequence.
fn lines(received: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut column, mut letters) = (0, received.chars());
    while let Some(letter) = letters.next() {
        let line: &mut Vec<char> = lines.last_mut().expect("there is always one");
        match letter {
            '\r' => column = 0,
            '\n' => {
                lines.push(Vec::new());
                column = 0;
            }
            '\x1b' => {
                assert_eq!(letters.next(), Some('['), "{received:?}");
                let end = letters.find(char::is_ascii_alphabetic);
                if end == Some('K') {
                    line.truncate(column);
                }
            }
            _ => {
                line.truncate(line.len().max(column));
                match line.get_mut(column) {
                    Some(place) => *place = letter,
                    None => line.push(letter),
                }
                column += 1;
            }
        }
    }
    lines.into_iter().map(String::from_iter).collect()
}

#[test]
fn a_handler_without_an_event_and_with_help_says_its_actions() {
    let database = Database::new();
    let dir = files(&[]);
    for arguments in [
        &["migrate"][..],
        &["migrate", "--help"],
        &["migrate", "help"],
    ] {
        let says = [
            "Usage: bootstrap migrate ACTION",
            "  rollback ",
            "  user ",
            "  doctor ",
        ];
        show(&database, dir.path(), arguments).check(0, &says);
    }
    show(&database, dir.path(), &["http", "--help"]).check(0, &["Usage: bootstrap HANDLER"]);
    let unknown = show(&database, dir.path(), &["nothing", "--help"]);
    unknown.check(1, &["Runtime.UnknownHandler", "http, migrate"]);
}

#[test]
fn a_reply_is_tables_on_a_terminal_and_json_when_that_is_wanted() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_b.sql", "create table b ()"),
    ]);
    let seen = show(&database, dir.path(), &["migrate", "migrate"]);
    seen.check(
        0,
        &[
            "applied: 2",
            "  version  name  ms",
            "  2        b ",
            "status:",
        ],
    );
    assert!(
        seen.received.contains("\x1b[32mdone\x1b[0m"),
        "{}",
        seen.received
    );
    let seen = show(&database, dir.path(), &["migrate", "status"]);
    seen.check(0, &["  version  name", "pending:", "none"]);

    let executable = bootstrap();
    let executable = executable.to_str().expect("its path is UTF-8");
    let asked = [
        &[executable, "migrate", "--json", "status"][..],
        &["env", "JSON=1", executable, "migrate", "status"],
    ];
    for command in asked {
        let seen = run(&database, dir.path(), "", command);
        let reply: Value = serde_json::from_str(&seen.lines[0]).expect("it is JSON");
        assert_eq!(reply["applied"].as_array().map(Vec::len), Some(2));
    }
    let failed = ["env", "JSON=1", executable, "migrate", "statu"];
    let failed = run(&database, dir.path(), "", &failed);
    failed.check(
        1,
        &["Function.UnknownAction\nfailed to read action `statu`:\n  send"],
    );
    let plain = ["env", "NO_COLOR=1", executable, "migrate", "status"];
    let seen = run(&database, dir.path(), "", &plain);
    seen.check(0, &["  version  name"]);
    assert!(!seen.received.contains('\x1b'), "{}", seen.received);
}

#[test]
fn a_table_has_80_columns_or_those_that_make_knows_of() {
    let database = Database::new();
    let name = format!("1_{}.sql", "x".repeat(150));
    let dir = files(&[(&name, "create table a ()")]);
    let check = |seen: &Seen, width: usize| {
        let row = seen.lines.iter().find(|line| line.contains("xxx"));
        let row = row.unwrap_or_else(|| panic!("{:?}", seen.lines));
        assert_eq!(row.chars().count(), width, "{row}");
        assert!(row.ends_with('…'), "{row}");
    };
    let seen = show(&database, dir.path(), &["migrate", "status"]);
    check(&seen, 80);
    let invoke = format!("INVOKE={} migrate", bootstrap().display());
    let make = ["make", "--silent", "status", "ON=aws", &invoke];
    check(&run(&database, dir.path(), "", &make), 100);
}

#[test]
fn a_failure_on_a_terminal_says_its_kind_its_place_and_each_reason_on_a_line() {
    let database = Database::new();
    let text = "create table a ()\ncreate table b ();";
    let dir = files(&[("1_a.sql", text)]);
    let seen = show(&database, dir.path(), &["migrate", "migrate"]);
    let path = dir.path().join("1_a.sql").display().to_string();
    let lines = [
        "Function.MigrationFailed\n".to_string(),
        format!("failed to apply `{path}:2:1`, and rolled it back:\n"),
        "\n  ERROR: syntax error at or near \"create\" (SQLSTATE 42601)\n".to_string(),
        format!("\n  the statement begins at `{path}:1:1`\n"),
        "\n  is a `;` missing before the place?\n".to_string(),
        "\n  2 | create table b ();\n      ^".to_string(),
    ];
    seen.check(1, &lines.each_ref().map(String::as_str));
}

#[test]
fn progress_has_a_line_of_its_own_and_leaves_none() {
    let database = Database::new();
    let text = "select pg_sleep(1.5);\ndo $$ begin raise notice 'one\x1b[2J\ntwo'; end $$;\n\
                select pg_sleep(1.5)";
    let dir = files(&[("1_a.sql", text)]);
    let seen = show(&database, dir.path(), &["migrate", "migrate"]);
    let progress = "1 s ";
    assert!(seen.received.contains(progress), "{}", seen.received);
    assert!(
        seen.received
            .contains("statement 3 of 3: select pg_sleep(1.5)")
    );
    let path = dir.path().join("1_a.sql").display().to_string();
    let notice = format!("\nINFO {path}:2: NOTICE: one\\u{{1b}}[2J\ntwo\n");
    seen.check(0, &[&notice]);
    let left: Vec<&String> = (seen.lines.iter())
        .filter(|line| line.contains("pg_sleep"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ctrl_c_cancels_the_statement_rolls_back_and_says_so() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_b.sql", "create table b (); select pg_sleep(600)"),
    ]);
    let executable = bootstrap();
    let command = [
        executable.to_str().expect("its path is UTF-8"),
        "migrate",
        "migrate",
    ];
    // The file before it is done, so the run has a reply.
    let seen = run(&database, dir.path(), "2_b.sql:1: statement", &command);
    seen.check(
        130,
        &[
            "WARN interrupted: ending in order",
            "partial",
            "invoke again",
        ],
    );
    let seen = run(&database, dir.path(), "2_b.sql:1: statement", &command);
    seen.check(
        130,
        &["Function.Interrupted", "its statement was cancelled"],
    );
    let dry_run = [
        command[0],
        "migrate",
        r#"{"action":"migrate","dry_run":true}"#,
    ];
    let seen = run(&database, dir.path(), "2_b.sql:1: statement", &dry_run);
    seen.check(130, &["Function.Interrupted"]);
    assert!(database.has("a") && !database.has("b"));
    let left = "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                  AND datname = current_database() AND query LIKE '%pg_sleep(600)%'
                  AND state = 'active'";
    let row = database.client().query_one(left, &[]);
    assert_eq!(row.expect("it is readable").get::<_, i64>(0), 0);
}

#[test]
fn make_status_is_a_table_on_a_terminal_and_json_with_json_1() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    let invoke = format!("INVOKE={} migrate", bootstrap().display());
    // With ON=aws nothing is built; INVOKE replaces the invocation on AWS.
    let make = ["make", "--silent", "status", "ON=aws", &invoke];
    let seen = run(&database, dir.path(), "", &make);
    seen.check(0, &["pending: 1", "  version  name"]);
    let seen = run(
        &database,
        dir.path(),
        "",
        &[&make[..], &["JSON=1"]].concat(),
    );
    seen.check(0, &["\"pending\":[{"]);
}

#[test]
fn the_answer_of_a_deployed_function_is_tables_on_a_terminal_and_json_with_json_1() {
    needs!(AwsCli);
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()"), ("2_b.sql", "selec")]);
    let local = Local::with(&database)
        .migrations(dir.path())
        .args(["--functions", "shop-web=http,shop-migrations=migrate"])
        .start();
    fs::write(dir.path().join("deploy.env"), "FUNCTION=shop\n").expect("there is room");
    let python = Part::AwsCli.path();
    let aws = dir.path().join("aws");
    let cli = python.with_file_name("aws");
    let text = format!(
        "#!/bin/sh\nexec {} {} \"$@\"\n",
        python.display(),
        cli.display()
    );
    script(&aws, &text);
    let path = format!("{}:{}", dir.path().display(), env!("PATH"));
    let invoke = |action: &str, json: &str| {
        let settings = dir.path().join("deploy.env").display().to_string();
        let variables = [
            format!("PATH={path}"),
            format!("DEPLOY_ENV={settings}"),
            format!("AWS_ENDPOINT_URL={}", local.url()),
            "AWS_DEFAULT_REGION=local".to_string(),
            "AWS_ACCESS_KEY_ID=x".to_string(),
            "AWS_SECRET_ACCESS_KEY=x".to_string(),
            format!("JSON={json}"),
        ];
        let event = format!("{{\"action\":\"{action}\"}}");
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        let command = ["deploy/invoke.sh", &event];
        run(
            &database,
            dir.path(),
            "",
            &[&["env"], &variables[..], &command].concat(),
        )
    };
    let status = invoke("status", "");
    status.check(0, &["$ aws lambda invoke", "pending: 2", "  version  name"]);
    invoke("migrate", "").check(1, &["\nFunction.MigrationFailed\nfailed to apply"]);
    let status = invoke("status", "1");
    status.check(0, &["\"pending\":[{"]);
    assert!(!status.received.contains("$ aws"), "{}", status.received);
}
