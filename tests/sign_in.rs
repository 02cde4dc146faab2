//! Sessions, passwords, one-time links and roles.

use crate::support::{
    Database, Local, MIGRATIONS, PASSWORD, Person, RuntimeApi, SECRET, bootstrap, wait_for,
};
use serde_json::json;
use std::thread;

/// A page of every kind that needs a session.
const PRIVATE: [&str; 14] = [
    "/",
    "/tables",
    "/tables/public/orders",
    "/tables/public/orders/export",
    "/tables/public/orders/row/1",
    "/tables/public/orders/new",
    "/tables/public/orders/edit/1",
    "/tables/public/orders/delete/1",
    "/orders-per-month",
    "/audit",
    "/users",
    "/password",
    "/nowhere",
    "//evil.example",
];

fn started() -> (Database, Local) {
    let database = Database::new();
    let local = Local::start(&database);
    (database, local)
}

#[track_caller]
fn sign_in(person: &Person, email: &str, password: &str, to: &str) -> (u16, String, String) {
    let fields = [("email", email), ("password", password), ("to", to)];
    let answer = person.post("/sign-in", &fields);
    let location = answer.header("location").to_string();
    (answer.status, location, answer.body)
}

/// Makes a one-time link for a user; returns its path.
#[track_caller]
fn link(local: &Local, email: &str, role: &str) -> String {
    let event = json!({"action": "user", "email": email, "role": role});
    let answer = local.invoke("migrations", &event.to_string());
    let answer = answer.expect("the address and the role are valid");
    let link = answer["link"].as_str().expect("local knows its address");
    let (_, token) = link.split_once("/sign-in/").expect("it is a link");
    format!("/sign-in/{token}")
}

#[test]
fn no_page_is_shown_without_a_session() {
    let (_database, local) = started();
    local.workshop();
    let visitor = local.visitor();
    for path in PRIVATE {
        let answer = visitor.get(path);
        assert!(answer.leads_to().starts_with("/sign-in"), "{path}");
        assert_eq!(answer.body, "", "{path}");
        let posted = visitor.post(path, &[("v:note", "x")]);
        assert_eq!(posted.status, 401, "{path}");
        let json = visitor.send("GET", path, &[("accept", "application/json")], None);
        assert_eq!(json.status, 401, "{path}");
        assert!(json.body.contains("Not signed in"), "{}", json.body);
    }
    assert_eq!(
        visitor
            .get("/tables/public/orders?q=a%20b&sort=-id")
            .leads_to(),
        "/sign-in?to=%2Ftables%2Fpublic%2Forders%3Fq%3Da%2520b%26sort%3D-id"
    );
}

#[test]
fn a_one_time_link_sets_a_password_once() {
    let (database, local) = started();
    local.workshop();
    let path = link(&local, "ada@example.com", "viewer");
    let visitor = local.visitor();
    for _ in 0..2 {
        let asked = visitor.get(&path);
        assert_eq!(
            asked.status, 200,
            "a mail scanner asks, and uses nothing up"
        );
        assert!(asked.body.contains("ada@example.com"), "{}", asked.body);
    }
    for weak in ["short", "ada@example.com", &"x".repeat(1001)] {
        let refused = visitor.post(&path, &[("new", weak)]);
        assert_eq!(refused.status, 422, "{weak}");
        assert_eq!(visitor.cookie(), "");
    }
    assert_eq!(visitor.post(&path, &[("new", PASSWORD)]).leads_to(), "/");
    assert_eq!(visitor.get("/").status, 200);
    let again = local.visitor().post(&path, &[("new", "another password")]);
    assert_eq!(again.status, 404, "{}", again.body);

    let older = link(&local, "ada@example.com", "viewer");
    let newer = link(&local, "ada@example.com", "viewer");
    assert_eq!(
        local.visitor().get(&older).status,
        404,
        "a newer one voids it"
    );
    database
        .client()
        .batch_execute("UPDATE plain_lambda.sign_in_links SET expires_at = now()")
        .expect("it is allowed");
    assert_eq!(local.visitor().get(&newer).status, 404, "its hour is over");
    assert_eq!(
        local
            .visitor()
            .get("/sign-in/x';%20DROP%20TABLE%20orders;%20--")
            .status,
        404
    );
}

#[test]
fn signing_in_leads_back_to_the_page_that_was_asked_for() {
    let (_database, local) = started();
    local.workshop();
    let (email, to) = ("admin@example.com", "/tables/public/orders?q=gift%20wrap");
    let visitor = local.visitor();
    let form = visitor.get("/tables/public/orders?q=gift%20wrap");
    let form = visitor.get(form.leads_to());
    assert_eq!(form.field("to"), "/tables/public/orders?q=gift%20wrap");
    let (status, location, _) = sign_in(&visitor, email, PASSWORD, to);
    assert_eq!((status, location.as_str()), (303, to));
    assert_eq!(visitor.get(to).status, 200);
    for evil in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "",
    ] {
        let (_, location, _) = sign_in(&local.visitor(), "ADMIN@example.com", PASSWORD, evil);
        assert_eq!(location, "/", "{evil}");
    }
    assert_eq!(visitor.post("/sign-out", &[]).leads_to(), "/sign-in");
    assert_eq!(visitor.cookie(), "");
    assert_eq!(visitor.get("/").status, 303);
}

#[test]
fn an_unknown_address_and_a_wrong_password_get_the_same_answer() {
    let (_database, local) = started();
    local.workshop();
    let visitor = local.visitor();
    let known = sign_in(&visitor, "admin@example.com", "a wrong password", "/");
    let unknown = sign_in(&visitor, "adnin@example.com", "a wrong password", "/");
    assert_eq!(known.0, 422);
    assert_eq!(known.2.replace("admin@", "adnin@"), unknown.2);
    for (email, password) in [
        ("admin@example.com", ""),
        ("", PASSWORD),
        ("' OR 1=1 --", "x"),
    ] {
        assert_eq!(sign_in(&visitor, email, password, "/").0, 422, "{email}");
    }
    assert_eq!(visitor.cookie(), "");
    local
        .invoke(
            "migrations",
            r#"{"action":"user","email":"new@example.com","role":"viewer"}"#,
        )
        .expect("the address and the role are valid");
    let without = sign_in(&visitor, "new@example.com", "", "/");
    assert_eq!(without.0, 422, "nobody has the empty password");
}

#[test]
fn an_address_with_wrong_passwords_has_to_wait_and_others_do_not() {
    let (database, local) = started();
    local.workshop();
    local.sign_in("viewer");
    let visitor = local.visitor();
    for _ in 0..5 {
        assert_eq!(
            sign_in(&visitor, "admin@example.com", "a wrong password", "/").0,
            422
        );
    }
    let fields = [("email", "Admin@Example.com"), ("password", PASSWORD)];
    let refused = visitor.post("/sign-in", &fields);
    assert_eq!(refused.status, 429, "{}", refused.body);
    let seconds: u64 = refused
        .header("retry-after")
        .parse()
        .expect("it is a number");
    assert!((1..=5).contains(&seconds), "{seconds}");
    assert!(refused.body.contains("Try again in"), "{}", refused.body);
    assert_eq!(
        sign_in(&visitor, "viewer@example.com", PASSWORD, "/").0,
        303
    );
    local.expect_log("WARN");
    database
        .client()
        .batch_execute("UPDATE plain_lambda.sign_in_failures SET at = at - interval '1 minute'")
        .expect("it is allowed");
    assert_eq!(sign_in(&visitor, "admin@example.com", PASSWORD, "/").0, 303);
    let left = database
        .client()
        .query_one("SELECT count(*) FROM plain_lambda.sign_in_failures", &[]);
    assert_eq!(
        left.expect("it is allowed").get::<_, i64>(0),
        0,
        "a right password clears the failures"
    );
}

#[test]
fn wrong_passwords_sent_at_once_are_all_counted() {
    let (_database, local) = started();
    local.workshop();
    let tried: Vec<u16> = thread::scope(|scope| {
        let guesses = [(); 12].map(|()| {
            let visitor = local.visitor();
            scope.spawn(move || sign_in(&visitor, "admin@example.com", "a wrong password", "/").0)
        });
        guesses
            .map(|guess| guess.join().expect("it is answered"))
            .to_vec()
    });
    let judged = tried.iter().filter(|status| **status == 422).count();
    assert_eq!(judged, 5, "{tried:?}");
}

#[test]
fn a_cookie_that_was_tampered_with_is_refused() {
    let (_database, local) = started();
    let admin = local.workshop();
    let cookie = admin.cookie();
    let begin = cookie.find('=').expect("it is a pair") + 1;
    for at in (begin..cookie.len()).step_by(3) {
        let mut changed = cookie.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("it is ASCII");
        // Some bits of the last base64 character are not decoded, so changing it may change nothing.
        if at < cookie.len() - 1 {
            admin.set_cookie(&changed);
            assert_eq!(admin.get("/").status, 303, "character {at}");
        }
        admin.set_cookie(&cookie[..at]);
        assert_eq!(admin.get("/").status, 303, "cut at {at}");
    }
    for other in [
        "session=",
        "session=\"\"",
        "session=1 1 1 9999999999 x",
        "session=%00",
    ] {
        admin.set_cookie(other);
        assert_eq!(admin.get("/").status, 303, "{other}");
    }
    admin.set_cookie(&format!("a=1; {cookie}; session=x; b=2"));
    assert_eq!(
        admin.get("/").status,
        200,
        "among others, and the first of its name counts"
    );
}

#[test]
fn a_cookie_is_valid_with_the_secret_that_made_it_and_after_a_rotation() {
    let database = Database::new();
    let start = |variables: &[(&str, &str)]| {
        let mut local = Local::with(&database).env("APP_ENV", "production");
        for (name, value) in variables {
            local = local.env(name, value);
        }
        local.start()
    };
    let other = "aa1e2d3c4b5a69788796a5b4c3d2e1f0";
    let first = start(&[("SECRET_KEY_BASE", SECRET)]);
    let admin = first.workshop();
    let cookie = admin.cookie();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");

    let foreign = start(&[("SECRET_KEY_BASE", other)]).visitor_with(&cookie);
    assert_eq!(foreign.0, 303);
    let rotated = start(&[
        ("SECRET_KEY_BASE", other),
        ("SECRET_KEY_BASE_PREVIOUS", SECRET),
    ]);
    assert_eq!(rotated.visitor_with(&cookie).0, 200);
}

impl Local {
    /// Gets `/` with a cookie; returns the status and the cookie afterwards.
    #[track_caller]
    fn visitor_with(&self, cookie: &str) -> (u16, String) {
        let visitor = self.visitor();
        visitor.set_cookie(cookie);
        (visitor.get("/").status, visitor.cookie())
    }
}

#[test]
fn a_session_cookie_is_http_only_and_secure() {
    let database = Database::new();
    let local = Local::with(&database)
        .env("APP_ENV", "lambda")
        .env("SECRET_KEY_BASE", SECRET)
        .start();
    local.workshop();
    let fields = [("email", "admin@example.com"), ("password", PASSWORD)];
    let answer = local.visitor().post("/sign-in", &fields);
    let cookies = answer.headers.get_all("set-cookie").iter();
    let cookies: Vec<&str> = cookies.filter_map(|cookie| cookie.to_str().ok()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for (cookie, name) in cookies.iter().zip(["__Host-device-", "__Host-session="]) {
        assert!(cookie.starts_with(name), "{cookie}");
        for attribute in ["Path=/", "HttpOnly", "Secure", "SameSite=Lax"] {
            assert!(cookie.contains(&format!("; {attribute}")), "{cookie}");
        }
        assert!(!cookie.to_lowercase().contains("domain"), "{cookie}");
    }
}

#[test]
fn signing_out_everywhere_ends_a_copied_cookie_and_signing_in_again_works() {
    let (_database, local) = started();
    let admin = local.workshop();
    let copied = admin.cookie();
    assert_eq!(local.visitor_with(&copied).0, 200);
    assert_eq!(
        admin.post("/sign-out-everywhere", &[]).leads_to(),
        "/sign-in"
    );
    assert_eq!(local.visitor_with(&copied).0, 303, "a replayed cookie");
    assert_eq!(sign_in(&admin, "admin@example.com", PASSWORD, "/").0, 303);
    assert_eq!(admin.get("/").status, 200);
}

#[test]
fn changing_the_password_needs_the_old_one_and_ends_other_sessions() {
    let (_database, local) = started();
    let admin = local.workshop();
    let other = admin.cookie();
    let new = "a brand new password";
    let wrong = admin.post("/password", &[("now", "not mine at all"), ("new", new)]);
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    assert!(
        wrong.body.contains("This is not your password"),
        "{}",
        wrong.body
    );
    let weak = admin.post("/password", &[("now", PASSWORD), ("new", "short")]);
    assert_eq!(weak.status, 422);
    let changed = admin.post("/password", &[("now", PASSWORD), ("new", new)]);
    assert_eq!(changed.leads_to(), "/password");
    let page = admin.get("/password");
    assert!(
        page.body.contains("Your password is changed"),
        "{}",
        page.body
    );
    assert!(
        !admin.get("/password").body.contains("is changed"),
        "it is said once"
    );
    assert_eq!(local.visitor_with(&other).0, 303);
    assert_eq!(
        sign_in(&local.visitor(), "admin@example.com", PASSWORD, "/").0,
        422
    );
    assert_eq!(
        sign_in(&local.visitor(), "admin@example.com", new, "/").0,
        303
    );
}

#[test]
fn each_role_opens_its_own_pages_only() {
    let (_database, local) = started();
    local.workshop();
    let (viewer, editor) = (local.sign_in("viewer"), local.sign_in("editor"));
    let edits = [
        "/tables/public/orders/new",
        "/tables/public/orders/edit/1",
        "/tables/public/orders/delete/1",
    ];
    for path in edits {
        assert_eq!(viewer.get(path).status, 403, "{path}");
        assert_eq!(viewer.post(path, &[("v:note", "x")]).status, 403, "{path}");
        assert_eq!(editor.get(path).status, 200, "{path}");
    }
    assert_eq!(
        viewer
            .get("/tables/public/orders/choices/customer_id")
            .status,
        403
    );
    let list = viewer.get("/tables/public/orders").body;
    assert!(!list.contains("Add a row"), "{list}");
    let row = viewer.get("/tables/public/orders/row/1").body;
    assert!(
        !row.contains("/edit/1") && !row.contains("/delete/1"),
        "{row}"
    );
    for person in [&viewer, &editor] {
        assert_eq!(person.get("/users").status, 403);
        let role = [("action", "role"), ("role", "admin")];
        for id in ["1", "2", "3"] {
            assert_eq!(person.post(&format!("/users/{id}"), &role).status, 403);
        }
        let add = [("email", "me@example.com"), ("role", "admin")];
        assert_eq!(person.post("/users", &add).status, 403);
        assert!(!person.get("/").body.contains("href=\"/users\""));
    }
}

#[test]
fn an_admin_adds_changes_and_removes_users() {
    let (_database, local) = started();
    let admin = local.workshop();
    let added = admin.post(
        "/users",
        &[("email", "new@example.com"), ("role", "viewer")],
    );
    assert_eq!(added.status, 200);
    assert_eq!(added.header("cache-control"), "no-store");
    let (_, rest) = added
        .body
        .split_once("/sign-in/")
        .expect("it shows the link");
    let token = rest.split('<').next().expect("it ends");
    assert!(
        !admin.get("/users").body.contains(token),
        "it is shown once"
    );
    let person = local.visitor();
    let path = format!("/sign-in/{token}");
    assert_eq!(person.post(&path, &[("new", PASSWORD)]).leads_to(), "/");

    for (email, role) in [
        ("new@EXAMPLE.com", "viewer"),
        ("no address", "viewer"),
        ("b@c", "root"),
    ] {
        let refused = admin.post("/users", &[("email", email), ("role", role)]);
        assert_eq!(refused.status, 422, "{email}");
    }
    assert_eq!(person.get("/tables/public/orders/new").status, 403);
    let changed = admin.post("/users/2", &[("action", "role"), ("role", "editor")]);
    assert_eq!(changed.leads_to(), "/users");
    assert_eq!(
        person.get("/tables/public/orders/new").status,
        200,
        "at once"
    );
    admin.post("/users/2", &[("action", "sign-out")]);
    assert_eq!(person.get("/").status, 303);
    assert_eq!(sign_in(&person, "new@example.com", PASSWORD, "/").0, 303);
    admin.post("/users/2", &[("action", "remove")]);
    assert_eq!(person.get("/").status, 303);
    assert_eq!(sign_in(&person, "new@example.com", PASSWORD, "/").0, 422);
    for path in ["/users/2", "/users/x", "/users/1%20OR%201=1"] {
        let gone = admin.post(path, &[("action", "remove")]);
        assert_eq!(gone.status, 404, "{path}");
    }
    assert_eq!(admin.post("/users/1", &[("action", "x")]).status, 400);
}

#[test]
fn the_last_admin_stays_even_when_two_remove_each_other_at_once() {
    let (database, local) = started();
    let admin = local.workshop();
    for fields in [
        &[("action", "remove")][..],
        &[("action", "role"), ("role", "viewer")],
    ] {
        let refused = admin.post("/users/1", fields);
        assert_eq!(refused.status, 422);
        assert!(refused.body.contains("only admin"), "{}", refused.body);
    }
    let demoted = json!({"action": "user", "email": "admin@example.com", "role": "viewer"});
    let refused = local
        .invoke("migrations", &demoted.to_string())
        .expect_err("it is the last admin");
    assert_eq!(refused["errorType"], "Function.LastAdmin");
    let path = link(&local, "second@example.com", "admin");
    let second = local.visitor();
    second.post(&path, &[("new", PASSWORD)]);
    thread::scope(|scope| {
        let removal = [("action", "remove")];
        scope.spawn(move || admin.post("/users/2", &removal));
        scope.spawn(move || second.post("/users/1", &removal));
    });
    let left = database.client().query_one(
        "SELECT count(*) FROM plain_lambda.users WHERE role = 'admin'",
        &[],
    );
    assert!(left.expect("it is allowed").get::<_, i64>(0) >= 1);
}

#[test]
fn two_admins_cannot_remove_each_other_at_any_isolation_level() {
    let (database, local) = started();
    local.workshop();
    let isolated = format!(
        "ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'",
        database.name()
    );
    database
        .client()
        .batch_execute(&isolated)
        .expect("it is allowed");
    let local = Local::start(&database);
    let admins: [Person; 2] = ["one@example.com", "two@example.com"].map(|email| {
        let person = local.visitor();
        person.post(&link(&local, email, "admin"), &[("new", PASSWORD)]);
        person
    });
    let mut other = database.client();
    other
        .batch_execute(
            "DELETE FROM plain_lambda.users WHERE email = 'admin@example.com';
             BEGIN; LOCK TABLE plain_lambda.users IN SHARE ROW EXCLUSIVE MODE;",
        )
        .expect("it is allowed");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let [one, two] = &admins;
        let removals = [(one, "/users/3"), (two, "/users/2")].map(|(admin, path)| {
            scope.spawn(move || admin.post(path, &[("action", "remove")]).status)
        });
        // Both removals have read the users, and wait for the lock.
        wait_for("both removals to wait", || {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                           AND datname = current_database()";
            let count = database
                .client()
                .query_one(waiting, &[])
                .expect("it is allowed");
            (count.get::<_, i64>(0) == 2).then_some(())
        });
        other.batch_execute("COMMIT").expect("it is allowed");
        removals
            .map(|removal| removal.join().expect("it is answered"))
            .to_vec()
    });
    let left = "SELECT count(*) FROM plain_lambda.users WHERE role = 'admin'";
    let left = database
        .client()
        .query_one(left, &[])
        .expect("it is allowed");
    assert_eq!(left.get::<_, i64>(0), 1, "{statuses:?}");
}

#[test]
fn a_weak_secret_keeps_the_web_function_from_starting() {
    let weak = [
        ("", "it is not set"),
        ("short", "less than 32 characters"),
        (
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "no random value",
        ),
        ("please-change-me-0123456789-0123456789", "no random value"),
    ];
    for (secret, says) in weak {
        let variables = [("SECRET_KEY_BASE", secret), ("APP_ENV", "production")];
        let mut api = RuntimeApi::with(&bootstrap(), "http", &variables);
        let error = api.request();
        assert_eq!(error.line, "POST /2018-06-01/runtime/init/error HTTP/1.1");
        let message = error.json()["errorMessage"].to_string();
        assert!(
            message.contains(says) && message.contains("openssl rand"),
            "{message}"
        );
        assert!(secret.is_empty() || !message.contains(secret), "{message}");
        api.reply(202, "{}");
    }
    for environment in ["development", "test"] {
        let variables = [
            ("APP_ENV", environment),
            ("AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129:2000"),
        ];
        let mut api = RuntimeApi::with(&bootstrap(), "http", &variables);
        let message = api.request().json()["errorMessage"].to_string();
        assert!(
            message.contains("APP_ENV") && message.contains("this is AWS"),
            "{message}"
        );
        api.reply(202, "{}");
    }
    let database = Database::new();
    let migrations = Local::with(&database)
        .env("APP_ENV", "production")
        .env("SECRET_KEY_BASE", "")
        .start();
    let applied = migrations.invoke("migrations", r#"{"action":"migrate"}"#);
    let applied = applied.expect("it needs no secret");
    assert_eq!(
        applied["applied"].as_array().map(Vec::len),
        Some(MIGRATIONS)
    );
}

#[test]
fn before_the_migrations_a_page_says_that_they_are_pending() {
    let (_database, local) = started();
    let visitor = local.visitor();
    for answer in [
        visitor.get("/sign-in/void"),
        visitor.post(
            "/sign-in",
            &[("email", "a@b.example"), ("password", PASSWORD)],
        ),
    ] {
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(
            answer.body.contains("Migrations are pending"),
            "{}",
            answer.body
        );
    }
}

#[test]
fn the_user_action_says_what_is_wrong() {
    let (_database, local) = started();
    let refused = |event: &str| {
        let error = local
            .invoke("migrations", event)
            .expect_err("it is refused");
        format!("{} {}", error["errorType"], error["errorMessage"])
    };
    let user = r#"{"action":"user","email":"a@b.example","role":"admin"}"#;
    assert!(refused(user).contains("Function.MigrationsPending"));
    local.workshop();
    let no_role = refused(r#"{"action":"user","email":"a@b.example"}"#);
    assert!(no_role.contains("viewer, editor, admin"), "{no_role}");
    let other = refused(r#"{"action":"user","email":"a@b.example","role":"root"}"#);
    assert!(other.contains("viewer, editor, admin"), "{other}");
    assert!(refused(r#"{"action":"user","role":"admin"}"#).contains("no address"));
    assert!(refused(r#"{"action":"user","email":"a b@c"}"#).contains("no address"));
    let again = local.invoke(
        "migrations",
        r#"{"action":"user","email":"ADMIN@example.com"}"#,
    );
    let again = again.expect("it is there");
    assert_eq!(
        (&again["created"], &again["role"]),
        (&json!(false), &json!("admin"))
    );
}

#[test]
fn no_password_no_link_and_no_cookie_is_in_a_log() {
    let (_database, local) = started();
    let admin = local.workshop();
    let path = link(&local, "ada@example.com", "viewer");
    let visitor = local.visitor();
    visitor.get(&path);
    visitor.get(&format!("{path}?x=1"));
    visitor.post(&path, &[("new", "short")]);
    visitor.post(&path, &[("new", "a very secret password")]);
    sign_in(&visitor, "ada@example.com", "a wrong password", "/");
    admin.get("/?password=hunter2&q=b");
    local.expect_log("GET /sign-in/ 200");
    local.expect_log("q=b 200");
    let log = local.log();
    let (_, token) = path.rsplit_once('/').expect("it has one");
    let answered = format!("/sign-in/{token}\"");
    let (_, cookie) = visitor
        .cookie()
        .split_once('=')
        .map(|(a, b)| (a.to_string(), b.to_string()))
        .expect("it is a pair");
    for secret in [
        "hunter2",
        "a very secret password",
        "a wrong password",
        PASSWORD,
        &cookie,
    ] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    assert!(!log.replace(&answered, "").contains(token), "{log}");
}
