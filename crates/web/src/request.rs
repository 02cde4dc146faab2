//! Reads an event as a request. Function URLs and HTTP APIs send payload format 2.0; REST APIs,
//! HTTP APIs of format 1.0 and load balancers send formats of their own.
//!
//! Reads headers, cookies and body when they are asked for, and borrows from the event where it
//! can. Knows no page. Sources: "Request payload format", AWS Lambda Developer Guide; "Lambda
//! functions as targets for Application Load Balancers".

use super::client;
use super::event::{Event, Pairs, Text, Values};
use super::form::{self, Unreadable, decode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use handler::{Failure, Invocation, Kind, Reply};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::OnceCell;

const ACCEPTED: &str = "the `http` handler takes the events of Function URLs, API Gateway and load \
    balancers: `version` \"2.0\" with `rawPath` and `requestContext.http.method`, or `httpMethod` \
    with `path`";

/// An HTTP request.
///
/// ```
/// let event = br#"{"version": "2.0", "rawPath": "/parts", "rawQueryString": "q=a%20b",
///     "headers": {"host": "example.com"}, "requestContext": {"http": {"method": "GET"}}}"#;
/// let invocation = handler::Invocation { event: event.to_vec(), ..Default::default() };
/// let request = web::Request::from_event(&invocation)?;
/// assert_eq!((&*request.method, &*request.path), ("GET", "/parts"));
/// assert_eq!(request.header("host"), Some("example.com"));
/// assert_eq!(request.parameters(), Ok(vec![("q".to_string(), "a b".to_string())]));
/// # Ok::<(), handler::Failure>(())
/// ```
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: Cow<'a, str>,
    /// The path as it was sent, with its percent signs, and without the stage of an API.
    pub path: Cow<'a, str>,
    /// The query as it was sent, without a question mark. The query of a REST API is encoded again.
    pub query: Cow<'a, str>,
    /// The IP address of the client, as the platform saw it.
    pub source_ip: Cow<'a, str>,
    /// The form that the reply needs.
    pub shape: Shape,
    cookies: Option<&'a RawValue>,
    body: Option<&'a RawValue>,
    is_base64: bool,
    headers: Headers<'a>,
}

/// The headers, read when one is asked for, because few pages need any.
struct Headers<'a> {
    /// `multiValueHeaders`, which the senders of format 1.0 add.
    several: Option<&'a RawValue>,
    /// `headers`, with one value for each name. It has names that `several` has not, when the event
    /// is written by a tool.
    single: Option<&'a RawValue>,
    read: OnceCell<Result<Pairs<'a>, serde_json::Error>>,
}

/// The form of the reply, which depends on the sender of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A Function URL, or an HTTP API of format 2.0.
    V2,
    /// A REST API, or an HTTP API of format 1.0.
    V1,
    /// A load balancer.
    Balancer {
        /// Whether a header may have several values; a setting of the target group.
        multi_value: bool,
    },
}

impl<'a> Request<'a> {
    /// Reads the event.
    ///
    /// # Errors
    /// `Function.InvalidEvent` when the event is not JSON, has a key twice, or has a field of
    /// another type; `Function.UnknownEvent`, with the form of the event and the accepted forms.
    pub fn from_event(invocation: &'a Invocation) -> Result<Request<'a>, Failure> {
        match serde_json::from_slice::<Event>(&invocation.event) {
            Ok(event) if event.is_no_page() => Err(unknown(&invocation.json()?)),
            Ok(event) if event.version.0 == "2.0" && event.has_http() => Ok(Request::v2(event)),
            Ok(event) if event.is_v1() => Request::v1(event),
            Ok(_) => Err(unknown(&invocation.json()?)),
            Err(error) => match invocation.json()? {
                Value::Object(_) => Err(invalid("the event", &error)),
                other => Err(unknown(&other)),
            },
        }
    }

    /// Reads the headers, which are otherwise read when one is asked for. Where they cannot be read,
    /// each header is absent, and the request counts as another site's; this says why.
    ///
    /// # Errors
    /// `Function.InvalidEvent`, with the name of the header that is there twice or has neither a
    /// text nor a list of texts.
    pub fn check_headers(&self) -> Result<(), Failure> {
        match self.headers.read() {
            Ok(_) => Ok(()),
            Err(error) => Err(invalid("`headers`", error)),
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
            headers: Headers {
                several: None,
                single: event.headers,
                read: OnceCell::new(),
            },
        }
    }

    /// Not inlined, like everything that few starts run: inlined code is paged in with its caller.
    #[inline(never)]
    fn v1(event: Event<'a>) -> Result<Request<'a>, Failure> {
        let context = event.request_context;
        let multi_value = event.multi_value_headers.is_some();
        let several = event.multi_value_query_string_parameters;
        let parameters = read_both(several, event.query_string_parameters, |a, b| a == b)
            .map_err(|error| invalid("`queryStringParameters`", &error))?;
        let headers = Headers {
            several: event.multi_value_headers,
            single: event.headers,
            read: OnceCell::new(),
        };
        let balancer = context.elb.is_some();
        let address = match balancer {
            // A client can send this header; the balancer adds the address that it saw at the end.
            true => last(headers.get("x-forwarded-for").unwrap_or_default())
                .to_string()
                .into(),
            false => context.identity.source_ip.0,
        };
        Ok(Request {
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
        })
    }

    /// Returns the first value of a header, compared without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Returns `true` if the headers cannot be read, so that nothing may be decided by them.
    pub(crate) fn has_odd_headers(&self) -> bool {
        self.headers.read().is_err()
    }

    /// Returns the largest reply that the sender of the event takes, in bytes.
    pub fn reply_limit(&self) -> usize {
        match self.shape {
            // "Lambda functions as targets": the response JSON has at most 1 MB.
            Shape::Balancer { .. } => 1024 * 1024,
            _ => Reply::LIMIT,
        }
    }

    /// Returns the network of the client, by which attempts are counted: an IPv4 address, or the
    /// /64 of an IPv6 address (`2001:db8:1:2::/64`), without a port; `unknown` when the address
    /// cannot be read.
    pub fn client_network(&self) -> String {
        client::network(&self.source_ip)
    }

    /// Returns the segments of the path, each decoded. `None` when two hexadecimal digits do not
    /// follow a `%`, when the decoded bytes are not UTF-8, or when there is a NUL.
    pub fn segments(&self) -> Option<Vec<Cow<'_, str>>> {
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        path.split('/').map(decode).collect()
    }

    /// Decodes the query's parameters.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`], [`Unreadable::TooLarge`].
    pub fn parameters(&self) -> Result<Vec<(String, String)>, Unreadable> {
        form::pairs(&self.query)
    }

    /// Decodes the fields of the form in the body.
    ///
    /// # Errors
    /// [`Unreadable::OtherType`] when a body that is not empty has another content type;
    /// [`Unreadable::Malformed`], [`Unreadable::TooLarge`].
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

    /// Returns the body as text; empty when there is none.
    ///
    /// # Errors
    /// [`Unreadable::Malformed`] when the body is invalid base64 or is not UTF-8.
    pub fn body(&self) -> Result<String, Unreadable> {
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

    /// Returns the value of the first cookie with this name. Format 2.0 has the cookies in a list,
    /// and in a header too; the other formats have them in headers only.
    #[inline(never)]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let listed: Option<Values> = self
            .cookies
            .and_then(|cookies| serde_json::from_str(cookies.get()).ok());
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

    /// Returns `true` if the query has a parameter with this name, compared as it was sent.
    pub fn asks_for(&self, name: &str) -> bool {
        let mut names = self.query.split('&').map(|pair| pair.split('=').next());
        names.any(|known| known == Some(name))
    }
}

impl<'a> Headers<'a> {
    fn read(&self) -> Result<&Pairs<'a>, &serde_json::Error> {
        let read = || read_both(self.several, self.single, str::eq_ignore_ascii_case);
        self.read.get_or_init(read).as_ref()
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.read().ok()?.get(name)
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.read().map_or(Vec::new(), |pairs| pairs.all(name))
    }
}

/// Reads the names with several values, and then the names that only `single` has.
fn read_both<'a>(
    several: Option<&'a RawValue>,
    single: Option<&'a RawValue>,
    is_same: fn(&str, &str) -> bool,
) -> Result<Pairs<'a>, serde_json::Error> {
    let mut pairs = Pairs::read(several)?;
    pairs.merge(Pairs::read(single)?, is_same);
    Ok(pairs)
}

/// Removes the stage of an API from the beginning of the path; the stage `prod` is not the
/// beginning of `/products`.
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

/// Writes the query as a browser sends it. REST APIs decode names and values, load balancers do
/// not.
fn query(parameters: &Pairs, encode: bool) -> String {
    let text = |text: &str| match encode {
        true => utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        false => text.to_string(),
    };
    let pairs = parameters.0.iter();
    let pairs: Vec<String> = pairs
        .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        .map(|(name, value)| format!("{}={}", text(name), text(value)))
        .collect();
    pairs.join("&")
}

/// Returns the last entry of a list with commas.
fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default().trim()
}

/// Says what of an event cannot be read, in serde's words, which name a type and may quote a text.
#[inline(never)]
fn invalid(what: &str, error: &serde_json::Error) -> Failure {
    let why: String = error.to_string().chars().take(200).collect();
    Failure::new(Kind::InvalidEvent, format!("failed to read {what}: {why}"))
}

#[inline(never)]
fn unknown(event: &Value) -> Failure {
    let found = match event {
        Value::Object(fields)
            if fields.contains_key("methodArn") || fields.contains_key("routeArn") =>
        {
            "an event of an authorizer".to_string()
        }
        Value::Object(_) if !event["requestContext"]["connectionId"].is_null() => {
            "an event of a WebSocket API".to_string()
        }
        Value::Object(fields) if fields.contains_key("action") => {
            "an event with an `action`, which goes to the function whose handler is `migrate`"
                .to_string()
        }
        Value::Object(fields) if fields.is_empty() => "an empty object".to_string(),
        Value::Object(fields) => {
            // The names without the values, and no long text in place of a name.
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
        Kind::UnknownEvent,
        format!("failed to read {found}: {ACCEPTED}"),
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
    fn behind_a_balancer_the_client_has_the_address_that_the_balancer_saw() {
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
    fn a_path_with_an_invalid_escape_has_no_segments() {
        for path in ["/%", "/%2", "/%zz", "/a/%ff", "/%F0%9F", "/a/%00", "/a\0"] {
            let event = json!({
                "version": "2.0", "rawPath": path, "requestContext": {"http": {"method": "GET"}},
            });
            check(event, |request| {
                assert_eq!(request.segments(), None, "{path}");
            });
        }
    }

    fn refused(event: &str) -> Failure {
        let invocation = Invocation {
            event: event.as_bytes().to_vec(),
            ..Default::default()
        };
        let request = Request::from_event(&invocation);
        request
            .and_then(|request| request.check_headers())
            .expect_err("it is refused")
    }

    #[test]
    fn an_event_with_a_key_twice_is_refused_with_the_key() {
        let v2 = |more: &str, headers: &str, http: &str| {
            format!(
                r#"{{"version":"2.0","rawPath":"/a"{more},"headers":{{"host":"h"{headers}}},
                "requestContext":{{"http":{{"method":"POST"{http}}}}}}}"#
            )
        };
        let v1 = |fields: &str| {
            format!(r#"{{"httpMethod":"GET","path":"/a","requestContext":{{}},{fields}}}"#)
        };
        for (event, key) in [
            (v2(r#","rawPath":"/b""#, "", ""), "rawPath"),
            (v2("", r#","host":"evil""#, ""), "host"),
            (v2("", r#","\u0068ost":"evil""#, ""), "host"),
            (v2("", "", r#","method":"GET""#), "method"),
            (v1(r#""multiValueHeaders":{"x":["1"],"x":["2"]}"#), "x"),
            (v1(r#""queryStringParameters":{"q":"1","q":"2"}"#), "q"),
            (v1(r#""body":"a=1","body":"a=2""#), "body"),
        ] {
            let failure = refused(&event);
            assert_eq!(failure.kind(), Kind::InvalidEvent, "{failure}");
            let says = format!("the key `{key}` is there twice");
            assert!(failure.to_string().contains(&says), "{failure}");
        }
    }

    #[test]
    fn a_header_that_is_a_number_a_boolean_or_null_hides_no_other() {
        let event = json!({
            "version": "2.0", "rawPath": "/", "requestContext": {"http": {"method": "POST"}},
            "headers": {
                "Content-Length": 13, "x-odd": [true, null, -1.5, "text"], "x-null": null,
                "sec-fetch-site": "cross-site",
            },
        });
        check(event, |request| {
            request.check_headers().expect("they are readable");
            assert_eq!(request.header("content-length"), Some("13"));
            assert_eq!(request.headers.all("x-odd"), ["true", "-1.5", "text"]);
            assert_eq!(request.header("x-null"), None);
            assert!(crate::is_cross_site(&request));
        });
    }

    #[test]
    fn headers_that_cannot_be_read_are_refused_by_name_and_count_as_cross_site() {
        let many: Vec<String> = (0..2001)
            .map(|number| format!(r#""h{number}":"""#))
            .collect();
        let many = format!("{{{}}}", many.join(","));
        for (headers, says) in [
            (r#"{"host":"h","x-odd":{"a":1}}"#, "`x-odd`"),
            (r#"{"x-odd":["a",["b"]]}"#, "`x-odd`"),
            (&many, "more than 2000 names"),
            (r#"["host","h"]"#, "an object of strings"),
            (r#""host: h""#, "an object of strings"),
        ] {
            let event = format!(
                r#"{{"version":"2.0","rawPath":"/","headers":{headers},
                "requestContext":{{"http":{{"method":"POST"}}}}}}"#
            );
            let failure = refused(&event);
            assert_eq!(failure.kind(), Kind::InvalidEvent, "{failure}");
            assert!(failure.to_string().contains(says), "{failure}");
            let invocation = Invocation {
                event: event.into_bytes(),
                ..Default::default()
            };
            let request = Request::from_event(&invocation).expect("it is a request");
            assert!(crate::is_cross_site(&request));
        }
    }

    #[test]
    fn a_header_and_a_parameter_may_stand_in_either_field() {
        let event = json!({
            "path": "/", "httpMethod": "GET", "requestContext": {},
            "headers": {"Cookie": "session=1", "HOST": "other"},
            "multiValueHeaders": {"host": ["h"]},
            "queryStringParameters": {"q": "last", "Q": "upper"},
            "multiValueQueryStringParameters": {"q": ["first", "last"]},
        });
        check(event, |request| {
            assert_eq!(request.header("host"), Some("h"));
            assert_eq!(request.cookie("session").as_deref(), Some("1"));
            assert_eq!(request.query, "q=first&q=last&Q=upper");
        });
        let event = json!({
            "path": "/", "httpMethod": "GET", "requestContext": {},
            "headers": {"host": "h"}, "multiValueHeaders": {},
        });
        check(event, |request| {
            assert_eq!(request.header("host"), Some("h"));
        });
    }

    #[test]
    fn an_authorizers_and_a_web_sockets_event_are_refused_by_name() {
        let http = json!({"method": "GET"});
        for (event, says) in [
            (
                json!({"type": "REQUEST", "methodArn": "arn", "httpMethod": "GET", "path": "/"}),
                "an authorizer",
            ),
            (
                json!({"version": "2.0", "type": "REQUEST", "routeArn": "arn", "rawPath": "/",
                    "requestContext": {"http": http}}),
                "an authorizer",
            ),
            (
                json!({"httpMethod": "GET", "path": "/",
                    "requestContext": {"eventType": "CONNECT", "connectionId": "c="}}),
                "a WebSocket API",
            ),
        ] {
            let failure = refused(&event.to_string());
            assert_eq!(failure.kind(), Kind::UnknownEvent, "{failure}");
            assert!(failure.to_string().contains(says), "{failure}");
        }
    }

    #[test]
    fn a_field_of_another_type_is_refused_in_serdes_words() {
        let failure = refused(
            r#"{"version":"2.0","rawPath":"/","isBase64Encoded":"false",
            "requestContext":{"http":{"method":"GET"}}}"#,
        );
        assert_eq!(failure.kind(), Kind::InvalidEvent, "{failure}");
        let says = "invalid type: string \"false\", expected a boolean at line 1";
        assert!(failure.to_string().contains(says), "{failure}");
    }

    #[test]
    fn a_load_balancer_takes_one_megabyte_and_the_others_six() {
        let limit = |event: Value| {
            let invocation = invocation(&event);
            Request::from_event(&invocation)
                .expect("it is a request")
                .reply_limit()
        };
        let mut event = json!({"httpMethod": "GET", "path": "/", "requestContext": {}});
        assert_eq!(limit(event.clone()), Reply::LIMIT);
        event["requestContext"]["elb"] = json!({"targetGroupArn": "arn"});
        assert_eq!(limit(event), 1024 * 1024);
    }

    #[test]
    fn only_a_sender_that_passes_bytes_on_takes_gzip() {
        let takes = |event: &str| {
            let mut event: Value = serde_json::from_str(event).expect("it is JSON");
            event["headers"]["accept-encoding"] = "gzip".into();
            let invocation = invocation(&event);
            crate::takes_gzip(&Request::from_event(&invocation).expect("it is a request"))
        };
        assert!(takes(include_str!(
            "../../../tests/senders/function_url.json"
        )));
        assert!(!takes(include_str!("../../../tests/senders/rest_api.json")));
    }

    #[test]
    fn no_event_panics() {
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
                let mut ends = (at..=event.len().min(at + next(12))).rev();
                let end = ends.find(|end| event.is_char_boundary(*end)).unwrap_or(at);
                event.replace_range(at..end, pieces[next(pieces.len())]);
            }
            let invocation = Invocation {
                event: event.into_bytes(),
                ..Default::default()
            };
            if let Ok(request) = Request::from_event(&invocation) {
                read += 1;
                let _ = (request.segments(), request.parameters(), request.form());
                let _ = (request.cookie("session"), request.header("host"));
            }
        }
        assert!(read > 1000, "only {read} of 6000 events were requests");
    }

    #[test]
    fn any_other_event_is_refused_with_its_form_and_the_accepted_forms() {
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
