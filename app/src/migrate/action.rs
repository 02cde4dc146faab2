//! The event of the `migrate` handler → what to do. Pure.
//!
//! A key that an action does not have is refused: a misspelt `dry_run` must not migrate.

use crate::Failure;
use serde_json::{Map, Value};

/// What an event asks for, by its `action`.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Applies the pending files, up to a version; or only tries to.
    Migrate {
        /// The newest version to apply; all when absent.
        to: Option<String>,
        /// Whether all is rolled back.
        dry_run: bool,
        /// Which disagreements with the history do not matter.
        allow: Vec<String>,
        /// The database's name, where it is made anew.
        confirm: Option<String>,
    },
    /// Compares the files with the database.
    Status,
    /// Fails when a file is pending.
    Pending,
    /// Runs the down files of the newest migrations: so many, or those above a version.
    Rollback {
        /// How many; one when neither is said.
        steps: Option<usize>,
        /// The version that stays.
        to: Option<String>,
    },
    /// Rolls the newest migrations back and applies them again.
    Redo {
        /// How many.
        steps: Option<usize>,
    },
    /// Calls files applied without running them: up to a version, or what another tool has applied.
    Baseline {
        /// The newest of them.
        to: Option<String>,
        /// The tool.
        from: Option<String>,
    },
    /// Looks for what is wrong with the deployed function.
    Doctor,
    /// Makes the history agree with the files.
    Repair,
    /// Fills an empty database from `seed.sql`.
    Seed,
    /// Creates the database.
    Create,
    /// Drops the database.
    Drop {
        /// Its name.
        confirm: Option<String>,
    },
    /// Drops, creates, migrates and seeds.
    Reset {
        /// The database's name.
        confirm: Option<String>,
    },
    /// Lets a person into the admin tool.
    User {
        /// Who.
        email: String,
        /// As what; the same as before when absent.
        role: Option<String>,
    },
}

const ACTIONS: [&str; 13] = [
    "migrate", "status", "pending", "rollback", "redo", "baseline", "repair", "seed", "create",
    "drop", "reset", "user", "doctor",
];

impl Action {
    /// Reads an event.
    ///
    /// # Errors
    /// `Function.UnknownAction`, and `Function.InvalidEvent` when the action has another form.
    pub fn read(event: &Value) -> Result<Action, Failure> {
        let name = name(event)?;
        let mut keys = Keys {
            name,
            left: event.as_object().cloned().unwrap_or_default(),
        };
        keys.left.remove("action");
        let action = match name {
            "migrate" => Action::Migrate {
                to: keys.text("to")?,
                dry_run: keys
                    .take("dry_run", "true or false", Value::as_bool)?
                    .unwrap_or(false),
                allow: keys
                    .take("allow", "a list of strings", texts)?
                    .unwrap_or_default(),
                confirm: keys.text("confirm")?,
            },
            "status" => Action::Status,
            "pending" => Action::Pending,
            "rollback" => Action::Rollback {
                steps: keys.count("steps")?,
                to: keys.text("to")?,
            },
            "redo" => Action::Redo {
                steps: keys.count("steps")?,
            },
            "baseline" => Action::Baseline {
                to: keys.text("to")?,
                from: keys.text("from")?,
            },
            "doctor" => Action::Doctor,
            "repair" => Action::Repair,
            "seed" => Action::Seed,
            "create" => Action::Create,
            "drop" => Action::Drop {
                confirm: keys.text("confirm")?,
            },
            "reset" => Action::Reset {
                confirm: keys.text("confirm")?,
            },
            "user" => Action::User {
                email: keys.text("email")?.unwrap_or_default(),
                role: keys.text("role")?,
            },
            unknown => {
                // An action's name is short; whatever else this is does not belong into a log.
                let shown: String = unknown.chars().take(40).collect();
                return Err(refused(&format!("action `{shown}`")));
            }
        };
        keys.end().map(|()| action)
    }
}

/// What an event holds beside its action, each taken once.
struct Keys<'a> {
    name: &'a str,
    left: Map<String, Value>,
}

impl Keys<'_> {
    fn text(&mut self, key: &str) -> Result<Option<String>, Failure> {
        self.take(key, "a string", |value| value.as_str().map(str::to_string))
    }

    fn count(&mut self, key: &str) -> Result<Option<usize>, Failure> {
        let count = |value: &Value| {
            usize::try_from(value.as_u64()?)
                .ok()
                .filter(|count| *count > 0)
        };
        self.take(key, "a whole number from 1", count)
    }

    fn take<T>(
        &mut self,
        key: &str,
        form: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self.left.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(&value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.invalid(&format!("`{key}` has to be {form}"))),
            },
        }
    }

    fn end(&self) -> Result<(), Failure> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(key) => {
                let shown: String = key.chars().take(40).collect();
                Err(self.invalid(&format!("it has no `{shown}`")))
            }
        }
    }

    fn invalid(&self, reason: &str) -> Failure {
        let message = format!("failed to read action `{}`: {reason}", self.name);
        Failure::new("Function.InvalidEvent", message)
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts
        .map(|text| text.as_str().map(str::to_string))
        .collect()
}

fn name(event: &Value) -> Result<&str, Failure> {
    match &event["action"] {
        Value::String(name) => Ok(name),
        Value::Null if event["requestContext"]["http"].is_object() => Err(refused(
            "a Function URL event, which goes to the function whose handler is `http`, as an action",
        )),
        Value::Null => Err(refused("an event without an action")),
        _ => Err(refused("an action that is no string")),
    }
}

fn refused(what: &str) -> Failure {
    let known = ACTIONS.join(", ");
    let message =
        format!("failed to read {what}: send {{\"action\":\"migrate\"}}, or another of {known}");
    Failure::new("Function.UnknownAction", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_refused(event: Value, says: &str) {
        let message = Action::read(&event).expect_err("it is refused").to_string();
        assert!(message.contains(says), "{message}");
    }

    #[test]
    fn an_event_without_a_readable_action_is_refused_with_the_known_ones() {
        check_refused(json!({}), "without an action");
        check_refused(json!([1]), "without an action");
        check_refused(json!("migrate"), "without an action");
        check_refused(json!({"action": 1}), "no string");
        check_refused(
            json!({"action": "up"}),
            "`up`: send {\"action\":\"migrate\"}",
        );
        let url = json!({"requestContext": {"http": {}}});
        check_refused(url, "Function URL event");
    }

    #[test]
    fn every_known_action_can_be_read() {
        for name in ACTIONS {
            Action::read(&json!({"action": name})).expect("it needs nothing else");
        }
    }

    #[test]
    fn a_key_that_an_action_does_not_have_is_refused() {
        check_refused(json!({"action": "migrate", "dryrun": true}), "`dryrun`");
        check_refused(json!({"action": "status", "to": "1"}), "`to`");
        check_refused(json!({"action": "migrate", "to": 1}), "string");
        check_refused(json!({"action": "rollback", "steps": 0}), "from 1");
        check_refused(
            json!({"action": "migrate", "allow": [1]}),
            "list of strings",
        );
    }
}
