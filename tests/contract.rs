//! The behaviour of our own runtime beyond the contract: its logs and messages, the context of its
//! handlers, its graceful shutdown.
//!
//! `conformance` has the contract, for any runtime.

use crate::conformance::{ECHO, OK, check_ends};
use crate::support::{RuntimeApi, bootstrap, test_handler, wait_for};
use serde_json::{Value, json};

fn api() -> RuntimeApi {
    RuntimeApi::with(&test_handler(), "test_handler", &[])
}

#[test]
fn an_answer_leaves_in_one_write() {
    let mut api = api();
    api.hand("a", ECHO);
    let bytes = api.one_read();
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").expect("it has a head");
    assert!(
        head.starts_with("POST ") && body.starts_with('{') && body.ends_with('}'),
        "{text}"
    );
}

#[test]
fn a_panic_is_logged_as_one_record_with_its_place() {
    let mut api = api();
    api.hand("a", r#"{"do":"panic"}"#);
    api.expect_answer("a", "error");
    wait_for("the record", || {
        api.log().contains("on demand").then_some(())
    });
    let log = api.log();
    let records: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("on demand"))
        .collect();
    assert_eq!(records.len(), 1, "{log}");
    assert!(
        records[0].starts_with("ERROR RequestId: a ") && records[0].contains("test_handler.rs:")
    );
}

#[test]
fn the_whole_context_reaches_the_handler() {
    let mut api = api();
    let headers = "Lambda-Runtime-Deadline-Ms: 99999999999999\r\n\
        Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:1:function:f:live\r\n\
        Lambda-Runtime-Trace-Id: Root=1-2-3\r\n\
        Lambda-Runtime-Client-Context: {\"custom\":{}}\r\n\
        Lambda-Runtime-Cognito-Identity: {\"cognitoIdentityId\":\"x\"}\r\n\
        Lambda-Runtime-Aws-Tenant-Id: blue\r\n";
    api.hand_only("a", headers, r#"{"do":"context"}"#);
    let context = api.expect_answer("a", "response").json();
    assert_eq!(
        context["function_arn"],
        "arn:aws:lambda:eu-west-1:1:function:f:live"
    );
    assert_eq!(context["trace_id"], "Root=1-2-3");
    assert_eq!(context["client_context"], r#"{"custom":{}}"#);
    assert_eq!(context["cognito_identity"], r#"{"cognitoIdentityId":"x"}"#);
    assert_eq!(context["tenant_id"], "blue");
    assert!(
        context["remaining_ms"]
            .as_u64()
            .is_some_and(|millis| millis > 1_000_000),
        "{context}"
    );
}

#[test]
fn missing_empty_and_invalid_headers_are_absent_for_the_handler() {
    let mut api = api();
    let empty = "Lambda-Runtime-Deadline-Ms:\r\nLambda-Runtime-Trace-Id:\r\n\
        Lambda-Runtime-Client-Context:\r\nLambda-Runtime-Cognito-Identity:\r\n\
        Lambda-Runtime-Aws-Tenant-Id:\r\nLambda-Runtime-Invoked-Function-Arn:\r\n";
    // The deadline of 600000 is cargo-lambda's, in 1970.
    for headers in [
        "",
        empty,
        "Lambda-Runtime-Deadline-Ms: 600000\r\n",
        "Lambda-Runtime-Deadline-Ms: soon\r\n",
    ] {
        api.hand_only("a", headers, r#"{"do":"context"}"#);
        let context = api.expect_answer("a", "response").json();
        let fields = context.as_object().expect("it is an object");
        assert!(fields.values().all(Value::is_null), "{context}");
    }
}

#[test]
fn a_deadline_that_is_past_is_a_deadline() {
    let mut api = api();
    // A second after the beginning of 2026.
    api.hand_only(
        "a",
        "Lambda-Runtime-Deadline-Ms: 1767225601000\r\n",
        r#"{"do":"context"}"#,
    );
    let context = api.expect_answer("a", "response").json();
    assert_eq!(context["remaining_ms"], 0, "{context}");
}

#[test]
fn an_event_larger_than_lambda_sends_is_an_error_and_the_loop_goes_on() {
    let mut api = api();
    api.hand(
        "a",
        format!(r#"{{"do":"{}"}}"#, "x".repeat(10 * 1024 * 1024)),
    );
    let error = api.expect_answer("a", "error").json();
    assert_eq!(error["errorType"], "Function.InvalidEvent", "{error}");
    api.hand("b", ECHO);
    api.expect_answer("b", "response");
}

#[test]
fn an_answer_to_an_answer_may_have_no_length() {
    let mut api = api();
    api.hand("a", ECHO);
    api.request();
    // The connection stays open, so that the body never ends.
    api.send("HTTP/1.1 202 Accepted\r\n\r\n");
    let _open = api.split_off();
    api.hand("b", ECHO);
    api.expect_answer("b", "response");
}

#[test]
fn the_first_of_repeated_headers_counts_and_invalid_utf_8_is_replaced() {
    let mut api = api();
    api.expect_next();
    api.send("HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: a\r\n");
    api.send("Lambda-Runtime-Trace-Id: one\r\nLambda-Runtime-Trace-Id: two\r\n");
    api.send(b"Lambda-Runtime-Client-Context: \xff\r\n");
    api.send(b"Lambda-Runtime-Invocation-Id: \xe9\xff\r\n");
    api.send("Content-Length: 16\r\n\r\n{\"do\":\"context\"}");
    let context = api.expect_answer("a", "response").json();
    assert_eq!(context["trace_id"], "one");
    assert_eq!(context["client_context"], "\u{fffd}");
}

#[test]
fn an_event_with_text_after_its_json_is_an_error() {
    let mut api = api();
    api.hand("a", "{}{}");
    let error = api.expect_answer("a", "error").json();
    assert_eq!(error["errorType"], "Function.InvalidEvent");
}

#[test]
fn a_stale_connection_is_replaced_once_for_next() {
    let mut api = api();
    api.hand("a", ECHO);
    api.expect_answer("a", "response");
    api.close();
    api.hand("b", ECHO);
    api.expect_answer("b", "response");
    // A connection that is closed without an answer to `/next`: `/next` is sent again on a new connection.
    api.expect_next();
    api.close();
    api.expect_next();
    api.close();
    check_ends(api, &["failed to get the next invocation"]);
}

#[test]
fn an_unknown_handler_is_an_init_error_that_names_the_known_ones() {
    let mut api = RuntimeApi::with(&bootstrap(), "htttp", &[]);
    let error = api.request();
    let message = error.json()["errorMessage"].to_string();
    assert!(
        message.contains("http, migrate") && message.contains("CMD"),
        "{message}"
    );
    api.reply(202, OK);
    check_ends(api, &["failed to find handler `htttp`"]);
}

#[test]
fn a_wrong_setting_is_an_init_error_that_names_it() {
    let mut api = RuntimeApi::with(&bootstrap(), "http", &[("APP_ENV", "staging")]);
    let error = api.request();
    assert_eq!(error.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
    let message = error.json()["errorMessage"].to_string();
    assert!(
        message.contains("APP_ENV") && message.contains("production"),
        "{message}"
    );
    api.reply(403, "too late");
    check_ends(api, &["APP_ENV", "answered 403: too late"]);
}

#[test]
fn a_lost_poll_of_managed_instances_is_repeated_and_then_ends_the_process() {
    let mut api = RuntimeApi::with(
        &test_handler(),
        "test_handler",
        &[("AWS_LAMBDA_MAX_CONCURRENCY", "2")],
    );
    let mut first = api.take_connection();
    let mut second = api.take_connection();
    first.expect_next();
    second.expect_next();
    first.close();
    let mut again = api.take_connection();
    again.expect_next();
    again.hand_over("a", "", ECHO);
    again.expect_answer("a", "response");
    drop((first, second, again));
    api.stop_listening();
    check_ends(
        api,
        &["asking again in 100ms", "failed to get the next invocation"],
    );
}

#[test]
fn an_invalid_variable_of_the_platform_is_an_init_error() {
    for (name, value) in [
        ("AWS_LAMBDA_MAX_CONCURRENCY", "many"),
        ("AWS_LAMBDA_MAX_CONCURRENCY", "0"),
        ("GRACEFUL_SHUTDOWN", "yes"),
    ] {
        let mut api = RuntimeApi::with(&test_handler(), "test_handler", &[(name, value)]);
        let error = api.request();
        assert_eq!(error.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
        let message = error.json()["errorMessage"].to_string();
        assert!(message.contains(name), "{message}");
        api.reply(202, OK);
        check_ends(api, &[name]);
    }
}

#[test]
fn sigterm_ends_a_registered_process_with_success() {
    let mut api = RuntimeApi::with(
        &test_handler(),
        "test_handler",
        &[("GRACEFUL_SHUTDOWN", "true")],
    );
    let register = api.request();
    assert_eq!(
        register.line,
        "POST /2020-01-01/extension/register HTTP/1.1"
    );
    assert_eq!(
        register.header("lambda-extension-name"),
        Some("plain-lambda")
    );
    assert_eq!(register.json(), json!({"events": []}));
    api.send("HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: x-1\r\nContent-Length: 2\r\n\r\n{}");
    let mut calls = [api.take_connection(), api.take_connection()];
    let mut lines = calls.each_mut().map(|call| {
        let request = call.request();
        (
            request.line.clone(),
            request
                .header("lambda-extension-identifier")
                .map(str::to_string),
        )
    });
    lines.sort();
    assert_eq!(
        lines[0].0,
        "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
    );
    assert_eq!(lines[1].0, "GET /2020-01-01/extension/event/next HTTP/1.1");
    assert_eq!(lines[1].1.as_deref(), Some("x-1"));
    api.program().signal("TERM");
    let (status, log) = api.end();
    assert!(status.success(), "{log}");
    assert_eq!(log.trim_end(), "INFO ended in order after SIGTERM");
}

#[test]
fn json_logs_carry_time_level_and_ids() {
    let json = [
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
    ];
    let mut api = RuntimeApi::with(&test_handler(), "test_handler", &json);
    api.hand_with(
        "a",
        "Lambda-Runtime-Aws-Tenant-Id: blue\r\n",
        r#"{"do":"log"}"#,
    );
    api.expect_answer("a", "response");
    api.expect_next();
    let log = wait_for("the record", || {
        Some(api.log()).filter(|log| !log.is_empty())
    });
    let record: Value = serde_json::from_str(&log).unwrap_or_else(|_| panic!("one record: {log}"));
    assert_eq!(record["level"], "WARN");
    assert_eq!(record["message"], "two\nlines");
    assert_eq!(
        (&record["requestId"], &record["tenantId"]),
        (&json!("a"), &json!("blue"))
    );
    let timestamp = record["timestamp"].as_str().expect("it is text");
    assert!(
        timestamp.len() == 24 && timestamp.ends_with('Z'),
        "{timestamp}"
    );
}

#[test]
fn a_served_invocation_logs_nothing() {
    let mut api = api();
    api.hand("a", ECHO);
    api.expect_answer("a", "response");
    api.expect_next();
    assert_eq!(api.log(), "");
}
