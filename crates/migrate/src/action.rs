//! Reads the event of the `migrate` handler: its action, and the fields of the action.
//!
//! Refuses a field that the action does not have: a misspelt `dry_run` must not migrate. Must not
//! know how an action runs, any file or any database.

use handler::{Failure, Kind};
use serde_json::{Map, Value};

/// The action that an event names, with its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Applies the pending files.
    Migrate {
        /// The newest version to apply; `None` applies all.
        to: Option<String>,
        /// Whether the files run in a transaction that is rolled back at the end.
        dry_run: bool,
        /// The differences between files and history that do not stop the run.
        allow: Vec<String>,
        /// The database's name, needed when `RESET_DATABASE` would drop a table.
        confirm: Option<String>,
    },
    /// Says what the pending files would do to large tables.
    Check,
    /// Compares the files with the database.
    Status,
    /// Fails when a file is pending.
    Pending,
    /// Runs the down files of the newest migrations.
    Rollback {
        /// The number of migrations; one if `to` is absent too.
        steps: Option<usize>,
        /// The newest version that stays applied.
        to: Option<String>,
    },
    /// Rolls the newest migrations back and applies them again.
    Redo {
        /// The number of migrations; one if absent.
        steps: Option<usize>,
        /// The differences and the unsafe statements that do not stop the run.
        allow: Vec<String>,
    },
    /// Records files as applied without running them.
    Baseline {
        /// The newest version to record.
        to: Option<String>,
        /// The tool whose history names the applied versions.
        from: Option<String>,
    },
    /// Records the checksums of edited files, and removes the rows of missing ones.
    Repair,
    /// Fills an empty database from `seed.sql`.
    Seed {
        /// The tables that may hold rows.
        allow: Vec<String>,
    },
    /// Creates the database.
    Create,
    /// Drops the database.
    Drop {
        /// The database's name, needed when the database holds a table.
        confirm: Option<String>,
    },
    /// Drops, creates, migrates and seeds the database.
    Reset {
        /// The database's name, needed when the database holds a table.
        confirm: Option<String>,
    },
}

pub(crate) const ACTIONS: [&str; 12] = [
    "migrate", "check", "status", "pending", "rollback", "redo", "baseline", "repair", "seed",
    "create", "drop", "reset",
];

/// The actions that are not done again when their request comes twice; an event of them may have an
/// `id`. `migrate` is one where it resets the database.
const ONCE: [&str; 8] = [
    "migrate", "rollback", "redo", "baseline", "repair", "seed", "drop", "reset",
];

impl Action {
    /// Removes a person's answers about a statement that may be done: they are about the statement at
    /// which an earlier run ended, and not about one that this run has begun.
    pub(crate) fn forget_answers(&mut self) {
        if let Action::Migrate { allow, .. } = self {
            allow.retain(|one| !one.starts_with("again:") && !one.starts_with("done:"));
        }
    }

    /// Reads the fields of one of the engine's own actions.
    ///
    /// # Errors
    /// `Function.InvalidEvent` when the action does not have a field, or not of that type.
    pub(crate) fn read(fields: &mut Fields) -> Result<Action, Failure> {
        let action = match fields.action.as_str() {
            "migrate" => Action::Migrate {
                to: fields.text("to")?,
                dry_run: fields
                    .take("dry_run", "true or false", Value::as_bool)?
                    .unwrap_or(false),
                allow: fields
                    .take("allow", "a list of strings", strings)?
                    .unwrap_or_default(),
                confirm: fields.text("confirm")?,
            },
            "check" => Action::Check,
            "status" => Action::Status,
            "pending" => Action::Pending,
            "rollback" => Action::Rollback {
                steps: fields.count("steps")?,
                to: fields.text("to")?,
            },
            "redo" => Action::Redo {
                steps: fields.count("steps")?,
                allow: fields
                    .take("allow", "a list of strings", strings)?
                    .unwrap_or_default(),
            },
            "baseline" => Action::Baseline {
                to: fields.text("to")?,
                from: fields.text("from")?,
            },
            "repair" => Action::Repair,
            "seed" => Action::Seed {
                allow: fields
                    .take("allow", "a list of strings", strings)?
                    .unwrap_or_default(),
            },
            "create" => Action::Create,
            "drop" => Action::Drop {
                confirm: fields.text("confirm")?,
            },
            "reset" => Action::Reset {
                confirm: fields.text("confirm")?,
            },
            unknown => return Err(unknown_action(unknown, &[])),
        };
        fields.end().map(|()| action)
    }
}

/// The fields of an event other than its `action`. Each is taken once; [`Fields::end`] refuses the
/// rest.
pub struct Fields {
    action: String,
    /// The request's id, of an action that must not be done twice.
    id: Option<String>,
    untaken: Map<String, Value>,
}

impl Fields {
    /// Reads an event whose action is one of the engine's own or of `further`.
    ///
    /// # Errors
    /// `Function.UnknownAction`.
    pub(crate) fn of(event: &Value, further: &[&str]) -> Result<Fields, Failure> {
        let name = action_name(event, further)?;
        if !ACTIONS.contains(&name) && !further.contains(&name) {
            return Err(unknown_action(name, further));
        }
        let mut untaken = event.as_object().cloned().unwrap_or_default();
        untaken.remove("action");
        let mut fields = Fields {
            action: name.to_string(),
            id: None,
            untaken,
        };
        if ONCE.contains(&name) {
            fields.id = fields.take("id", "1 to 64 letters, digits and dashes", request_id)?;
        }
        Ok(fields)
    }

    /// Returns the request's id, if the event has one.
    pub(crate) fn id(&self) -> Option<String> {
        self.id.clone()
    }

    /// Returns the event's action.
    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    /// Takes a field that is a string; `None` when the field is absent or null.
    ///
    /// # Errors
    /// `Function.InvalidEvent` when the field has another type.
    pub fn text(&mut self, key: &str) -> Result<Option<String>, Failure> {
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
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self.untaken.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(&value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.invalid(&format!("`{key}` has to be {expected}"))),
            },
        }
    }

    /// Refuses the fields that were not taken: a misspelt field must not be ignored.
    ///
    /// # Errors
    /// `Function.InvalidEvent`, naming a field that the action does not have.
    pub fn end(&self) -> Result<(), Failure> {
        match self.untaken.keys().next() {
            None => Ok(()),
            Some(key) => {
                let shown: String = key.chars().take(40).collect();
                Err(self.invalid(&format!("it has no `{shown}`")))
            }
        }
    }

    fn invalid(&self, reason: &str) -> Failure {
        let message = format!("failed to read action `{}`: {reason}", self.action);
        Failure::new(Kind::InvalidEvent, message)
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let values = value.as_array()?.iter();
    values
        .map(|value| value.as_str().map(str::to_string))
        .collect()
}

fn request_id(value: &Value) -> Option<String> {
    let id = value.as_str().filter(|id| (1..=64).contains(&id.len()))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    id.bytes().all(is_plain).then(|| id.to_string())
}

fn action_name<'a>(event: &'a Value, further: &[&str]) -> Result<&'a str, Failure> {
    match &event["action"] {
        Value::String(name) => Ok(name),
        Value::Null if event["requestContext"]["http"].is_object() => Err(refused(
            "a Function URL event, which goes to the function whose handler is `http`, as an action",
            further,
        )),
        Value::Null => Err(refused("an event without an action", further)),
        _ => Err(refused("an action that is no string", further)),
    }
}

/// Returns the failure to know an action. Shows 40 characters at most: an action's name is short,
/// and any longer value does not belong in a log.
fn unknown_action(name: &str, further: &[&str]) -> Failure {
    let shown: String = name.chars().take(40).collect();
    refused(&format!("action `{shown}`"), further)
}

fn refused(what: &str, further: &[&str]) -> Failure {
    let known = [&ACTIONS[..], further].concat().join(", ");
    let message =
        format!("failed to read {what}: send {{\"action\":\"migrate\"}}, or another of {known}");
    Failure::new(Kind::UnknownAction, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: &Value) -> Result<Action, Failure> {
        Action::read(&mut Fields::of(event, &["user"])?)
    }

    #[track_caller]
    fn check_refused(event: Value, says: &str) {
        let message = read(&event).expect_err("it is refused").to_string();
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
        check_refused(json!({"action": "up"}), "reset, user");
        let url = json!({"requestContext": {"http": {}}});
        check_refused(url, "Function URL event");
    }

    #[test]
    fn only_an_action_that_must_not_be_done_twice_has_an_id() {
        read(&json!({"action": "rollback", "id": "Release-7"})).expect("it has one");
        check_refused(json!({"action": "status", "id": "7"}), "`id`");
        let long = "x".repeat(65);
        for id in ["", "a b", "ä", &long] {
            check_refused(json!({"action": "redo", "id": id}), "1 to 64 letters");
        }
    }

    #[test]
    fn every_known_action_can_be_read() {
        for name in ACTIONS {
            read(&json!({"action": name})).expect("it needs nothing else");
        }
    }

    #[test]
    fn a_field_that_an_action_does_not_have_or_of_another_type_is_refused() {
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
