//! The migrations function on a real database: one run, a second one, two at once, and failing files.

mod actions;
mod alone;
mod batched;
mod batched_killed;
mod batched_standby;
mod built_in;
mod check;
mod dry_run;
mod errors;
mod frames;
mod in_doubt;
mod killed;
mod layouts;
mod locks;
mod pooler;
mod repeated;
mod rights;
mod steps;
mod time;
mod torture;
mod undo;

use crate::support::proxy::{self, Fault};
use crate::support::{Database, Local, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::thread;
use tempfile::TempDir;

/// The event that applies the pending migrations.
pub(crate) const MIGRATE: &str = r#"{"action":"migrate"}"#;

/// Makes a directory with these files.
pub(crate) fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().expect("there is room");
    for (name, text) in files {
        let path = dir.path().join(name);
        let parent = path.parent().expect("it is in the directory");
        fs::create_dir_all(parent).expect("there is room");
        fs::write(path, text).expect("there is room");
    }
    dir
}

/// Starts `local` with these migrations.
pub(crate) fn local(database: &Database, dir: &Path) -> Local {
    Local::with(database).migrations(dir).start()
}

/// Returns the versions in a list of a reply.
pub(crate) fn versions(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("it is a list");
    list.iter()
        .map(|row| row["version"].as_str().expect("it is text"))
        .collect()
}

/// Checks that `migrate` fails with a kind and with a message that contains each of `says`.
#[track_caller]
pub(crate) fn check_fails(local: &Local, kind: &str, says: &[&str]) {
    let error = local.invoke("migrations", MIGRATE).expect_err("it fails");
    assert_eq!(error["errorType"], kind, "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    for words in says {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
}

/// Invokes an action, and returns its reply.
#[track_caller]
fn succeed(local: &Local, event: Value) -> Value {
    let reply = local.invoke("migrations", &event.to_string());
    reply.unwrap_or_else(|error| panic!("{event}: {error}"))
}

/// Checks that an action is refused, with this kind and these words.
#[track_caller]
fn refused(local: &Local, event: Value, kind: &str, says: &[&str]) {
    let error = local.invoke("migrations", &event.to_string());
    let error = error.expect_err("it is refused");
    assert_eq!(error["errorType"], kind, "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    for words in says {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
}

#[test]
fn migrate_applies_every_file_in_order_and_the_next_run_applies_none() {
    let database = Database::new();
    let local = Local::start(&database);
    let reply = local.invoke("migrations", MIGRATE).expect("it applies");
    let all = ["20260105090000", "20260105091500", "20260112080000"];
    assert_eq!(versions(&reply["applied"]), all);
    assert_eq!(reply["applied"][0]["name"], "create_customers");
    assert!(reply["applied"][0]["ms"].is_u64());
    assert_eq!(reply["pending"], json!([]));
    assert!(database.has("order_totals"));

    let again = local
        .invoke("migrations", MIGRATE)
        .expect("nothing is left");
    let nothing = json!({
        "status": "done", "applied": [], "pending": [],
        "built_in": {"applied": [], "pending": []},
    });
    assert_eq!(again, nothing);
}

#[test]
fn versions_are_compared_as_numbers() {
    let database = Database::new();
    let dir = files(&[
        ("10_c.sql", "create table c (id int references b)"),
        (
            "9_b.sql",
            "create table b (id int primary key references a)",
        ),
        ("0008_a.sql", "create table a (id int primary key)"),
    ]);
    let reply = local(&database, dir.path())
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["0008", "9", "10"]);
}

#[test]
fn status_lists_what_is_applied_and_what_is_pending() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    let local = local(&database, dir.path());
    local.invoke("migrations", MIGRATE).expect("it applies");
    fs::write(dir.path().join("2_b.sql"), "create table b ()").expect("there is room");
    let status = local
        .invoke("migrations", r#"{"action":"status"}"#)
        .expect("it lists");
    assert_eq!(versions(&status["applied"]), ["1"]);
    assert_eq!(status["pending"], json!([{"version": "2", "name": "b"}]));
    assert!(!database.has("b"), "status applies nothing");
}

#[test]
fn two_runs_at_once_apply_each_file_once() {
    let database = Database::new();
    let dir = files(&[
        ("1_slow.sql", "create table a (); select pg_sleep(0.5)"),
        ("2_b.sql", "create table b ()"),
    ]);
    let local = local(&database, dir.path());
    let replies = thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| local.invoke("migrations", MIGRATE)));
        runs.map(|run| run.join().expect("no panic").expect("both succeed"))
    });
    for reply in &replies {
        assert_eq!(versions(&reply["applied"]), ["1", "2"], "{reply}");
    }
    let by_another = replies
        .iter()
        .filter(|reply| reply["applied"][0]["by"].is_string());
    assert_eq!(by_another.count(), 1, "{replies:?}");
    local.expect_log("waiting for another migration run");
}

#[test]
fn a_run_gives_up_before_its_deadline_and_names_who_holds_the_lock() {
    let database = Database::new();
    let dir = files(&[("1_slow.sql", "select pg_sleep(20)")]);
    let patient = local(&database, dir.path());
    let hasty = Local::with(&database)
        .migrations(dir.path())
        .args(["--timeout", "3"])
        .start();
    thread::scope(|scope| {
        scope.spawn(|| patient.invoke("migrations", MIGRATE));
        wait_for("the first run to hold the lock", || {
            patient.log().contains("applying").then_some(())
        });
        check_fails(
            &hasty,
            "Function.MigrationLocked",
            &["another run holds it (pid ", "plain-lambda"],
        );
        let mut admin = database.client();
        admin
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND query LIKE '%pg_sleep(20)'
                   AND pid <> pg_backend_pid()",
            )
            .expect("the administrator may");
    });
}

#[test]
fn a_failing_file_stops_the_run_and_leaves_nothing_half_applied() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ();"),
        (
            "2_b.sql",
            "create table b ();\n\n  insert into b\n  values (no_such_thing);\n",
        ),
        ("3_c.sql", "create table c ();"),
    ]);
    let local = local(&database, dir.path());
    check_fails(
        &local,
        "Function.MigrationFailed",
        &[
            "2_b.sql:4:11`",
            "rolled it back",
            "column \"no_such_thing\" does not exist",
            "SQLSTATE 42703",
        ],
    );
    assert!(database.has("a"));
    assert!(!database.has("b"));
    assert!(!database.has("c"));

    fs::write(dir.path().join("2_b.sql"), "create table b ()").expect("there is room");
    let reply = local
        .invoke("migrations", MIGRATE)
        .expect("the mended file applies");
    assert_eq!(versions(&reply["applied"]), ["2", "3"]);
}

#[test]
fn an_error_has_postgress_message_and_the_line_of_its_statement() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (id int primary key);\ninsert into a values (1);\n\n\
         insert into a values (1);\n",
    )]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &[
            "1_a.sql:4:1`",
            "duplicate key value violates unique constraint \"a_pkey\"",
            "SQLSTATE 23505",
            "detail: Key (id)=(1) already exists.",
        ],
    );
}

#[test]
fn a_file_that_fails_at_commit_is_not_recorded() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (id int primary key);
         create table b (id int references a deferrable initially deferred);
         insert into b values (1)",
    )]);
    let local = local(&database, dir.path());
    check_fails(
        &local,
        "Function.MigrationFailed",
        &["1_a.sql`", "SQLSTATE 23503"],
    );
    assert!(!database.has("a"));
    let status = local
        .invoke("migrations", r#"{"action":"status"}"#)
        .expect("it lists");
    assert_eq!(versions(&status["pending"]), ["1"]);
}

#[test]
fn wrong_file_names_and_duplicate_versions_are_all_listed_before_anything_runs() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("001_b.sql", "create table b ()"),
        ("what.sql", ""),
        ("README.md", ""),
        ("1_a.down.sql", ""),
    ]);
    check_fails(
        &local(&database, dir.path()),
        "Function.InvalidMigrations",
        &["has the version of", "what.sql`: not named"],
    );
    assert!(!database.has("a"));
}

#[test]
fn a_missing_directory_is_an_error_that_names_its_setting() {
    let database = Database::new();
    let local = local(&database, Path::new("/no/such/directory"));
    check_fails(
        &local,
        "Function.InvalidMigrations",
        &["/no/such/directory", "MIGRATIONS_DIR"],
    );
}

#[test]
fn a_files_session_settings_do_not_reach_the_next_file_or_the_history() {
    let database = Database::new();
    let dir = files(&[
        (
            "1_a.sql",
            "select set_config('search_path', '', false); create table public.a ()",
        ),
        ("2_b.sql", "create table b ()"),
    ]);
    let reply = local(&database, dir.path())
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["1", "2"]);
    assert!(database.has("public.b"));
}

#[test]
fn statements_end_where_postgres_ends_them() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "\u{feff}-- a; b\r\ncreate table \"t;\" (x text default 'a;''b', y text default E'\\';');\r\n\
         create function f() returns int language sql begin atomic select 1; select 2; end;\r\n\
         do $x$ begin perform 1; end $x$;\r\n\
         create rule r as on insert to \"t;\" do also (select 1; select 2);\r\n\
         comment on table \"t;\" is $$;$$",
    )]);
    let reply = local(&database, dir.path())
        .invoke("migrations", MIGRATE)
        .expect("it applies");
    assert_eq!(versions(&reply["applied"]), ["1"]);
    assert!(database.has("\"t;\""));
}

#[test]
fn set_role_in_one_file_does_not_reach_the_next() {
    let database = Database::new();
    let role = format!("{}_role", database.name());
    let set_role = format!(
        "create role {role}; grant create on schema public to {role}; set role {role};
         create table a ()"
    );
    let dir = files(&[("1_a.sql", &set_role), ("2_b.sql", "create table b ()")]);
    let outcome = local(&database, dir.path()).invoke("migrations", MIGRATE);
    let owner = "SELECT count(*) FROM pg_tables WHERE tablename = 'b' AND tableowner = 'postgres'";
    let owned: i64 = database
        .client()
        .query_one(owner, &[])
        .expect("it is allowed")
        .get(0);
    let drop = format!("drop owned by {role} cascade; drop role {role}");
    database
        .client()
        .batch_execute(&drop)
        .expect("the administrator may");
    outcome.expect("both files apply");
    assert_eq!(owned, 1);
}

#[test]
fn a_lost_answer_to_commit_is_not_called_rolled_back() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a ()")]);
    // Each connection commits one of the built-in migrations, and the last one the file.
    let port = proxy::start(database.port(), Fault::CutAfter("COMMIT"));
    let local = Local::with(&database)
        .migrations(dir.path())
        .env("DATABASE_URL", &database.url_at(port))
        .start();
    check_fails(
        &local,
        "Function.CommitInDoubt",
        &["failed to learn whether", "1_a.sql", "invoke again"],
    );
    wait_for("the commit", || database.has("a").then_some(()));
}

#[test]
fn a_file_that_would_undo_or_not_commit_its_work_is_refused_before_anything_runs() {
    let database = Database::new();
    let check = |text: &str, says: &[&str]| {
        let dir = files(&[("1_a.sql", "create table a ()"), ("2_b.sql", text)]);
        check_fails(
            &local(&database, dir.path()),
            "Function.InvalidMigrations",
            says,
        );
        assert!(!database.has("a"), "{text}");
    };
    check(
        "begin;\ncreate table b ();\nrollback;",
        &["2_b.sql:3:1`", "undoes"],
    );
    check(
        "begin;\ncreate table b ();",
        &["2_b.sql:1:1`", "add COMMIT"],
    );
    check("create table b ();\n\\i other.sql", &["2_b.sql:2:1`"]);
}

#[test]
fn the_lock_is_free_after_a_failed_run() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "select 1/0")]);
    let first = local(&database, dir.path());
    check_fails(&first, "Function.MigrationFailed", &["SQLSTATE 22012"]);
    first.frozen();
    fs::write(dir.path().join("1_a.sql"), "select 1").expect("there is room");
    let second = Local::with(&database)
        .migrations(dir.path())
        .args(["--timeout", "4"])
        .start();
    second
        .invoke("migrations", MIGRATE)
        .expect("nobody holds the lock");
}

#[test]
fn seed_fills_an_empty_database_and_leaves_any_other_alone() {
    let database = Database::new();
    let local = Local::start(&database);
    let seed = r#"{"action":"seed"}"#;
    let early = local
        .invoke("migrations", seed)
        .expect_err("migrations are pending");
    assert_eq!(early["errorType"], "Function.MigrationsPending");

    local.invoke("migrations", MIGRATE).expect("it applies");
    // Moves the sequences, as an earlier seed that failed would: a rollback does not reset them.
    let used = "INSERT INTO customers (name, email) VALUES ('x', 'x@y.z'); DELETE FROM customers";
    database
        .client()
        .batch_execute(used)
        .expect("the administrator may");
    let reply = local.invoke("migrations", seed).expect("it is empty");
    assert_eq!(reply["seeded"], true, "{reply}");
    let count = |table: &str| -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        database
            .client()
            .query_one(&query, &[])
            .expect("it is there")
            .get(0)
    };
    let rows = count("order_lines");
    assert!(rows > 24 && count("customers") >= 12, "{rows}");

    let again = local.invoke("migrations", seed).expect("it is left alone");
    assert_eq!(again["seeded"], false, "{again}");
    assert_eq!(count("order_lines"), rows);
    let next = "INSERT INTO orders (customer_id) VALUES (1)";
    database
        .client()
        .execute(next, &[])
        .expect("the next id is free");
}
