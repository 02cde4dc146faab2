//! The `migrate` handler: event → action → reply.
//!
//! Knows the actions and the replies' shapes. How files become statements is in `migrate/sql`,
//! what is on disk in `migrate/files`, what the database remembers in `migrate/history`.

mod files;
mod history;
mod lock;
mod run;
mod seed;
mod sql;
pub mod status;

use crate::{App, Failure, Invocation, Reply};
use serde_json::Value;

const ACTIONS: &str = r#"{"action":"migrate"}, {"action":"status"} or {"action":"seed"}"#;

/// Does what the event's `action` names.
///
/// # Errors
/// `Function.InvalidEvent`, `Function.UnknownAction`, and those of the action.
pub fn handle(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    let event = invocation.json()?;
    let reply = match action(&event)? {
        "migrate" => run::migrate(app, invocation)?,
        "status" => status::status(app, invocation)?.to_json(),
        "seed" => seed::seed(app, invocation)?,
        unknown => {
            // An action's name is short; whatever else this is does not belong into a log.
            let shown: String = unknown.chars().take(40).collect();
            return Err(unknown_action(&format!("action `{shown}`")));
        }
    };
    Ok(reply.into())
}

fn action(event: &Value) -> Result<&str, Failure> {
    match &event["action"] {
        Value::String(action) => Ok(action),
        Value::Null if event["requestContext"]["http"].is_object() => Err(unknown_action(
            "a Function URL event, which goes to the function whose handler is `http`, as an action",
        )),
        Value::Null => Err(unknown_action("an event without an action")),
        _ => Err(unknown_action("an action that is no string")),
    }
}

fn unknown_action(what: &str) -> Failure {
    Failure::new(
        "Function.UnknownAction",
        format!("failed to read {what}: send {ACTIONS}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_refused(event: Value, expected: &str) {
        let message = action(&event).expect_err("no action is named").to_string();
        assert!(
            message.contains(expected) && message.contains("migrate"),
            "{message}"
        );
    }

    #[test]
    fn an_event_without_a_readable_action_is_refused_with_the_known_ones() {
        check_refused(json!({}), "without an action");
        check_refused(json!([1]), "without an action");
        check_refused(json!("migrate"), "without an action");
        check_refused(json!({"action": 1}), "no string");
        check_refused(
            json!({"requestContext": {"http": {}}}),
            "Function URL event",
        );
    }
}
