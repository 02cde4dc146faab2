//! A Function URL event → a request.
//!
//! Source: "Request payload format", Function URLs, AWS Lambda Developer Guide.

use crate::{Failure, Invocation};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

const ACCEPTED: &str = "the `http` handler takes Function URL events, payload format 2.0: \
    `version` \"2.0\", `rawPath`, and `requestContext.http.method`";

/// What a browser asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// In upper case, as HTTP has it.
    pub method: Cow<'a, str>,
    /// As it was sent: still percent-encoded.
    pub path: Cow<'a, str>,
}

/// What is read of an event; the rest is skipped, and nothing is copied that need not be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    raw_path: Cow<'a, str>,
    #[serde(borrow)]
    request_context: Context<'a>,
}

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(borrow)]
    http: Http<'a>,
}

#[derive(Deserialize)]
struct Http<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
}

impl Request<'_> {
    /// Reads the event.
    ///
    /// # Errors
    /// `Function.InvalidEvent` when it is not JSON; `Function.UnknownEvent`, saying what is
    /// accepted and what came instead.
    pub fn from_event(invocation: &Invocation) -> Result<Request<'_>, Failure> {
        match serde_json::from_slice(&invocation.event) {
            Ok(Event {
                version,
                raw_path: path,
                request_context: Context { http },
            }) if version == "2.0" => Ok(Request {
                method: http.method,
                path,
            }),
            _ => Err(unknown(&invocation.json()?)),
        }
    }
}

fn unknown(event: &Value) -> Failure {
    let what = match event {
        Value::Object(fields) if fields.contains_key("action") => {
            "an event with an `action`, which goes to the function whose handler is `migrate`"
                .to_string()
        }
        Value::Object(fields) if fields.is_empty() => "an empty object".to_string(),
        Value::Object(fields) => {
            // Names, not values, and not all of a name that is none.
            let shown = |name: &String| name.chars().take(40).collect();
            let names: Vec<String> = fields.keys().take(10).map(shown).collect();
            format!("an object with the fields {}", names.join(", "))
        }
        Value::Array(_) => "an array".to_string(),
        Value::String(_) => "a string".to_string(),
        Value::Number(_) => "a number".to_string(),
        Value::Bool(_) | Value::Null => event.to_string(),
    };
    Failure::new(
        "Function.UnknownEvent",
        format!("failed to read {what}: {ACCEPTED}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn invocation(event: &Value) -> Invocation {
        Invocation {
            event: event.to_string().into_bytes(),
            ..Default::default()
        }
    }

    #[test]
    fn a_function_url_event_is_a_request() {
        let event = invocation(&json!({
            "version": "2.0",
            "rawPath": "/a%2Fb\"ü",
            "headers": {"a": ["b", 1, null]},
            "requestContext": {"http": {"method": "GET", "path": "/a%2Fb"}},
        }));
        let request = Request::from_event(&event).expect("it is one");
        assert_eq!(
            request,
            Request {
                method: "GET".into(),
                path: "/a%2Fb\"ü".into()
            }
        );
    }

    #[test]
    fn any_other_event_is_refused_with_what_it_is_and_what_is_accepted() {
        let check = |event: Value, expected: &str| {
            let message = Request::from_event(&invocation(&event))
                .expect_err("it is none")
                .to_string();
            assert!(
                message.contains(expected) && message.contains("rawPath"),
                "{message}"
            );
        };
        check(json!({"action": "migrate"}), "handler is `migrate`");
        check(json!({"Records": []}), "the fields Records");
        check(
            json!({"version": "1.0", "rawPath": "/"}),
            "the fields rawPath, version",
        );
        check(
            json!({"version": "1.0", "rawPath": "/", "requestContext": {"http": {"method": "GET"}}}),
            "the fields rawPath, requestContext, version",
        );
        check(json!({}), "an empty object");
        check(json!([]), "an array");
        check(json!(null), "null");
    }
}
