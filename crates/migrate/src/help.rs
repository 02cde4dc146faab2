//! The help for a person on a terminal: the actions, their fields, and examples.
//!
//! Must not know how an action runs. docs/migrations.md says what each one answers.

/// What each of the engine's own actions does, with its fields.
const OWN: [(&str, &str); 12] = [
    (
        "migrate",
        "apply the pending files; \"to\":\"VERSION\" stops there, \"dry_run\":true rolls back,\n\
         \"allow\":[\"late\",\"edited:VERSION\",\"missing:VERSION\"] takes what differs",
    ),
    (
        "check",
        "say what the pending files would do to large tables; run nothing",
    ),
    ("status", "compare the files with the database"),
    ("pending", "fail when a file is pending: for CI"),
    (
        "rollback",
        "run the newest down file; \"steps\":2, or \"to\":\"VERSION\" for all above,\n\
         \"0\" for all",
    ),
    (
        "redo",
        "roll back and apply again; \"steps\":2, \"allow\":[…]",
    ),
    (
        "baseline",
        "call files applied: \"to\":\"VERSION\", or \"from\":\"rails\" or another tool",
    ),
    (
        "repair",
        "take the checksums of edited files, forget missing ones",
    ),
    (
        "seed",
        "run seed.sql if every table is empty, or is named: \"allow\":[\"rows:SCHEMA.TABLE\"]",
    ),
    ("create", "create the database"),
    (
        "drop",
        "drop it; \"confirm\":\"NAME\" when it holds a table",
    ),
    (
        "reset",
        "drop, create, migrate and seed; \"confirm\":\"NAME\" as for drop",
    ),
];

/// Returns the help, with the program's further actions: the name of each, and what it does.
pub fn help(further: &[(&str, &str)]) -> String {
    let mut text = "Works on the database of DATABASE_URL and on the files of migrations/.

Usage: bootstrap migrate ACTION
       bootstrap migrate '{\"action\":\"ACTION\",\"FIELD\":VALUE}'

"
    .to_string();
    for (name, does) in OWN.iter().chain(further) {
        let does = does.replace('\n', "\n            ");
        text.push_str(&format!("  {name:<8}  {does}\n"));
    }
    text.push_str(
        "
Examples:
  bootstrap migrate status
  bootstrap migrate '{\"action\":\"migrate\",\"dry_run\":true}'
  bootstrap migrate '{\"action\":\"rollback\",\"steps\":2}'

An action that changes what is there takes an \"id\":\"…\": with the same id again, it is not done
twice. The reply is JSON; on a terminal it is shown as tables, unless --json is given.
docs/migrations.md has every action's fields and reply.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{ACTIONS, Action, Fields};
    use serde_json::json;

    #[test]
    fn every_action_has_help() {
        assert_eq!(OWN.map(|(name, _)| name), ACTIONS);
        let widest = help(&[]).lines().map(str::len).max();
        assert!(widest <= Some(100), "{widest:?}");
    }

    #[test]
    fn an_action_has_the_fields_that_its_help_names_and_no_others() {
        let fields = ["to", "dry_run", "allow", "steps", "from", "confirm"];
        for (name, does) in OWN {
            for field in fields {
                let event = json!({"action": name, field: {}});
                let read = Action::read(&mut Fields::of(&event, &[]).expect("it is known"));
                let refused = read.expect_err("no field is an object").to_string();
                let has = !refused.contains("it has no");
                // `confirm` is for RESET_DATABASE only, where `migrate` is `reset`.
                let is_named = does.contains(&format!("\"{field}\":"))
                    || (name, field) == ("migrate", "confirm");
                assert_eq!(has, is_named, "{name}: {field}");
            }
        }
    }
}
