//! Who may call `local`: programs of this machine may invoke functions, a web page may not, whichever
//! request its browser sends; other users of the machine cannot poll.
//!
//! Raw requests, a real browser and the AWS CLI.

use crate::support::{Database, Local, Part, Program, SECRET, bootstrap, local, needs, root, said};
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

const INVOKE: &str = "/2015-03-31/functions/migrations/invocations";

/// Sends a request as it is written, and returns all that comes back until the end.
#[track_caller]
fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .write_all(request.as_bytes())
        .expect("it takes a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends a request to the Runtime API, which keeps the connection, and returns the beginning of the
/// response.
#[track_caller]
fn beginning(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it is open");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn status(answer: &str) -> u16 {
    let code = answer.get(9..12).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status: {answer:?}"))
}

fn port(local: &Local) -> &str {
    local.url().rsplit_once(':').expect("it has a port").1
}

/// Returns a running environment's `AWS_LAMBDA_RUNTIME_API`.
#[track_caller]
fn runtime_api(environment: u32) -> String {
    let variables = fs::read(format!("/proc/{environment}/environ")).expect("it is ours");
    let variables = String::from_utf8(variables).expect("they are text");
    let mut variables = variables.split('\0');
    let value = variables.find_map(|line| line.strip_prefix("AWS_LAMBDA_RUNTIME_API="));
    value.expect("it has one").to_owned()
}

#[test]
fn a_web_page_invokes_no_function_and_polls_no_event() {
    needs!(Chromium, Playwright);
    let database = Database::new();
    let local = Local::start(&database);
    let migrate = json!({"action": "migrate"}).to_string();
    local.invoke("migrations", &migrate).expect("it may");
    let event = format!(
        r#"{{"action":"drop","confirm":"=","confirm":"{}"}}"#,
        database.name()
    );
    let output = Command::new(Part::Playwright.path())
        .arg(root().join("tests/hostile_page.py"))
        .args([local.url(), &runtime_api(local.frozen()), &event])
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", said(&output));
    let tried = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(database.has("customers"), "{tried}");
    // Each request has reached `local`; else the test would prove nothing.
    let log = local.log();
    let refused = |line: &&str| line.starts_with("refused ") && line.contains(" /20");
    assert_eq!(tried.lines().count(), 25, "{tried}");
    assert_eq!(log.lines().filter(refused).count(), 25, "{tried}\n{log}");
    local
        .invoke("migrations", r#"{"action":"status"}"#)
        .expect("a program of this machine may still invoke");
}

#[test]
fn a_browsers_headers_are_refused_at_both_loopback_addresses() {
    let database = Database::new();
    let local = Local::start(&database);
    let port = port(&local);
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let invoke = |path: &str, headers: &str| {
            let rest = "Connection: close\r\nContent-Length: 2\r\n\r\n{}";
            raw(
                &address,
                &format!("POST {path} HTTP/1.1\r\n{headers}{rest}"),
            )
        };
        let host = format!("Host: {address}\r\n");
        for headers in [
            format!("{host}Origin: http://localhost:{port}\r\n"),
            format!("{host}Origin: null\r\n"),
            format!("{host}Sec-Fetch-Site: none\r\n"),
            format!("{host}Sec-Fetch-Mode: no-cors\r\n"),
            format!("Host: evil.example:{port}\r\n"),
        ] {
            for path in [
                INVOKE,
                "/2021-11-15/functions/web/response-streaming-invocations",
            ] {
                let answer = invoke(path, &headers);
                assert_eq!(status(&answer), 403, "{headers}: {answer}");
                assert!(answer.contains("AccessDeniedException"), "{answer}");
            }
        }
        for host in [host, format!("Host: localhost:{port}\r\n")] {
            assert_eq!(status(&invoke(INVOKE, &host)), 200, "{host}");
        }
        // The Function URL is a browser's own.
        let page = format!(
            "GET /up HTTP/1.1\r\nHost: localhost:{port}\r\nSec-Fetch-Site: none\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(status(&raw(&address, &page)), 200);
    }
}

#[test]
fn the_runtime_api_serves_nothing_on_a_connection_of_a_web_page() {
    let database = Database::new();
    let local = Local::start(&database);
    assert_eq!(local.get("/up").0, 200);
    let api = runtime_api(local.frozen());
    // The body of a form is a request of its own.
    let poll = format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {api}\r\n\r\n");
    for header in ["Origin: null".to_owned(), "Host: evil.example".to_owned()] {
        let mut stream = TcpStream::connect(&api).expect("it listens");
        let form = format!(
            "POST / HTTP/1.1\r\n{header}\r\nContent-Length: {}\r\n\r\n{poll}",
            poll.len()
        );
        stream.write_all(form.as_bytes()).expect("it is open");
        let mut answers = String::new();
        while answers.matches("HTTP/1.1 403 Forbidden").count() < 2 {
            let mut part = [0; 1024];
            let count = stream.read(&mut part).expect("it answers");
            assert!(count > 0, "{answers}");
            answers.push_str(&String::from_utf8_lossy(&part[..count]));
            assert!(!answers.contains("Aws-Request-Id"), "{answers}");
        }
    }
    assert_eq!(local.get("/up").0, 200, "the process still polls");
}

#[test]
fn calls_of_lambdas_api_other_than_invoke_are_refused_and_reach_no_function() {
    let database = Database::new();
    let local = Local::start(&database);
    for (method, path) in [
        ("GET", "/2015-03-31/functions/"),
        (
            "POST",
            "/2021-11-15/functions/web/response-streaming-invocations",
        ),
        ("GET", "/2016-08-19/account-settings/"),
    ] {
        let response = local.response(method, path);
        assert_eq!(response.status(), 404, "{path}");
        let kind = &response.headers()["x-amzn-errortype"];
        assert_eq!(kind, "UnknownOperationException", "{path}");
    }
    assert!(local.environments().is_empty(), "{}", local.log());
}

#[test]
fn the_aws_cli_fails_at_calls_that_local_does_not_have() {
    needs!(AwsCli);
    let database = Database::new();
    let local = Local::start(&database);
    let python = Part::AwsCli.path();
    let output = Command::new(&python)
        .arg(python.with_file_name("aws"))
        .args(["lambda", "list-functions", "--region", "local"])
        .args(["--no-sign-request", "--endpoint-url", local.url()])
        .output()
        .expect("the CLI starts");
    let said = said(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("the only call is Invoke"), "{said}");
    assert!(local.environments().is_empty(), "{}", local.log());
}

/// Returns the command of a server for others, at a free port.
fn public(database: &Database, more: &[(&str, &str)], dir: &str) -> Command {
    let mut command = Command::new(local());
    command
        .args(["--public", "127.0.0.1:0", "--attached", "--bootstrap"])
        .arg(bootstrap())
        .arg("--dir")
        .arg(root().join("target/tests").join(dir))
        .env_remove("APP_ENV")
        .env_remove("SECRET_KEY_BASE")
        .env("LAMBDA_FUNCTION_URL", "https://app.example.com")
        .env("DATABASE_URL", database.url())
        .envs(more.iter().copied());
    command
}

#[test]
fn with_public_only_a_process_that_knows_the_secret_path_can_poll() {
    let database = Database::new();
    let mut server = Program::start(&mut public(
        &database,
        &[("SECRET_KEY_BASE", SECRET)],
        "public-path",
    ));
    let url = server.first_line();
    let address = url.strip_prefix("http://").expect("it is a URL");
    let up = format!("GET /up HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&raw(address, &up)), 200, "{}", server.log());
    let output = Command::new("pgrep")
        .args(["-P", &server.pid().to_string()])
        .output();
    let output = output.expect("pgrep is there: install procps");
    let pid = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let api = runtime_api(pid.parse().expect("there is one environment"));
    let (address, secret) = api.split_once('/').expect("it has a path");
    assert_eq!(secret.len(), 32, "{secret}");
    for path in [
        "/2018-06-01/runtime/invocation/next".to_owned(),
        format!("/{}/2018-06-01/runtime/invocation/next", "0".repeat(32)),
        format!("/{secret}x/2018-06-01/runtime/invocation/next"),
    ] {
        let poll = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&beginning(address, &poll)), 404, "{path}");
    }
    assert!(!server.log().contains(secret), "{}", server.log());
    assert_eq!(
        status(&raw(url.strip_prefix("http://").expect("it is a URL"), &up)),
        200,
        "nothing was disturbed"
    );
}

#[test]
fn public_needs_a_secret_and_refuses_the_local_environments() {
    let database = Database::new();
    for (variables, words) in [
        (&[][..], "failed to read SECRET_KEY_BASE: it is not set"),
        (
            &[("SECRET_KEY_BASE", SECRET), ("APP_ENV", "development")],
            "failed to read APP_ENV: `development`",
        ),
        (
            &[("SECRET_KEY_BASE", SECRET), ("APP_ENV", "test")],
            "failed to read APP_ENV: `test`",
        ),
    ] {
        let output = public(&database, variables, "public-refused").output();
        let said = said(&output.expect("it starts"));
        assert!(said.contains(words), "{said}");
    }
}

/// Returns the SECRET_KEY_BASE that `local` gives its functions when none is set.
fn secret_of(dir: &Path, database: &Database) -> String {
    let local = Local::with(database)
        .args(["--dir".as_ref(), dir.as_os_str()])
        .start();
    assert_eq!(local.get("/up").0, 200);
    let variables = fs::read(format!("/proc/{}/environ", local.frozen())).expect("it is ours");
    let variables = String::from_utf8(variables).expect("they are text");
    let mut variables = variables.split('\0');
    let secret = variables.find_map(|line| line.strip_prefix("SECRET_KEY_BASE="));
    secret.expect("it has one").to_owned()
}

#[test]
fn a_developers_secret_is_random_kept_and_readable_by_the_developer_only() {
    use std::os::unix::fs::PermissionsExt;
    let database = Database::new();
    let dir = tempfile::tempdir().expect("there is room");
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    let secret = secret_of(&one, &database);
    assert!(secret.len() >= 64, "{secret}");
    assert_eq!(secret_of(&one, &database), secret, "sessions go on");
    assert_ne!(secret_of(&other, &database), secret);
    let file = one.join("secret_key_base").metadata().expect("it is kept");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

fn refused(args: &[&str]) -> Output {
    Command::new(local())
        .args(args)
        .output()
        .expect("it starts")
}

#[test]
fn options_that_cannot_work_are_refused_at_once_and_in_one_sentence() {
    let sources = root().join("tests");
    let script = root().join("Makefile");
    for path in [sources, script] {
        let output = refused(&["--bootstrap", &path.display().to_string()]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("it is not an executable file"), "{said}");
    }
    let output = refused(&["--port", "1", "--public", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("only one of them"), "{words}");
    assert_eq!(words.lines().count(), 2, "{words}");
    let output = refused(&["--version"]);
    let version = format!("local {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), version);
}
