//! Events that no handler accepts, and the errors that the invoker gets.

use crate::support::{Database, Local};

#[track_caller]
fn check_refused(local: &Local, function: &str, event: &str, kind: &str, says: &str) {
    let error = local.invoke(function, event).expect_err("it is refused");
    assert_eq!(error["errorType"], kind, "{error}");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    assert!(message.contains(says), "{error}");
}

#[test]
fn an_unknown_action_is_refused_with_the_known_ones() {
    let database = Database::new();
    let local = Local::start(&database);
    let kind = "Function.UnknownAction";
    check_refused(
        &local,
        "migrations",
        r#"{"action":"destroy"}"#,
        kind,
        r#"{"action":"migrate"}"#,
    );
    check_refused(
        &local,
        "migrations",
        r#"{"action":null}"#,
        kind,
        "without an action",
    );
    check_refused(&local, "migrations", "[]", kind, "without an action");
}

#[test]
fn an_event_for_the_other_function_is_refused_with_that_functions_handler() {
    let database = Database::new();
    let local = Local::start(&database);
    let page = r#"{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}}}"#;
    check_refused(
        &local,
        "migrations",
        page,
        "Function.UnknownAction",
        "handler is `http`",
    );
    let action = r#"{"action":"migrate"}"#;
    check_refused(
        &local,
        "web",
        action,
        "Function.UnknownEvent",
        "handler is `migrate`",
    );
    assert!(
        !database.has("customers"),
        "the web function migrates nothing"
    );
}

#[test]
fn an_unknown_event_is_refused_with_the_accepted_ones() {
    let database = Database::new();
    let local = Local::start(&database);
    check_refused(
        &local,
        "web",
        r#"{"Records":[]}"#,
        "Function.UnknownEvent",
        "load balancers",
    );
    check_refused(
        &local,
        "web",
        r#"{"version":"1.0"}"#,
        "Function.UnknownEvent",
        "rawPath",
    );
}

#[test]
fn the_loop_goes_on_after_a_refused_event() {
    let database = Database::new();
    let local = Local::start(&database);
    check_refused(&local, "web", "{}", "Function.UnknownEvent", "empty object");
    let environment = local.frozen();
    assert_eq!(local.get("/up").0, 200);
    assert_eq!(
        local.environments(),
        [environment],
        "the same process answered"
    );
}

#[test]
fn an_event_that_is_not_json_reaches_no_function() {
    let database = Database::new();
    let local = Local::start(&database);
    let url = format!("{}/2015-03-31/functions/web/invocations", local.url());
    let refused = ureq::post(url)
        .send("{\"action\":")
        .expect_err("AWS refuses it too");
    assert!(matches!(refused, ureq::Error::StatusCode(400)), "{refused}");
    assert!(
        local.environments().is_empty(),
        "no environment was started"
    );
}
