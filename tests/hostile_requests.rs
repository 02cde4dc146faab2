//! Requests that mean harm: what is refused by name, what a log never has, and how much memory it
//! costs to be asked nonsense for a long time.

use crate::support::{Database, Local, RuntimeApi, SECRET, USUAL, bootstrap, resident_kb, root};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_URL: &str = include_str!("senders/function_url.json");
const REST_API: &str = include_str!("senders/rest_api.json");
const LOAD_BALANCER: &str = include_str!("senders/load_balancer.json");

const NOWHERE: &str = "postgres://u@127.0.0.1:1/d";

/// How many of something are tried: a fifth where the executable is not optimised.
fn tries(count: usize) -> usize {
    match bootstrap().to_string_lossy().contains("/release/") {
        true => count,
        false => count / 5,
    }
}

fn web(database: &str) -> RuntimeApi {
    let variables = [
        ("DATABASE_URL", database),
        ("ALLOWED_HOSTS", "localhost"),
        ("SECRET_KEY_BASE", SECRET),
    ];
    RuntimeApi::with(&bootstrap(), "http", &variables)
}

/// Hands an event over, and returns what it is answered with: the reply, or the error.
#[track_caller]
fn answer(api: &mut RuntimeApi, event: &str) -> Result<Value, Value> {
    api.hand_only("a", USUAL, event);
    let request = api.request();
    api.reply(202, "{}");
    let json = request.json();
    match request.line.contains("/response ") {
        true => Ok(json),
        false => Err(json),
    }
}

fn request(method: &str, path: &str, query: &str, headers: &Value) -> String {
    let event = json!({
        "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {"http": {"method": method, "sourceIp": "203.0.113.7"}},
    });
    event.to_string()
}

#[test]
fn an_event_with_a_key_twice_is_refused_by_every_handler() {
    let twice = [
        (
            "migrate",
            r#"{"action":"drop","confirm":"=","confirm":"d"}"#,
        ),
        ("migrate", r#"{"action":"status","action":"drop"}"#),
        (
            "http",
            r#"{"version":"2.0","rawPath":"/","headers":{"host":"localhost","host":"evil"},
            "requestContext":{"http":{"method":"GET"}}}"#,
        ),
        (
            "http",
            r#"{"version":"2.0","rawPath":"/up","rawPath":"/","headers":{"host":"localhost"},
            "requestContext":{"http":{"method":"GET"}}}"#,
        ),
    ];
    for (handler, event) in twice {
        let mut api = RuntimeApi::with(&bootstrap(), handler, &[("DATABASE_URL", NOWHERE)]);
        let error = answer(&mut api, event).expect_err("it is refused");
        assert_eq!(error["errorType"], "Function.InvalidEvent", "{error}");
        let message = error["errorMessage"].as_str().unwrap_or_default();
        assert!(message.contains("` is there twice"), "{message}");
    }
}

#[test]
fn an_odd_header_hides_no_other_from_the_guards() {
    let mut api = web(NOWHERE);
    let odd = json!({"host": "localhost", "Content-Length": 13, "sec-fetch-site": "cross-site"});
    let reply = answer(&mut api, &request("POST", "/sign-in", "", &odd)).expect("it is a page");
    assert_eq!(reply["statusCode"], 403);
    let foreign = json!({"host": "evil.example", "x-odd": [null, true, 1.5]});
    let reply = answer(&mut api, &request("GET", "/sign-in", "", &foreign)).expect("it is a page");
    assert_eq!(reply["statusCode"], 403);
    let nested = json!({"host": "localhost", "x-odd": {"a": 1}});
    let error = answer(&mut api, &request("GET", "/sign-in", "", &nested)).expect_err("refused");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    assert!(message.contains("the value of `x-odd`"), "{message}");
    // The health check reads no header; anything but a GET of it is refused.
    let headers = r#"{"host":"localhost","host":"localhost"}"#;
    let up = |method: &str| request(method, "/up", "", &json!(null)).replace("null", headers);
    assert_eq!(answer(&mut api, &up("GET")).expect("up")["statusCode"], 200);
    assert_eq!(
        answer(&mut api, &up("POST")).expect("a page")["statusCode"],
        403
    );
}

#[test]
fn no_token_and_no_address_is_in_the_log_of_any_answer() {
    let mut api = web(NOWHERE);
    let own = json!({"host": "localhost"});
    let foreign = json!({"host": "evil.example"});
    let cross_site = json!({"host": "localhost", "sec-fetch-site": "cross-site"});
    let ways = [
        ("GET", "", &own),
        ("GET", "", &foreign),
        ("POST", "", &cross_site),
        ("PUT", "", &own),
        ("GET", "/%zz", &own),
        ("GET", "/no/such/page", &own),
    ];
    let paths = [
        "/sign-in/T0k3nT0k3n",
        "/sign%2Din/T0k3nT0k3n",
        "/sign%252din/T0k3nT0k3n",
        "/%73%69gn-in%2FT0k3nT0k3n",
        "/Sign-In/T0k3nT0k3n",
        "//sign-in//T0k3nT0k3n",
        "/sign-in/T0k3nT0k3n%00",
        "/users/adalovelace@example.com",
        "/users/adalovelace%40example.com",
        "/sign-in",
    ];
    let queries = [
        "q=adalovelace@example.com",
        "to=%2Fusers%3Fq%3Dadalovelace%2540example.com",
        "after=adalovelace%40example.com&before=adalovelace%40example.com",
        "c=name&o=is&v=adalovelace%40example.com&w=adalovelace@x",
        "tok%65n=T0k3nT0k3n&password=T0k3nT0k3n",
        "to=%2Fsign-in%2FT0k3nT0k3n",
    ];
    let mut statuses = BTreeSet::new();
    for (method, more, headers) in ways {
        for path in paths {
            for query in queries {
                let event = request(method, &format!("{path}{more}"), query, headers);
                let reply = answer(&mut api, &event).expect("it is answered");
                statuses.insert(reply["statusCode"].as_u64().expect("it has one"));
            }
        }
    }
    let every: Vec<u64> = statuses.into_iter().collect();
    assert_eq!(every, [200, 303, 400, 401, 403, 405, 503]);
    api.expect_next();
    let log = api.log();
    assert!(log.contains("refused POST /sign-in/"), "{log}");
    assert!(log.contains("failed to answer GET /sign-in/"), "{log}");
    assert!(log.contains("has its host `evil.example`"), "{log}");
    for secret in ["t0k3n", "adalovelace"] {
        let line = log
            .lines()
            .find(|line| line.to_lowercase().contains(secret));
        assert_eq!(line, None);
    }
}

#[test]
fn a_nul_is_the_persons_error_and_reaches_no_database() {
    let database = Database::new();
    let local = Local::start(&database);
    let admin = local.workshop();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for body in [
        "email=%00&password=x",
        "email=a&password=%00",
        "%00=1",
        "email=\0",
    ] {
        let answer = admin.send("POST", "/sign-in", &form, Some(body.to_string()));
        assert_eq!(answer.status, 400, "{body:?}");
    }
    for path in [
        "/tables/public/%00",
        "/tables/public/orders/row/%00",
        "/tables/public/orders?q=%00",
        "/tables/public/orders?c=id&o=is&v=%00",
        "/tables/public/orders?after=%00",
        "/sign-in/%00",
    ] {
        assert_eq!(admin.get(path).status, 400, "{path}");
    }
    assert_eq!(admin.get("/tables/public/orders").status, 200);
    let log = local.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[test]
fn a_rest_api_is_sent_text_and_a_load_balancer_at_most_a_megabyte() {
    let database = Database::new();
    let local = Local::start(&database);
    let admin = local.workshop();
    let mut rest: Value = serde_json::from_str(REST_API).expect("it is JSON");
    rest["multiValueHeaders"]["Accept-Encoding"] = json!(["gzip, deflate, br"]);
    let reply = local
        .invoke("web", &rest.to_string())
        .expect("it is a page");
    assert_eq!(reply["statusCode"], 200);
    assert_eq!(reply["isBase64Encoded"], false, "{reply}");
    let wide = "CREATE TABLE wide AS SELECT id, repeat(md5(id::text), 40) AS text \
        FROM generate_series(1, 1200) AS id";
    database.client().batch_execute(wide).expect("it may");
    let mut balancer: Value = serde_json::from_str(LOAD_BALANCER).expect("it is JSON");
    balancer["path"] = "/tables/public/wide/export".into();
    balancer["multiValueQueryStringParameters"] = json!({"as": ["csv"]});
    balancer["multiValueHeaders"]["cookie"] = json!([admin.cookie()]);
    balancer["multiValueHeaders"]["accept"] = json!(["text/csv"]);
    let reply = local
        .invoke("web", &balancer.to_string())
        .expect("it is a page");
    let size = reply.to_string().len();
    assert!(
        size <= 1024 * 1024,
        "{size} bytes, status {}",
        reply["statusCode"]
    );
}

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    /// Replaces a few characters of a text with pieces of another language.
    fn mutate(&mut self, text: &mut String, times: usize, pieces: &[&str]) {
        for _ in 0..times {
            let near = self.below(text.len() + 1);
            let at = (0..=near).rev().find(|at| text.is_char_boundary(*at));
            let at = at.expect("the beginning is one");
            let far = text.len().min(at + self.below(12));
            let mut ends = (at..=far).rev();
            let end = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(at);
            text.replace_range(at..end, pieces[self.below(pieces.len())]);
        }
    }
}

#[test]
fn mutated_events_and_forms_are_all_answered_in_bounded_memory() {
    let mut api = web(NOWHERE);
    let pieces = [
        "null",
        "\"",
        "{",
        "}",
        "[]",
        "%",
        "%ff",
        "%00",
        "=",
        "&",
        ";",
        "\\u0000",
        "1e999",
        "é",
        ",",
        "\"host\":1,",
        "true",
    ];
    let form = request(
        "POST",
        "/sign-in",
        "to=%2F",
        &json!({"host": "localhost", "content-type": "application/x-www-form-urlencoded"}),
    );
    let form = form.replacen(
        '{',
        r#"{"body":"email=a%40b.example&password=p&to=%2F","#,
        1,
    );
    let senders = [FUNCTION_URL, REST_API, LOAD_BALANCER, &form];
    let mut chance = Chance(1);
    let (mut early, mut replies, events) = (0, 0, tries(100_000));
    for round in 0..events {
        let mut event = senders[round % senders.len()].to_string();
        let times = 1 + chance.below(4);
        chance.mutate(&mut event, times, &pieces);
        replies += usize::from(answer(&mut api, &event).is_ok());
        if round == events / 5 {
            early = resident_kb(api.program().pid());
        }
    }
    let late = resident_kb(api.program().pid());
    println!("{events} events, {replies} of them requests: {early} kB, then {late} kB");
    assert!(
        replies > events / 10,
        "only {replies} of {events} were requests"
    );
    assert!(late <= early + 1024, "{early} kB, then {late} kB");
}

#[test]
fn no_mutated_cookie_is_a_session() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("SECRET_KEY_BASE", SECRET)
        .start();
    let admin = local.workshop();
    let cookie = admin.cookie();
    let (name, sealed) = cookie.split_once('=').expect("it is a pair");
    let pieces = [
        "A", "a", "0", "_", "-", ".", "", "=", "%00", " ", "é", "AAAA",
    ];
    let mut chance = Chance(2);
    let (mut taken, cookies) = (0, tries(10_000));
    for _ in 0..cookies {
        let mut mutated = sealed.to_string();
        let times = 1 + chance.below(3);
        chance.mutate(&mut mutated, times, &pieces);
        if mutated.trim() == sealed {
            continue;
        }
        let headers = json!({"host": "localhost"});
        let mut event: Value =
            serde_json::from_str(&request("GET", "/tables", "", &headers)).expect("it is JSON");
        event["cookies"] = json!([format!("{name}={mutated}")]);
        let reply = local
            .invoke("web", &event.to_string())
            .expect("it is a page");
        taken += usize::from(reply["statusCode"] != 303);
    }
    println!("{cookies} mutated cookies, {taken} taken");
    assert_eq!(taken, 0);
    assert_eq!(admin.get("/tables").status, 200, "the true one still is");
}

#[test]
fn a_requests_path_and_query_are_logged_in_their_loggable_form_only() {
    let mut statements = 0;
    for dir in ["crates/admin/src", "crates/web/src", "app/src"] {
        for file in sources(&root().join(dir)) {
            let source = fs::read_to_string(&file).expect("it is readable");
            for statement in source.split("log::").skip(1) {
                let is_macro = statement
                    .split('(')
                    .next()
                    .is_some_and(|name| name.ends_with('!'));
                if !is_macro {
                    continue;
                }
                statements += 1;
                let statement = statement.split(");").next().unwrap_or_default();
                for raw in [".path", ".query", ".segments"] {
                    assert!(!statement.contains(raw), "{}: {statement}", file.display());
                }
            }
        }
    }
    assert!(statements > 5, "only {statements} statements log anything");
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in dir.read_dir().expect("the checkout has it") {
        let path = entry.expect("it is readable").path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false if path.extension().is_some_and(|kind| kind == "rs") => found.push(path),
            false => {}
        }
    }
    found
}
