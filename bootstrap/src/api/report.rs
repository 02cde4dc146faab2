//! A failure in the form in which the platform takes it: type, body and X-Ray cause. Pure.
//!
//! Sources: "Using the Lambda runtime API", AWS Lambda Developer Guide; the pattern and the cap are
//! those of AWS's own emulator (`fatalerror.go`, `error_cause.go`).

use app::Failure;
use serde_json::{Value, json};

/// The platform crops a cause of more than 64 KiB, but ureq sends no head that is larger than its
/// output buffer, and the other headers need room beside it.
const CAUSE_LIMIT: usize = 4 * 1024;

/// The failure's kind, or what the platform would make of a kind that does not match its pattern,
/// `(Function|Runtime)\.[A-Z][a-zA-Z]+`.
pub fn error_type(kind: &str) -> &str {
    let name = kind
        .strip_prefix("Function.")
        .or(kind.strip_prefix("Runtime."));
    let matches = name.is_some_and(|name| {
        name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphabetic())
    });
    match matches {
        true => kind,
        false => "Function.Unknown",
    }
}

/// The error's JSON, as the invoker gets it.
pub fn body(failure: &Failure) -> Vec<u8> {
    let body = json!({
        "errorMessage": failure.to_string(),
        "errorType": error_type(failure.kind()),
        "stackTrace": failure.causes(),
    });
    body.to_string().into_bytes()
}

/// The X-Ray cause: one line of ASCII JSON; none when it would be too long.
pub fn cause(failure: &Failure) -> Option<String> {
    let mut messages = failure.causes();
    messages.insert(0, failure.to_string());
    let exception =
        |message| json!({"type": error_type(failure.kind()), "message": message, "stack": []});
    let exceptions: Vec<Value> = messages.iter().map(exception).collect();
    let cause = ascii(&json!({"working_directory": "", "exceptions": exceptions, "paths": []}));
    Some(cause).filter(|cause| cause.len() <= CAUSE_LIMIT)
}

/// JSON with every other character escaped: a header's value is ASCII.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for unit in value.to_string().encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() && !byte.is_ascii_control() => text.push(byte.into()),
            _ => text.push_str(&format!("\\u{unit:04x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_the_platform_would_not_keep_becomes_unknown() {
        for kept in ["Function.MigrationFailed", "Runtime.UnknownHandler"] {
            assert_eq!(error_type(kept), kept);
        }
        for lost in [
            "",
            "Unhandled",
            "Function.",
            "Function.X",
            "Function.lower",
            "Function.With Space",
            "Function.Ünicode",
            "Runtime.A1",
            "alloc::boxed::Box<dyn Error>",
        ] {
            assert_eq!(error_type(lost), "Function.Unknown", "{lost}");
        }
    }

    #[test]
    fn the_cause_is_ascii_json_in_one_line() {
        let failure = Failure::new("Function.Example", "line\nü 🦀").because("why\u{7f}");
        let text = cause(&failure).expect("it is short");
        assert!(
            text.bytes().all(|byte| (b' '..0x7f).contains(&byte)),
            "{text}"
        );
        let value: Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["exceptions"][0]["message"], "line\nü 🦀: why\u{7f}");
        assert_eq!(value["exceptions"][1]["message"], "why\u{7f}");
        assert_eq!(value["exceptions"][0]["type"], "Function.Example");
    }

    #[test]
    fn a_cause_that_is_too_long_is_left_out() {
        let cause_of = |letters| cause(&Failure::new("Function.Example", "x".repeat(letters)));
        assert!(cause_of(3000).is_some());
        assert!(cause_of(CAUSE_LIMIT).is_none());
    }
}
