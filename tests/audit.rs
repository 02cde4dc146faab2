//! What the audit holds besides changes of rows, and who may read it.

use crate::support::{Database, Local, PASSWORD, SECRET, wait_for};
use serde_json::json;

/// The entries, the oldest first: the action, who did it, the key, what was before and after.
#[track_caller]
fn entries(database: &Database, condition: &str) -> Vec<[String; 5]> {
    let statement = format!(
        "SELECT action, email, table_name || ' ' || key, coalesce(before::text, ''),
         coalesce(after::text, attempts::text, '') FROM plain_lambda.audit WHERE {condition} ORDER BY id"
    );
    let rows = database.client().query(&statement, &[]).expect("it may");
    let row = |row: &postgres::Row| [0, 1, 2, 3, 4].map(|column| row.get(column));
    rows.iter().map(row).collect()
}

fn started() -> (Database, Local) {
    let database = Database::new();
    let local = Local::with(&database)
        .env("SECRET_KEY_BASE", SECRET)
        .start();
    (database, local)
}

#[test]
fn who_let_whom_in_is_in_the_audit() {
    let (database, local) = started();
    let admin = local.workshop();
    let (new, by) = ("new@example.com", "admin@example.com");
    admin.post("/users", &[("email", new), ("role", "viewer")]);
    admin.post("/users/2", &[("action", "role"), ("role", "editor")]);
    admin.post("/users/2", &[("action", "link")]);
    admin.post("/users/2", &[("action", "sign-out")]);
    admin.post("/users/2", &[("action", "remove")]);
    let refused = admin.post("/users/1", &[("action", "remove")]);
    assert_eq!(refused.status, 422);
    let event = json!({"action": "user", "email": by, "role": "admin"});
    local
        .invoke("migrations", &event.to_string())
        .expect("it is there");

    let row = r#"{"role": "viewer", "email": "new@example.com"}"#;
    let role = r#"{"role": "editor", "email": "new@example.com"}"#;
    let action = "the user action";
    let first = r#"{"role": "admin", "email": "admin@example.com"}"#;
    let ended = r#"{"email": "new@example.com", "sessions": "all"}"#;
    let expected = [
        ["insert", action, "users 1", "", first],
        ["link", action, "users 1", "", first],
        ["password", by, "users 1", "", r#"{"by_link": true}"#],
        [
            "sign-in",
            by,
            "users 1",
            "",
            r#"{"address": "127.0.0.1", "known_browser": false}"#,
        ],
        ["insert", by, "users 2", "", row],
        ["link", by, "users 2", "", row],
        ["update", by, "users 2", r#"{"role": "viewer"}"#, role],
        ["link", by, "users 2", "", role],
        ["sign-out", by, "users 2", "", ended],
        ["delete", by, "users 2", role, ""],
        ["link", action, "users 1", "", first],
    ];
    assert_eq!(
        entries(&database, "table_schema = 'plain_lambda'"),
        expected
    );
    let page = admin.get("/audit?schema=plain_lambda").body;
    assert!(page.contains("link made</b> by the user action"), "{page}");
    assert!(page.contains("signed in</b> by admin@"), "{page}");
}

#[test]
fn guesses_are_counted_in_one_entry_for_each_account() {
    let (database, local) = started();
    local.workshop();
    let visitor = local.visitor();
    for guess in 0..4 {
        let unknown = format!("user{guess}@example.com");
        for email in ["admin@example.com", &unknown] {
            let fields = [("email", email), ("password", "a wrong password")];
            assert_eq!(visitor.post("/sign-in", &fields).status, 422);
        }
    }
    let expected = [
        ["refusal", "admin@example.com", "users 1", "", "4"],
        ["refusal", "nobody", "users 0", "", "4"],
    ];
    // An hour may have begun meanwhile.
    let refusals = entries(&database, "action = 'refusal'");
    assert!(refusals == expected || refusals.len() > 2, "{refusals:?}");
    let fields = [("email", "admin@example.com"), ("password", PASSWORD)];
    visitor.post("/sign-in", &fields).leads_to();
    let page = visitor.get("/audit").body;
    assert!(
        page.contains("attempts") && page.contains("wrong password</b> for nobody"),
        "{page}"
    );
    visitor.post("/sign-out", &[]).leads_to();
    let ends = entries(&database, "action = 'sign-out'");
    assert_eq!(ends.len(), 1, "{ends:?}");
}

#[test]
fn an_export_is_in_the_audit_with_its_table_filter_and_number_of_rows() {
    let (database, local) = started();
    let admin = local.workshop();
    let list = "/tables/public/orders/export?c=id&o=is&v=4";
    admin.get(list);
    assert!(entries(&database, "action = 'export'").is_empty());
    let file = admin.get(&format!("{list}&as=csv"));
    assert_eq!(file.status, 200, "{}", file.body);
    let exports = entries(&database, "action = 'export'");
    let [[_, by, what, _, after]] = &exports[..] else {
        panic!("{exports:?}");
    };
    assert_eq!((&**by, &**what), ("admin@example.com", "orders "));
    assert!(
        after.contains("v=4") && after.contains("\"rows\": "),
        "{after}"
    );
    let page = admin.get("/audit").body;
    assert!(page.contains("exported</b> by admin@"), "{page}");
    assert!(page.contains("href=\"/tables/public/orders\""), "{page}");
}

#[test]
fn no_secret_is_written_into_the_audit() {
    let (database, local) = started();
    let admin = local.workshop();
    let table = "CREATE TABLE clients (id int PRIMARY KEY, name text, api_token text,
                 password_digest text)";
    let mut client = database.client();
    client.batch_execute(table).expect("it may");
    let form = "/tables/public/clients/new";
    wait_for("the new table", || {
        (admin.get(form).status == 200).then_some(())
    });
    let fields = [
        ("v:id", "1"),
        ("v:name", "Northmill"),
        ("v:api_token", "hunter2"),
        ("v:password_digest", "hunter3"),
    ];
    admin.post(form, &fields).leads_to();
    let edit = admin.get("/tables/public/clients/edit/1");
    assert_eq!(edit.status, 200, "{}", edit.body);
    let entries = entries(&database, "table_name = 'clients'");
    let [[_, _, _, _, after]] = &entries[..] else {
        panic!("{entries:?}");
    };
    assert!(
        after.contains("Northmill") && !after.contains("hunter"),
        "{after}"
    );
    assert!(after.contains("\"api_token\": \"[hidden]\""), "{after}");
    let older = "INSERT INTO plain_lambda.audit (user_id, email, action, table_schema, table_name,
        key, after, request_id) VALUES (1, 'a@b', 'insert', 'public', 'clients', '2',
        '{\"api_token\": \"hunter4\"}', '')";
    client.batch_execute(older).expect("it may");
    let page = admin.get("/audit?table=clients").body;
    assert!(
        page.contains("[hidden]") && !page.contains("hunter"),
        "{page}"
    );
}

#[test]
fn sign_ins_are_for_admins_and_changes_of_rows_for_everybody() {
    let (database, local) = started();
    let admin = local.workshop();
    let viewer = local.sign_in("viewer");
    admin
        .get("/tables/public/orders/export?as=csv")
        .header("content-disposition");
    let page = viewer.get("/audit").body;
    assert!(
        page.contains("exported") && !page.contains("signed in"),
        "{page}"
    );
    let asked = viewer.get("/audit?schema=plain_lambda&table=users").body;
    assert!(asked.contains("There are no changes to show"), "{asked}");
    assert!(admin.get("/audit").body.contains("signed in"));
    let dashboard = admin.get("/").body;
    assert!(!dashboard.contains("signed in"), "{dashboard}");
    drop(database);
}

#[test]
fn a_log_line_names_the_user() {
    let (_database, local) = started();
    let admin = local.workshop();
    admin.get("/tables");
    local.expect_log("GET /tables 200 for 127.0.0.1, user 1");
    local.visitor().get("/tables");
    local.expect_log("GET /tables 303 for 127.0.0.1\n");
}
