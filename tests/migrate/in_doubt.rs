//! A connection that is lost at a COMMIT: the run looks at what was committed, and goes on.

use super::{MIGRATE, files};
use crate::support::proxy::{self, Fault};
use crate::support::{Database, Local};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Starts `local` behind a proxy that cuts the connection once at these words: behind them, so that
/// the answer is lost, or before them, so that they do not arrive.
fn cut_once(database: &Database, dir: &Path, words: &'static str, pass: bool) -> Local {
    let fault = Fault::CutOnceAt(words, pass, AtomicBool::new(false));
    let port = proxy::start(database.port(), fault);
    Local::with(database)
        .migrations(dir)
        .env("DATABASE_URL", &database.url_at(port))
        .start()
}

fn count(database: &Database) -> i64 {
    let row = database.client().query_one("SELECT count(*) FROM a", &[]);
    row.expect("it is readable").get(0)
}

#[track_caller]
fn versions(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    list.iter()
        .map(|one| {
            assert_eq!(one.get("by"), None, "{one}");
            one["version"].as_str().expect("it is text")
        })
        .collect()
}

#[test]
fn a_run_that_loses_its_connection_at_a_commit_goes_on() {
    let dir = files(&[
        ("1_first.sql", "create table a (id int)"),
        ("2_second.sql", "insert into a values (2)"),
        ("3_third.sql", "insert into a values (3)"),
    ]);
    for pass in [true, false] {
        let database = Database::new();
        // The history's row is in the message of the COMMIT.
        let local = cut_once(&database, dir.path(), "E'second'", pass);
        let reply = local.invoke("migrations", MIGRATE);
        let reply = reply.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(reply["status"], "done", "{reply}");
        assert_eq!(versions(&reply["applied"]), ["1", "2", "3"]);
        assert_eq!(count(&database), 2);
        local.expect_log("looking at what was committed");
    }
}

#[test]
fn a_file_of_steps_that_loses_its_connection_at_a_commit_goes_on_at_its_step() {
    let inserts: String = (1..=40)
        .map(|n| format!("insert into a values ({n});\n"))
        .collect();
    let text = format!(
        "create table a (id int);\n{inserts}create index concurrently i on a (id);\n\
         insert into a values (-7);\n{inserts}"
    );
    let dir = files(&[("1_steps.sql", &text)]);
    // One statement with its row, and one in a message of several.
    for words in ["(-7)", "(20)"] {
        for pass in [true, false] {
            let database = Database::new();
            let local = cut_once(&database, dir.path(), words, pass);
            let reply = local.invoke("migrations", MIGRATE);
            let reply = reply.unwrap_or_else(|error| panic!("{words} {pass}: {error}"));
            assert_eq!(versions(&reply["applied"]), ["1"]);
            assert_eq!(count(&database), 81, "{words} {pass}");
        }
    }
}

#[test]
fn a_rollback_that_loses_its_connection_at_a_commit_is_done_once() {
    let dir = files(&[
        ("1_a.sql", "create table a (id int)"),
        ("1_a.down.sql", "drop table a"),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", "drop table b"),
    ]);
    for pass in [true, false] {
        let database = Database::new();
        let words = "WITH gone AS (DELETE";
        let local = cut_once(&database, dir.path(), words, pass);
        local.invoke("migrations", MIGRATE).expect("it applies");
        let rollback = json!({"action": "rollback"}).to_string();
        let reply = local.invoke("migrations", &rollback);
        let reply = reply.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(versions(&reply["rolled_back"]), ["2"]);
        assert!(database.has("a") && !database.has("b"));
    }
}

#[test]
fn an_answer_about_a_statement_that_commits_is_not_given_twice() {
    let text = "create table a (id int);\ndo $$ begin insert into a values (1); commit; end $$;\n\
                select 1";
    let dir = files(&[("1_asks.sql", text)]);
    let database = Database::new();
    let local = cut_once(&database, dir.path(), "commit; end $$", true);
    let error = local.invoke("migrations", MIGRATE).expect_err("it is lost");
    assert_eq!(error["errorType"], "Function.MigrationFailed", "{error}");
    drop(local);
    // The DO runs again, and the COMMIT of its row is lost: `2, false` says that it is done.
    let local = cut_once(&database, dir.path(), ", 2, false, E'", false);
    let event = json!({"action": "migrate", "allow": ["again:1"]}).to_string();
    let error = local.invoke("migrations", &event).expect_err("it asks");
    assert_eq!(error["errorType"], "Function.MigrationsDiffer", "{error}");
    assert_eq!(count(&database), 2);
}
