//! `rollback`, `redo`, `repair`, `seed` and `baseline` in histories where something is odd: they look
//! before they change anything.

use super::{MIGRATE, check_fails, files, local, refused, succeed, versions};
use crate::support::{Database, Local};
use serde_json::json;
use std::fs;

/// Returns the history's rows of files: version, and when it was applied.
fn history(database: &Database) -> Vec<(String, String)> {
    let query = "SELECT version, coalesce(applied_at::text, '') FROM plain_lambda.migrations
                 WHERE version NOT LIKE 'plain-lambda/%' ORDER BY 1";
    let rows = database.client().query(query, &[]);
    let rows = rows.expect("it is readable");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn a_file_whose_version_lost_its_zeros_is_rolled_back_and_repaired_by_its_row() {
    let database = Database::new();
    let dir = files(&[
        ("001_a.sql", "create table a ()"),
        ("002_b.sql", "create table b ()"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, json!({"action": "migrate"}));
    let before = history(&database);
    for (old, new, text) in [
        ("001_a.sql", "1_a.sql", "create table a (id int)"),
        ("002_b.sql", "2_b.sql", "create table b ()"),
        ("", "2_b.down.sql", "drop table b"),
    ] {
        let _ = fs::remove_file(dir.path().join(old));
        fs::write(dir.path().join(new), text).expect("there is room");
    }
    let repaired = succeed(&local, json!({"action": "repair"}));
    assert_eq!(repaired, json!({"edited": ["001"], "missing": []}));
    assert_eq!(history(&database), before, "rows and times stay");
    succeed(&local, json!({"action": "rollback"}));
    assert_eq!(history(&database), before[..1]);
    assert!(!database.has("b"));
}

#[test]
fn a_half_applied_file_whose_version_lost_its_zeros_is_resumed_in_its_row() {
    let database = Database::new();
    let text = "create table a (); vacuum; select 1/0";
    let dir = files(&[("001_a.sql", text)]);
    let local = local(&database, dir.path());
    check_fails(&local, "Function.MigrationFailed", &["22012"]);
    fs::remove_file(dir.path().join("001_a.sql")).expect("it is there");
    let mended = text.replace("1/0", "1");
    fs::write(dir.path().join("1_a.sql"), mended).expect("there is room");
    let reply = local.invoke("migrations", MIGRATE).expect("it resumes");
    assert_eq!(versions(&reply["applied"]), ["1"]);
    assert_eq!(history(&database).len(), 1);
}

#[test]
fn a_half_applied_file_that_was_deleted_is_shown_with_the_ways_out_and_repair_forgets_it() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("1_a.down.sql", "drop table a"),
        ("2_b.sql", "create table b (); vacuum; select 1/0"),
    ]);
    let local = local(&database, dir.path());
    check_fails(&local, "Function.MigrationFailed", &["22012"]);
    let status = succeed(&local, json!({"action": "status"}));
    let row = json!({"version": "2", "name": "b", "statements": 2, "has_file": true});
    assert_eq!(status["half_applied"], json!([row]));
    let doctor = succeed(&local, json!({"action": "doctor"}));
    assert!(
        doctor
            .to_string()
            .contains("1 pending, 1 of them half applied"),
        "{doctor}"
    );

    fs::remove_file(dir.path().join("2_b.sql")).expect("it is there");
    let status = succeed(&local, json!({"action": "status"}));
    assert_eq!(status["half_applied"][0]["has_file"], false);
    assert_eq!(status["missing"], json!(["2"]));
    let ways_out = ["`2_b` is half applied", "put it back", "\"repair\""];
    let rollback = json!({"action": "rollback"});
    refused(
        &local,
        rollback.clone(),
        "Function.CannotRollBack",
        &ways_out,
    );
    check_fails(&local, "Function.MigrationsDiffer", &ways_out);
    let doctor = succeed(&local, json!({"action": "doctor"}));
    assert!(
        doctor.to_string().contains("`2_b` is half applied"),
        "{doctor}"
    );

    let repaired = succeed(&local, json!({"action": "repair"}));
    assert_eq!(repaired, json!({"edited": [], "missing": ["2"]}));
    assert_eq!(versions(&succeed(&local, rollback)["rolled_back"]), ["1"]);
}

#[test]
fn redo_refuses_before_it_rolls_back() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", "drop table b"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, json!({"action": "migrate"}));
    fs::write(dir.path().join("1_a.sql"), "create table a (id int)").expect("there is room");
    let redo = json!({"action": "redo"});
    refused(
        &local,
        redo.clone(),
        "Function.MigrationsDiffer",
        &["1_a.sql` was edited"],
    );
    assert!(database.has("b"), "nothing was rolled back");

    fs::write(dir.path().join("1_a.sql"), "create table a ()").expect("there is room");
    fs::write(dir.path().join("2_b.sql"), "begin; create table b ()").expect("there is room");
    refused(&local, redo, "Function.InvalidMigrations", &["add COMMIT"]);
    assert!(database.has("b"), "nothing was rolled back");
}

#[test]
fn redo_refuses_an_unsafe_statement_before_it_rolls_back() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a (id int)"),
        ("2_b.sql", "create index i on a (id)"),
        ("2_b.down.sql", "drop index i"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, json!({"action": "migrate"}));
    let enlarge = "update pg_class set reltuples = 1000000, relpages = 20000 where relname = 'a'";
    let mut client = database.client();
    client
        .batch_execute(enlarge)
        .expect("the administrator may");
    let mut redo = json!({"action": "redo"});
    let says = ["2_b.sql", "\"index:public.a\""];
    refused(&local, redo.clone(), "Function.UnsafeMigration", &says);
    assert!(database.has("i"), "nothing was rolled back");
    redo["allow"] = json!(["index:public.a"]);
    let reply = succeed(&local, redo);
    assert_eq!(versions(&reply["applied"]), ["2"]);
}

#[test]
fn rollback_to_0_rolls_everything_back() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("1_a.down.sql", "drop table a"),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", "drop table b"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, json!({"action": "migrate"}));
    let reply = succeed(&local, json!({"action": "rollback", "to": "0"}));
    assert_eq!(versions(&reply["rolled_back"]), ["2", "1"]);
    assert!(!database.has("a"));
}

#[test]
fn a_rollback_ends_before_the_deadline_and_goes_on_by_its_id() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("1_a.down.sql", "drop table a; select pg_sleep(1.5)"),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", "drop table b; select pg_sleep(1.5)"),
    ]);
    let local = Local::with(&database)
        .migrations(dir.path())
        .args(["--timeout", "4"])
        .start();
    succeed(&local, json!({"action": "migrate"}));
    let event = json!({"action": "rollback", "steps": 2, "id": "both"});
    let reply = succeed(&local, event.clone());
    assert_eq!(reply["status"], "partial", "{reply}");
    assert_eq!(versions(&reply["rolled_back"]), ["2"]);
    let next = reply["next"].as_str().expect("it is text");
    assert!(next.contains("\"id\":\"both\""), "{next}");
    let reply = succeed(&local, event);
    assert_eq!(versions(&reply["rolled_back"]), ["2", "1"]);
    assert!(!database.has("a"));
}

#[test]
fn seed_names_every_table_with_rows_and_runs_when_they_are_allowed() {
    let database = Database::new();
    let dir = files(&[
        (
            "1_a.sql",
            "create table countries (code text); insert into countries values ('de');
             create table sizes (name text); insert into sizes values ('s');
             create table customers (id int)",
        ),
        ("seed.sql", "insert into customers values (1)"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, json!({"action": "migrate"}));
    let reply = succeed(&local, json!({"action": "seed"}));
    assert_eq!(reply["seeded"], false);
    let allow = ["rows:public.countries", "rows:public.sizes"];
    let reason = reply["reason"].as_str().expect("it is text");
    assert!(reason.contains(&json!(allow).to_string()), "{reason}");
    let one = json!({"action": "seed", "allow": allow[..1]});
    assert_eq!(succeed(&local, one)["seeded"], false);
    let all = json!({"action": "seed", "allow": allow});
    assert_eq!(succeed(&local, all.clone())["seeded"], true);
    assert_eq!(succeed(&local, all)["seeded"], false, "customers are there");
    let unknown = json!({"action": "seed", "allow": ["countries"]});
    refused(
        &local,
        unknown,
        "Function.InvalidEvent",
        &["rows:<schema>.<table>"],
    );

    let reset = json!({"action": "reset", "confirm": database.name()});
    let reply = succeed(&local, reset);
    assert_eq!(
        reply["seeded"]["seeded"], true,
        "its rows are the migrations'"
    );
}

#[test]
fn a_reset_finds_what_is_wrong_with_the_files_before_it_drops_anything() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("seed.sql", "begin; select 1"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, json!({"action": "migrate"}));
    let mut client = database.client();
    let made = client.batch_execute("create table precious ()");
    made.expect("it is allowed");
    let reset = json!({"action": "reset", "confirm": database.name()});
    refused(
        &local,
        reset,
        "Function.InvalidMigrations",
        &["seed.sql:1:1"],
    );
    assert!(database.has("precious"));
}

#[test]
fn baseline_takes_flyways_baseline_for_all_versions_before_it_and_reads_no_file_that_it_records() {
    let database = Database::new();
    let history = "
        create table flyway_schema_history (installed_rank int primary key, version varchar(50),
            type varchar(20) not null, success boolean not null);
        insert into flyway_schema_history values (1, '2', 'BASELINE', true), (2, '3', 'SQL', true)";
    let mut client = database.client();
    client.batch_execute(history).expect("it is allowed");
    let dir = files(&[
        ("V1__a.sql", "begin; the old tool's own; rollback"),
        ("V2__b.sql", "\\i other.sql"),
        ("V3__c.sql", "create table c ()"),
        ("V4__d.sql", "create table d ()"),
    ]);
    let local = local(&database, dir.path());
    let reply = succeed(&local, json!({"action": "baseline", "from": "flyway"}));
    assert_eq!(versions(&reply["baselined"]), ["1", "2", "3"]);
    assert_eq!(reply["without_file"], json!([]));
    let reply = succeed(&local, json!({"action": "migrate"}));
    assert_eq!(versions(&reply["applied"]), ["4"]);
}
