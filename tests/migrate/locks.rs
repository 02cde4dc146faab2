//! Locks that other sessions hold, and concurrent runs.

use super::{MIGRATE, files, local, versions};
use crate::support::{Database, Local, wait_for};
use postgres::Client;
use std::thread;

/// Opens a session that holds a lock on a table `a`.
fn holder(database: &Database) -> Client {
    let mut other = database.client();
    other
        .batch_execute("create table a (id int); create table b (id int)")
        .expect("it is allowed");
    other
        .batch_execute("begin; lock table a")
        .expect("it is allowed");
    other
}

#[test]
fn a_file_that_times_out_on_a_lock_is_repeated_as_a_whole() {
    let database = Database::new();
    let mut other = holder(&database);
    let dir = files(&[("1_a.sql", "create table c (); alter table a add name text")]);
    let local = local(&database, dir.path());
    thread::scope(|scope| {
        let run = scope.spawn(|| local.invoke("migrations", MIGRATE));
        wait_for("the second attempt", || {
            local.log().contains("trying").then_some(())
        });
        assert!(!database.has("c"), "the first attempt is rolled back");
        other.batch_execute("commit").expect("it is allowed");
        let reply = run.join().expect("no panic").expect("it applies");
        assert_eq!(versions(&reply["applied"]), ["1"]);
    });
    assert!(database.has("c"));
}

#[test]
fn a_lock_that_is_not_released_ends_the_run_and_names_who_holds_it() {
    let database = Database::new();
    let mut other = holder(&database);
    other
        .batch_execute("set application_name = 'a slow report'")
        .expect("it is allowed");
    let dir = files(&[("1_a.sql", "create table c (); alter table a add name text")]);
    let local = Local::with(&database)
        .migrations(dir.path())
        .args(["--timeout", "12"])
        .start();
    let error = local.invoke("migrations", MIGRATE).expect_err("it fails");
    let message = error["errorMessage"].as_str().expect("it is text");
    for words in ["blocked by pid", "'a slow report'", "idle in transaction"] {
        assert!(message.contains(words), "no {words:?} in {message}");
    }
    assert!(!database.has("c"));
}

#[test]
fn a_file_that_deadlocks_is_repeated() {
    let database = Database::new();
    let mut other = holder(&database);
    other
        .batch_execute("commit; begin; lock table b")
        .expect("it is allowed");
    let dir = files(&[("1_a.sql", "lock table a; lock table b; create table c ()")]);
    let local = local(&database, dir.path());
    thread::scope(|scope| {
        let run = scope.spawn(|| local.invoke("migrations", MIGRATE));
        let waits =
            "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'b'::regclass";
        wait_for("the run to wait for b", || {
            let row = database.client().query_one(waits, &[]);
            row.expect("it is readable").get::<_, bool>(0).then_some(())
        });
        // Either session may be the victim of the deadlock; the run succeeds in both cases.
        let _ = other.batch_execute("lock table a");
        other.batch_execute("rollback").expect("it is allowed");
        run.join().expect("no panic").expect("it applies");
    });
    assert!(database.has("c"));
}

#[test]
fn a_second_invocation_waits_and_reports_what_the_first_has_done() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("2_slow.sql", "select pg_sleep(1.5); create table b ()"),
    ]);
    let (first, second) = (local(&database, dir.path()), local(&database, dir.path()));
    thread::scope(|scope| {
        let run = scope.spawn(|| first.invoke("migrations", MIGRATE));
        wait_for("the first run to be under way", || {
            first.log().contains("2_slow.sql").then_some(())
        });
        let reply = second
            .invoke("migrations", MIGRATE)
            .expect("it waits for the first run");
        assert_eq!(versions(&reply["applied"]), ["1", "2"], "{reply}");
        let log = first.log();
        let by = reply["applied"][0]["by"]
            .as_str()
            .expect("the other run applied it");
        assert!(
            log.contains(by),
            "{by} is the first one's request id: {log}"
        );
        run.join().expect("no panic").expect("it applies");
    });
}

#[test]
fn a_concurrent_index_does_not_deadlock_with_a_second_run_that_waits() {
    let database = Database::new();
    let mut other = holder(&database);
    let dir = files(&[("1_a.sql", "create index concurrently a_id on a (id)")]);
    let (first, second) = (local(&database, dir.path()), local(&database, dir.path()));
    thread::scope(|scope| {
        let run = scope.spawn(|| first.invoke("migrations", MIGRATE));
        wait_for("the index to be begun", || {
            first.log().contains("1_a.sql").then_some(())
        });
        let waiter = scope.spawn(|| second.invoke("migrations", MIGRATE));
        wait_for("the second run to wait", || {
            second.log().contains("waiting for another").then_some(())
        });
        // The server looks for deadlocks after a second; both runs have waited longer.
        let waited = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
                      AND query ILIKE 'create index%' AND now() - query_start > '1.5 s'";
        wait_for("a deadlock to have been found", || {
            let row = database.client().query_one(waited, &[]);
            row.expect("it is readable").get::<_, bool>(0).then_some(())
        });
        other.batch_execute("commit").expect("it is allowed");
        run.join().expect("no panic").expect("it applies");
        let reply = waiter
            .join()
            .expect("no panic")
            .expect("it waits for the first run");
        assert_eq!(versions(&reply["applied"]), ["1"]);
    });
}

#[test]
fn a_run_that_waited_has_the_settings_that_the_other_run_has_given_the_database() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a as select current_setting('torture.mark', true) as mark",
    )]);
    let mut other = database.client();
    // The key of the lock of a run: "plain_la" in ASCII.
    other
        .batch_execute("select pg_advisory_lock(x'706c61696e5f6c61'::bigint)")
        .expect("it is free");
    let local = local(&database, dir.path());
    thread::scope(|scope| {
        let run = scope.spawn(|| local.invoke("migrations", MIGRATE));
        local.expect_log("waiting for another migration run");
        let name = database.name();
        other
            .batch_execute(&format!("alter database {name} set torture.mark = 'set'"))
            .expect("the administrator may");
        drop(other);
        run.join().expect("no panic").expect("it applies");
    });
    let mark = database.client().query_one("select mark from a", &[]);
    let mark: Option<String> = mark.expect("it is there").get(0);
    assert_eq!(mark.as_deref(), Some("set"));
}
