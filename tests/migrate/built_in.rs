//! The built-in migrations, which make the tool's tables: they run before the user's files, are listed apart
//! from them, and take the place of the files with which 0.1 made the tables.

use super::{MIGRATE, files, local, versions};
use crate::support::{Database, root};
use serde_json::{Value, json};
use std::fs;

/// The table of the history as 0.1 made it.
const HISTORY: &str = "
    CREATE SCHEMA plain_lambda;
    CREATE TABLE plain_lambda.migrations (
        version text PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz,
        duration_ms bigint NOT NULL, statements integer NOT NULL DEFAULT 0,
        begun boolean NOT NULL DEFAULT false, run text NOT NULL DEFAULT ''
    );";

/// Returns the files of 0.1: version, name, text, and the SHA-256 of the text.
fn former() -> [(&'static str, &'static str, String, &'static str); 2] {
    let text = |name: &str| {
        let path = root().join("crates/admin/migrations").join(name);
        fs::read_to_string(path).expect("it is in the checkout")
    };
    [
        (
            "20260119083000",
            "create_people",
            text("1_create_users.sql"),
            "5792d93c943bf41a4472eb1a730d4ba879317eae57871760156e6b76bd37a260",
        ),
        (
            "20260119090000",
            "create_audit",
            text("2_create_audit.sql"),
            "5d08239120269fc269d4150511b61ff84b7ee17ada0792f965820547ee77874e",
        ),
    ]
}

/// Makes a database as 0.1 left it, with a user.
fn of_0_1() -> Database {
    let database = Database::new();
    let mut client = database.client();
    client.batch_execute(HISTORY).expect("it is allowed");
    for (version, name, text, sha256) in former() {
        client.batch_execute(&text).expect("it is allowed");
        let row = format!(
            "INSERT INTO plain_lambda.migrations (version, name, sha256, applied_at, duration_ms)
             VALUES ('{version}', '{name}', '{sha256}', now(), 1)"
        );
        client.batch_execute(&row).expect("it is allowed");
    }
    let user = "INSERT INTO plain_lambda.users (email, role) VALUES ('ada@example.com', 'admin')";
    client.batch_execute(user).expect("it is allowed");
    database
}

fn invoke(local: &crate::support::Local, event: &Value) -> Value {
    let reply = local.invoke("migrations", &event.to_string());
    reply.expect("it succeeds")
}

fn users(database: &Database) -> i64 {
    let row = database
        .client()
        .query_one("SELECT count(*) FROM plain_lambda.users", &[]);
    row.expect("the table is there").get(0)
}

#[test]
fn a_database_of_0_1_is_upgraded_without_its_files() {
    let database = of_0_1();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    let local = local(&database, dir.path());
    let status = invoke(&local, &json!({"action": "status"}));
    assert_eq!(versions(&status["pending"]), ["1"], "{status}");
    assert_eq!(status["missing"], json!([]), "{status}");
    assert_eq!(versions(&status["built_in"]["applied"]), ["1", "2"]);
    assert_eq!(versions(&status["built_in"]["pending"]), ["3"]);
    let reply = local.invoke("migrations", MIGRATE).expect("it migrates");
    assert_eq!(versions(&reply["applied"]), ["1"], "{reply}");
    assert_eq!(versions(&reply["built_in"]["applied"]), ["3"], "{reply}");
    assert_eq!(users(&database), 1);
}

#[test]
fn a_database_of_0_1_is_upgraded_with_its_files() {
    let database = of_0_1();
    let own = ("1_a.sql".to_string(), "create table a ()".to_string());
    let names = former().map(|(version, name, text, _)| (format!("{version}_{name}.sql"), text));
    let all = names.iter().chain([&own]);
    let all: Vec<(&str, &str)> = all.map(|(name, text)| (&**name, &**text)).collect();
    let dir = files(&all);
    let local = local(&database, dir.path());
    let reply = local.invoke("migrations", r#"{"action":"migrate","allow":["late"]}"#);
    let reply = reply.expect("it migrates");
    assert_eq!(versions(&reply["applied"]), ["1"], "{reply}");
    let pending = invoke(&local, &json!({"action": "pending"}));
    assert_eq!(pending, json!({"pending": []}));
    assert_eq!(users(&database), 1);
}

#[test]
fn a_new_database_skips_the_files_of_0_1() {
    let database = Database::new();
    let names = former().map(|(version, name, text, _)| (format!("{version}_{name}.sql"), text));
    let all = names.each_ref().map(|(name, text)| (&**name, &**text));
    let dir = files(&all);
    let local = local(&database, dir.path());
    let reply = local.invoke("migrations", MIGRATE).expect("it migrates");
    assert_eq!(reply["applied"], json!([]), "{reply}");
    assert_eq!(versions(&reply["built_in"]["applied"]), ["1", "2", "3"]);
}

#[test]
fn status_and_pending_tell_built_in_migrations_from_the_users() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    let local = local(&database, dir.path());
    let status = invoke(&local, &json!({"action": "status"}));
    assert_eq!(versions(&status["pending"]), ["1"], "{status}");
    assert_eq!(versions(&status["built_in"]["pending"]), ["1", "2", "3"]);
    let error = local
        .invoke("migrations", r#"{"action":"pending"}"#)
        .expect_err("migrations are pending");
    let message = error["errorMessage"].as_str().unwrap_or_default();
    let says = "4 pending: 1_create_users (built in), 2_create_audit (built in), \
                3_create_sessions (built in), 1_a";
    assert!(message.contains(says), "{message}");
    let dry_run = invoke(&local, &json!({"action": "migrate", "dry_run": true}));
    assert_eq!(versions(&dry_run["would_apply"]), ["1"], "{dry_run}");
    assert_eq!(
        versions(&dry_run["built_in"]["would_apply"]),
        ["1", "2", "3"]
    );
    assert!(!database.has("plain_lambda.users"));
}

#[test]
fn the_tools_tables_are_made_before_the_first_file_and_are_not_rolled_back() {
    let database = Database::new();
    let dir = files(&[
        (
            "1_a.sql",
            "create table a as select * from plain_lambda.users",
        ),
        ("1_a.down.sql", "drop table a"),
    ]);
    let local = local(&database, dir.path());
    let reply = local.invoke("migrations", MIGRATE).expect("it migrates");
    assert_eq!(versions(&reply["applied"]), ["1"], "{reply}");
    let back = invoke(&local, &json!({"action": "rollback", "steps": 9}));
    assert_eq!(versions(&back["rolled_back"]), ["1"], "{back}");
    assert!(database.has("plain_lambda.users") && !database.has("a"));
}

#[test]
fn the_users_files_may_have_the_versions_of_the_built_in_ones() {
    let database = Database::new();
    let dir = files(&[
        ("1_create_users.sql", "create table users ()"),
        ("2_create_audit.sql", "create table audit ()"),
    ]);
    let local = local(&database, dir.path());
    let reply = local.invoke("migrations", MIGRATE).expect("it migrates");
    assert_eq!(versions(&reply["applied"]), ["1", "2"], "{reply}");
    assert_eq!(versions(&reply["built_in"]["applied"]), ["1", "2", "3"]);
    assert!(database.has("users") && database.has("plain_lambda.users"));
    let status = invoke(&local, &json!({"action": "status"}));
    assert_eq!(versions(&status["applied"]), ["1", "2"], "{status}");
    assert_eq!(status["edited"], json!([]), "{status}");
}
