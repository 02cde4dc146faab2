//! `dry_run`: it changes nothing, fails where `migrate` would, and says what it could not know.

use super::{files, local, versions};
use crate::support::{Database, Local};
use serde_json::{Value, json};

const DRY_RUN: &str = r#"{"action":"migrate","dry_run":true}"#;

/// Returns a database in which these statements were run.
fn database(statements: &str) -> Database {
    let database = Database::new();
    let made = database.client().batch_execute(statements);
    made.expect("it is allowed");
    database
}

/// Runs files dry; returns the reply.
#[track_caller]
fn dry_run(database: &Database, texts: &[(&str, &str)]) -> Value {
    let dir = files(texts);
    let reply = local(database, dir.path()).invoke("migrations", DRY_RUN);
    reply.unwrap_or_else(|error| panic!("{error}"))
}

/// Runs files dry; checks that one would fail, for a reason that contains each of `says`.
#[track_caller]
fn would_fail(database: &Database, texts: &[(&str, &str)], says: &[&str]) {
    let dir = files(texts);
    let error = local(database, dir.path()).invoke("migrations", DRY_RUN);
    let error = error.expect_err("it would fail");
    assert_eq!(error["errorType"], "Function.MigrationFailed", "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    for words in says {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
}

#[test]
fn a_dry_run_never_resets_the_database_and_ends_at_its_version() {
    let database = database("create function precious() returns int language sql return 1");
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_b.sql", "create table b ()"),
    ]);
    let local = Local::with(&database)
        .migrations(dir.path())
        .env("RESET_DATABASE", "true")
        .start();
    let event = json!({"action": "migrate", "dry_run": true, "to": "1"});
    let reply = local.invoke("migrations", &event.to_string());
    let reply = reply.expect("it is tried");
    assert_eq!(reply["status"], "dry run");
    assert_eq!(versions(&reply["would_apply"]), ["1"]);
    let mut client = database.client();
    let precious = client.batch_execute("select precious()");
    precious.expect("nothing was dropped");
    let schema = client.query_one("select to_regnamespace('plain_lambda') is null", &[]);
    let has_no_schema: bool = schema.expect("it is readable").get(0);
    assert!(has_no_schema, "the history's schema is not made");

    let event = json!({"action": "migrate", "to": "1"});
    let reply = local.invoke("migrations", &event.to_string());
    assert_eq!(versions(&reply.expect("it is reset")["applied"]), ["1"]);
    assert!(!database.has("b"));
}

#[test]
fn a_file_is_tried_as_migrate_runs_it() {
    let database = database(
        "create schema s;
         create procedure commits() language plpgsql as $$ begin commit; end $$",
    );
    let texts = [
        ("1_path.sql", "set search_path = s; create table inside ()"),
        (
            "2_next.sql",
            "create table public_one (); comment on table public.public_one is ''",
        ),
        ("3_copy.sql", "copy (select 1) to stdout"),
        ("4_call.sql", "call commits()"),
        (
            "5_deferred.sql",
            "create table k (id int primary key);
             create table r (id int references k deferrable initially deferred);
             insert into r values (1); insert into k values (1)",
        ),
        ("6_alter.sql", "alter table r add column more int"),
        (
            "7_more.sql",
            "create table q (id int references k deferrable initially deferred);
             insert into q values (2); insert into k values (2)",
        ),
    ];
    let reply = dry_run(&database, &texts);
    let tried = ["1", "2", "3", "5", "6", "7"];
    assert_eq!(versions(&reply["would_apply"]), tried, "{reply}");
    assert_eq!(versions(&reply["not_tried"]), ["4"], "{reply}");
}

#[test]
fn what_would_fail_at_commit_is_found() {
    let text = "create table k (id int primary key);
                create table r (id int references k deferrable initially deferred);
                insert into r values (1)";
    let database = Database::new();
    would_fail(&database, &[("1_a.sql", text)], &["at its COMMIT", "23503"]);
}

#[test]
fn locks_on_views_and_partitioned_tables_and_every_rewrite_are_listed() {
    let database = database(
        "create table parent (id int, n int) partition by range (id);
         create table child partition of parent for values from (0) to (9);
         insert into parent values (1);
         create view seen as select 1 as one",
    );
    let texts = [
        ("1_parent.sql", "alter table parent alter n type bigint"),
        (
            "2_view.sql",
            "create or replace view seen as select 1 as one, 2 as two",
        ),
        ("3_again.sql", "alter table parent alter n type text"),
    ];
    let reply = dry_run(&database, &texts);
    let locked = |file: usize, table: &str| {
        let lock = json!({"table": table, "mode": "AccessExclusiveLock"});
        let locks = reply["would_apply"][file]["locks"].as_array();
        locks.is_some_and(|locks| locks.contains(&lock))
    };
    assert!(locked(0, "parent") && locked(0, "child"), "{reply}");
    assert!(locked(1, "seen"), "{reply}");
    assert_eq!(reply["would_apply"][0]["rewrites"], json!(["child"]));
    assert_eq!(reply["would_apply"][2]["rewrites"], json!(["child"]));
}

#[test]
fn a_commit_without_a_begin_does_not_end_a_dry_run() {
    let database = Database::new();
    let text = "create table a (); commit; create table b (); end;";
    let reply = dry_run(&database, &[("1_a.sql", text)]);
    assert_eq!(versions(&reply["not_tried"]), ["1"], "{reply}");
    for name in ["a", "b", "plain_lambda.migrations"] {
        assert!(!database.has(name), "{name}");
    }
}

#[test]
fn sequences_that_a_dry_run_advanced_are_named_also_when_it_fails() {
    let database = database("create table t (id serial, name text)");
    let insert = ("1_a.sql", "insert into t (name) values ('a'), ('b')");
    let reply = dry_run(&database, &[insert]);
    let advanced = json!([{"sequence": "public.t_id_seq", "from": null, "to": 2}]);
    assert_eq!(reply["sequences"], advanced);
    let failing = [insert, ("2_b.sql", "select 1/0")];
    would_fail(&database, &failing, &["public.t_id_seq", "22012"]);
}

#[test]
fn a_dry_run_ends_before_the_deadline_and_names_what_it_did_not_try() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_slow.sql", "select pg_sleep(60)"),
        ("3_c.sql", "create table c ()"),
    ]);
    let local = Local::with(&database)
        .migrations(dir.path())
        .args(["--timeout", "4"])
        .start();
    let reply = local.invoke("migrations", DRY_RUN);
    let reply = reply.expect("it answers");
    assert_eq!(reply["status"], "partial dry run");
    assert_eq!(versions(&reply["would_apply"]), ["1"]);
    assert_eq!(versions(&reply["not_tried"]), ["2", "3"]);
    let reason = reply["not_tried"][1]["reason"].as_str();
    assert!(reason.is_some_and(|reason| reason.contains("time is over")));
}

#[test]
fn a_dry_run_that_fills_the_servers_table_of_locks_says_how_far_it_came() {
    let database = Database::new();
    let lock = |version: u32| {
        let text = format!(
            "select count(pg_advisory_xact_lock({version}, n)) from generate_series(1, 8000) n"
        );
        (format!("{version}_a.sql"), text)
    };
    let texts: Vec<(String, String)> = (1..=9).map(lock).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(a, b)| (&**a, &**b)).collect();
    let reply = dry_run(&database, &texts);
    assert_eq!(reply["status"], "partial dry run");
    let last = &reply["not_tried"].as_array().and_then(|list| list.last());
    let reason = last.and_then(|file| file["reason"].as_str());
    assert!(
        reason.is_some_and(|reason| reason.contains("max_locks_per_transaction")),
        "{reply}"
    );
    assert!(!versions(&reply["would_apply"]).is_empty(), "{reply}");
}

#[test]
fn a_failure_after_a_file_that_was_not_tried_is_no_failure_of_the_dry_run() {
    let texts = [
        ("1_a.sql", "create table a (id int)"),
        ("2_b.sql", "create index concurrently a_id on a (id)"),
        ("3_c.sql", "alter index a_id rename to b_id"),
        ("4_d.sql", "create table d ()"),
    ];
    let reply = dry_run(&Database::new(), &texts);
    assert_eq!(versions(&reply["would_apply"]), ["1", "4"]);
    assert_eq!(versions(&reply["not_tried"]), ["2", "3"]);
    let reason = reply["not_tried"][1]["reason"].as_str();
    assert!(reason.is_some_and(|reason| reason.contains("because 2 was not tried")));
}

#[test]
fn a_file_is_tried_with_the_settings_that_a_file_before_it_gives_the_database() {
    let database = database("create schema s");
    let alter = format!("alter database {} set search_path = s", database.name());
    let texts = [
        ("1_a.sql", alter.as_str()),
        ("2_b.sql", "begin; create table b (); commit"),
        ("3_c.sql", "comment on table s.b is ''"),
    ];
    let reply = dry_run(&database, &texts);
    assert_eq!(versions(&reply["would_apply"]), ["1", "2", "3"], "{reply}");
    let query = "SELECT to_regclass('s.b') IS NULL AND current_setting('search_path') <> 's'";
    let row = database.client().query_one(query, &[]);
    assert!(
        row.expect("it is readable").get::<_, bool>(0),
        "all is rolled back"
    );
}
