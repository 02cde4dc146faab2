//! An event → a request. Function URLs and HTTP APIs send payload format 2.0; REST APIs, HTTP APIs
//! of format 1.0 and load balancers their own.
//!
//! Reads each part when it is asked for, and copies nothing that need not be. Knows no page.
//! Sources: "Request payload format", AWS Lambda Developer Guide; "Lambda functions as targets for
//! Application Load Balancers".

use super::event::{Event, Pairs, Text, Values};
use super::form::{self, Unreadable};
use crate::{Failure, Invocation};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::LazyCell;

/// What the path of a one-time link begins with.
const LINKS: &str = "/sign-in/";

const ACCEPTED: &str = "the `http` handler takes the events of Function URLs, API Gateway and load \
    balancers: `version` \"2.0\" with `rawPath` and `requestContext.http.method`, or `httpMethod` \
    with `path`";

/// What a browser asks for.
pub struct Request<'a> {
    /// In upper case, as HTTP has it.
    pub method: Cow<'a, str>,
    /// As it was sent: still percent-encoded; without an API's stage.
    pub path: Cow<'a, str>,
    /// As it was sent, without a question mark.
    pub query: Cow<'a, str>,
    /// Who asks, by the platform's word and not by a header's.
    pub source_ip: Cow<'a, str>,
    /// How the reply has to look.
    pub shape: Shape,
    cookies: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    is_base64: bool,
    headers: LazyCell<Pairs<'a>, Reader<'a>>,
}

/// Reads the headers when one is asked for: few pages need any.
type Reader<'a> = Box<dyn FnOnce() -> Pairs<'a> + 'a>;

/// Who sent the event, and so who reads the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A Function URL, or an HTTP API of format 2.0.
    V2,
    /// A REST API, or an HTTP API of format 1.0.
    V1,
    /// A load balancer: with several values for a header, or with one.
    Balancer {
        /// As its target group is set.
        multi_value: bool,
    },
}

impl<'a> Request<'a> {
    /// Reads the event.
    ///
    /// # Errors
    /// `Function.InvalidEvent` when it is not JSON; `Function.UnknownEvent`, saying what is
    /// accepted and what came instead.
    pub fn from_event(invocation: &'a Invocation) -> Result<Request<'a>, Failure> {
        match serde_json::from_slice::<Event>(&invocation.event) {
            Ok(event) if event.version.0 == "2.0" && event.has_http() => Ok(Request::v2(event)),
            Ok(event) if event.is_v1() => Ok(Request::v1(event)),
            _ => Err(unknown(&invocation.json()?)),
        }
    }

    fn v2(event: Event<'a>) -> Request<'a> {
        let http = event.request_context.http;
        Request {
            method: http.method.0,
            path: without_stage(event.raw_path.0, &event.request_context.stage.0),
            query: event.raw_query_string.0,
            source_ip: http.source_ip.0,
            shape: Shape::V2,
            cookies: event.cookies,
            body: event.body,
            is_base64: event.is_base64_encoded == Some(true),
            headers: lazily(event.headers),
        }
    }

    /// Out of line, as all that few starts run: what is inlined is paged in.
    #[inline(never)]
    fn v1(event: Event<'a>) -> Request<'a> {
        let context = event.request_context;
        let multi_value = event.multi_value_headers.is_some();
        let several = event.multi_value_query_string_parameters;
        let parameters = Pairs::read(several.or(event.query_string_parameters));
        let headers = lazily(event.multi_value_headers.or(event.headers));
        let balancer = context.elb.is_some();
        let address = match balancer {
            // The balancer adds the address that it saw to the end of what a client may have sent.
            true => last(headers.get("x-forwarded-for").unwrap_or_default())
                .to_string()
                .into(),
            false => context.identity.source_ip.0,
        };
        Request {
            method: event.http_method.0,
            path: match event.version.0.as_ref() {
                "1.0" => without_stage(event.path.0, &context.stage.0),
                _ => event.path.0,
            },
            query: query(&parameters, !balancer).into(),
            source_ip: address,
            shape: match balancer {
                true => Shape::Balancer { multi_value },
                false => Shape::V1,
            },
            cookies: None,
            body: event.body,
            is_base64: event.is_base64_encoded == Some(true),
            headers,
        }
    }

    /// A header by its name in lower case: its first value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The parts of the path between its slashes, decoded one by one; `None` when an escape is
    /// none, or what it stands for is not UTF-8.
    pub fn segments(&self) -> Option<Vec<Cow<'_, str>>> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        path.split('/').map(decode).collect()
    }

    /// The query's parameters.
    ///
    /// # Errors
    /// As `form::pairs`.
    pub fn parameters(&self) -> Result<Vec<(String, String)>, Unreadable> {
        form::pairs(&self.query)
    }

    /// The fields of the form that was sent.
    ///
    /// # Errors
    /// `OtherType`, and as `form::pairs`.
    #[inline(never)]
    pub fn form(&self) -> Result<Vec<(String, String)>, Unreadable> {
        let content_type = self.header("content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let body = self.body()?;
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !body.is_empty() {
            return Err(Unreadable::OtherType);
        }
        form::pairs(&body)
    }

    fn body(&self) -> Result<String, Unreadable> {
        let body = self
            .body
            .map(|body| serde_json::from_str::<Text>(body.get()));
        let body = match body {
            None => return Ok(String::new()),
            Some(body) => body.map_err(|_| Unreadable::Malformed)?.0,
        };
        if !self.is_base64 {
            return Ok(body.into_owned());
        }
        let bytes = BASE64_STANDARD.decode(body.as_bytes()).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or(Unreadable::Malformed)
    }

    /// A cookie's value: the first that was sent. Format 2.0 has cookies in a list of their own, and
    /// in a header, too; the others in headers only.
    #[inline(never)]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let listed: Option<Values> =
            { self.cookies }.and_then(|cookies| serde_json::from_str(cookies.get()).ok());
        let sent = match &listed {
            Some(Values(cookies)) => cookies.iter().map(AsRef::as_ref).collect(),
            None => self.headers.all("cookie"),
        };
        let mut cookies = sent.iter().flat_map(|sent| sent.split(';'));
        cookies.find_map(|cookie| {
            let (known, value) = cookie.trim().split_once('=')?;
            (known == name).then(|| value.trim_matches('"').to_string())
        })
    }

    /// The path for a log: a one-time link is a secret.
    pub fn shown_path(&self) -> &str {
        match self.path.starts_with(LINKS) {
            true => LINKS,
            false => &self.path,
        }
    }

    /// Whether the query has a parameter of this name.
    pub fn asks_for(&self, name: &str) -> bool {
        let names = self.query.split('&').map(|pair| pair.split('=').next());
        { names }.any(|known| known == Some(name))
    }
}

fn lazily<'a>(headers: Option<&'a RawValue>) -> LazyCell<Pairs<'a>, Reader<'a>> {
    LazyCell::new(Box::new(move || Pairs::read(headers)))
}

/// Decodes each `%xx`; `None` when an escape is none, or what it stands for is not UTF-8.
pub fn decode(text: &str) -> Option<Cow<'_, str>> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    let valid = { escapes }.all(|(at, _)| is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)));
    valid.then(|| percent_decode_str(text).decode_utf8().ok())?
}

/// An API's stage is in the path that it sends; `/prod` is not the beginning of `/products`.
fn without_stage<'a>(path: Cow<'a, str>, stage: &str) -> Cow<'a, str> {
    let rest = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(stage))
        .filter(|rest| !stage.is_empty() && (rest.is_empty() || rest.starts_with('/')));
    match rest {
        None => path,
        Some("") => "/".into(),
        Some(rest) => rest.to_string().into(),
    }
}

/// The query as a browser sends it. REST APIs decode what they hand over, balancers do not.
fn query(parameters: &Pairs, encode: bool) -> String {
    let text = |text: &str| match encode {
        true => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        false => text.to_string(),
    };
    let pairs = parameters.0.iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{}={}", text(name), text(value)))
        .collect();
    pairs.join("&")
}

fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default().trim()
}

#[inline(never)]
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

    #[track_caller]
    fn check(event: Value, check: impl FnOnce(Request)) {
        let invocation = invocation(&event);
        check(Request::from_event(&invocation).expect("it is a request"));
    }

    #[test]
    fn a_function_url_event_is_a_request() {
        let event = json!({
            "version": "2.0",
            "rawPath": "/a%2Fb\"ü",
            "rawQueryString": "a=1&db",
            "headers": {"a": "b", "host": "h"},
            "requestContext": {
                "http": {"method": "GET", "path": "/a%2Fb", "sourceIp": "203.0.113.7"},
                "stage": "$default", "authorizer": null,
            },
        });
        check(event, |request| {
            assert_eq!((&*request.method, &*request.path), ("GET", "/a%2Fb\"ü"));
            assert_eq!(request.header("host"), Some("h"));
            assert_eq!(request.header("x"), None);
            assert_eq!(request.source_ip, "203.0.113.7");
            assert!(request.asks_for("db") && request.asks_for("a") && !request.asks_for("1"));
            assert_eq!(request.segments().expect("valid"), ["a/b\"ü"]);
            assert_eq!(request.shape, Shape::V2);
        });
    }

    #[test]
    fn a_stage_is_not_the_beginning_of_a_path() {
        let path = |path: &str, stage: &str| {
            let event = json!({
                "version": "2.0", "rawPath": path,
                "requestContext": {"http": {"method": "GET"}, "stage": stage},
            });
            let invocation = invocation(&event);
            let request = Request::from_event(&invocation).expect("it is a request");
            request.path.into_owned()
        };
        assert_eq!(path("/prod/x", "prod"), "/x");
        assert_eq!(path("/prod", "prod"), "/");
        assert_eq!(path("/products", "prod"), "/products");
        assert_eq!(path("/x", "$default"), "/x");
    }

    #[test]
    fn a_rest_apis_parameters_are_encoded_again() {
        let event = json!({
            "resource": "/{proxy+}", "path": "/a", "httpMethod": "POST",
            "headers": {"Host": "h", "X-Forwarded-For": "10.0.0.1"},
            "multiValueHeaders": {"Host": ["h"], "Accept": ["x", "y"]},
            "queryStringParameters": {"q": "1+1"},
            "multiValueQueryStringParameters": {"q": ["a&b=c", "1+1"]},
            "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.7"}},
            "body": null, "isBase64Encoded": false,
        });
        check(event, |request| {
            assert_eq!(request.query, "q=a%26b%3Dc&q=1%2B1");
            assert_eq!(request.header("host"), Some("h"));
            assert_eq!(request.source_ip, "203.0.113.7");
            assert_eq!(request.shape, Shape::V1);
        });
    }

    #[test]
    fn a_balancers_client_is_who_the_balancer_saw() {
        let event = json!({
            "requestContext": {"elb": {"targetGroupArn": "arn"}},
            "httpMethod": "GET", "path": "/a%20b",
            "multiValueQueryStringParameters": {"q": ["a%26b"]},
            "multiValueHeaders": {"x-forwarded-for": ["198.51.100.9, 203.0.113.7"], "host": ["h"]},
            "body": "", "isBase64Encoded": false,
        });
        check(event, |request| {
            assert_eq!(request.source_ip, "203.0.113.7");
            assert_eq!(request.query, "q=a%26b");
            assert_eq!(request.shape, Shape::Balancer { multi_value: true });
        });
    }

    #[test]
    fn an_escape_that_is_none_is_no_path() {
        for path in ["/%", "/%2", "/%zz", "/a/%ff", "/%F0%9F"] {
            let event = json!({
                "version": "2.0", "rawPath": path, "requestContext": {"http": {"method": "GET"}},
            });
            check(event, |request| {
                assert_eq!(request.segments(), None, "{path}")
            });
        }
    }

    #[test]
    fn no_event_is_too_odd() {
        let senders = [
            include_str!("../../../tests/senders/function_url.json"),
            include_str!("../../../tests/senders/rest_api.json"),
            include_str!("../../../tests/senders/load_balancer.json"),
        ];
        let mut state = 1_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits") % below
        };
        let pieces = [
            "null", "\"", "{", "[]", "%", "%ff", "=", "&", ";", "\\u0000", "1e999", "é",
        ];
        let mut read = 0;
        for round in 0..6000 {
            let mut event = senders[round % 3].to_string();
            for _ in 0..=next(4) {
                let at = (0..=next(event.len()))
                    .rev()
                    .find(|at| event.is_char_boundary(*at));
                let at = at.expect("the beginning is one");
                let end = (at..=event.len().min(at + next(12))).rev();
                let end = { end }
                    .find(|end| event.is_char_boundary(*end))
                    .unwrap_or(at);
                event.replace_range(at..end, pieces[next(pieces.len())]);
            }
            let invocation = Invocation {
                event: event.into_bytes(),
                ..Default::default()
            };
            if let Ok(request) = Request::from_event(&invocation) {
                read += 1;
                let _ = (request.segments(), request.parameters(), request.form());
                let _ = (
                    request.cookie("session"),
                    request.header("host"),
                    request.shown_path(),
                );
            }
        }
        assert!(read > 1000, "hardly any was a request: {read}");
    }

    #[test]
    fn any_other_event_is_refused_with_what_it_is_and_what_is_accepted() {
        let check = |event: Value, expected: &str| {
            let message = Request::from_event(&invocation(&event))
                .err()
                .expect("it is none")
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
            json!({"version": "2.0", "rawPath": "/"}),
            "the fields rawPath, version",
        );
        check(json!({}), "an empty object");
        check(json!([]), "an array");
        check(json!(null), "null");
    }
}
