//! Formats a failure as the platform takes it: the error's body and the X-Ray cause. Sends nothing.
//!
//! Sources: "Using the Lambda runtime API", AWS Lambda Developer Guide; for the limit of 64 KiB,
//! AWS's own emulator (`error_cause.go`).

use handler::Failure;
use serde_json::{Value, json};

/// The largest cause that is sent, in bytes. The platform crops only a cause of more than 64 KiB,
/// but ureq sends no head larger than its output buffer, which the other headers need as well.
const CAUSE_LIMIT: usize = 4 * 1024;

/// Returns the error's JSON, as the invoker gets it.
pub(super) fn body(failure: &Failure) -> Vec<u8> {
    let body = json!({
        "errorMessage": failure.to_string(),
        "errorType": failure.kind().text(),
        "stackTrace": failure.causes(),
    });
    body.to_string().into_bytes()
}

/// Returns the X-Ray cause, one line of ASCII JSON, or `None` when it is too long.
pub(super) fn cause(failure: &Failure) -> Option<String> {
    let mut messages = failure.causes();
    messages.insert(0, failure.to_string());
    let exception =
        |message| json!({"type": failure.kind().text(), "message": message, "stack": []});
    let exceptions: Vec<Value> = messages.iter().map(exception).collect();
    let cause = ascii(&json!({"working_directory": "", "exceptions": exceptions, "paths": []}));
    Some(cause).filter(|cause| cause.len() <= CAUSE_LIMIT)
}

/// Writes JSON in printable ASCII, which a header's value has to be, with all else escaped.
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
    use handler::Kind;

    #[test]
    fn the_cause_is_ascii_json_in_one_line() {
        let failure =
            Failure::new(Kind::Own("Function.Example"), "line\nü 🦀").with_source("why\u{7f}");
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
        let cause_of = |letters| {
            cause(&Failure::new(
                Kind::Own("Function.Example"),
                "x".repeat(letters),
            ))
        };
        assert!(cause_of(3000).is_some());
        assert!(cause_of(CAUSE_LIMIT).is_none());
    }
}
