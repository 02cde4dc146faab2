//! The web function's responses to a browser: pages, headers, errors, caching and compression.

use crate::support::{Database, Local, SECRET};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;
use ureq::http::HeaderMap;

/// A page of every kind.
const PAGES: [&str; 12] = [
    "/",
    "/tables",
    "/tables/public/orders",
    "/tables/public/orders/row/3",
    "/tables/public/orders/edit/3",
    "/tables/public/orders/delete/3",
    "/tables/public/orders/export",
    "/orders-per-month",
    "/audit",
    "/users",
    "/password",
    "/nowhere",
];

#[test]
fn the_first_page_lists_the_tables_and_the_state_of_the_migrations() {
    let database = Database::new();
    let local = Local::start(&database);
    let page = local.workshop().get("/");
    assert_eq!(page.status, 200);
    for expected in [
        "order_lines",
        "order_totals",
        "up to date",
        "create_customers",
        database.name(),
    ] {
        assert!(
            page.body.contains(expected),
            "no {expected} in {}",
            page.body
        );
    }
    assert!(
        !page.body.contains("plain_lambda"),
        "the tool's own tables are not the user's: {}",
        page.body
    );
}

#[test]
fn up_answers_without_the_database() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("DATABASE_URL", "postgres://u@127.0.0.1:1/d")
        .start();
    let (status, body) = local.get("/up");
    assert_eq!((status.as_u16(), body.as_str()), (200, "up\n"));
}

#[test]
fn the_cause_of_a_database_error_is_shown_in_development_only() {
    let database = Database::new();
    let check = |environment: &str, shows: bool| {
        let local = Local::with(&database)
            .env("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/d")
            .env("SECRET_KEY_BASE", SECRET)
            .env("APP_ENV", environment)
            .start();
        let (status, page) = local.get("/sign-in/void");
        assert_eq!(status, 503);
        assert_eq!(page.contains("onnection refused"), shows, "{page}");
        local.expect_log("onnection refused");
        assert!(!local.log().contains("secret"), "{}", local.log());
    };
    check("development", true);
    check("production", false);
}

#[test]
fn an_unknown_path_is_a_404_page_that_escapes_it() {
    let database = Database::new();
    let local = Local::start(&database);
    let page = local.workshop().get("/nowhere/'%3Cscript%3E&");
    assert_eq!(page.status, 404);
    assert!(page.body.contains("Page not found"), "{}", page.body);
    let escaped = "/nowhere/&#39;%3Cscript%3E&#38;";
    assert!(page.body.contains(escaped), "{}", page.body);
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let database = Database::new();
    let local = Local::start(&database);
    for path in ["/sign-in", "/up"] {
        // Invokes the function itself: any HTTP server removes the body of a response to HEAD.
        let reply = |method: &str| {
            let http = json!({"method": method, "path": path});
            let event = json!({"version": "2.0", "rawPath": path, "headers": {"host": "localhost"},
                    "requestContext": {"http": http}});
            local
                .invoke("web", &event.to_string())
                .expect("it is a page")
        };
        let (get, head) = (reply("GET"), reply("HEAD"));
        assert_eq!(head["statusCode"], 200);
        let but_for_the_id = |reply: &Value| {
            let mut headers = reply["headers"].clone();
            headers["x-request-id"] = Value::Null;
            headers
        };
        assert_eq!(but_for_the_id(&head), but_for_the_id(&get));
        assert_eq!(head["body"], "");
        assert_ne!(get["body"], "");
    }
    assert_eq!(local.response("HEAD", "/up").status(), 200);
}

#[test]
fn a_wrong_method_is_a_405_that_names_the_allowed_ones() {
    let database = Database::new();
    let local = Local::start(&database);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = local.response(method, "/up");
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "GET, HEAD", "{method}");
    }
}

fn said<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().expect("it is ASCII")
}

#[test]
fn every_response_has_the_security_headers() {
    let database = Database::new();
    let local = Local::start(&database);
    for path in ["/", "/up", "/nowhere", "/%"] {
        let response = local.response("GET", path);
        let policy = said(response.headers(), "content-security-policy");
        for words in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(words), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(
            said(response.headers(), "x-content-type-options"),
            "nosniff"
        );
        let id = said(response.headers(), "x-request-id").to_string();
        local.expect_log(&id);
        let transport = said(response.headers(), "strict-transport-security");
        assert!(transport.contains("max-age"), "{transport}");
    }
}

#[test]
fn a_page_has_no_inline_script_and_no_inline_style() {
    let database = Database::new();
    let local = Local::start(&database);
    let person = local.workshop();
    for path in PAGES {
        let page = person.get(path).body;
        for forbidden in ["<script>", "<style", " style=", " onclick="] {
            assert!(!page.contains(forbidden), "{path} has {forbidden}");
        }
    }
}

#[test]
fn an_unknown_host_is_refused() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("APP_ENV", "production")
        .env("SECRET_KEY_BASE", SECRET)
        .env("LAMBDA_FUNCTION_URL", "https://shop.lambda-url.example/")
        .env("ALLOWED_HOSTS", ".shop.example")
        .start();
    let status = |host: &str, path: &str| {
        let forged = [("host", host), ("x-forwarded-host", "shop.example")];
        local.ask("GET", path, &forged).status().as_u16()
    };
    assert_eq!(status("shop.lambda-url.example", "/"), 303);
    assert_eq!(status("www.shop.example", "/"), 303);
    assert_eq!(status("evil.example", "/"), 403);
    assert_eq!(status("shop.example.evil.example", "/"), 403);
    assert_eq!(
        status("10.0.0.1", "/up"),
        200,
        "a health check asks by IP address"
    );
    local.expect_log("ALLOWED_HOSTS");
}

#[test]
fn a_cross_site_request_is_refused() {
    let database = Database::new();
    let local = Local::start(&database);
    let host = local.url().trim_start_matches("http://").to_string();
    let own = format!("https://{host}");
    let status = |headers: &[(&str, &str)]| local.ask("POST", "/up", headers).status().as_u16();
    for site in ["cross-site", "same-site", "unknown"] {
        assert_eq!(
            status(&[("sec-fetch-site", site), ("origin", &own)]),
            403,
            "{site}"
        );
    }
    assert_eq!(status(&[("origin", "https://evil.example")]), 403);
    assert_eq!(status(&[("origin", "null")]), 403);
    for allowed in [
        &[("sec-fetch-site", "same-origin")][..],
        &[("sec-fetch-site", "none")],
        &[("origin", &own)],
        &[],
    ] {
        assert_eq!(status(allowed), 405, "it goes on: {allowed:?}");
    }
    let get = [("sec-fetch-site", "cross-site")];
    assert_eq!(
        local.ask("GET", "/up", &get).status(),
        200,
        "a link may lead here"
    );
}

#[test]
fn a_page_that_the_browser_has_cached_is_a_304() {
    let database = Database::new();
    let local = Local::start(&database);
    let first = local.response("GET", "/sign-in");
    let tag = said(first.headers(), "etag").to_string();
    let known = format!("\"x\", {}", tag.trim_start_matches("W/"));
    for method in ["GET", "HEAD"] {
        let mut again = local.ask(method, "/sign-in", &[("if-none-match", &known)]);
        assert_eq!(again.status(), 304, "{method}");
        assert_eq!(said(again.headers(), "etag"), tag);
        let body = again.body_mut().read_to_string().expect("it is whole");
        assert_eq!(body, "");
    }
    let other = local.ask("GET", "/sign-in", &[("if-none-match", "\"x\"")]);
    assert_eq!(other.status(), 200);
}

#[test]
fn a_page_is_compressed_when_the_client_accepts_gzip() {
    let database = Database::new();
    let local = Local::start(&database);
    let (_, plain) = local.get("/sign-in");
    let mut response = local.ask(
        "GET",
        "/sign-in",
        &[("accept-encoding", "br;q=1, gzip;q=0.5")],
    );
    assert_eq!(said(response.headers(), "content-encoding"), "gzip");
    assert_eq!(said(response.headers(), "vary"), "accept-encoding");
    let bytes = response.body_mut().read_to_vec().expect("it is whole");
    let mut page = String::new();
    GzDecoder::new(&*bytes)
        .read_to_string(&mut page)
        .expect("it is gzip");
    assert_eq!(page, plain);
    for coding in ["identity", "gzip;q=0", "br", "gzipped"] {
        let response = local.ask("GET", "/sign-in", &[("accept-encoding", coding)]);
        assert!(
            !response.headers().contains_key("content-encoding"),
            "{coding}"
        );
    }
}

#[test]
fn a_client_that_accepts_json_gets_errors_in_json() {
    let database = Database::new();
    let local = Local::start(&database);
    let mut response = local.ask("GET", "/", &[("accept", "application/json")]);
    assert_eq!(response.status(), 401);
    assert_eq!(said(response.headers(), "content-type"), "application/json");
    let body = response.body_mut().read_to_string().expect("it is whole");
    let body: Value = serde_json::from_str(&body).expect("it is JSON");
    assert_eq!(body["status"], 401);
    assert_eq!(body["error"], "Not signed in");
}

#[test]
fn an_invalid_percent_escape_is_a_400() {
    let database = Database::new();
    let local = Local::start(&database);
    for path in ["/%zz", "/a/%ff", "/%"] {
        let event = json!({
            "version": "2.0", "rawPath": path, "headers": {"host": "localhost"},
            "requestContext": {"http": {"method": "GET"}},
        });
        let reply = local
            .invoke("web", &event.to_string())
            .expect("it is a page");
        assert_eq!(reply["statusCode"], 400, "{path}");
    }
}

#[test]
fn up_with_db_asks_the_database() {
    let database = Database::new();
    let local = Local::start(&database);
    let (status, body) = local.get("/up?db");
    assert_eq!(
        (status.as_u16(), &*body),
        (503, "6 migrations are pending\n")
    );
    local
        .invoke("migrations", r#"{"action":"migrate"}"#)
        .expect("it applies");
    let (status, body) = local.get("/up?db");
    assert_eq!((status.as_u16(), &*body), (200, "up\n"));
    let lost = Local::with(&database)
        .env("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/d")
        .start();
    let (status, body) = lost.get("/up?db");
    assert_eq!(status, 503);
    assert!(!body.contains("secret"), "{body}");
}

#[test]
fn a_page_that_waits_for_the_database_reloads_itself() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("DATABASE_URL", "postgres://u@127.0.0.1:1/d")
        .start();
    let response = local.response("GET", "/sign-in/void");
    assert_eq!(response.status(), 503);
    assert_eq!(said(response.headers(), "refresh"), "5");
    assert_eq!(said(response.headers(), "retry-after"), "5");
}

#[test]
fn a_query_that_takes_too_long_is_an_error_page_before_the_timeout() {
    let database = Database::new();
    let local = Local::with(&database).args(["--timeout", "3"]).start();
    let person = local.workshop();
    let slow = "create view slow as select pg_sleep(10)::text as slept";
    database
        .client()
        .batch_execute(slow)
        .expect("it is allowed");
    let page = person.get("/tables/public/slow");
    assert_eq!(page.status, 503, "{}", page.body);
    assert!(page.body.contains("took too long"), "{}", page.body);
    assert_eq!(person.get("/").status, 200, "the connection is still good");
}

#[test]
fn a_request_is_logged_as_one_line_without_secrets() {
    let database = Database::new();
    let local = Local::start(&database);
    local.get("/sign-in?token=hunter2&a=b");
    local.expect_log("GET /sign-in?token=[filtered]&a=b 200 for 127.0.0.1");
    let log = local.log();
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn api_gateway_and_a_load_balancer_get_replies_in_their_own_format() {
    let database = Database::new();
    let local = Local::start(&database);
    let rest = json!({
        "resource": "/{proxy+}", "path": "/up", "httpMethod": "GET",
        "headers": {"Host": "h"}, "multiValueHeaders": {"Host": ["h"]},
        "queryStringParameters": null, "multiValueQueryStringParameters": null,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.7"}},
        "body": null, "isBase64Encoded": false,
    });
    let reply = local
        .invoke("web", &rest.to_string())
        .expect("it is a page");
    assert_eq!(reply["statusCode"], 200);
    assert_eq!(
        reply["multiValueHeaders"]["content-type"][0],
        "text/plain; charset=utf-8"
    );
    let balancer = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn"}}, "httpMethod": "GET", "path": "/up",
        "queryStringParameters": {}, "headers": {"host": "h", "x-forwarded-for": "203.0.113.7"},
        "body": "", "isBase64Encoded": false,
    });
    let reply = local
        .invoke("web", &balancer.to_string())
        .expect("it is a page");
    assert_eq!(reply["statusDescription"], "200 OK");
    assert_eq!(
        reply["headers"]["content-type"],
        "text/plain; charset=utf-8"
    );
}

#[test]
fn the_stylesheet_is_cached_as_immutable() {
    let database = Database::new();
    let local = Local::start(&database);
    let (_, page) = local.get("/sign-in");
    let (_, rest) = page
        .split_once("href=\"/static/style-")
        .expect("the page names its stylesheet");
    let (hash, _) = rest.split_once(".css").expect("it is CSS");
    let response = local.response("GET", &format!("/static/style-{hash}.css"));
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["content-type"],
        "text/css; charset=utf-8"
    );
    let cache = response.headers()["cache-control"]
        .to_str()
        .expect("it is ASCII");
    assert!(cache.contains("immutable"), "{cache}");
}
