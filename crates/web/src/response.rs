//! Writes a response as the JSON that the sender of the event turns into HTTP.
//!
//! Knows no page. Sources: "Response payload format", AWS Lambda Developer Guide; "Lambda functions
//! as targets for Application Load Balancers".

use super::request::Shape;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use handler::Reply;
use std::borrow::Cow;

/// The headers that protect the browser's user, as JSON, because every reply has them. The browser
/// loads resources from our origin only, accepts no inline script or style, and lets no page frame
/// ours (Content Security Policy Level 3); the layout's empty icon is `data:`. TLS is required for
/// two years; browsers ignore that header without TLS, as on a developer's machine (RFC 6797).
const PROTECTION: &str = concat!(
    r#""content-security-policy":"default-src 'none'; style-src 'self'; script-src 'self'; "#,
    r#"img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "#,
    r#"base-uri 'none'","x-content-type-options":"nosniff","referrer-policy":"same-origin","#,
    r#""cross-origin-opener-policy":"same-origin","cross-origin-resource-policy":"same-origin","#,
    r#""strict-transport-security":"max-age=63072000""#
);

/// The bytes of a reply beside its body, about: one allocation then holds most replies.
const HEAD_BYTES: usize = 1024;

/// An HTTP response.
///
/// ```
/// let response = web::Response::html(200, "<h1>Parts</h1>".to_string()).with("vary", "cookie");
/// assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
/// assert_eq!(response.header("vary"), Some("cookie"));
/// ```
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers. The names are in lower case, and each is there once: format 2.0 does not allow
    /// a second value.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The values of `Set-Cookie`, the only header that may be there several times.
    pub cookies: Vec<String>,
    /// The body: text or any other bytes.
    pub body: Vec<u8>,
}

impl Response {
    /// Creates a page of HTML. A browser's cache asks again each time, because the page shows the
    /// present state of the database.
    pub fn html(status: u16, body: String) -> Response {
        Response::of(status, "text/html; charset=utf-8", body)
    }

    /// Creates a response with a content type. Only the browser may cache it, and asks again each
    /// time.
    pub fn of(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Response {
        let response = Response {
            status,
            headers: Vec::with_capacity(16),
            cookies: Vec::new(),
            body: body.into(),
        };
        response
            .with("content-type", content_type)
            .with("cache-control", "private, no-cache")
    }

    /// Creates a redirect with the status 303: the browser gets the address `to`.
    pub fn redirect(to: impl Into<Cow<'static, str>>) -> Response {
        Response::of(303, "text/plain; charset=utf-8", "")
            .with("cache-control", "no-store")
            .with("location", to)
    }

    /// Sets a header, in place of an earlier value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Response {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| *known == name);
        header.map(|(_, value)| value.as_ref())
    }

    /// Writes the handler's reply. A body that is UTF-8 is sent as text, any other in base64; the
    /// bytes decide, because a header may be wrong.
    pub fn into_reply(self, shape: Shape) -> Reply {
        // Written as text at once: a tree of JSON values would copy the page twice.
        let mut json = Vec::with_capacity(self.body.len() + HEAD_BYTES);
        json.extend_from_slice(format!(r#"{{"statusCode":{},"#, self.status).as_bytes());
        if matches!(shape, Shape::Balancer { .. }) {
            json.extend_from_slice(br#""statusDescription":"#);
            write_string(
                &mut json,
                &format!("{} {}", self.status, reason(self.status)),
            );
            json.push(b',');
        }
        let several = matches!(shape, Shape::V1 | Shape::Balancer { multi_value: true });
        json.extend_from_slice(match several {
            true => br#""multiValueHeaders":{"#,
            false => br#""headers":{"#,
        });
        match several {
            true => json.extend(protection_in_brackets().bytes()),
            false => json.extend_from_slice(PROTECTION.as_bytes()),
        }
        for (name, value) in &self.headers {
            json.push(b',');
            write_string(&mut json, name);
            json.extend_from_slice(if several { b":[" } else { b":" });
            write_string(&mut json, value);
            if several {
                json.push(b']');
            }
        }
        write_cookies(&mut json, &self.cookies, shape);
        write_body(&mut json, &self.body);
        json.push(b'}');
        Reply { body: json }
    }
}

/// Ends the headers, and writes the cookies where the sender of the event expects them.
fn write_cookies(json: &mut Vec<u8>, cookies: &[String], shape: Shape) {
    json.extend_from_slice(match (shape, cookies) {
        // cargo-lambda refuses a response without the field.
        (Shape::V2, []) => br#"},"cookies":[],"isBase64Encoded":"#,
        (_, []) => br#"},"isBase64Encoded":"#,
        _ => return write_some_cookies(json, cookies, shape),
    });
}

/// Not inlined, like everything that few starts run: inlined code is paged in with its caller.
#[inline(never)]
fn write_some_cookies(json: &mut Vec<u8>, cookies: &[String], shape: Shape) {
    match shape {
        Shape::V2 => json.extend_from_slice(br#"},"cookies":["#),
        Shape::V1 | Shape::Balancer { multi_value: true } => {
            json.extend_from_slice(br#","set-cookie":["#);
        }
        // A balancer with one value for each header accepts one cookie: the last one is sent.
        Shape::Balancer { multi_value: false } => {
            json.extend_from_slice(br#","set-cookie":"#);
            write_string(json, &cookies[cookies.len() - 1]);
            json.extend_from_slice(br#"},"isBase64Encoded":"#);
            return;
        }
    }
    for (at, cookie) in cookies.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        write_string(json, cookie);
    }
    json.extend_from_slice(match shape {
        Shape::V2 => br#"],"isBase64Encoded":"#,
        _ => br#"]},"isBase64Encoded":"#,
    });
}

/// Returns [`PROTECTION`] with each value in a list. No name and no value has a quote in it.
#[inline(never)]
fn protection_in_brackets() -> String {
    PROTECTION
        .replace("\":\"", "\":[\"")
        .replace("\",\"", "\"],\"")
        + "]"
}

fn write_body(json: &mut Vec<u8>, body: &[u8]) {
    match str::from_utf8(body) {
        Ok(text) => {
            json.extend_from_slice(br#"false,"body":"#);
            write_string(json, text);
        }
        Err(_) => write_base64(json, body),
    }
}

/// Not inlined, like everything that few starts run: inlined code is paged in with its caller.
#[inline(never)]
fn write_base64(json: &mut Vec<u8>, body: &[u8]) {
    json.extend_from_slice(br#"true,"body":"#);
    write_string(json, &BASE64_STANDARD.encode(body));
}

fn write_string(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a vector takes everything, and text is JSON");
}

/// Returns the reason phrase of a status (RFC 9110, section 15; 429: RFC 6585). Has the statuses
/// that we send.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        303 => "See Other",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn response() -> Response {
        let response = Response {
            status: 404,
            headers: Vec::new(),
            cookies: Vec::new(),
            body: "\"ü\"\n\u{1}".into(),
        };
        response.with("x-a", "1\"").with("x-b", "2")
    }

    #[track_caller]
    fn check(response: Response, shape: Shape, expected: Value) {
        let reply = response.into_reply(shape).body;
        let mut reply: Value = serde_json::from_slice(&reply).expect("it is JSON");
        for headers in ["headers", "multiValueHeaders"] {
            let Some(headers) = reply[headers].as_object_mut() else {
                continue;
            };
            let protection = format!("{{{PROTECTION}}}");
            let protection: Value = serde_json::from_str(&protection).expect("it is JSON");
            for (name, value) in protection.as_object().expect("it is one") {
                let sent = headers.remove(name).expect("every response has it");
                assert!(sent == *value || sent == json!([value]), "{name}: {sent}");
            }
        }
        reply
            .as_object_mut()
            .expect("it is one")
            .retain(|_, value| !value.is_null());
        assert_eq!(reply, expected);
    }

    #[test]
    fn a_response_is_json_for_a_function_url() {
        let expected = json!({
            "statusCode": 404,
            "headers": {"x-a": "1\"", "x-b": "2"},
            "cookies": [],
            "isBase64Encoded": false,
            "body": "\"ü\"\n\u{1}",
        });
        check(response(), Shape::V2, expected);
    }

    #[test]
    fn a_response_is_json_for_a_rest_api_and_for_a_balancer() {
        let mut expected = json!({
            "statusCode": 404,
            "multiValueHeaders": {"x-a": ["1\""], "x-b": ["2"]},
            "isBase64Encoded": false,
            "body": "\"ü\"\n\u{1}",
        });
        check(response(), Shape::V1, expected.clone());
        expected["statusDescription"] = "404 Not Found".into();
        check(
            response(),
            Shape::Balancer { multi_value: true },
            expected.clone(),
        );
        let fields = expected.as_object_mut().expect("it is one");
        fields.remove("multiValueHeaders");
        expected["headers"] = json!({"x-a": "1\"", "x-b": "2"});
        check(response(), Shape::Balancer { multi_value: false }, expected);
    }

    #[test]
    fn cookies_are_where_the_sender_of_the_event_expects_them() {
        let reply = |shape| {
            let response = Response {
                cookies: vec!["a=\"1\"".into(), "b=2; Path=/".into()],
                ..response()
            };
            let reply = response.into_reply(shape).body;
            let reply: Value = serde_json::from_slice(&reply).expect("it is JSON");
            assert_eq!(reply["isBase64Encoded"], false);
            reply
        };
        let both = json!(["a=\"1\"", "b=2; Path=/"]);
        assert_eq!(reply(Shape::V2)["cookies"], both);
        let several = Shape::Balancer { multi_value: true };
        for shape in [Shape::V1, several] {
            assert_eq!(reply(shape)["multiValueHeaders"]["set-cookie"], both);
        }
        let one = reply(Shape::Balancer { multi_value: false });
        assert_eq!(one["headers"]["set-cookie"], "b=2; Path=/");
    }

    #[test]
    fn a_body_that_is_not_utf_8_is_sent_in_base64() {
        let response = Response {
            body: vec![0x89, b'P', b'N', b'G'],
            ..response()
        };
        let reply = response.into_reply(Shape::V2).body;
        let reply: Value = serde_json::from_slice(&reply).expect("it is JSON");
        assert_eq!(reply["isBase64Encoded"], true);
        assert_eq!(reply["body"], "iVBORw==");
    }

    #[test]
    fn a_header_that_is_set_twice_has_the_second_value() {
        let response = response().with("x-a", "3");
        assert_eq!(response.header("x-a"), Some("3"));
        assert_eq!(response.headers.len(), 2);
    }
}
