//! The example pages of README.md and docs/your-pages.md: they compile, have their routes, need a session,
//! and work on a real database.

use crate::migrate::files;
use crate::support::{Database, Local, Person, root};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const TABLES: &str = "
    CREATE TABLE parts (id bigint PRIMARY KEY, name text NOT NULL, stock integer NOT NULL);
    CREATE TABLE orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        part_id bigint NOT NULL REFERENCES parts,
        quantity integer NOT NULL CHECK (quantity > 0)
    );
    INSERT INTO parts VALUES (7, 'bolt <M8>', 12), (8, 'nut', 0);";

/// Starts `local` with an executable that has the example pages.
fn started(database: &Database) -> (Local, TempDir) {
    let dir = files(&[("1_create_parts.sql", TABLES)]);
    let local = Local::with(database)
        .migrations(dir.path())
        .bootstrap(Path::new(env!("CARGO_BIN_EXE_own_pages")))
        .start();
    local
        .invoke("migrations", r#"{"action":"migrate"}"#)
        .expect("it migrates");
    (local, dir)
}

fn order(person: &Person, quantity: &str) -> (u16, String) {
    let answer = person.post("/parts/7/order", &[("quantity", quantity)]);
    (answer.status, answer.body)
}

#[test]
fn the_documents_show_the_pages_that_these_tests_run() {
    for (document, file) in [
        ("README.md", "stock.rs"),
        ("docs/your-pages.md", "parts.rs"),
    ] {
        let read = |path: &Path| fs::read_to_string(path).expect("it is in the checkout");
        let document = read(&root().join(document));
        let file = read(&root().join("tests/own_pages").join(file));
        let (_, code) = file
            .split_once("\n\n")
            .expect("the module comment stands before the code");
        assert!(document.contains(&format!("```rust\n{code}```")), "{code}");
    }
}

#[test]
fn a_page_of_the_app_needs_a_session_and_is_in_the_navigation() {
    let database = Database::new();
    let (local, _dir) = started(&database);
    assert_eq!(
        local.visitor().get("/stock").leads_to(),
        "/sign-in?to=%2Fstock"
    );
    let viewer = local.sign_in("viewer");
    let page = viewer.get("/stock").body;
    assert!(page.contains("<li>bolt &#60;M8&#62;: 12</li>"), "{page}");
    assert!(
        page.contains("<a href=\"/stock\" aria-current=\"page\">Stock</a>"),
        "{page}"
    );
    let tables = viewer.get("/tables").body;
    assert!(tables.contains("<a href=\"/stock\">Stock</a>"), "{tables}");
    assert_eq!(viewer.post("/stock", &[]).status, 405);
}

#[test]
fn a_capture_that_does_not_parse_is_a_404() {
    let database = Database::new();
    let (local, _dir) = started(&database);
    let editor = local.sign_in("editor");
    assert_eq!(editor.get("/parts/7/order").status, 200);
    for path in ["/parts/x/order", "/parts//order", "/parts/7/order/1"] {
        let answer = editor.post(path, &[("quantity", "1")]);
        assert_eq!(answer.status, 404, "{path}");
    }
    let viewer = local.sign_in("viewer");
    assert_eq!(viewer.get("/parts/7/order").status, 403);
}

#[test]
fn a_page_that_writes_shows_postgress_error_at_its_field_and_is_in_the_audit() {
    let database = Database::new();
    let (local, _dir) = started(&database);
    let editor = local.sign_in("editor");
    for (quantity, says) in [
        ("0", "This breaks the rule orders_quantity_check"),
        ("many", "Invalid input syntax for type integer"),
    ] {
        let (status, body) = order(&editor, quantity);
        assert_eq!(status, 422, "{body}");
        assert!(body.contains(says), "{body}");
        assert!(body.contains(&format!("value=\"{quantity}\"")), "{body}");
    }
    let (status, body) = order(&editor, "3");
    assert_eq!(status, 303, "{body}");
    let page = editor.get("/parts").body;
    assert!(page.contains("The order was placed."), "{page}");
    let audit = editor.get("/audit").body;
    assert!(audit.contains("editor@example.com"), "{audit}");
    let row = database.client().query_one(
        "SELECT action || ' ' || table_name || ' ' || key || ' ' || (after ->> 'quantity')
         FROM plain_lambda.audit WHERE table_name = 'orders'",
        &[],
    );
    let row: String = row.expect("there is one entry").get(0);
    assert_eq!(row, "insert orders 2 3");
}

#[test]
fn a_column_that_does_not_fit_is_named_with_both_types() {
    let database = Database::new();
    let (local, _dir) = started(&database);
    let viewer = local.sign_in("viewer");
    for (kind, says) in [
        ("type", "failed to read column `weight` of type int4 as f64"),
        (
            "null",
            "failed to read column `weight` of type float8 as f64: it is NULL",
        ),
        (
            "missing",
            "failed to read column `weight`: the query gives only name",
        ),
        ("tuple", "failed to read column `stock` of type int4 as i64"),
    ] {
        assert_eq!(viewer.get(&format!("/odd/{kind}")).status, 500, "{kind}");
        local.expect_log(says);
    }
}

#[test]
fn a_refused_statement_is_logged_without_its_values() {
    let database = Database::new();
    let (local, _dir) = started(&database);
    let viewer = local.sign_in("viewer");
    for (kind, says) in [
        ("row", "orders_quantity_check"),
        ("text", "type json (SQLSTATE 22P02)"),
    ] {
        assert_eq!(viewer.get(&format!("/odd/{kind}")).status, 500, "{kind}");
        local.expect_log(says);
    }
    assert!(!local.log().contains("4711"), "{}", local.log());
}

#[test]
fn a_public_page_needs_no_session_and_cannot_replace_the_sign_in() {
    let database = Database::new();
    let (local, _dir) = started(&database);
    let visitor = local.visitor();
    let headers = [("content-type", "application/json")];
    let sent = visitor.send("POST", "/hook", &headers, Some("{\"a\": 1}".to_string()));
    assert_eq!((sent.status, sent.body.as_str()), (200, "{\"a\": 1}"));
    assert_eq!(visitor.get("/hook").status, 405);
    assert!(visitor.get("/sign-in").body.contains("Password"));
}
