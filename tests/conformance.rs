//! The contract of the Runtime API, row by row: a runtime's requests, and how the process ends.
//!
//! The tests' names are the rows of `docs/conformance.md`. Tests any `bootstrap` with the handler that the
//! document describes: ours, or the one that `CANDIDATE` names. Compares messages and logs only for
//! ours (`is_ours`).
//!
//! Source: "Using the Lambda runtime API", AWS Lambda Developer Guide, and AWS's own emulator.

use crate::support::{RuntimeApi, USUAL, candidate, is_ours, wait_for};
use serde_json::{Value, json};

pub(crate) const ECHO: &str = r#"{"do":"echo"}"#;
pub(crate) const FAIL: &str = r#"{"do":"fail"}"#;
pub(crate) const TRACE: &str = r#"{"do":"trace"}"#;
pub(crate) const OK: &str = r#"{"status":"OK"}"#;

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_CAUSE: &str = "lambda-runtime-function-xray-error-cause";
const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// The largest X-Ray cause that the platform keeps, in bytes.
const LARGEST_CAUSE: usize = 64 * 1024;
/// The largest reply that the platform accepts, in bytes.
const LARGEST_REPLY: usize = 6 * 1024 * 1024 + 100;

fn api() -> RuntimeApi {
    api_with(&[])
}

fn api_with(variables: &[(&str, &str)]) -> RuntimeApi {
    RuntimeApi::with(&candidate(), "test_handler", variables)
}

/// Checks that the process fails without another request, and that our own logs each of `says`.
#[track_caller]
pub(crate) fn check_ends(mut api: RuntimeApi, says: &[&str]) {
    let request = api.request_or_end();
    assert!(request.is_none(), "it goes on: {request:?}");
    let (status, log) = api.end();
    let failed = status.code().is_some_and(|code| code != 0);
    assert!(failed, "{status}: {log}");
    if is_ours() {
        assert_eq!(status.code(), Some(1), "{log}");
        for words in says {
            assert!(log.contains(words), "no {words:?} in {log}");
        }
    }
}

/// Checks that the loop goes on: the next event is taken and answered.
#[track_caller]
pub(crate) fn check_goes_on(mut api: RuntimeApi) {
    api.hand("still-alive", ECHO);
    api.expect_answer("still-alive", "response");
}

/// Checks that the invocation gets no answer: the process fails, or asks for another event. `ours`
/// checks which of the two our own runtime does.
#[track_caller]
fn check_gives_up(mut api: RuntimeApi, ours: impl FnOnce(RuntimeApi)) {
    if is_ours() {
        return ours(api);
    }
    match api.request_or_end() {
        Some(request) => assert!(request.line.contains("/next "), "{}", request.line),
        None => check_ends(api, &[]),
    }
}

// # What the Runtime API asks for

#[test]
fn an_event_is_taken_and_its_reply_is_posted() {
    let mut api = api();
    api.hand("a", r#"{"do":"echo","text":"grüße 🦀"}"#);
    let answer = api.expect_answer("a", "response");
    assert_eq!(answer.json()["text"], "grüße 🦀");
    if is_ours() {
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    check_goes_on(api);
}

#[test]
fn the_user_agent_is_a_name_and_a_version() {
    let mut api = api();
    let next = api.expect_next();
    let agent = next.header("user-agent").unwrap_or_default();
    let release = agent.split(' ').next().unwrap_or_default();
    let (name, version) = release.split_once('/').unwrap_or_default();
    assert!(!name.is_empty() && !version.is_empty(), "{agent:?}");
    if is_ours() {
        assert_eq!(name, "plain-lambda");
    }
}

#[test]
fn a_failure_is_posted_with_its_message_and_type_and_the_loop_goes_on() {
    let mut api = api();
    api.hand("a", FAIL);
    let error = api.expect_answer("a", "error").json();
    for field in ["errorMessage", "errorType"] {
        assert!(error[field].as_str().is_some_and(|text| !text.is_empty()));
    }
    if is_ours() {
        let expected = json!({
            "errorType": "Function.OnDemand",
            "errorMessage": "failed on demand: it was asked to",
            "stackTrace": ["it was asked to"],
        });
        assert_eq!(error, expected);
    }
    check_goes_on(api);
}

#[test]
fn a_failure_is_posted_with_a_stack_trace() {
    let mut api = api();
    api.hand("a", FAIL);
    let error = api.expect_answer("a", "error").json();
    assert!(error["stackTrace"].is_array(), "{error}");
}

#[test]
fn a_failure_is_posted_as_json() {
    let mut api = api();
    api.hand("a", FAIL);
    let error = api.expect_answer("a", "error");
    let content_type = error.header("content-type").unwrap_or_default();
    assert!(content_type.starts_with("application/"), "{content_type:?}");
    assert!(content_type.ends_with("json"), "{content_type:?}");
    if is_ours() {
        assert_eq!(content_type, "application/json");
    }
}

#[test]
fn the_type_of_a_failure_is_one_that_the_platform_keeps() {
    let mut api = api();
    api.hand("a", FAIL);
    let error = api.expect_answer("a", "error");
    let error_type = error.header(ERROR_TYPE).unwrap_or_default();
    assert!(is_kept(error_type), "{error_type:?}");
    if is_ours() {
        assert_eq!(error_type, "Function.OnDemand");
    }
}

/// Returns whether an error type matches `(Function|Runtime)\.[A-Z][a-zA-Z]+`. The platform replaces any
/// other by "Unknown".
fn is_kept(error_type: &str) -> bool {
    let (origin, name) = error_type.split_once('.').unwrap_or_default();
    ["Function", "Runtime"].contains(&origin)
        && name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_alphabetic())
}

#[test]
fn a_failure_is_posted_with_a_cause_for_x_ray() {
    let mut api = api();
    api.hand("a", FAIL);
    let error = api.expect_answer("a", "error");
    let cause = error.header(ERROR_CAUSE).expect("it is sent");
    assert!(cause.len() <= LARGEST_CAUSE, "{} bytes", cause.len());
    let cause: Value = serde_json::from_str(cause).expect("it is JSON");
    let error_type = &cause["exceptions"][0]["type"];
    assert!(error_type.is_string(), "{cause}");
    assert!(!is_ours() || error_type == "Function.OnDemand");
}

#[test]
fn a_panic_is_posted_as_an_error_and_the_next_event_is_served() {
    let mut api = api();
    api.hand("a", r#"{"do":"panic"}"#);
    let error = api.expect_answer("a", "error");
    if is_ours() {
        assert_eq!(error.header(ERROR_TYPE), Some("Function.Panic"));
    }
    check_goes_on(api);
}

#[test]
fn a_failure_before_the_first_event_is_an_init_error_and_ends_the_process() {
    let mut api = RuntimeApi::with(&candidate(), "missing", &[]);
    let error = api.request();
    assert_eq!(error.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
    assert!(error.json()["errorMessage"].is_string());
    if is_ours() {
        assert_eq!(error.header(ERROR_TYPE), Some("Runtime.UnknownHandler"));
    }
    api.reply(202, OK);
    check_ends(api, &["failed to find handler `missing`"]);
}

#[test]
fn the_invocation_id_is_echoed_with_a_response() {
    let mut api = api();
    api.hand_with("a", "Lambda-Runtime-Invocation-Id: n-1\r\n", ECHO);
    let answer = api.expect_answer("a", "response");
    assert_eq!(answer.header(INVOCATION_ID), Some("n-1"));
}

#[test]
fn the_invocation_id_is_echoed_with_an_error() {
    let mut api = api();
    api.hand_with("a", "Lambda-Runtime-Invocation-Id: n-2\r\n", FAIL);
    let error = api.expect_answer("a", "error");
    assert_eq!(error.header(INVOCATION_ID), Some("n-2"));
}

#[test]
fn no_invocation_id_is_sent_when_the_event_had_none() {
    let mut api = api();
    api.hand_with("a", "Lambda-Runtime-Invocation-Id: n-1\r\n", ECHO);
    api.expect_answer("a", "response");
    for absent in ["", "Lambda-Runtime-Invocation-Id:\r\n"] {
        api.hand_with("b", absent, ECHO);
        let answer = api.expect_answer("b", "response");
        assert_eq!(answer.header(INVOCATION_ID).unwrap_or_default(), "");
        assert!(!is_ours() || answer.header(INVOCATION_ID).is_none());
    }
}

#[test]
fn an_event_with_empty_headers_is_served() {
    let mut api = api();
    let empty = "Lambda-Runtime-Deadline-Ms: 99999999999999\r\nLambda-Runtime-Trace-Id:\r\n\
        Lambda-Runtime-Client-Context:\r\nLambda-Runtime-Cognito-Identity:\r\n\
        Lambda-Runtime-Aws-Tenant-Id:\r\nLambda-Runtime-Invoked-Function-Arn:\r\n";
    api.hand_only("a", empty, ECHO);
    api.expect_answer("a", "response");
}

#[test]
fn the_trace_id_is_in_the_environment_during_its_invocation_only() {
    let mut api = api();
    let deadline = "Lambda-Runtime-Deadline-Ms: 99999999999999\r\n";
    for root in ["Root=1", "Root=2"] {
        let headers = format!("{deadline}Lambda-Runtime-Trace-Id: {root}\r\n");
        api.hand_only("a", &headers, TRACE);
        let answer = api.expect_answer("a", "response").json();
        assert_eq!(answer, json!({"trace": root}));
    }
    api.hand_only("b", deadline, TRACE);
    let answer = api.expect_answer("b", "response").json();
    assert_eq!(answer, json!({"trace": null}));
}

#[test]
fn after_a_refused_response_the_loop_goes_on() {
    for status in [400, 403, 410, 413] {
        check_refused(ECHO, "response", status);
    }
}

#[test]
fn after_a_refused_error_the_loop_goes_on() {
    for status in [400, 403, 410, 413] {
        check_refused(FAIL, "error", status);
    }
}

/// Refuses an answer and checks that the next request is `/next`: one invocation gets one answer, so
/// `/error` must not follow.
#[track_caller]
fn check_refused(event: &str, what: &str, status: u16) {
    let mut api = api();
    api.hand("a", event);
    let answer = api.request();
    let line = format!("POST /2018-06-01/runtime/invocation/a/{what} HTTP/1.1");
    assert_eq!(answer.line, line);
    api.reply(status, r#"{"errorType":"NotToday"}"#);
    api.hand("b", ECHO);
    api.expect_answer("b", "response");
    if is_ours() {
        let says = format!("answered {status}: ");
        wait_for("the refusal in the log", || {
            let log = api.log();
            (log.contains(&says) && log.contains("NotToday")).then_some(())
        });
    }
}

#[test]
fn a_500_to_an_answer_ends_the_process() {
    for event in [ECHO, FAIL] {
        let mut api = api();
        api.hand("a", event);
        api.request();
        api.reply(500, "it is over");
        check_ends(api, &["answered 500: it is over"]);
    }
}

#[test]
fn a_refused_next_ends_the_process() {
    for status in [400, 403, 404, 500, 503] {
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
fn an_event_of_six_megabytes_passes() {
    let mut api = api();
    let event = format!(r#"{{"do":"{}"}}"#, "x".repeat(6 * 1024 * 1024));
    api.hand("a", &event);
    let answer = api.expect_answer("a", "response").json();
    assert!(answer["do"] == event[7..event.len() - 2]);
}

#[test]
fn a_reply_as_large_as_lambda_takes_passes() {
    let mut api = api();
    let event = json!({"do": "reply", "bytes": LARGEST_REPLY});
    api.hand("a", event.to_string());
    assert_eq!(api.expect_answer("a", "response").body.len(), LARGEST_REPLY);
}

#[test]
fn a_reply_larger_than_lambda_takes_is_an_error_or_refused_and_the_loop_goes_on() {
    let mut api = api();
    let event = json!({"do": "reply", "bytes": LARGEST_REPLY + 1});
    api.hand("a", event.to_string());
    let answer = api.request();
    match answer.line.contains("/a/error ") {
        true => {
            let error = answer.json();
            let message = error["errorMessage"].as_str().unwrap_or_default();
            assert!(message.contains("6291557"), "{message}");
            assert!(!is_ours() || error["errorType"] == "Function.ResponseSizeTooLarge");
            api.reply(202, OK);
        }
        false => {
            assert!(!is_ours(), "ours posts an error itself");
            assert!(answer.line.contains("/a/response "), "{}", answer.line);
            api.reply(413, r#"{"errorType":"RequestEntityTooLarge"}"#);
        }
    }
    check_goes_on(api);
}

#[test]
fn the_trace_variable_is_not_set_with_concurrent_invocations() {
    let mut api = api_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "2")]);
    api.expect_next();
    let mut poll = api.split_off();
    // Takes the second poll too, whose connection could otherwise be taken for one of `poll`.
    api.expect_next();
    poll.hand_over("a", USUAL, TRACE);
    let answer = poll.expect_answer("a", "response");
    assert_eq!(answer.json(), json!({"trace": null}));
}

#[test]
fn managed_instances_get_one_poll_per_concurrent_invocation() {
    let mut api = api_with(&[("AWS_LAMBDA_MAX_CONCURRENCY", "4")]);
    let mut polls: Vec<RuntimeApi> = (0..4)
        .map(|_| {
            api.expect_next();
            api.split_off()
        })
        .collect();
    // Answers the last poll first, while the others wait.
    for (number, poll) in polls.iter_mut().enumerate().rev() {
        let id = format!("id-{number}");
        poll.hand_over(&id, USUAL, ECHO);
        poll.expect_answer(&id, "response");
        poll.expect_next();
    }
    assert!(!api.is_asked(), "four are enough");
    if is_ours() {
        let later = polls.iter_mut().map(RuntimeApi::connections_made);
        assert_eq!(later.sum::<usize>() + api.connections_made(), 4);
    }
}

#[test]
fn snap_start_waits_for_the_restore_before_it_asks_for_events() {
    let mut api = restoring();
    api.reply(200, "");
    check_goes_on(api);
}

#[test]
fn a_refused_restore_ends_the_process() {
    let mut api = restoring();
    api.reply(403, "no snapshots");
    // Another runtime may post `/init/error` first.
    if !is_ours()
        && let Some(error) = api.request_or_end()
    {
        assert!(error.line.starts_with("POST "), "{}", error.line);
        assert!(error.line.contains("/error "), "{}", error.line);
        api.reply(202, OK);
    }
    check_ends(
        api,
        &["failed to wait for the restore: the Runtime API answered 403: no snapshots"],
    );
}

/// Starts the candidate with SnapStart and waits for its `/restore/next`.
#[track_caller]
fn restoring() -> RuntimeApi {
    let mut api = api_with(&[("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")]);
    let restore = api.request();
    assert_eq!(
        restore.line,
        "GET /2018-06-01/runtime/restore/next HTTP/1.1"
    );
    api
}

// # What a runtime meets beside that

#[test]
fn connections_are_kept_from_event_to_event() {
    let mut api = api();
    for _ in 0..50 {
        api.hand("a", ECHO);
        api.expect_answer("a", "response");
    }
    api.expect_next();
    let made = api.connections_made();
    assert!(made <= 5, "{made} connections");
    assert!(!is_ours() || made == 1, "{made} connections");
}

#[test]
fn a_connection_that_the_api_closes_is_replaced() {
    let mut api = api();
    api.hand("a", ECHO);
    api.request();
    api.send("HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    api.close();
    check_goes_on(api);
}

#[test]
fn an_answer_is_never_posted_twice() {
    let mut api = api();
    api.hand("a", ECHO);
    api.request();
    api.close();
    check_gives_up(api, |api| {
        check_ends(api, &["failed to post `", "/a/response`"]);
    });
}

#[test]
fn an_event_with_nothing_but_a_request_id_is_served() {
    let mut api = api();
    api.hand_only("a", "", ECHO);
    api.expect_answer("a", "response");
}

#[test]
fn an_event_with_a_deadline_in_the_past_is_served() {
    let mut api = api();
    // cargo-lambda sends a deadline in 1970.
    api.hand_only("a", "Lambda-Runtime-Deadline-Ms: 600000\r\n", ECHO);
    api.expect_answer("a", "response");
}

#[test]
fn an_event_with_a_repeated_header_is_served() {
    let mut api = api();
    let headers = "Lambda-Runtime-Trace-Id: Root=2\r\nX-Other: 1\r\nX-Other: 2\r\n";
    api.hand_with("a", headers, ECHO);
    api.expect_answer("a", "response");
    check_goes_on(api);
}

#[test]
fn the_client_context_may_hold_any_text() {
    let mut api = api();
    let header = r#"Lambda-Runtime-Client-Context: {"custom":{"who":"Zoë 🦀"}}"#;
    api.hand_with("a", &format!("{header}\r\n"), ECHO);
    api.expect_answer("a", "response");
}

#[test]
fn a_failure_with_a_very_long_text_is_posted() {
    let mut api = api();
    let event = json!({"do": "fail", "why": "制約違反🦀".repeat(2000)});
    api.hand("a", event.to_string());
    let error = api.expect_answer("a", "error");
    let cause = error.header(ERROR_CAUSE).unwrap_or_default();
    assert!(cause.len() <= LARGEST_CAUSE, "{} bytes", cause.len());
    let body = error.json();
    let text = body["errorMessage"].as_str().unwrap_or_default();
    assert!(text.contains("🦀"), "{body}");
    check_goes_on(api);
}

#[test]
fn an_event_that_is_not_json_is_an_error_and_the_loop_goes_on() {
    let mut api = api();
    for event in [&b""[..], b"{", b"\xff\xfe", b"nul\0"] {
        api.hand("a", event);
        let error = api.expect_answer("a", "error").json();
        assert!(!is_ours() || error["errorType"] == "Function.InvalidEvent");
    }
    check_goes_on(api);
}

#[test]
fn an_event_in_chunks_is_read_whole() {
    let mut api = api();
    api.expect_next();
    api.send(chunked("a"));
    assert_eq!(api.expect_answer("a", "response").json()["do"], "echo");
}

#[test]
fn an_event_that_comes_byte_by_byte_is_read_whole() {
    let mut api = api();
    api.expect_next();
    for byte in chunked("a").bytes() {
        api.send([byte]);
    }
    assert_eq!(api.expect_answer("a", "response").json()["do"], "echo");
}

fn chunked(id: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n{USUAL}\
         Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"do\"\r\n8\r\n:\"echo\"}}\r\n0\r\n\r\n"
    )
}

#[test]
fn an_event_that_is_cut_off_is_not_answered_as_if_it_were_whole() {
    let mut api = api();
    api.expect_next();
    api.send(format!(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\n{USUAL}\
         Content-Length: 100\r\n\r\n{ECHO}"
    ));
    api.close();
    // The API sends the same event again, as AWS's does until the event is answered.
    check_gives_up(api, |mut api| {
        api.hand("a", ECHO);
        api.expect_answer("a", "response");
    });
}

#[test]
fn an_event_without_a_request_id_is_given_up() {
    let mut api = api();
    api.expect_next();
    api.send(format!(
        "HTTP/1.1 200 OK\r\n{USUAL}Content-Length: {}\r\n\r\n{ECHO}",
        ECHO.len()
    ));
    check_gives_up(api, |api| {
        check_ends(
            api,
            &["ERROR failed to get the next invocation: it came without a request id"],
        );
    });
}

#[test]
fn an_unreachable_api_ends_the_process() {
    let mut api = RuntimeApi::listen();
    api.start(&candidate(), "test_handler", "127.0.0.1:1", &[]);
    check_ends(api, &["failed to get the next invocation", "refused"]);
}

#[test]
fn a_redirect_is_not_followed() {
    let mut api = api();
    api.expect_next();
    api.send("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 11\r\n\r\nnot for you");
    check_ends(
        api,
        &["failed to get the next invocation: the Runtime API answered 302: not for you"],
    );
}

#[test]
fn broken_http_ends_the_process() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        check_ends_on(answer);
    }
}

#[test]
fn too_many_or_too_long_headers_end_the_process() {
    check_ends_on(&format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X-A: 1\r\n".repeat(200)
    ));
    check_ends_on(&format!(
        "HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n",
        "x".repeat(2 * 1024 * 1024)
    ));
}

/// Checks that an API that answers every request with these bytes ends the process, and that ours logs
/// one line.
#[track_caller]
fn check_ends_on(answer: &str) {
    let mut api = api();
    let (status, log) = api.answer_all_with(answer);
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    if is_ours() {
        assert_eq!(status.code(), Some(1), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        let says = "ERROR failed to get the next invocation: ";
        assert!(log.starts_with(says), "{log}");
    }
}

#[test]
fn the_proxy_variables_are_ignored() {
    check_goes_on(api_with(&[
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ]));
}

#[test]
fn the_api_may_have_a_scheme_and_a_path() {
    let mut api = RuntimeApi::listen();
    let address = format!("http://127.0.0.1:{}/.rt/web", api.port());
    api.start(&candidate(), "test_handler", &address, &[]);
    let next = api.request();
    assert_eq!(
        next.line,
        "GET /.rt/web/2018-06-01/runtime/invocation/next HTTP/1.1"
    );
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
