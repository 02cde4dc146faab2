//! The Runtime API's contract, row by row, on the real executable with an API that may be hostile.
//!
//! Source: "Using the Lambda runtime API", AWS Lambda Developer Guide, and AWS's own emulator.

use crate::stage::{RuntimeApi, bootstrap, faulty, wait_for};
use serde_json::{Value, json};

const ECHO: &str = r#"{"do":"echo"}"#;
const OK: &str = r#"{"status":"OK"}"#;

fn api() -> RuntimeApi {
    RuntimeApi::with(&faulty(), "faulty", &[])
}

/// The process ends with a failure, says each of these, and asks for nothing more.
#[track_caller]
fn check_ends(mut api: RuntimeApi, says: &[&str]) {
    let (status, log) = api.end();
    assert_eq!(status.code(), Some(1), "{log}");
    for words in says {
        assert!(log.contains(words), "no {words:?} in {log}");
    }
}

/// The loop goes on: the next event is taken and answered.
#[track_caller]
fn check_goes_on(mut api: RuntimeApi) {
    api.hand("still-alive", ECHO);
    api.expect_answer("still-alive", "response");
}

#[test]
fn an_event_is_taken_and_its_reply_posted_over_one_connection() {
    let mut api = api();
    let next = api.expect_next();
    assert!(
        next.header("user-agent")
            .is_some_and(|agent| agent.starts_with("plain-lambda/"))
    );
    api.send("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\nContent-Length: 13\r\n\r\n{\"do\":\"echo\"}");
    let answer = api.expect_answer("a", "response");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json()["do"], "echo");
    api.expect_next();
    assert!(!api.is_called(), "the one connection is kept");
}

#[test]
fn a_failure_is_posted_with_its_type_its_body_and_its_x_ray_cause() {
    let mut api = api();
    api.hand("a", r#"{"do":"fail"}"#);
    let error = api.expect_answer("a", "error");
    assert_eq!(
        error.header("lambda-runtime-function-error-type"),
        Some("Function.OnDemand")
    );
    assert_eq!(error.header("content-type"), Some("application/json"));
    let expected = json!({
        "errorType": "Function.OnDemand",
        "errorMessage": "failed on demand: it was asked to",
        "stackTrace": ["it was asked to"],
    });
    assert_eq!(error.json(), expected);
    let cause = error
        .header("lambda-runtime-function-xray-error-cause")
        .expect("it is sent");
    let cause: Value = serde_json::from_str(cause).expect("it is JSON");
    assert_eq!(cause["exceptions"][0]["type"], "Function.OnDemand");
    check_goes_on(api);
}

#[test]
fn a_failure_with_a_long_text_is_posted_all_the_same() {
    let mut api = api();
    let event = json!({"do": "fail", "why": "制約違反🦀".repeat(2000)});
    api.hand("a", event.to_string());
    let error = api.expect_answer("a", "error");
    assert!(
        error.json()["errorMessage"]
            .as_str()
            .is_some_and(|text| text.contains("🦀"))
    );
    check_goes_on(api);
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
fn a_panic_is_posted_and_logged_as_one_record_with_its_place() {
    let mut api = api();
    api.hand("a", r#"{"do":"panic"}"#);
    let error = api.expect_answer("a", "error");
    assert_eq!(
        error.header("lambda-runtime-function-error-type"),
        Some("Function.Panic")
    );
    wait_for("the record", || {
        api.log().contains("on demand").then_some(())
    });
    let log = api.log();
    let records: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("on demand"))
        .collect();
    assert_eq!(records.len(), 1, "{log}");
    assert!(records[0].starts_with("ERROR RequestId: a ") && records[0].contains("faulty.rs:"));
    check_goes_on(api);
}

#[test]
fn the_invocation_id_is_echoed_if_there_is_one() {
    let mut api = api();
    let id = "lambda-runtime-invocation-id";
    api.hand_with("a", "Lambda-Runtime-Invocation-Id: n-1\r\n", ECHO);
    assert_eq!(api.expect_answer("a", "response").header(id), Some("n-1"));
    api.hand_with(
        "b",
        "Lambda-Runtime-Invocation-Id: n-2\r\n",
        r#"{"do":"fail"}"#,
    );
    assert_eq!(api.expect_answer("b", "error").header(id), Some("n-2"));
    for absent in ["", "Lambda-Runtime-Invocation-Id:\r\n"] {
        api.hand_with("c", absent, ECHO);
        assert_eq!(api.expect_answer("c", "response").header(id), None);
    }
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
    api.hand_with("a", headers, r#"{"do":"context"}"#);
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
fn everything_but_the_request_id_may_be_missing_empty_or_nonsense() {
    let mut api = api();
    let empty = "Lambda-Runtime-Deadline-Ms:\r\nLambda-Runtime-Trace-Id:\r\n\
        Lambda-Runtime-Client-Context:\r\nLambda-Runtime-Cognito-Identity:\r\n\
        Lambda-Runtime-Aws-Tenant-Id:\r\nLambda-Runtime-Invoked-Function-Arn:\r\n";
    // cargo-lambda's deadline is in 1970.
    for headers in [
        "",
        empty,
        "Lambda-Runtime-Deadline-Ms: 600000\r\n",
        "Lambda-Runtime-Deadline-Ms: soon\r\n",
    ] {
        api.hand_with("a", headers, r#"{"do":"context"}"#);
        let context = api.expect_answer("a", "response").json();
        let fields = context.as_object().expect("it is an object");
        assert!(fields.values().all(Value::is_null), "{context}");
    }
}

#[test]
fn an_event_without_a_request_id_ends_the_process() {
    let mut api = api();
    api.expect_next();
    api.reply(200, ECHO);
    check_ends(
        api,
        &["ERROR failed to get the next invocation: it came without a request id"],
    );
}

#[test]
fn a_refused_answer_is_logged_with_its_body_and_the_loop_goes_on() {
    for status in [400, 403, 410, 413] {
        for (event, what) in [(ECHO, "response"), (r#"{"do":"fail"}"#, "error")] {
            let mut api = api();
            api.hand("a", event);
            let answer = api.request();
            assert!(
                answer.line.contains(&format!("/a/{what} ")),
                "{}",
                answer.line
            );
            api.reply(status, r#"{"errorType":"NotToday"}"#);
            // Not `/error`: one invocation gets one answer.
            api.hand("b", ECHO);
            api.expect_answer("b", "response");
            let log = api.log();
            assert!(
                log.contains(&format!("answered {status}: ")) && log.contains("NotToday"),
                "{log}"
            );
        }
    }
}

#[test]
fn a_500_ends_the_process() {
    for event in [ECHO, r#"{"do":"fail"}"#] {
        let mut api = api();
        api.hand("a", event);
        api.request();
        api.reply(500, "it is over");
        check_ends(api, &["answered 500: it is over"]);
    }
}

#[test]
fn a_refused_next_ends_the_process() {
    for status in [302, 400, 403, 404, 500, 503] {
        let mut api = api();
        api.expect_next();
        api.reply(status, "not for you");
        let says = format!(
            "failed to get the next invocation: the Runtime API answered {status}: not for you"
        );
        check_ends(api, &[&says]);
    }
}

#[test]
fn next_is_asked_again_while_there_is_no_event() {
    let mut api = api();
    for _ in 0..3 {
        api.expect_next();
        api.send("HTTP/1.1 204 No Content\r\n\r\n");
    }
    check_goes_on(api);
}

#[test]
fn a_stale_connection_is_replaced_once_for_next() {
    let mut api = api();
    api.hand("a", ECHO);
    api.expect_answer("a", "response");
    api.close();
    api.hand("b", ECHO);
    api.expect_answer("b", "response");
    // Closed without an answer to a request that has arrived: asked again, on a new connection.
    api.expect_next();
    api.close();
    api.expect_next();
    api.close();
    check_ends(api, &["failed to get the next invocation"]);
}

#[test]
fn an_answer_is_never_posted_twice() {
    let mut api = api();
    api.hand("a", ECHO);
    api.request();
    api.close();
    let (status, log) = api.end();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(
        log.contains("failed to post `") && log.contains("/a/response`"),
        "{log}"
    );
    assert!(!api.is_called(), "it was posted again");
}

#[test]
fn an_api_that_is_gone_ends_the_process() {
    let mut api = RuntimeApi::listen();
    api.start(&faulty(), "faulty", "127.0.0.1:1", &[]);
    check_ends(api, &["failed to get the next invocation", "refused"]);
}

#[test]
fn chunked_slow_and_cut_events_are_read_whole_or_not_at_all() {
    let mut api = api();
    api.expect_next();
    let head =
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for byte in format!("{head}5\r\n{{\"do\"\r\n8\r\n:\"echo\"}}\r\n0\r\n\r\n").bytes() {
        api.send([byte]);
    }
    assert_eq!(api.expect_answer("a", "response").json()["do"], "echo");

    api.expect_next();
    api.send("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: b\r\nContent-Length: 100\r\n\r\n{");
    api.close();
    // The API hands the same event over again, as AWS's does until it is answered.
    api.hand("b", ECHO);
    api.expect_answer("b", "response");
}

#[test]
fn an_event_that_is_no_json_is_an_error_and_the_loop_goes_on() {
    let mut api = api();
    for event in [&b""[..], b"{", b"\xff\xfe", b"nul\0", b"{}{}"] {
        api.hand("a", event);
        let error = api.expect_answer("a", "error");
        assert_eq!(error.json()["errorType"], "Function.InvalidEvent");
    }
    check_goes_on(api);
}

#[test]
fn events_and_replies_of_six_megabytes_pass() {
    let mut api = api();
    let event = format!(r#"{{"do":"{}"}}"#, "x".repeat(6 * 1024 * 1024));
    api.hand("a", &event);
    assert_eq!(
        api.expect_answer("a", "response").json()["do"],
        event[7..event.len() - 2]
    );
    let largest = 6 * 1024 * 1024 + 100;
    api.hand("b", json!({"do": "reply", "bytes": largest}).to_string());
    assert_eq!(api.expect_answer("b", "response").body.len(), largest);
}

#[test]
fn a_reply_that_lambda_would_not_take_is_an_error_instead() {
    let mut api = api();
    api.hand(
        "a",
        json!({"do": "reply", "bytes": 6 * 1024 * 1024 + 101}).to_string(),
    );
    let error = api.expect_answer("a", "error");
    assert_eq!(error.json()["errorType"], "Function.ResponseSizeTooLarge");
    assert!(
        error.json()["errorMessage"]
            .to_string()
            .contains("6291557 bytes"),
        "{:?}",
        error.json()
    );
    check_goes_on(api);
}

#[test]
fn broken_http_ends_the_process_with_one_clear_line() {
    let many = "X-A: 1\r\n".repeat(200);
    let long = format!("X-A: {}\r\n", "x".repeat(2 * 1024 * 1024));
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        &format!("HTTP/1.1 200 OK\r\n{long}\r\n"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut api = api();
        let (status, log) = api.answer_all_with(answer);
        assert_eq!(status.code(), Some(1), "{log}");
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(
            lines[0].starts_with("ERROR failed to get the next invocation: "),
            "{log}"
        );
    }
}

#[test]
fn headers_may_repeat_and_hold_any_bytes() {
    let mut api = api();
    api.expect_next();
    api.send(
        "HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: a\r\nLambda-Runtime-Trace-Id: one\r\n",
    );
    api.send(b"Lambda-Runtime-Trace-Id: two\r\nLambda-Runtime-Invocation-Id: \xe9\xff\r\n");
    api.send(
        b"Lambda-Runtime-Client-Context: \xff\r\nContent-Length: 16\r\n\r\n{\"do\":\"context\"}",
    );
    let context = api.expect_answer("a", "response").json();
    assert_eq!(context["trace_id"], "one");
    assert_eq!(context["client_context"], "\u{fffd}");
    check_goes_on(api);
}

#[test]
fn an_unknown_handler_is_an_init_error_and_nothing_is_asked_for() {
    let mut api = RuntimeApi::with(&bootstrap(), "htttp", &[]);
    let error = api.request();
    assert_eq!(error.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
    assert_eq!(
        error.header("lambda-runtime-function-error-type"),
        Some("Runtime.UnknownHandler")
    );
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
fn the_api_may_have_a_scheme_and_a_path() {
    let mut api = RuntimeApi::listen();
    let address = format!("http://127.0.0.1:{}/.rt/web", api.port());
    api.start(&faulty(), "faulty", &address, &[]);
    let next = api.request();
    assert_eq!(
        next.line,
        "GET /.rt/web/2018-06-01/runtime/invocation/next HTTP/1.1"
    );
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let proxy = [
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ];
    check_goes_on(RuntimeApi::with(&faulty(), "faulty", &proxy));
}

#[test]
fn managed_instances_get_as_many_polls_as_they_ask_for() {
    let api = RuntimeApi::with(&faulty(), "faulty", &[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]);
    let mut polls: Vec<RuntimeApi> = (0..4).map(|_| api.take_connection()).collect();
    for poll in &mut polls {
        poll.expect_next();
    }
    // The last is answered first, and the others still wait.
    for (number, poll) in polls.iter_mut().enumerate().rev() {
        let id = format!("id-{number}");
        poll.hand_over(&id, ECHO);
        poll.expect_answer(&id, "response");
        poll.expect_next();
    }
    assert!(!api.is_called(), "four are enough");
}

#[test]
fn a_lost_poll_of_managed_instances_is_tried_again_and_then_ends_the_process() {
    let mut api = RuntimeApi::with(&faulty(), "faulty", &[("AWS_LAMBDA_MAX_CONCURRENCY", "2")]);
    let mut first = api.take_connection();
    let mut second = api.take_connection();
    first.expect_next();
    second.expect_next();
    first.close();
    let mut again = api.take_connection();
    again.expect_next();
    again.hand_over("a", ECHO);
    again.expect_answer("a", "response");
    drop((first, second, again));
    api.stop_listening();
    check_ends(
        api,
        &["asking again in 100ms", "failed to get the next invocation"],
    );
}

#[test]
fn snap_start_waits_for_the_restore_before_it_asks_for_events() {
    let snap_start = [("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")];
    let mut api = RuntimeApi::with(&faulty(), "faulty", &snap_start);
    let restore = api.request();
    assert_eq!(
        restore.line,
        "GET /2018-06-01/runtime/restore/next HTTP/1.1"
    );
    api.reply(200, "");
    check_goes_on(api);

    let mut api = RuntimeApi::with(&faulty(), "faulty", &snap_start);
    api.request();
    api.reply(403, "no snapshots");
    check_ends(
        api,
        &["failed to wait for the restore: the Runtime API answered 403: no snapshots"],
    );
}

#[test]
fn sigterm_ends_a_registered_process_in_order() {
    let mut api = RuntimeApi::with(&faulty(), "faulty", &[("GRACEFUL_SHUTDOWN", "true")]);
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
    let mut api = RuntimeApi::with(&faulty(), "faulty", &json);
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
