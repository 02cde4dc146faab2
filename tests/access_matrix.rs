//! Who gets what: every route of the tool × every method × every way to write its path × every role,
//! from four senders, against the real executable and a real Postgres.
//!
//! The routes are read from `crates/admin/src/pages.rs`: a route that this file does not know fails
//! the test. What a right role sees in a page is tested elsewhere.

use crate::support::{Database, Local, RuntimeApi, SECRET, bootstrap, migrations, root};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Instant;

/// A text in a row of a table, which only a page for a role that may see the row shows.
const ROW: &str = "quetzal";

/// An address of a user, which only admins see, and the holder of the user's one-time link.
const USER: &str = "osprey";

/// The beginning of a password's hash, which no page shows.
const HASH: &str = "$argon2";

/// The methods that browsers and scanners send, and one that nobody knows.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW",
];

/// The headers of every answer that protect a user's browser, and the one that finds it in the log.
const HEADERS: [&str; 9] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "strict-transport-security",
    "content-type",
    "cache-control",
    "x-request-id",
];

/// The senders, each with an event as AWS documents it. The last one is the REST API's, as an HTTP
/// API sends it that has the payload format 1.0.
const SENDERS: [(&str, &str); 4] = [
    ("Function URL", include_str!("senders/function_url.json")),
    ("REST API", include_str!("senders/rest_api.json")),
    ("load balancer", include_str!("senders/load_balancer.json")),
    ("HTTP API 1.0", include_str!("senders/rest_api.json")),
];

/// A route as `pages.rs` has it, and the path of one of its pages.
struct Known {
    /// The constructor, the pattern, and the lowest role if the page is not public.
    route: &'static str,
    /// A path; `STYLE` and `TOKEN` stand for a file's name and a one-time link's token.
    path: &'static str,
    /// Whether GET shows `ROW` to who may see the page.
    shows_row: bool,
}

const fn known(route: &'static str, path: &'static str) -> Known {
    Known {
        route,
        path,
        shows_row: false,
    }
}

const fn showing(route: &'static str, path: &'static str) -> Known {
    Known {
        route,
        path,
        shows_row: true,
    }
}

/// Every route of the tool.
const ROUTES: [Known; 19] = [
    known("public UP", "/up"),
    known("public /static/{file}", "/static/STYLE"),
    known("public_form /sign-in", "/sign-in"),
    known("public_form /sign-in/{token}", "/sign-in/TOKEN"),
    known("get / Viewer", "/"),
    known("get TABLES Viewer", "/tables"),
    showing(
        "get /tables/{schema}/{table} Viewer",
        "/tables/public/birds",
    ),
    showing(
        "get /tables/{schema}/{table}/export Viewer",
        "/tables/public/birds/export",
    ),
    showing(
        "get /tables/{schema}/{table}/choices/{column} Editor",
        "/tables/public/birds/choices/parent",
    ),
    showing(
        "get /tables/{schema}/{table}/row/{key...} Viewer",
        "/tables/public/birds/row/1",
    ),
    known(
        "form /tables/{schema}/{table}/new Editor",
        "/tables/public/birds/new",
    ),
    showing(
        "form /tables/{schema}/{table}/edit/{key...} Editor",
        "/tables/public/birds/edit/1",
    ),
    showing(
        "form /tables/{schema}/{table}/delete/{key...} Editor",
        "/tables/public/birds/delete/1",
    ),
    showing("get /audit Viewer", "/audit"),
    known("form /users Admin", "/users"),
    known("post /users/{id} Admin", "/users/1"),
    known("form /password Viewer", "/password"),
    known("post /sign-out Viewer", "/sign-out"),
    known("post /sign-out-everywhere Viewer", "/sign-out-everywhere"),
];

/// Who asks.
struct Asker {
    name: &'static str,
    cookie: String,
    /// 0 without a session; then viewer, editor, admin.
    rank: usize,
}

/// A path, and whether it names the same page as the plain one.
struct Spelling {
    name: &'static str,
    path: String,
    is_same_page: bool,
}

/// One request of the matrix.
struct Case<'a> {
    route: &'a Known,
    method: &'static str,
    spelling: &'a Spelling,
    who: &'a Asker,
    sender: usize,
}

/// The answer to it.
struct Answer {
    status: u64,
    headers: BTreeMap<String, String>,
    cookies: String,
    body: String,
}

#[test]
fn every_route_of_the_tool_is_in_the_matrix_with_its_role() {
    let file = root().join("crates/admin/src/pages.rs");
    let text = fs::read_to_string(file).expect("the routes are there");
    let code = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let routes = code.split("Route::").skip(1).filter_map(|rest| {
        let (constructor, arguments) = rest.split_once('(')?;
        let mut arguments = arguments.split([',', ')']).map(str::trim);
        let pattern = arguments.next()?.trim_matches('"');
        Some(match constructor.starts_with("public") {
            true => format!("{constructor} {pattern}"),
            false => format!("{constructor} {pattern} {}", arguments.next()?),
        })
    });
    let mut routes: Vec<String> = routes.collect();
    let mut known: Vec<String> = ROUTES.map(|known| known.route.to_string()).into();
    routes.sort();
    known.sort();
    assert_eq!(routes, known, "the matrix has another list than pages.rs");
}

#[test]
fn no_method_path_role_or_sender_gets_around_the_roles() {
    let started = Instant::now();
    let database = Database::new();
    let (askers, token, style) = prepared(&database);
    let spellings = ROUTES.map(|route| {
        let path = route.path.replace("TOKEN", &token);
        spellings(&path.replace("STYLE", &style))
    });
    let mut cases = Vec::new();
    for (r, (route, spellings)) in ROUTES.iter().zip(&spellings).enumerate() {
        for (m, method) in METHODS.into_iter().enumerate() {
            for (p, spelling) in spellings.iter().enumerate() {
                for (w, who) in askers.iter().enumerate() {
                    // Each by two of the four senders, which take turns.
                    for sender in [r + m + p + w, r + m + p + w + 1] {
                        cases.push(Case {
                            route,
                            method,
                            spelling,
                            who,
                            sender: sender % SENDERS.len(),
                        });
                    }
                }
            }
        }
    }
    // What ends a session comes last: until then, each cookie is a session or is none.
    let (last, first): (Vec<_>, Vec<_>) = cases.into_iter().partition(ends_a_session);
    let wrong = [
        ask_all(&database, &first),
        ask_all(&database, &last),
        still_there(&database),
    ];
    let wrong = wrong.concat();
    let count = first.len() + last.len();
    println!("{count} requests in {:.1?}", started.elapsed());
    assert!(
        wrong.is_empty(),
        "{} of {count} answers are wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}

/// Makes a table with a row, an entry of the audit, and users; returns who asks, the token of a
/// one-time link, and the name of the stylesheet.
fn prepared(database: &Database) -> (Vec<Asker>, String, String) {
    let local = Local::with(database)
        .env("APP_ENV", "production")
        .env("SECRET_KEY_BASE", SECRET)
        .env("ALLOWED_HOSTS", "localhost")
        .env("LAMBDA_FUNCTION_URL", "https://localhost")
        .start();
    let migrate = json!({"action": "migrate"}).to_string();
    local.invoke("migrations", &migrate).expect("they apply");
    database
        .client()
        .batch_execute(
            "CREATE TABLE birds (id int PRIMARY KEY, name text NOT NULL,
                 parent int REFERENCES birds)",
        )
        .expect("the administrator may");
    let admin = local.sign_in("admin");
    let fields = [("v:id", "1"), ("v:name", ROW), ("v:parent", "1")];
    let added = admin.post("/tables/public/birds/new", &fields);
    assert_eq!(added.leads_to(), "/tables/public/birds/row/1");
    let (viewer, editor) = (local.sign_in("viewer"), local.sign_in("editor"));
    // Another cookie of the same admin, made before its user is removed.
    let user = json!({"action": "user", "email": "gone@example.com", "role": "admin"});
    let removed = local.visitor();
    let link = local.invoke("migrations", &user.to_string());
    let link = path_of(&link.expect("the migrations are applied"));
    removed.post(&link, &[("new", crate::support::PASSWORD)]);
    let row = database
        .client()
        .query_one(
            "SELECT id::text FROM plain_lambda.users WHERE email = 'gone@example.com'",
            &[],
        )
        .expect("there is one");
    let id: String = row.get(0);
    assert_eq!(removed.get("/users").status, 200);
    let done = admin.post(&format!("/users/{id}"), &[("action", "remove")]);
    assert_eq!(done.leads_to(), "/users");

    let user = json!({"action": "user", "email": format!("{USER}@example.com"), "role": "viewer"});
    let link = local.invoke("migrations", &user.to_string());
    let link = path_of(&link.expect("the migrations are applied"));
    let token = link.rsplit('/').next().expect("it ends in one").to_string();
    let page = admin.get("/").body;
    let (_, style) = page.split_once("\"/static/").expect("it has a stylesheet");
    let style = style.split('"').next().expect("it ends").to_string();

    let of = |name, cookie: String, rank| Asker { name, cookie, rank };
    let forged = forged(&admin.cookie());
    let askers = vec![
        of("nobody", String::new(), 0),
        of("a removed admin", removed.cookie(), 0),
        of("a forger", forged, 0),
        of("a viewer", viewer.cookie(), 1),
        of("an editor", editor.cookie(), 2),
        of("an admin", admin.cookie(), 3),
    ];
    (askers, token, style)
}

/// Returns the path of the link in an answer of the action `user`.
fn path_of(answer: &Value) -> String {
    let link = answer["link"].as_str().expect("it has one");
    let (_, token) = link.split_once("/sign-in/").expect("it is a link");
    format!("/sign-in/{token}")
}

/// Returns a cookie with one other letter in the middle of its value.
fn forged(cookie: &str) -> String {
    let at = cookie.len() / 2;
    let other = if cookie[at..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &cookie[..at], &cookie[at + 1..])
}

/// Returns the ways to write a path.
fn spellings(path: &str) -> Vec<Spelling> {
    let escaped = |hex: fn(u8) -> String, count: usize| {
        let mut left = count;
        let letters = path.chars().map(|letter| match left {
            1.. if letter.is_ascii_alphanumeric() => {
                left -= 1;
                hex(letter as u8)
            }
            _ => letter.to_string(),
        });
        letters.collect::<String>()
    };
    let last_slash = |other: &str| {
        let (before, after) = path.rsplit_once('/').expect("a path has one");
        match before {
            "" => format!("/{other}{after}"),
            _ => format!("{before}{other}{after}"),
        }
    };
    let all = [
        ("plain", path.to_string(), true),
        (
            "one escape",
            escaped(|byte| format!("%{byte:02X}"), 1),
            true,
        ),
        (
            "upper hex",
            escaped(|byte| format!("%{byte:02X}"), 99),
            true,
        ),
        (
            "lower hex",
            escaped(|byte| format!("%{byte:02x}"), 99),
            true,
        ),
        (
            "two escapes",
            escaped(|byte| format!("%25{byte:02X}"), 1),
            false,
        ),
        ("upper case", path.to_uppercase(), false),
        ("a slash before", format!("/{path}"), false),
        ("a slash after", format!("{path}/"), false),
        ("two slashes", last_slash("//"), false),
        ("a dot", last_slash("/./"), false),
        ("two dots", format!("/static/..{path}"), false),
        ("two escaped dots", format!("/up/%2e%2e{path}"), false),
        ("a semicolon", format!("{path};x"), false),
        ("an escaped slash", last_slash("%2f"), false),
        ("an escaped NUL", format!("{path}%00"), false),
        ("a backslash", last_slash("\\"), false),
    ];
    let mut spellings: Vec<Spelling> = Vec::new();
    for (name, path, is_same_page) in all {
        // A path without letters is the same in both cases.
        if spellings.iter().all(|known| known.path != path) {
            spellings.push(Spelling {
                name,
                path,
                is_same_page,
            });
        }
    }
    spellings
}

fn ends_a_session(case: &Case) -> bool {
    case.method == "POST" && case.route.path.starts_with("/sign-out")
}

impl Known {
    fn is_public(&self) -> bool {
        self.route.starts_with("public")
    }

    /// Returns the lowest rank that may see the page.
    fn rank(&self) -> usize {
        match self.route.rsplit(' ').next() {
            Some("Viewer") => 1,
            Some("Editor") => 2,
            Some("Admin") => 3,
            _ => 0,
        }
    }

    /// Returns the query: of an export the format, as without it the page only offers the formats.
    fn query(&self) -> &'static str {
        match self.path.ends_with("/export") {
            true => "as=csv",
            false => "",
        }
    }

    /// Returns whether the route has a function for the method.
    fn takes(&self, method: &str) -> bool {
        let constructor = self.route.split(' ').next().unwrap_or_default();
        match method {
            "GET" | "HEAD" => constructor != "post",
            "POST" => matches!(constructor, "post" | "form" | "public_form"),
            _ => false,
        }
    }
}

impl Case<'_> {
    /// Returns whether the request reaches the page, and with it the rows of the tables.
    fn reaches_the_page(&self) -> bool {
        let may = self.who.rank >= self.route.rank();
        may && self.spelling.is_same_page && self.route.takes(self.method)
    }

    /// Returns the statuses that the answer may have.
    fn statuses(&self) -> &'static [u64] {
        let reads = matches!(self.method, "GET" | "HEAD");
        let (route, rank) = (self.route, self.who.rank);
        match self.spelling.is_same_page {
            true if route.is_public() && !route.takes(self.method) => &[405],
            true if route.is_public() && reads => &[200],
            true if route.is_public() => &[422, 429],
            true if rank == 0 && reads => &[303],
            true if rank == 0 => &[401],
            // A session that another request has ended.
            true if ends_a_session(self) => &[303, 401],
            true if !route.takes(self.method) => &[405],
            true if rank < route.rank() => &[403],
            true if reads => &[200],
            true => &[400, 409, 422, 429],
            // A NUL, which no text of Postgres can have, may be refused before anybody is known.
            false if self.spelling.name == "an escaped NUL" => &[303, 400, 401, 403, 404, 405],
            // No page, or another one that has no such row, file or link.
            false if rank == 0 && reads => &[303, 404],
            false if rank == 0 => &[401, 404, 405],
            false if ends_a_session(self) => &[401, 404],
            false => &[403, 404, 405],
        }
    }

    fn event(&self) -> Value {
        let (sender, event) = SENDERS[self.sender];
        let mut event: Value = serde_json::from_str(event).expect("it is JSON");
        let path = &self.spelling.path;
        let cookie = json!([self.who.cookie]);
        match sender {
            "Function URL" => {
                event["rawPath"] = path.as_str().into();
                event["rawQueryString"] = self.route.query().into();
                event["requestContext"]["http"]["method"] = self.method.into();
                event["cookies"] = cookie;
            }
            _ => {
                event["path"] = path.as_str().into();
                event["httpMethod"] = self.method.into();
                let parameters = self.route.query().split_once('=');
                event["multiValueQueryStringParameters"] =
                    parameters.map_or(Value::Null, |(name, value)| json!({name: [value]}));
                event["queryStringParameters"] = Value::Null;
                let name = if sender == "load balancer" {
                    "cookie"
                } else {
                    "Cookie"
                };
                event["multiValueHeaders"][name] = cookie;
            }
        }
        if sender == "HTTP API 1.0" {
            event["version"] = "1.0".into();
            event["path"] = format!("/prod{path}").into();
        }
        event
    }

    /// Returns what is wrong with the answer.
    fn check(&self, answer: &Answer) -> Option<String> {
        let wrong = if !self.statuses().contains(&answer.status) {
            "the status".to_string()
        } else if let Some(header) = missing(answer) {
            format!("no {header}")
        } else if answer.body.contains(HASH) {
            "the body has a hash".to_string()
        } else if answer.body.contains(ROW) && !(self.reaches_the_page() && self.who.rank > 0) {
            "the body has a row".to_string()
        } else if answer.body.contains(USER) && !self.may_know_the_user() {
            "the body has a user".to_string()
        } else if self.who.rank == 0 && answer.cookies.contains("session=") {
            "a session begins".to_string()
        } else if answer.status == 303 && self.who.rank == 0 && !leads_to_sign_in(answer) {
            "it leads elsewhere".to_string()
        } else if self.method == "HEAD" && !answer.body.is_empty() {
            "HEAD has a body".to_string()
        } else if self.must_show_the_row() && !answer.body.contains(ROW) {
            "the page does not show the row, so the matrix proves nothing".to_string()
        } else {
            return None;
        };
        Some(self.said(&wrong, answer.status))
    }

    /// Returns a line about the request and its answer.
    fn said(&self, wrong: &str, status: u64) -> String {
        let (sender, _) = SENDERS[self.sender];
        let (method, who) = (self.method, self.who.name);
        let Spelling { name, path, .. } = self.spelling;
        format!("{wrong}: {status} for {method} {path} ({name}) of {who} by the {sender}")
    }

    fn may_know_the_user(&self) -> bool {
        self.who.rank == 3
            || (self.spelling.is_same_page && self.route.path.starts_with("/sign-in/TOKEN"))
    }

    fn must_show_the_row(&self) -> bool {
        self.route.shows_row && self.method == "GET" && self.reaches_the_page()
    }
}

fn missing(answer: &Answer) -> Option<&'static str> {
    let mut headers = HEADERS.into_iter();
    headers.find(|name| answer.headers.get(*name).is_none_or(String::is_empty))
}

fn leads_to_sign_in(answer: &Answer) -> bool {
    let location = answer.headers.get("location");
    location.is_some_and(|to| to == "/sign-in" || to.starts_with("/sign-in?to="))
}

/// Sends the requests to several executables at once; returns what is wrong with the answers.
fn ask_all(database: &Database, cases: &[Case]) -> Vec<String> {
    let (next, url) = (AtomicUsize::new(0), database.url());
    let folder = migrations();
    let folder = folder.to_str().expect("the checkout's path is UTF-8");
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("ALLOWED_HOSTS", "localhost"),
        ("MIGRATIONS_DIR", folder),
    ];
    let ask = || {
        let mut api = RuntimeApi::with(&bootstrap(), "http", &variables);
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            api.hand("matrix", case.event().to_string());
            let answer = api.request();
            api.reply(202, "");
            wrong.extend(match answer.line.ends_with("/response HTTP/1.1") {
                true => case.check(&read(&answer.json())),
                false => Some(case.said(&String::from_utf8_lossy(&answer.body), 0)),
            });
        }
        wrong
    };
    let wrong = thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(ask)).collect();
        let wrong = threads.into_iter().map(ScopedJoinHandle::join);
        wrong.collect::<Result<Vec<_>, _>>()
    });
    wrong.expect("every request is answered").concat()
}

/// Reads a reply of any sender's form.
fn read(reply: &Value) -> Answer {
    let headers = [&reply["headers"], &reply["multiValueHeaders"]].into_iter();
    let headers = headers.filter_map(Value::as_object).flatten();
    let headers = headers.map(|(name, value)| {
        let value = value.as_str().or(value[0].as_str()).unwrap_or_default();
        (name.clone(), value.to_string())
    });
    let body = reply["body"].as_str().expect("it is text");
    let body = match reply["isBase64Encoded"] == true {
        true => BASE64_STANDARD.decode(body).expect("it is base64"),
        false => body.as_bytes().to_vec(),
    };
    Answer {
        status: reply["statusCode"].as_u64().expect("it is a number"),
        headers: headers.collect(),
        cookies: format!(
            "{}{}",
            reply["cookies"], reply["multiValueHeaders"]["set-cookie"]
        ),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// Returns what the requests have changed, which is nothing: each form was empty.
fn still_there(database: &Database) -> Vec<String> {
    let row = database.client().query_one(
        "SELECT (SELECT count(*) FROM birds WHERE name = 'quetzal')::text || ' row, '
             || (SELECT count(*) FROM birds)::text || ' rows, '
             || (SELECT count(*) FROM plain_lambda.users)::text || ' users, '
             || (SELECT count(*) FROM plain_lambda.sign_in_links)::text || ' link'",
        &[],
    );
    let counts: String = row.expect("the administrator may").get(0);
    match counts == "1 row, 1 rows, 4 users, 1 link" {
        true => Vec::new(),
        false => vec![format!("the requests have changed something: {counts}")],
    }
}
