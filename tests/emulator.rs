//! The shipped executable under AWS's own Runtime Interface Emulator, as a check on `local`.
//!
//! Sends one invocation at a time: a concurrent one makes the emulator panic.

use crate::support::{
    BUILT_IN, Database, MIGRATIONS, Part, Program, SECRET, bootstrap, free_port, migrations, needs,
    test_handler, wait_for,
};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// A running emulator with one function.
pub(crate) struct Emulator {
    program: Program,
    url: String,
}

impl Emulator {
    /// Starts `command`, which runs the emulator, with its addresses and then `arguments` appended.
    pub(crate) fn start(command: &mut Command, arguments: &[&str]) -> Emulator {
        let (api, front) = (free_port(), free_port());
        command.args(["--runtime-api-address", &format!("127.0.0.1:{api}")]);
        command.args([
            "--runtime-interface-emulator-address",
            &format!("127.0.0.1:{front}"),
        ]);
        let program = Program::start(command.args(arguments));
        wait_for("the emulator to listen", || {
            TcpStream::connect(("127.0.0.1", front)).ok()
        });
        let url = format!("http://127.0.0.1:{front}/2015-03-31/functions/function/invocations");
        Emulator { program, url }
    }

    /// Invokes the function; the reply does not tell whether the function failed.
    pub(crate) fn invoke(&self, event: &Value) -> Value {
        self.send(&event.to_string())
    }

    /// Invokes the function with any text.
    fn send(&self, event: &str) -> Value {
        let mut response = ureq::post(&self.url).send(event).unwrap_or_else(|error| {
            panic!("{error}\n{}", self.program.log());
        });
        let body = response
            .body_mut()
            .read_to_string()
            .expect("the body is whole");
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("no JSON: {body}"))
    }
}

fn emulator(database: &Database, handler: &str) -> Emulator {
    emulator_of(&bootstrap(), database, handler)
}

fn emulator_of(bootstrap: &Path, database: &Database, handler: &str) -> Emulator {
    let bootstrap = bootstrap.to_str().expect("the checkout's path is UTF-8");
    let mut command = Command::new(Part::Emulator.path());
    // The emulator passes its whole environment on to the function.
    command
        .env_clear()
        .env("DATABASE_URL", database.url())
        .env("SECRET_KEY_BASE", SECRET)
        .env("MIGRATIONS_DIR", migrations());
    Emulator::start(&mut command, &[bootstrap, handler])
}

/// Returns the shortest Function URL event that the handler accepts.
pub(crate) fn get(path: &str) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "requestContext": {"http": {"method": "GET", "path": path}},
    })
}

#[test]
fn pages_and_errors_pass_through_awss_emulator() {
    needs!(Emulator);
    let database = Database::new();
    let emulator = emulator(&database, "http");
    let up = emulator.invoke(&get("/up"));
    assert_eq!(
        (&up["statusCode"], &up["body"]),
        (&json!(200), &json!("up\n"))
    );

    let refused = emulator.invoke(&json!({"Records": []}));
    assert_eq!(refused["errorType"], "Function.UnknownEvent", "{refused}");

    let page = emulator.invoke(&get("/up?db"));
    assert_eq!(
        page["body"],
        format!("{} migrations are pending\n", MIGRATIONS + BUILT_IN)
    );
}

#[test]
fn migrations_pass_through_awss_emulator() {
    needs!(Emulator);
    let database = Database::new();
    let emulator = emulator(&database, "migrate");
    let applied = emulator.invoke(&json!({"action": "migrate"}));
    assert_eq!(
        applied["applied"].as_array().map(Vec::len),
        Some(MIGRATIONS),
        "{applied}"
    );
    let again = emulator.invoke(&json!({"action": "migrate"}));
    assert_eq!(
        again,
        json!({
            "status": "done", "applied": [], "pending": [],
            "built_in": {"applied": [], "pending": []},
        })
    );
    let unknown = emulator.invoke(&json!({"action": "x"}));
    assert_eq!(unknown["errorType"], "Function.UnknownAction", "{unknown}");
}

#[test]
fn broken_json_is_an_error_and_the_loop_continues() {
    needs!(Emulator);
    let database = Database::new();
    let emulator = emulator(&database, "migrate");
    for broken in ["{\"action\":", "", "\u{1}", "{}{}"] {
        let error = emulator.send(broken);
        assert_eq!(error["errorType"], "Function.InvalidEvent", "{error}");
    }
    let status = emulator.invoke(&json!({"action": "status"}));
    assert_eq!(status["applied"], json!([]), "{status}");
}

#[test]
fn an_unknown_handler_is_an_init_error_in_awss_emulator_too() {
    needs!(Emulator);
    let database = Database::new();
    let emulator = emulator(&database, "htttp");
    let mut response = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .post(&emulator.url)
        .send("{}")
        .expect("the emulator answers");
    let body = response
        .body_mut()
        .read_to_string()
        .expect("the body is whole");
    assert!(
        body.contains("Runtime.UnknownHandler") && body.contains("http, migrate"),
        "{body}"
    );
}

#[test]
fn failures_and_panics_pass_through_awss_emulator_and_the_loop_continues() {
    needs!(Emulator);
    let emulator = emulator_of(&test_handler(), &Database::new(), "test_handler");
    let first = emulator.invoke(&json!({"do": "echo"}));
    let failure = emulator.invoke(&json!({"do": "fail"}));
    let expected = json!({
        "errorType": "Function.OnDemand",
        "errorMessage": "failed on demand: it was asked to",
        "stackTrace": ["it was asked to"],
    });
    assert_eq!(failure, expected);
    let panic = emulator.invoke(&json!({"do": "panic"}));
    assert_eq!(panic["errorType"], "Function.Panic", "{panic}");
    assert_eq!(emulator.invoke(&json!({"do": "echo"}))["pid"], first["pid"]);
}

#[test]
fn replies_of_six_megabytes_pass_through_awss_emulator_and_larger_ones_are_an_error() {
    needs!(Emulator);
    let emulator = emulator_of(&test_handler(), &Database::new(), "test_handler");
    let bytes = 6 * 1024 * 1024 + 100;
    let reply = emulator.invoke(&json!({"do": "reply", "bytes": bytes}));
    assert_eq!(reply.as_str().map(str::len), Some(bytes - 2));
    let refused = emulator.invoke(&json!({"do": "reply", "bytes": bytes + 1}));
    assert_eq!(refused["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(emulator.invoke(&json!({"do": "echo"}))["do"], "echo");
}

#[test]
fn events_of_several_megabytes_pass_through_awss_emulator() {
    needs!(Emulator);
    // The emulator sends large events chunked.
    let emulator = emulator_of(&test_handler(), &Database::new(), "test_handler");
    let text = "ü".repeat(2_500_000);
    let reply = emulator.invoke(&json!({"text": &text}));
    assert!(reply["text"] == text, "the text came back otherwise");
}

#[test]
fn the_context_passes_through_awss_emulator() {
    needs!(Emulator);
    let emulator = emulator_of(&test_handler(), &Database::new(), "test_handler");
    let mut reply = ureq::post(&emulator.url)
        .header("X-Amz-Client-Context", "eyJjdXN0b20iOnsiYSI6MX19")
        .header("X-Amz-Tenant-Id", "blue")
        .send(r#"{"do":"context"}"#)
        .expect("the emulator answers");
    let text = reply
        .body_mut()
        .read_to_string()
        .expect("the body is whole");
    let context: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    assert_eq!(
        context["client_context"], r#"{"custom":{"a":1}}"#,
        "{context}"
    );
    assert_eq!(context["tenant_id"], "blue", "{context}");
    assert!(
        context["remaining_ms"]
            .as_u64()
            .is_some_and(|left| left > 1000)
    );
    assert!(context["function_arn"].is_string(), "{context}");
    // The emulator sends no trace id.
    assert!(context["trace_id"].is_null(), "{context}");
}
