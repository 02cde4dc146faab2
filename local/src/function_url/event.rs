//! Turns an HTTP request into an event of payload format 2.0.
//!
//! The fields are those of the captures in aws-lambda-go (`lambdaurl/testdata`). Knows nothing of
//! functions.

use crate::invocation;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use oxhttp::model::header::{CONTENT_TYPE, HOST};
use oxhttp::model::{Body, HeaderMap, Request};
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};
use uuid::Uuid;

/// Returns the event's JSON.
pub(super) fn build(request: &Request<Body>, client: IpAddr, body: &[u8]) -> Vec<u8> {
    event(request, client, body, Timestamp::now())
        .to_string()
        .into_bytes()
}

fn event(request: &Request<Body>, client: IpAddr, body: &[u8], now: Timestamp) -> Value {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(request.headers(), client),
        "requestContext": context(request, client, now),
        "isBase64Encoded": false,
    });
    if !query.is_empty() {
        event["queryStringParameters"] = parameters(query);
    }
    if let Some(cookie) = event["headers"]["cookie"].as_str()
        && !cookie.is_empty()
    {
        event["cookies"] = cookie.split("; ").collect();
    }
    if !body.is_empty() {
        let text = std::str::from_utf8(body)
            .ok()
            .filter(|_| is_text(request.headers()));
        event["isBase64Encoded"] = text.is_none().into();
        event["body"] = match text {
            Some(text) => text.into(),
            None => BASE64_STANDARD.encode(body).into(),
        };
    }
    event
}

fn context(request: &Request<Body>, client: IpAddr, now: Timestamp) -> Value {
    let domain = authority(request.headers()).0;
    let id = domain.split('.').next().unwrap_or_default().to_owned();
    json!({
        "accountId": "anonymous",
        "apiId": id,
        "domainName": domain,
        "domainPrefix": id,
        "http": {
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "protocol": "HTTP/1.1",
            "sourceIp": client.to_string(),
            "userAgent": text(request.headers(), "user-agent"),
        },
        "requestId": Uuid::new_v4().to_string(),
        "routeKey": "$default",
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": now.as_millisecond(),
    })
}

/// Returns the headers as JSON. `HeaderMap` has the names in lower case already; the values of one
/// name are joined as `text` does.
fn headers(headers: &HeaderMap, client: IpAddr) -> Value {
    let mut joined = Map::new();
    for name in headers.keys() {
        joined.insert(name.to_string(), text(headers, name.as_str()).into());
    }
    let port = authority(headers).1;
    joined.insert("x-amzn-trace-id".into(), invocation::trace_root().into());
    joined.insert("x-forwarded-for".into(), client.to_string().into());
    joined.insert("x-forwarded-port".into(), port.into());
    // The scheme that is spoken here; AWS speaks only https.
    joined.insert("x-forwarded-proto".into(), "http".into());
    joined.into()
}

/// Returns the client's address: the one that the nearest proxy has appended to `X-Forwarded-For`,
/// with or without a port. The addresses before it are the client's claims. Without a readable
/// address, the client is the connection's peer, so that the clients do not share an address.
pub(crate) fn client(headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
    let addresses = text(headers, "x-forwarded-for");
    let last = addresses.rsplit(',').next().unwrap_or_default().trim();
    let bare = last
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(last);
    let with_port = || last.parse().map(|address: SocketAddr| address.ip()).ok();
    let address: Option<IpAddr> = bare.parse().ok().or_else(with_port);
    address.map(|address| address.to_canonical()).or(peer)
}

/// Returns the values of a header, joined with commas, or, for cookies, with semicolons.
fn text(headers: &HeaderMap, name: &str) -> String {
    let separator = if name == "cookie" { "; " } else { "," };
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(separator)
}

/// Returns the domain and the port of the `Host` header.
fn authority(headers: &HeaderMap) -> (String, String) {
    let host = text(headers, HOST.as_str());
    match host.rsplit_once(':') {
        Some((domain, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (domain.to_owned(), port.to_owned())
        }
        _ => (host, "80".to_owned()),
    }
}

fn parameters(query: &str) -> Value {
    let mut joined = Map::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match joined.get_mut(&*name) {
            Some(Value::String(values)) => {
                values.push(',');
                values.push_str(&value);
            }
            _ => {
                joined.insert(name.into_owned(), value.into());
            }
        }
    }
    joined.into()
}

fn is_text(headers: &HeaderMap) -> bool {
    let content_type = text(headers, CONTENT_TYPE.as_str()).to_ascii_lowercase();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.starts_with("text/")
        || [
            "application/json",
            "application/xml",
            "application/javascript",
        ]
        .contains(&media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

    fn build(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Body::empty())
            .expect("the test's request is valid");
        event(
            &request,
            client(request.headers(), Some(PEER)).expect("there is a peer"),
            body,
            Timestamp::from_millisecond(1_681_837_307_717).expect("in range"),
        )
    }

    #[test]
    fn the_path_stays_encoded_and_the_query_is_decoded() {
        let event = build("GET", "http://h/a%2Fb%zz?x=%2Fbar&y=1+2&x=foo&z", &[], b"");
        assert_eq!(event["rawPath"], "/a%2Fb%zz");
        assert_eq!(event["rawQueryString"], "x=%2Fbar&y=1+2&x=foo&z");
        let expected = json!({"x": "/bar,foo", "y": "1 2", "z": ""});
        assert_eq!(event["queryStringParameters"], expected);
    }

    #[test]
    fn an_absent_query_cookie_or_body_is_left_out() {
        let event = build("GET", "http://h/", &[], b"");
        assert_eq!(event["rawQueryString"], "");
        for key in ["queryStringParameters", "cookies", "body"] {
            assert!(event.get(key).is_none(), "{key}");
        }
    }

    #[test]
    fn repeated_headers_are_joined_and_cookies_are_also_a_list() {
        let headers = [
            ("X-A", "1"),
            ("x-a", "2"),
            ("Cookie", "a=1; b=2"),
            ("Host", "h.x:9000"),
        ];
        let event = build("GET", "http://h/", &headers, b"");
        assert_eq!(event["headers"]["x-a"], "1,2");
        assert_eq!(event["headers"]["cookie"], "a=1; b=2");
        assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
        assert_eq!(event["headers"]["x-forwarded-port"], "9000");
        assert_eq!(event["requestContext"]["domainName"], "h.x");
        assert_eq!(event["requestContext"]["domainPrefix"], "h");
    }

    #[test]
    fn the_source_address_is_the_last_of_x_forwarded_for() {
        for (forwarded, address) in [
            ("10.0.0.1, 203.0.113.7", "203.0.113.7"),
            ("203.0.113.7:4711", "203.0.113.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("10.0.0.1,[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
        ] {
            let event = build("GET", "http://h/", &[("X-Forwarded-For", forwarded)], b"");
            assert_eq!(event["requestContext"]["http"]["sourceIp"], address);
            assert_eq!(event["headers"]["x-forwarded-for"], address);
        }
    }

    #[test]
    fn the_source_address_without_a_readable_one_is_the_peers() {
        for forwarded in [
            "me",
            "",
            "203.0.113.7, unknown",
            "203.0.113.7,",
            "1.2.3.4:x",
        ] {
            let event = build("GET", "http://h/", &[("X-Forwarded-For", forwarded)], b"");
            assert_eq!(event["requestContext"]["http"]["sourceIp"], "192.0.2.9");
        }
        assert_eq!(client(&HeaderMap::new(), Some(PEER)), Some(PEER));
        assert_eq!(client(&HeaderMap::new(), None), None);
    }

    #[test]
    fn the_time_is_given_as_text_and_in_milliseconds() {
        let event = build("GET", "http://h/", &[], b"");
        assert_eq!(
            event["requestContext"]["time"],
            "18/Apr/2023:17:01:47 +0000"
        );
        assert_eq!(event["requestContext"]["timeEpoch"], 1_681_837_307_717_i64);
    }

    #[test]
    fn a_body_is_base64_unless_it_is_of_a_known_text_type() {
        let body = |content_type, body: &[u8]| {
            let event = build("POST", "http://h/", &[("content-type", content_type)], body);
            (event["body"].clone(), event["isBase64Encoded"].clone())
        };
        assert_eq!(
            body("application/json; charset=utf-8", b"{}"),
            (json!("{}"), json!(false))
        );
        assert_eq!(body("TEXT/plain", b"a"), (json!("a"), json!(false)));
        assert_eq!(body("text/plain", b"\xff"), (json!("/w=="), json!(true)));
        let form = "application/x-www-form-urlencoded";
        assert_eq!(body(form, b"a=b"), (json!("YT1i"), json!(true)));
    }
}
