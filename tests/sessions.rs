//! How long a session lasts, and whom others' guesses make wait.

use crate::support::{Database, Local, PASSWORD, Person, SECRET, bootstrap, wait_for};
use form_urlencoded::Serializer;
use serde_json::{Value, json};
use std::process::Command;

const ADMIN: &str = "admin@example.com";

fn started() -> (Database, Local, Person) {
    let database = Database::new();
    let local = Local::with(&database)
        .env("SECRET_KEY_BASE", SECRET)
        .start();
    let admin = local.workshop();
    (database, local, admin)
}

/// Whether a cookie still opens a page.
#[track_caller]
fn opens(local: &Local, cookie: &str) -> bool {
    let visitor = local.visitor();
    visitor.set_cookie(cookie);
    visitor.get("/").status == 200
}

#[track_caller]
fn execute(database: &Database, statements: &str) {
    let done = database.client().batch_execute(statements);
    done.unwrap_or_else(|error| panic!("{statements}: {error}"));
}

/// An attempt to sign in from an IP address, with cookies; the answer of the function.
#[track_caller]
fn attempt(local: &Local, ip: &str, email: &str, password: &str, cookies: &[String]) -> Value {
    let fields = [("email", email), ("password", password)];
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let event = json!({
        "version": "2.0",
        "rawPath": "/sign-in",
        "rawQueryString": "",
        "headers": {
            "host": "localhost",
            "content-type": "application/x-www-form-urlencoded",
        },
        "cookies": cookies,
        "requestContext": {"http": {"method": "POST", "path": "/sign-in", "sourceIp": ip}},
        "body": body,
    });
    let answer = local.invoke("web", &event.to_string());
    answer.expect("it is a request")
}

#[track_caller]
fn status(answer: &Value) -> i64 {
    answer["statusCode"].as_i64().expect("it has a status")
}

/// The cookies that an answer sets, `name=value`.
fn cookies(answer: &Value) -> Vec<String> {
    let set = answer["cookies"].as_array().into_iter().flatten();
    let pair = |cookie: &Value| cookie.as_str()?.split(';').next().map(str::to_string);
    set.filter_map(pair).collect()
}

/// The cookies of a browser that has signed in.
#[track_caller]
fn known_browser(local: &Local, email: &str) -> Vec<String> {
    let answer = attempt(local, "192.0.2.1", email, PASSWORD, &[]);
    assert_eq!(status(&answer), 303, "{answer}");
    let cookies = cookies(&answer);
    assert!(cookies.iter().any(|cookie| cookie.starts_with("device-")));
    cookies
}

#[test]
fn signing_out_ends_the_session_and_no_other() {
    let (_database, local, admin) = started();
    let copied = admin.cookie();
    let other = known_browser(&local, ADMIN).remove(1);
    assert_eq!(admin.post("/sign-out", &[]).leads_to(), "/sign-in");
    assert!(!opens(&local, &copied), "the copied cookie is void");
    assert!(opens(&local, &other), "another browser stays signed in");
}

#[test]
fn a_removal_and_a_new_password_and_ended_sessions_hold_at_once() {
    let (_database, local, admin) = started();
    let user = |role: &str| local.sign_in(role).cookie();
    let (viewer, editor) = (user("viewer"), user("editor"));
    assert!(opens(&local, &viewer) && opens(&local, &editor));
    admin.post("/users/2", &[("action", "sign-out")]);
    assert!(!opens(&local, &viewer));
    admin.post("/users/3", &[("action", "remove")]);
    assert!(!opens(&local, &editor));
    let old = admin.cookie();
    let fields = [("now", PASSWORD), ("new", "another long password")];
    admin.post("/password", &fields).leads_to();
    assert!(!opens(&local, &old));
    assert_eq!(admin.get("/").status, 200, "the browser has a new session");
}

#[test]
fn a_session_of_the_database_before_a_reset_is_none_after_it() {
    let (database, local, admin) = started();
    let former = admin.cookie();
    let confirm = json!({"action": "reset", "confirm": database.name()});
    local
        .invoke("migrations", &confirm.to_string())
        .expect("it is confirmed");
    // The connection to the former database is looked at, and replaced.
    wait_for("the new database", || {
        (local.get("/up?db").1 == "up\n").then_some(())
    });
    local.sign_in("admin");
    assert!(!opens(&local, &former), "the same id is somebody else's");
}

#[test]
fn a_restored_session_is_none() {
    let (database, local, admin) = started();
    let cookie = admin.cookie();
    let dump = "CREATE TABLE dump AS SELECT * FROM plain_lambda.sessions";
    execute(&database, dump);
    assert!(opens(&local, &cookie));
    admin.post("/sign-out", &[]);
    let restore = "INSERT INTO plain_lambda.sessions SELECT * FROM dump";
    execute(&database, restore);
    assert!(!opens(&local, &cookie), "the rows are restored");
    execute(
        &database,
        "ALTER TABLE plain_lambda.sessions RENAME TO former;
         CREATE TABLE plain_lambda.sessions (LIKE plain_lambda.former INCLUDING ALL);
         INSERT INTO plain_lambda.sessions SELECT * FROM dump",
    );
    assert!(!opens(&local, &cookie), "the table is restored");
    let anew = known_browser(&local, ADMIN).remove(1);
    assert!(opens(&local, &anew));
    let left = "SELECT count(*) FROM plain_lambda.sessions";
    let left = database.client().query_one(left, &[]).expect("it may");
    assert_eq!(left.get::<_, i64>(0), 1, "what is no session is forgotten");
}

#[test]
fn a_session_ends_after_two_weeks_whatever_its_cookie_says() {
    let (database, _local, admin) = started();
    let age = |interval: &str| {
        // The row is written again, by a transaction of its own.
        format!(
            "UPDATE plain_lambda.sessions SET signed_in_at = now() - interval '{interval}',
             origin = tableoid::text || '.' || (txid_current() & 4294967295)::text"
        )
    };
    execute(&database, &age("13 days 23 hours"));
    assert_eq!(admin.get("/").status, 200);
    execute(&database, &age("14 days 1 minute"));
    assert_eq!(admin.get("/").status, 303);
}

#[test]
fn the_owner_signs_in_from_a_known_browser_while_others_guess() {
    let (_database, local, _) = started();
    let mut browser = known_browser(&local, ADMIN);
    let (mut judged, mut right) = (0, 0);
    for round in 0..40 {
        for guess in 0..3 {
            let ip = format!("203.0.{round}.{guess}");
            let answer = attempt(&local, &ip, ADMIN, "a wrong password", &[]);
            judged += i32::from(status(&answer) == 422);
        }
        let answer = attempt(&local, "198.51.100.7", ADMIN, PASSWORD, &browser);
        right += i32::from(status(&answer) == 303);
        browser = cookies(&answer);
    }
    assert_eq!(right, 40, "the owner is never made to wait");
    assert!((15..20).contains(&judged), "{judged} guesses were checked");
    let unknown = attempt(&local, "198.51.100.7", ADMIN, PASSWORD, &[]);
    assert_eq!(status(&unknown), 429, "{unknown}");
    let body = unknown["body"].as_str().expect("it is text");
    assert!(body.contains("signed in to this account before"), "{body}");
}

#[test]
fn a_known_browser_is_known_to_its_own_account_only_and_waits_for_its_own_guesses() {
    let (_database, local, _) = started();
    local.sign_in("viewer");
    let (own, other) = (
        known_browser(&local, ADMIN),
        known_browser(&local, "viewer@example.com"),
    );
    let name = |cookies: &[String]| {
        let (name, _) = cookies[0].split_once('=').expect("it is a pair");
        name.to_string()
    };
    let (_, value) = other[0].split_once('=').expect("it is a pair");
    let forged = [format!("{}={value}", name(&own))];
    let guess = |ip: &str, cookies: &[String]| {
        status(&attempt(&local, ip, ADMIN, "a wrong password", cookies))
    };
    for _ in 0..5 {
        assert_eq!(guess("192.0.2.9", &forged), 422);
    }
    assert_eq!(
        guess("192.0.2.9", &[]),
        429,
        "it counts as any browser does"
    );
    for _ in 0..5 {
        assert_eq!(guess("192.0.2.10", &own), 422);
    }
    assert_eq!(guess("192.0.2.11", &own), 429, "wherever it is");
}

#[test]
fn a_network_has_no_more_attempts_by_having_more_addresses() {
    let (_database, local, _) = started();
    let judged = |ip: &dyn Fn(u32) -> String| {
        let statuses = (0..30).map(|guess| {
            let email = format!("user{guess}@example.com");
            status(&attempt(
                &local,
                &ip(guess),
                &email,
                "a wrong password",
                &[],
            ))
        });
        statuses.filter(|status| *status == 422).count()
    };
    assert_eq!(judged(&|guess| format!("2001:db8:1:2::{guess:x}")), 20);
    assert_eq!(judged(&|guess| format!("2001:db8:1:3:{guess:x}::1")), 20);
}

#[test]
fn users_are_changed_with_a_password_that_is_a_quarter_of_an_hour_old_at_most() {
    let (database, _local, admin) = started();
    let age = "UPDATE plain_lambda.sessions SET confirmed_at = now() - interval '16 minutes',
        origin = tableoid::text || '.' || (txid_current() & 4294967295)::text";
    execute(&database, age);
    assert_eq!(admin.get("/users").status, 200, "looking needs none");
    let typed = [("email", "new@example.com"), ("role", "editor")];
    let asked = admin.post("/users", &typed);
    assert_eq!(asked.status, 401, "{}", asked.body);
    assert_eq!(asked.field("email"), "new@example.com");
    assert_eq!(asked.field("role"), "editor");
    let removal = admin.post("/users/1", &[("action", "remove")]);
    assert_eq!(removal.status, 401, "{}", removal.body);
    let with = |password| [typed[0], typed[1], ("confirm", password)];
    let wrong = admin.post("/users", &with("a wrong password"));
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("not your password"), "{}", wrong.body);
    assert!(!admin.get("/users").body.contains("new@example.com"));
    let done = admin.post("/users", &with(PASSWORD));
    assert!(done.body.contains("/sign-in/"), "{}", done.body);
    assert_eq!(admin.get("/").status, 200, "the session goes on");
    let next = admin.post("/users/2", &[("action", "role"), ("role", "viewer")]);
    assert_eq!(next.leads_to(), "/users", "for another quarter of an hour");
}

#[test]
fn a_common_password_and_an_address_that_looks_like_another_are_refused() {
    let (_database, local, admin) = started();
    for weak in ["123456789012", "Password1234", "passwordpassword"] {
        let refused = admin.post("/password", &[("now", PASSWORD), ("new", weak)]);
        assert_eq!(refused.status, 422, "{weak}");
        assert!(refused.body.contains("Many people"), "{}", refused.body);
    }
    for (email, says) in [
        ("ad\u{200b}min@example.com", "nobody sees"),
        ("\u{202e}nimda@example.com", "control character"),
        ("\u{430}dmin@example.com", "look alike"),
        ("\u{ff41}dmin@EXAMPLE.com", "exists already"),
        (" Admin@example.com", "exists already"),
    ] {
        let refused = admin.post("/users", &[("email", email), ("role", "viewer")]);
        assert_eq!(refused.status, 422, "{email}");
        assert!(refused.body.contains(says), "{email}: {}", refused.body);
        let event = json!({"action": "user", "email": email, "role": "admin"});
        let answer = local.invoke("migrations", &event.to_string());
        let is_refused = !says.contains("exists");
        assert_eq!(answer.is_err(), is_refused, "{email}");
        assert!(is_refused || answer.expect("it is known")["created"] == false);
    }
}

#[test]
fn a_link_has_no_host_that_no_setting_names() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("APP_ENV", "production")
        .env("SECRET_KEY_BASE", SECRET)
        .start();
    let admin = local.workshop();
    let page = |hosts: &str, host: &str| {
        let event = json!({
            "version": "2.0", "rawPath": "/users/1", "rawQueryString": "",
            "headers": {"host": host, "content-type": "application/x-www-form-urlencoded"},
            "cookies": [admin.cookie()], "body": "action=link",
            "requestContext": {"http": {"method": "POST", "path": "/users/1"}},
        });
        let mut command = Command::new(bootstrap());
        command
            .env_remove("AWS_LAMBDA_RUNTIME_API")
            .env_remove("LAMBDA_FUNCTION_URL")
            .env("DATABASE_URL", database.url())
            .env("SECRET_KEY_BASE", SECRET)
            .env("APP_ENV", "production")
            .env("ALLOWED_HOSTS", hosts);
        let output = command.args(["http", &event.to_string()]).output();
        let output = output.expect("it runs").stdout;
        String::from_utf8(output).expect("it prints UTF-8")
    };
    let shown = page("", "evil.example");
    assert!(shown.contains("<code>/sign-in/"), "{shown}");
    assert!(shown.contains("Put the address of this site"), "{shown}");
    assert!(!shown.contains("evil.example"), "{shown}");
    let shown = page("app.example", "app.example");
    assert!(shown.contains("https://app.example/sign-in/"), "{shown}");
    drop(local);
}
