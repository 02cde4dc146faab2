//! The four senders of requests, each with an event as AWS documents it; and the defects of Lamby 6.0.1
//! with such events. A number in a test's name is that of Lamby's issue.

use crate::support::{Database, Local, PASSWORD, SECRET, wait_for};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

const FUNCTION_URL: &str = include_str!("senders/function_url.json");
const HTTP_API: &str = include_str!("senders/http_api.json");
const REST_API: &str = include_str!("senders/rest_api.json");
const LOAD_BALANCER: &str = include_str!("senders/load_balancer.json");

const SENDERS: [(&str, &str); 4] = [
    ("Function URL", FUNCTION_URL),
    ("HTTP API", HTTP_API),
    ("REST API", REST_API),
    ("load balancer", LOAD_BALANCER),
];

fn started() -> (Database, Local) {
    let database = Database::new();
    let local = Local::with(&database)
        .env("APP_ENV", "production")
        .env("SECRET_KEY_BASE", SECRET)
        .env("ALLOWED_HOSTS", "localhost")
        .start();
    local.workshop();
    (database, local)
}

fn read(event: &str) -> Value {
    serde_json::from_str(event).expect("it is JSON")
}

#[track_caller]
fn answer(local: &Local, event: &Value) -> Value {
    local
        .invoke("web", &event.to_string())
        .expect("it is a request")
}

/// Returns the event of the same sender for a form, in base64 as API Gateway and Function URLs send it.
fn with_form(mut event: Value, path: &str, form: &str) -> Value {
    match event["version"].as_str() {
        Some(_) => {
            let raw = event["rawPath"]
                .as_str()
                .expect("it has one")
                .replace("/sign-in", path);
            event["rawPath"] = raw.into();
            event["requestContext"]["http"]["method"] = "POST".into();
            event["headers"]["content-type"] = "application/x-www-form-urlencoded".into();
        }
        None => {
            event["path"] = path.into();
            event["httpMethod"] = "POST".into();
            let kind = json!(["application/x-www-form-urlencoded; charset=UTF-8"]);
            event["multiValueHeaders"]["Content-Type"] = kind;
        }
    }
    event["body"] = BASE64_STANDARD.encode(form).into();
    event["isBase64Encoded"] = true.into();
    event
}

/// Returns the cookies that a reply sets, in either of the formats.
fn cookies(reply: &Value) -> Vec<&str> {
    let lists = [&reply["cookies"], &reply["multiValueHeaders"]["set-cookie"]];
    let cookies = lists.into_iter().filter_map(Value::as_array).flatten();
    cookies.filter_map(Value::as_str).collect()
}

#[test]
fn the_path_the_parameters_and_the_client_of_each_sender_are_read() {
    let (_database, local) = started();
    for (sender, event) in SENDERS {
        let reply = answer(&local, &read(event));
        assert_eq!(reply["statusCode"], 200, "{sender}: {reply}");
        let body = reply["body"].as_str().expect("it is text");
        assert!(
            body.contains("name=\"to\" value=\"/tables\""),
            "{sender}: {body}"
        );
    }
    let line = "GET /sign-in?to=%2Ftables&to=%2Faudit 200 for 203.0.113.7";
    wait_for("a line of each sender", || {
        (local.log().matches(line).count() == SENDERS.len()).then_some(())
    });
}

#[test]
fn a_form_signs_in_and_the_cookie_comes_back_with_each_sender() {
    let (_database, local) = started();
    for (sender, event) in SENDERS {
        let form = format!(
            "email=admin%40example.com&password={}&to=%2Ftables",
            PASSWORD.replace(' ', "+")
        );
        let reply = answer(&local, &with_form(read(event), "/sign-in", &form));
        assert_eq!(reply["statusCode"], 303, "{sender}: {reply}");
        let cookies = cookies(&reply);
        let [device, session] = cookies[..] else {
            panic!("{sender}: {reply}");
        };
        assert!(device.starts_with("__Host-device-"), "{sender}: {reply}");
        let pair = session.split(';').next().expect("it is a pair");
        let mut next = read(event);
        match next["version"].as_str() {
            Some(_) => {
                let path = next["rawPath"]
                    .as_str()
                    .expect("it has one")
                    .replace("sign-in", "tables");
                next["rawPath"] = path.into();
                next["rawQueryString"] = "".into();
                next["cookies"] = json!(["theme=dark", pair]);
            }
            None => {
                next["path"] = "/tables".into();
                let name = if sender == "REST API" {
                    "Cookie"
                } else {
                    "cookie"
                };
                next["multiValueHeaders"][name] = json!(["theme=dark", pair]);
            }
        }
        let page = answer(&local, &next);
        assert_eq!(page["statusCode"], 200, "{sender}: {page}");
        assert!(
            page["body"]
                .as_str()
                .is_some_and(|body| body.contains("order_lines")),
            "{sender}"
        );
    }
}

#[test]
fn lamby_71_bytes_are_sent_in_base64_whatever_their_content_type() {
    let (_database, local) = started();
    let page = answer(&local, &read(FUNCTION_URL));
    let style = page["body"]
        .as_str()
        .and_then(|body| body.split("href=\"/static/style").nth(1));
    let style = style
        .and_then(|rest| rest.split('"').next())
        .expect("it has one");
    let mut event = read(FUNCTION_URL);
    event["rawPath"] = format!("/static/style{style}").into();
    event["headers"]["accept-encoding"] = "gzip, deflate, br".into();
    let reply = answer(&local, &event);
    assert_eq!(reply["headers"]["content-encoding"], "gzip");
    assert_eq!(reply["isBase64Encoded"], true);
    let bytes = BASE64_STANDARD.decode(reply["body"].as_str().expect("it is text"));
    assert_eq!(bytes.expect("it is base64")[..2], [0x1f, 0x8b]);
    event["headers"]["accept-encoding"] = "GZIP;Q=1,deflate".into();
    assert_eq!(
        answer(&local, &event)["headers"]["content-encoding"],
        "gzip",
        "codings have no case"
    );
}

#[test]
fn lamby_157_a_rest_apis_decoded_parameters_are_not_decoded_twice() {
    let (_database, local) = started();
    let mut event = read(REST_API);
    event["multiValueQueryStringParameters"] = json!({"to": ["/tables?q=a%26b=c&d=1+1"]});
    let body = answer(&local, &event)["body"].to_string();
    assert!(
        body.contains("value=\\\"/tables?q=a%26b=c&#38;d=1+1\\\""),
        "{body}"
    );
}

#[test]
fn lamby_64_no_value_of_a_load_balancers_header_is_lost() {
    let (_database, local) = started();
    let mut event = read(LOAD_BALANCER);
    event["path"] = "/tables".into();
    event["multiValueHeaders"]["cookie"] = json!(["a=1", "b=2; c=3"]);
    assert_eq!(answer(&local, &event)["statusCode"], 303);
    event["multiValueHeaders"]["accept"] = json!(["application/json", "text/plain"]);
    let reply = answer(&local, &event);
    assert_eq!(
        (&reply["statusCode"], &reply["statusDescription"]),
        (&json!(401), &json!("401 Unauthorized"))
    );
}

#[test]
fn lamby_128_a_stage_is_not_the_beginning_of_a_path() {
    let (_database, local) = started();
    let mut event = read(HTTP_API);
    event["rawPath"] = "/production".into();
    assert_eq!(
        answer(&local, &event)["headers"]["location"],
        "/sign-in?to=%2Fproduction%3Fto%3D%252Ftables%26to%3D%252Faudit"
    );
}

#[test]
fn lamby_a_forwarded_host_that_the_client_sends_is_ignored() {
    let (_database, local) = started();
    let mut event = read(FUNCTION_URL);
    event["headers"]["x-forwarded-host"] = "localhost".into();
    event["headers"]["host"] = "evil.example".into();
    assert_eq!(answer(&local, &event)["statusCode"], 403);
}

#[test]
fn lamby_an_event_that_is_not_a_request_is_an_error() {
    let (_database, local) = started();
    for event in [
        json!({"action": "migrate"}),
        json!({"Records": []}),
        json!([]),
        json!(1),
    ] {
        let error = local
            .invoke("web", &event.to_string())
            .expect_err("it is not a request");
        assert_eq!(error["errorType"], "Function.UnknownEvent", "{event}");
    }
}

#[test]
fn lamby_a_debug_parameter_shows_nothing_of_the_event_or_the_environment() {
    let (_database, local) = started();
    let mut event = read(FUNCTION_URL);
    event["rawQueryString"] = "debug=1".into();
    let reply = answer(&local, &event).to_string();
    for secret in ["requestContext", "SECRET_KEY_BASE", SECRET, "DATABASE_URL"] {
        assert!(!reply.contains(secret), "{secret}");
    }
}

#[test]
fn an_invalid_body_is_a_400_and_an_invalid_cookie_is_ignored() {
    let (_database, local) = started();
    for (sender, event) in SENDERS {
        let mut event = with_form(read(event), "/sign-in", "");
        event["body"] = "%%% no base64".into();
        assert_eq!(answer(&local, &event)["statusCode"], 400, "{sender}");
        event["body"] = BASE64_STANDARD.encode([0xff, 0xfe]).into();
        assert_eq!(answer(&local, &event)["statusCode"], 400, "{sender}");
        event["body"] = json!({"an": "object"});
        assert_eq!(answer(&local, &event)["statusCode"], 400, "{sender}");
    }
    let mut event = read(FUNCTION_URL);
    event["cookies"] = json!([1, null, "=", "session", "=x", "__Host-session=\u{0}"]);
    assert_eq!(answer(&local, &event)["statusCode"], 200);
}
