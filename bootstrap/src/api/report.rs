//! Formats a failure as the platform takes it: the error's body and the X-Ray cause. Sends nothing.
//!
//! Sources: "Using the Lambda runtime API", AWS Lambda Developer Guide; for the limit of 64 KiB,
//! AWS's own emulator (`error_cause.go`).

use handler::Failure;
use serde_json::{Value, json};

/// The largest cause that is sent, in bytes. The platform crops only a cause of more than 64 KiB,
/// but ureq sends no head larger than its output buffer, which the other headers need as well.
const CAUSE_LIMIT: usize = 4 * 1024;

/// The number of exceptions that fit into a cause in any case, when their messages are cropped.
const MOST_EXCEPTIONS: usize = 16;

/// Returns the error's JSON, as the invoker gets it.
pub(super) fn body(failure: &Failure) -> Vec<u8> {
    let body = json!({
        "errorMessage": failure.to_string(),
        "errorType": failure.kind().text(),
        "stackTrace": failure.causes(),
    });
    body.to_string().into_bytes()
}

/// Returns the X-Ray cause, one line of ASCII JSON. The messages are cropped until the cause fits.
pub(super) fn cause(failure: &Failure) -> String {
    let mut messages = failure.causes();
    messages.insert(0, failure.to_string());
    messages.truncate(MOST_EXCEPTIONS);
    let mut letters = CAUSE_LIMIT;
    while letters > 0 {
        let exceptions: Vec<Value> = { messages.iter() }
            .map(|message| {
                let message = crop(message, letters);
                json!({"type": failure.kind().text(), "message": message, "stack": []})
            })
            .collect();
        let cause = ascii(&json!({"working_directory": "", "exceptions": exceptions, "paths": []}));
        if cause.len() <= CAUSE_LIMIT {
            return cause;
        }
        letters /= 2;
    }
    // Only a kind of one's own can have so long a text.
    "{}".to_string()
}

fn crop(message: &str, letters: usize) -> String {
    let cropped: String = message.chars().take(letters).collect();
    match cropped.len() < message.len() {
        true => cropped + "…",
        false => cropped,
    }
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
    use std::error::Error;
    use std::fmt;

    #[test]
    fn the_cause_is_ascii_json_in_one_line() {
        let failure =
            Failure::new(Kind::Own("Function.Example"), "line\nü 🦀").with_source("why\u{7f}");
        let text = cause(&failure);
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
    fn a_cause_that_is_too_long_is_cropped_until_it_fits() {
        for (text, letters) in [("x", 3000), ("x", 5000), ("制", 1_000_000), ("\"", 70_000)] {
            let kind = Kind::Own("Function.Example");
            let failure = Failure::new(kind, "failed").with_source(text.repeat(letters));
            let cause = cause(&failure);
            assert!(cause.len() <= CAUSE_LIMIT, "{} bytes", cause.len());
            let cause: Value = serde_json::from_str(&cause).expect("it is JSON");
            let message = cause["exceptions"][0]["message"].as_str();
            let begins = format!("failed: {}", text.repeat(100));
            assert!(message.is_some_and(|message| message.starts_with(&begins)));
        }
        let short = Failure::new(Kind::Own("Function.Example"), "short");
        assert!(cause(&short).contains("\"short\""));
    }

    /// An error with as many causes below it.
    #[derive(Debug)]
    struct Chain(Option<Box<Chain>>);

    impl fmt::Display for Chain {
        fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
            out.write_str("制".repeat(50).as_str())
        }
    }

    impl Error for Chain {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            let Chain(next) = self;
            next.as_deref().map(|next| next as &(dyn Error + 'static))
        }
    }

    #[test]
    fn a_kind_that_is_too_long_has_an_empty_cause() {
        let kind = format!("Function.{}", "X".repeat(CAUSE_LIMIT));
        let failure = Failure::new(Kind::Own(kind.leak()), "failed");
        assert_eq!(cause(&failure), "{}");
    }

    #[test]
    fn any_number_of_causes_fits() {
        let chain = (0..1000).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain))));
        let kind = Kind::Own("Function.Example");
        let cause = cause(&Failure::new(kind, "failed").with_source(chain));
        assert!(cause.len() <= CAUSE_LIMIT, "{} bytes", cause.len());
    }
}
