//! Turns a function's answer into an HTTP response, as a Function URL does.
//!
//! An object with a `statusCode` describes the response; any other JSON is the body of one. Knows
//! nothing of requests.

use crate::invocation::Answer;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use oxhttp::model::header::{CONTENT_TYPE, SET_COOKIE};
use oxhttp::model::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value};

/// The headers that arrive with another name, `x-amzn-remapped-…`: those that concern one
/// connection and not the response (RFC 9110, 7.6.1), and the length, which the server computes.
const REMAPPED: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
];

/// An HTTP response.
pub(super) struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Creates a response of the Function URL's own.
    pub(super) fn text(status: StatusCode, text: &str) -> Reply {
        Reply::new(status, "text/plain", text.into())
    }

    fn new(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Reply {
        let content_type = HeaderValue::from_static(content_type);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type)]);
        Reply {
            status,
            headers,
            body,
        }
    }

    fn json(body: Vec<u8>) -> Reply {
        Reply::new(StatusCode::OK, "application/json", body)
    }
}

/// Returns the response for an answer, or why the answer cannot be a response. A function's error
/// gives 502 without any detail: the detail is in the function's log.
pub(super) fn infer(answer: Answer) -> Result<Reply, String> {
    let Ok(body) = answer else {
        return Ok(bad_gateway());
    };
    match serde_json::from_slice(&body) {
        Ok(Value::Object(response)) if response.contains_key("statusCode") => described(&response),
        // A string is the body without its quotes, contrary to the documentation.
        Ok(Value::String(text)) => Ok(Reply::json(text.into_bytes())),
        // The body is the answer's own text, as a number may have more digits than `Value` holds.
        Ok(_) => Ok(Reply::json(body)),
        Err(cause) => Err(format!("it is not JSON: {cause}")),
    }
}

/// Returns the response for an answer that cannot be a response.
pub(super) fn bad_gateway() -> Reply {
    Reply::text(StatusCode::BAD_GATEWAY, "Internal Server Error")
}

/// Returns the response that an object describes, or which field cannot be used.
fn described(response: &Map<String, Value>) -> Result<Reply, String> {
    let mut reply = Reply::json(body(response).ok_or("its body is no text or no Base64")?);
    let code = &response["statusCode"];
    reply.status = status(code).ok_or_else(|| format!("its statusCode is {code}"))?;
    let headers = object(response.get("headers")).ok_or("its headers are no object")?;
    for (name, value) in headers.into_iter().flatten() {
        if name.to_ascii_lowercase().starts_with("x-amzn-remapped-") {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Ok(Reply::text(status, "Internal Server Error"));
        }
        let header = header(name, value);
        let (name, value) = header.ok_or_else(|| format!("its header {name:?} is invalid"))?;
        reply.headers.insert(name, value);
    }
    match response.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                let cookie = cookie.as_str().and_then(|cookie| cookie.parse().ok());
                let cookie = cookie.ok_or("one of its cookies is invalid")?;
                reply.headers.append(SET_COOKIE, cookie);
            }
        }
        Some(_) => return Err("its cookies are no list".to_owned()),
    }
    Ok(reply)
}

/// Returns a header as it is sent, or `None` if it is not valid.
fn header(name: &str, value: &Value) -> Option<(HeaderName, HeaderValue)> {
    let mut name: HeaderName = name.parse().ok()?;
    if REMAPPED.contains(&name.as_str()) {
        name = format!("x-amzn-remapped-{name}").parse().ok()?;
    }
    Some((name, text(value)?.parse().ok()?))
}

fn status(value: &Value) -> Option<StatusCode> {
    let code = match value {
        Value::String(code) => code.parse().ok()?,
        other => other.as_u64()?.try_into().ok()?,
    };
    // A client takes a 1xx for an interim response, and waits for another one.
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| (200..600).contains(&status.as_u16()))
}

fn body(response: &Map<String, Value>) -> Option<Vec<u8>> {
    let body = match response.get("body") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(body) => body.as_str()?,
    };
    match response.get("isBase64Encoded") {
        Some(Value::Bool(true)) => BASE64_STANDARD.decode(body).ok(),
        _ => Some(body.as_bytes().to_vec()),
    }
}

/// Returns `None` if a field is neither an object nor absent, and `Some(None)` if it is absent.
fn object(value: Option<&Value>) -> Option<Option<&Map<String, Value>>> {
    match value {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_object().map(Some),
    }
}

/// Returns a header's value, which may be a string, a number or a boolean.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reply(answer: Value) -> Reply {
        infer(Ok(answer.to_string().into_bytes())).expect("it is a response")
    }

    #[track_caller]
    fn check(answer: Value, status: u16, content_type: &str, body: &str) {
        let reply = reply(answer);
        let sent = (
            reply.status.as_u16(),
            &reply.headers[CONTENT_TYPE],
            &*reply.body,
        );
        assert_eq!(
            sent,
            (
                status,
                &HeaderValue::from_str(content_type).expect("valid"),
                body.as_bytes()
            )
        );
    }

    #[test]
    fn json_without_a_status_code_is_the_body() {
        check(json!({"a": 1}), 200, "application/json", r#"{"a":1}"#);
        check(
            json!(["hello", 3, true]),
            200,
            "application/json",
            r#"["hello",3,true]"#,
        );
        check(json!(true), 200, "application/json", "true");
        let long = b"{\"b\":12345678901234567890123,\"a\":1}";
        let reply = infer(Ok(long.to_vec())).expect("it is a response");
        assert_eq!(reply.body, long);
        check(json!("hello"), 200, "application/json", "hello");
    }

    #[test]
    fn an_object_with_a_status_code_is_the_response() {
        check(
            json!({"statusCode": "418", "body": "x"}),
            418,
            "application/json",
            "x",
        );
        let html = json!({"Content-Type": "text/html"});
        check(
            json!({"statusCode": 200, "headers": html, "body": "<p>"}),
            200,
            "text/html",
            "<p>",
        );
        let binary = json!({"statusCode": 200, "body": "aGk=", "isBase64Encoded": true});
        check(binary, 200, "application/json", "hi");
    }

    #[test]
    fn each_cookie_is_a_header_of_its_own() {
        let reply = reply(json!({"statusCode": 200, "cookies": ["a=1", "b=2"]}));
        let cookies: Vec<_> = reply.headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
    }

    #[test]
    fn headers_of_the_connection_arrive_with_another_name() {
        let headers = json!({"Connection": "close", "Content-Length": "3", "X-A": "1"});
        let reply = reply(json!({"statusCode": 200, "headers": headers}));
        let names: Vec<_> = reply.headers.keys().map(HeaderName::as_str).collect();
        let remapped = [
            "x-amzn-remapped-connection",
            "x-amzn-remapped-content-length",
        ];
        assert_eq!(names, ["content-type", remapped[0], remapped[1], "x-a"]);
    }

    #[test]
    fn an_answer_that_cannot_be_a_response_is_refused_with_the_reason() {
        let html = json!({"a": "b\r\nc: d"});
        for (response, why) in [
            (json!({"statusCode": 99}), "its statusCode is 99"),
            (json!({"statusCode": "ok"}), "its statusCode is \"ok\""),
            (json!({"statusCode": 200, "body": {}}), "its body is no"),
            (
                json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}),
                "no Base64",
            ),
            (json!({"statusCode": 200, "headers": []}), "its headers"),
            (json!({"statusCode": 200, "headers": html}), "header \"a\""),
            (json!({"statusCode": 200, "cookies": ""}), "its cookies"),
            (json!({"statusCode": 200, "cookies": [1]}), "one of its"),
        ] {
            let answer = Ok(response.to_string().into_bytes());
            let cause = infer(answer).err().expect("it is refused");
            assert!(cause.contains(why), "{cause}");
        }
        let cause = infer(Ok(b"not JSON".to_vec()));
        let cause = cause.err().expect("it is refused");
        assert!(cause.starts_with("it is not JSON: "), "{cause}");
    }

    #[test]
    fn a_functions_error_is_a_bad_gateway_without_its_text() {
        let reply = infer(Err(b"{}".to_vec())).expect("it is a response");
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
        assert_eq!(reply.body, b"Internal Server Error");
    }

    #[test]
    fn a_header_with_the_remapped_prefix_is_an_error_as_on_aws() {
        let headers = json!({"X-Amzn-Remapped-Content-Length": "3"});
        let response = json!({"statusCode": 200, "headers": headers});
        check(response, 500, "text/plain", "Internal Server Error");
    }
}
