//! Roles with few rights, and tables of earlier releases.

use super::{MIGRATE, files, versions};
use crate::support::{Cluster, Database, bootstrap};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Roles of one test; dropped with their value, and all that they own with them.
struct Roles<'a> {
    database: &'a Database,
    names: Vec<String>,
}

impl Roles<'_> {
    /// Creates roles, each with these attributes.
    fn create<'a>(database: &'a Database, roles: &[(&str, &str)]) -> Roles<'a> {
        let names = roles
            .iter()
            .map(|(name, attributes)| {
                let name = format!("{}_{name}", database.name());
                Cluster::get()
                    .admin()
                    .batch_execute(&format!("CREATE ROLE {name} {attributes}"))
                    .expect("the administrator may");
                name
            })
            .collect();
        Roles { database, names }
    }
}

/// Returns the address with which a role connects.
fn url_as(database: &Database, role: &str) -> String {
    let url = database.url();
    let (_, place) = url.split_once('@').expect("it has a user");
    format!("postgres://{role}:pw@{place}")
}

impl Drop for Roles<'_> {
    fn drop(&mut self) {
        let names = self.names.join(", ");
        let _ = self
            .database
            .client()
            .batch_execute(&format!("DROP OWNED BY {names} CASCADE"));
        let _ = Cluster::get()
            .admin()
            .batch_execute(&format!("DROP ROLE {names}"));
    }
}

/// Runs an action on the database of this address; returns the reply.
#[track_caller]
fn run(url: &str, dir: &Path, event: &str) -> Value {
    let output = Command::new(bootstrap())
        .args(["migrate", event])
        .env("DATABASE_URL", url)
        .env("MIGRATIONS_DIR", dir)
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

#[test]
fn a_role_that_owns_the_schema_needs_no_right_to_create_schemas() {
    let database = Database::new();
    let roles = Roles::create(&database, &[("owner", "LOGIN PASSWORD 'pw'")]);
    let owner = &roles.names[0];
    let grant = format!(
        "CREATE SCHEMA plain_lambda AUTHORIZATION {owner}; GRANT ALL ON SCHEMA public TO {owner}"
    );
    let mut client = database.client();
    client.batch_execute(&grant).expect("it is allowed");
    let dir = files(&[("1_a.sql", "create table a ()")]);
    let reply = run(&url_as(&database, owner), dir.path(), MIGRATE);
    assert_eq!(versions(&reply["applied"]), ["1"]);
}

#[test]
fn the_role_that_a_login_role_takes_by_default_writes_the_history() {
    let database = Database::new();
    let roles = [("owner", ""), ("login", "LOGIN NOINHERIT PASSWORD 'pw'")];
    let roles = Roles::create(&database, &roles);
    let [owner, login] = [&roles.names[0], &roles.names[1]];
    let grant = format!(
        "GRANT {owner} TO {login}; ALTER ROLE {login} SET role = {owner};
         GRANT CREATE ON DATABASE {} TO {owner}; GRANT ALL ON SCHEMA public TO {owner}",
        database.name()
    );
    let mut client = database.client();
    client.batch_execute(&grant).expect("it is allowed");
    let dir = files(&[
        ("1_a.sql", "create table a (id int)"),
        ("2_b.sql", "create index concurrently on a (id)"),
    ]);
    let reply = run(&url_as(&database, login), dir.path(), MIGRATE);
    assert_eq!(versions(&reply["applied"]), ["1", "2"]);
}

#[test]
fn status_reads_a_history_of_the_first_release() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()"), ("2_b.sql", "")]);
    let sha256 = "8bd8a1bb5ff0d7f5bd2dd3f5a1bd3fa8";
    let table = format!(
        "CREATE SCHEMA plain_lambda;
         CREATE TABLE plain_lambda.migrations (version text PRIMARY KEY, name text NOT NULL,
            sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            duration_ms bigint NOT NULL);
         INSERT INTO plain_lambda.migrations VALUES ('1', 'a', '{sha256}', now(), 7)"
    );
    let mut client = database.client();
    client.batch_execute(&table).expect("it is allowed");
    let status = run(&database.url(), dir.path(), r#"{"action":"status"}"#);
    assert_eq!(versions(&status["applied"]), ["1"]);
    assert_eq!(status["applied"][0]["ms"], 7);
    assert_eq!(versions(&status["pending"]), ["2"]);
    assert_eq!(status["edited"], json!(["1"]));
}
