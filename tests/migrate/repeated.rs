//! Requests that come twice, at once or one after the other: what they change, they change once.

use super::{files, local, versions};
use crate::support::{Cluster, Database, Local, wait_for};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use tempfile::TempDir;

#[track_caller]
fn succeed(local: &Local, event: &Value) -> Value {
    let reply = local.invoke("migrations", &event.to_string());
    reply.unwrap_or_else(|error| panic!("{event}: {error}"))
}

/// Returns a database with three migrations, whose down files take a while.
fn three() -> (Database, TempDir, Local) {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("1_a.down.sql", "drop table a; select pg_sleep(0.5)"),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", "drop table b; select pg_sleep(0.5)"),
        ("3_c.sql", "create table c ()"),
        ("3_c.down.sql", "drop table c; select pg_sleep(0.5)"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, &json!({"action": "migrate"}));
    (database, dir, local)
}

/// Sends an event twice at once; returns the two replies, the one of the run that waited last.
fn twice_at_once(local: &Local, event: &Value) -> [Value; 2] {
    let replies = thread::scope(|scope| {
        let runs = [(); 2].map(|()| scope.spawn(|| succeed(local, event)));
        runs.map(|run| run.join().expect("no panic"))
    });
    let [first, second] = replies;
    match first["by"].is_string() {
        true => [second, first],
        false => [first, second],
    }
}

#[test]
fn a_rollback_that_waited_for_the_same_one_reports_it_and_rolls_nothing_back() {
    let (database, _dir, local) = three();
    let [first, second] = twice_at_once(&local, &json!({"action": "rollback"}));
    assert_eq!(versions(&first["rolled_back"]), ["3"]);
    assert_eq!(second["rolled_back"], first["rolled_back"]);
    assert!(
        first["by"].is_null() && second["by"].is_string(),
        "{second}"
    );
    assert!(database.has("b") && !database.has("c"));

    let [_, second] = twice_at_once(&local, &json!({"action": "redo"}));
    assert_eq!(versions(&second["rolled_back"]), ["2"]);
    assert_eq!(versions(&second["applied"]), ["2"]);
    assert!(second["by"].is_string(), "{second}");
}

#[test]
fn another_rollback_that_waited_does_its_own_work() {
    let (database, _dir, local) = three();
    thread::scope(|scope| {
        scope.spawn(|| succeed(&local, &json!({"action": "rollback"})));
        wait_for("the first run to hold the lock", || {
            local.log().contains("rolling back with").then_some(())
        });
        succeed(&local, &json!({"action": "rollback", "steps": 1}));
    });
    assert!(database.has("a") && !database.has("b"));
}

#[test]
fn a_request_that_comes_again_with_its_id_gets_the_same_answer_and_changes_nothing() {
    let (database, dir, local) = three();
    fs::write(dir.path().join("seed.sql"), "create table seeded ()").expect("there is room");
    for event in [
        json!({"action": "seed", "id": "s"}),
        json!({"action": "rollback", "id": "b"}),
        json!({"action": "redo", "id": "r"}),
        json!({"action": "baseline", "to": "3", "id": "l"}),
    ] {
        let first = succeed(&local, &event);
        assert_eq!(succeed(&local, &event), first, "{event}");
    }
    assert!(database.has("b"));
    fs::write(dir.path().join("1_a.sql"), "create table a (id int)").expect("there is room");
    let repair = json!({"action": "repair", "id": "p"});
    let first = succeed(&local, &repair);
    assert_eq!(first["edited"], json!(["1"]));
    assert_eq!(succeed(&local, &repair), first);

    let other = json!({"action": "rollback", "steps": 2, "id": "b"});
    let error = local.invoke("migrations", &other.to_string());
    let error = error.expect_err("the id is another's");
    assert_eq!(error["errorType"], "Function.InvalidEvent", "{error}");
    assert!(database.has("b"));
}

#[test]
fn a_request_that_was_stopped_halfway_goes_on_where_it_stopped() {
    let (database, dir, local) = three();
    let down = dir.path().join("2_b.down.sql");
    fs::write(&down, "select 1/0").expect("there is room");
    let event = json!({"action": "redo", "steps": 3, "id": "three"});
    let error = local.invoke("migrations", &event.to_string());
    let message = error.expect_err("the second fails")["errorMessage"].to_string();
    for says in ["22012", "1 migrations before it are rolled back", "three"] {
        assert!(message.contains(says), "no {says} in {message}");
    }
    assert!(database.has("b") && !database.has("c"));
    fs::write(&down, "drop table b").expect("there is room");
    let reply = succeed(&local, &event);
    assert_eq!(versions(&reply["rolled_back"]), ["3", "2", "1"]);
    assert_eq!(versions(&reply["applied"]), ["1", "2", "3"]);
    assert_eq!(succeed(&local, &event), reply);
}

#[test]
fn a_redo_that_was_stopped_in_a_file_of_steps_goes_on_at_the_step() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a (); vacuum; select 1"),
        ("1_a.down.sql", "drop table a"),
    ]);
    let local = local(&database, dir.path());
    succeed(&local, &json!({"action": "migrate"}));
    let up = dir.path().join("1_a.sql");
    let text = "create table a (); vacuum; select 1/0";
    fs::write(&up, text).expect("there is room");
    let event = json!({"action": "redo", "id": "steps"});
    let error = local.invoke("migrations", &event.to_string());
    let message = error.expect_err("the last step fails")["errorMessage"].to_string();
    assert!(
        message.contains("22012") && message.contains("steps"),
        "{message}"
    );
    fs::write(&up, text.replace("1/0", "1")).expect("there is room");
    let reply = succeed(&local, &event);
    assert_eq!(versions(&reply["applied"]), ["1"]);
    assert!(database.has("a"));
}

#[test]
fn a_half_done_rollback_does_not_go_on_in_a_history_that_has_changed() {
    let (database, dir, local) = three();
    let down = dir.path().join("2_b.down.sql");
    fs::write(&down, "select 1/0").expect("there is room");
    let event = json!({"action": "rollback", "steps": 2, "id": "two"});
    let error = local.invoke("migrations", &event.to_string());
    error.expect_err("the second fails");
    fs::write(&down, "drop table b").expect("there is room");
    succeed(&local, &json!({"action": "migrate"}));
    let error = local.invoke("migrations", &event.to_string());
    let error = error.expect_err("version 3 is there again");
    assert_eq!(error["errorType"], "Function.CannotRollBack", "{error}");
    assert!(database.has("b") && database.has("c"));
}

#[test]
fn a_reset_that_comes_again_does_not_drop_the_new_database() {
    let (database, _dir, local) = three();
    let event = json!({"action": "reset", "confirm": database.name(), "id": "new"});
    let first = succeed(&local, &event);
    assert_eq!(versions(&first["applied"]), ["1", "2", "3"]);
    let mut client = database.client();
    client
        .batch_execute("create table precious ()")
        .expect("it is allowed");
    std::mem::drop(client);
    assert_eq!(succeed(&local, &event), first);
    assert!(database.has("precious"));
}

#[test]
fn a_reset_waits_for_the_run_that_is_under_way() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a (); select pg_sleep(1)")]);
    let local = local(&database, dir.path());
    let replies = thread::scope(|scope| {
        let migrate = scope.spawn(|| succeed(&local, &json!({"action": "migrate"})));
        wait_for("the first run to hold the lock", || {
            local.log().contains("applying").then_some(())
        });
        let reset = json!({"action": "reset", "confirm": database.name()});
        let reset = scope.spawn(move || reset);
        let event = reset.join().expect("no panic");
        let reset = succeed(&local, &event);
        [migrate.join().expect("no panic"), reset]
    });
    for reply in &replies {
        assert_eq!(versions(&reply["applied"]), ["1"], "{reply}");
    }
}

#[test]
fn two_resets_at_once_make_one_database() {
    let (database, dir, local) = three();
    let seed = "create table seeded (); select pg_sleep(0.5)";
    fs::write(dir.path().join("seed.sql"), seed).expect("there is room");
    let before = oid(&database);
    let event = json!({"action": "reset", "confirm": database.name()});
    let [first, second] = twice_at_once(&local, &event);
    assert_eq!(versions(&first["applied"]), ["1", "2", "3"]);
    assert_eq!(second["applied"], first["applied"]);
    assert!(second["by"].is_string(), "{second}");
    assert!(database.has("seeded") && oid(&database) != before);
    assert_eq!(local.log().matches("dropping database").count(), 1);
}

fn oid(database: &Database) -> u32 {
    let query = "SELECT oid FROM pg_database WHERE datname = $1";
    let row = Cluster::get().admin().query_one(query, &[&database.name()]);
    row.expect("it is there").get(0)
}

#[test]
fn requests_of_more_than_a_week_ago_are_forgotten() {
    let (database, _dir, local) = three();
    succeed(&local, &json!({"action": "rollback", "id": "old"}));
    let mut client = database.client();
    client
        .batch_execute("UPDATE plain_lambda.requests SET at = now() - interval '8 days'")
        .expect("it is allowed");
    succeed(&local, &json!({"action": "rollback", "id": "new"}));
    let ids = client.query("SELECT id FROM plain_lambda.requests", &[]);
    let ids: Vec<String> = ids
        .expect("it is readable")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(ids, ["new"]);
}
