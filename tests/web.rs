//! What a browser gets: pages through the Function URL.

use crate::stage::{Database, Local};
use serde_json::json;

#[test]
fn the_first_page_lists_the_tables_and_the_state_of_the_migrations() {
    let database = Database::new();
    let local = Local::start(&database);

    let (status, page) = local.get("/");
    assert_eq!(status, 200);
    assert!(page.contains("There are none yet"), "{page}");
    assert!(page.contains("3 pending"), "{page}");

    local
        .invoke("migrations", r#"{"action":"migrate"}"#)
        .expect("it applies");
    local
        .invoke("migrations", r#"{"action":"seed"}"#)
        .expect("the database is empty");
    let (_, page) = local.get("/");
    for expected in [
        "order_lines",
        "order_totals",
        "up to date",
        "create_customers",
        "3 applied",
    ] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    assert!(
        !page.contains("plain_lambda"),
        "the history is not a table of the user's: {page}"
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
fn a_page_says_why_the_database_does_not_answer_only_to_a_developer() {
    let database = Database::new();
    let check = |environment: &str, shows: bool| {
        let local = Local::with(&database)
            .env("DATABASE_URL", "postgres://u:secret@127.0.0.1:1/d")
            .env("APP_ENV", environment)
            .start();
        let (status, page) = local.get("/");
        assert_eq!(status, 503);
        assert_eq!(page.contains("onnection refused"), shows, "{page}");
        assert!(local.log().contains("onnection refused"), "{}", local.log());
        assert!(!local.log().contains("secret"), "{}", local.log());
    };
    check("development", true);
    check("production", false);
}

#[test]
fn an_unknown_address_is_a_404_page_that_escapes_it() {
    let database = Database::new();
    let local = Local::start(&database);
    let (status, page) = local.get("/nowhere/'%3Cscript%3E&");
    assert_eq!(status, 404);
    assert!(page.contains("Page not found"), "{page}");
    assert!(page.contains("/nowhere/&#39;%3Cscript%3E&#38;"), "{page}");
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let database = Database::new();
    let local = Local::start(&database);
    for path in ["/", "/up"] {
        // The event's own reply: a server leaves out the body of a response to HEAD anyway.
        let reply = |method: &str| {
            let http = json!({"method": method, "path": path});
            let event =
                json!({"version": "2.0", "rawPath": path, "requestContext": {"http": http}});
            local
                .invoke("web", &event.to_string())
                .expect("it is a page")
        };
        let (get, head) = (reply("GET"), reply("HEAD"));
        assert_eq!(head["statusCode"], 200);
        assert_eq!(head["headers"], get["headers"]);
        assert_eq!(head["body"], "");
        assert_ne!(get["body"], "");
    }
    assert_eq!(local.response("HEAD", "/up").status(), 200);
}

#[test]
fn a_wrong_method_is_405_and_names_the_right_ones() {
    let database = Database::new();
    let local = Local::start(&database);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = local.response(method, "/");
        assert_eq!(response.status(), 405, "{method}");
        assert_eq!(response.headers()["allow"], "GET, HEAD", "{method}");
    }
}

#[test]
fn the_stylesheet_is_kept_by_the_browser_for_ever() {
    let database = Database::new();
    let local = Local::start(&database);
    let (_, page) = local.get("/nowhere");
    let (_, rest) = page
        .split_once("href=\"/style-")
        .expect("the page names its stylesheet");
    let (hash, _) = rest.split_once(".css").expect("it is CSS");
    let response = local.response("GET", &format!("/style-{hash}.css"));
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
