//! Several loops in one process, as on Lambda Managed Instances: one loop's misfortune is its own,
//! and the end of the process cuts off no invocation.
//!
//! Only our own runtime is held to this.

use crate::conformance::{ECHO, OK, check_ends};
use crate::support::{RuntimeApi, USUAL, test_handler, wait_for};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// A process with two loops, and the connection of each, which waits for an event.
fn two_loops(variables: &[(&str, &str)]) -> (RuntimeApi, [RuntimeApi; 2]) {
    let variables = [&[("AWS_LAMBDA_MAX_CONCURRENCY", "2")], variables].concat();
    let api = RuntimeApi::with(&test_handler(), "test_handler", &variables);
    let mut loops = [api.take_connection(), api.take_connection()];
    for poll in &mut loops {
        poll.expect_next();
    }
    (api, loops)
}

#[test]
fn an_answer_that_cannot_be_posted_is_logged_and_every_loop_goes_on() {
    for status in [500, 503, 0] {
        let (api, [mut unlucky, mut other]) = two_loops(&[]);
        other.hand_over("other", USUAL, ECHO);
        let other_answer = other.request();
        unlucky.hand_over("unlucky", USUAL, ECHO);
        assert!(unlucky.request().line.contains("/unlucky/response "));
        let mut again = match status {
            0 => {
                unlucky.close();
                api.take_connection()
            }
            status => {
                unlucky.reply(status, "not now");
                unlucky
            }
        };
        again.expect_next();
        again.hand_over("again", USUAL, ECHO);
        again.expect_answer("again", "response");
        assert!(other_answer.line.contains("/other/response "));
        other.reply(202, OK);
        other.expect_next();
        let says = "ERROR RequestId: unlucky failed to post `";
        wait_for("the failure in the log", || {
            api.log().contains(says).then_some(())
        });
    }
}

#[test]
fn a_refused_next_is_asked_again_while_another_loop_is_served() {
    for status in [403, 500] {
        let (api, [mut refused, mut other]) = two_loops(&[]);
        other.hand_over("other", USUAL, ECHO);
        let answer = other.request();
        // More often than a loop is refused before it counts as lost.
        for _ in 0..6 {
            refused.reply(status, "not for you");
            refused.expect_next();
        }
        assert!(answer.line.contains("/other/response "));
        other.reply(202, OK);
        other.expect_next();
        refused.hand_over("later", USUAL, ECHO);
        refused.expect_answer("later", "response");
        assert!(api.log().contains(&format!(
            "answered {status}: not for you; asking again in 100ms"
        )));
    }
}

#[test]
fn the_process_ends_when_every_loop_is_refused() {
    let (api, mut loops) = two_loops(&[]);
    for poll in &mut loops {
        for _ in 0..4 {
            poll.reply(403, "not for you");
            poll.expect_next();
        }
    }
    for poll in &mut loops {
        poll.reply(403, "not for you");
    }
    check_ends(
        api,
        &["failed to get the next invocation: the Runtime API answered 403"],
    );
}

#[test]
fn after_sigterm_no_loop_begins_an_event_that_the_end_cuts_off() {
    let dir = TempDir::new().expect("there is room");
    let file = dir.path().join("go");
    let variables = [
        ("AWS_LAMBDA_MAX_CONCURRENCY", "16"),
        ("GRACEFUL_SHUTDOWN", "true"),
    ];
    let mut api = RuntimeApi::with(&test_handler(), "test_handler", &variables);
    api.request();
    api.send("HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: x\r\nContent-Length: 2\r\n\r\n{}");
    let calls: Vec<RuntimeApi> = (0..17).map(|_| api.take_connection()).collect();
    // One is the extension's, which waits for ever.
    let (mut loops, mut extension) = (Vec::new(), Vec::new());
    for mut call in calls {
        match call.request().line.contains("/invocation/next ") {
            true => loops.push(call),
            false => extension.push(call),
        }
    }
    let mut busy = loops.pop().expect("there are sixteen");
    let wait = json!({"do": "wait", "file": file});
    busy.hand_over("busy", USUAL, wait.to_string());
    wait_for("the handler to begin", || {
        api.log().contains("waiting").then_some(())
    });
    api.program().signal("TERM");
    for late in &mut loops {
        late.hand_over("late", USUAL, r#"{"do":"log"}"#);
    }
    fs::write(&file, "").expect("it is ours");
    busy.expect_answer("busy", "response");
    let (status, log) = api.end();
    assert!(status.success(), "{log}");
    let begun = log.matches("RequestId: late two").count();
    let answered = loops
        .iter_mut()
        .filter_map(|late| late.is_asked().then_some(()));
    assert_eq!(begun, answered.count(), "{log}");
    drop(extension);
}
