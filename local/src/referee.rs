//! Counts a runtime's violations of the Runtime API's contract, and prints each as it happens.
//!
//! With `--strict`, they make `local` end with an error. Knows the rules, but no connections.

use serde_json::{Map, Value};
use std::sync::atomic::{AtomicUsize, Ordering};

static VIOLATIONS: AtomicUsize = AtomicUsize::new(0);

/// Counts and prints a violation.
pub(crate) fn violation(what: &str) {
    VIOLATIONS.fetch_add(1, Ordering::Relaxed);
    eprintln!("VIOLATION of the Runtime API's contract: {what}");
}

/// Returns the number of violations so far.
pub(crate) fn violations() -> usize {
    VIOLATIONS.load(Ordering::Relaxed)
}

/// Returns whether the platform keeps this error type: `(Runtime|Function)\.[A-Z][a-zA-Z]+`. Others
/// become `Runtime.Unknown` or `Function.Unknown` (`fatalerror.go` of AWS's own emulator).
pub(crate) fn is_error_type(text: &str) -> bool {
    let name = text
        .strip_prefix("Runtime.")
        .or(text.strip_prefix("Function."));
    name.is_some_and(|name| {
        name.len() > 1
            && name.starts_with(|character: char| character.is_ascii_uppercase())
            && name
                .chars()
                .all(|character| character.is_ascii_alphabetic())
    })
}

/// Returns whether this is an error's body ("Using the Lambda runtime API").
pub(crate) fn is_error(body: &[u8]) -> bool {
    let error = serde_json::from_slice::<Map<String, Value>>(body).unwrap_or_default();
    ["errorMessage", "errorType"]
        .iter()
        .all(|field| error.get(*field).is_some_and(Value::is_string))
}

/// Returns whether the platform passes this cause to X-Ray unchanged: a JSON object of at most
/// 64 KiB, above which it is cropped (`error_cause.go` of AWS's own emulator).
pub(crate) fn is_error_cause(text: &str) -> bool {
    text.len() <= 64 * 1024 && serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_type_has_a_known_prefix_and_a_name() {
        assert!(is_error_type("Function.MigrationFailed"));
        assert!(is_error_type("Runtime.ExitError"));
        for wrong in [
            "",
            "Unhandled",
            "Function.",
            "Function.x",
            "Function.A",
            "Runtime.A_B",
        ] {
            assert!(!is_error_type(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_errors_body_has_a_message_and_a_type() {
        assert!(is_error(
            br#"{"errorMessage":"m","errorType":"t","stackTrace":[]}"#
        ));
        for wrong in ["", "[]", "{}", r#"{"errorMessage":1,"errorType":"t"}"#] {
            assert!(!is_error(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn an_error_cause_is_a_json_object_of_at_most_64_kib() {
        assert!(is_error_cause(r#"{"paths":[]}"#));
        assert!(!is_error_cause("[]"));
        assert!(!is_error_cause("{"));
        assert!(!is_error_cause(&format!(
            r#"{{"paths":"{}"}}"#,
            "x".repeat(64 * 1024)
        )));
    }
}
