//! Statements outside of a transaction whose run was killed or failed: what may be done is looked up by
//! kind, and only what cannot be looked up is asked.

use super::{MIGRATE, check_fails, files, local};
use crate::support::{Database, wait_for};
use std::thread;

/// The checksum of no statement.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Makes the history's row that a run leaves which is killed in the first statement of `1_a.sql`.
fn leave_begun(database: &Database, remembered: &str) {
    let dir = files(&[]);
    local(database, dir.path())
        .invoke("migrations", MIGRATE)
        .expect("it makes the history");
    let row = format!(
        "INSERT INTO plain_lambda.migrations
            (version, name, sha256, duration_ms, begun, remembered, applied_at)
         VALUES ('1', 'a', '{NOTHING}', 0, true, '{remembered}', NULL)"
    );
    database
        .client()
        .batch_execute(&row)
        .expect("the administrator may");
}

fn count(database: &Database, query: &str) -> i64 {
    let row = database.client().query_one(query, &[]);
    row.expect("it is readable").get(0)
}

const INDEXES: &str = "SELECT count(*) FROM pg_index WHERE indrelid = 'a'::regclass";

const INVALID: &str = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";

#[test]
fn a_block_that_commits_is_not_run_again_before_a_person_has_said_so() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (n int);\n\
         do $$ begin insert into a values (1); commit; perform 1 / 0; end $$",
    )]);
    let rows = "SELECT count(*) FROM a";
    let first = local(&database, dir.path());
    check_fails(
        &first,
        "Function.MigrationFailed",
        &["1_a.sql:2:", "itself has committed", "again:1", "done:1"],
    );
    assert_eq!(count(&database, rows), 1);
    check_fails(
        &first,
        "Function.MigrationsDiffer",
        &["1_a.sql:2:1`", "again:1", "done:1"],
    );
    assert_eq!(count(&database, rows), 1, "nothing has run");
    let again = r#"{"action":"migrate","allow":["again:1"]}"#;
    first
        .invoke("migrations", again)
        .expect_err("it fails as before");
    assert_eq!(count(&database, rows), 2);
    let done = r#"{"action":"migrate","allow":["done:1"]}"#;
    first.invoke("migrations", done).expect("it goes on");
    assert_eq!(count(&database, rows), 2);
    let applied = "SELECT count(applied_at) FROM plain_lambda.migrations WHERE version = '1'";
    assert_eq!(count(&database, applied), 1);
}

#[test]
fn an_index_without_a_name_is_not_built_twice_and_its_twin_is() {
    let database = Database::new();
    let mut client = database.client();
    client
        .batch_execute("create table a (id int); create index on a (id)")
        .expect("it is allowed");
    let oid = count(
        &database,
        "SELECT indexrelid::int8 FROM pg_index WHERE indrelid = 'a'::regclass",
    );
    let dir = files(&[("1_a.sql", "create index concurrently on a (id)")]);
    // The first was there before, so the statement has not been done.
    leave_begun(&database, &format!("before: {oid}"));
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it builds the twin");
    assert_eq!(count(&database, INDEXES), 2);
    // Of two, one was there before, so the statement has been done.
    client
        .batch_execute("DELETE FROM plain_lambda.migrations WHERE version = '1'")
        .expect("the administrator may");
    leave_begun(&database, &format!("before: {oid}"));
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it finds the index");
    assert_eq!(count(&database, INDEXES), 2);
}

#[test]
fn what_an_interrupted_reindex_has_left_is_dropped() {
    let database = Database::new();
    let mut client = database.client();
    client
        .batch_execute(
            "create table a (id int, n int); insert into a values (1, 1), (2, 1);
             create index a_id on a (id)",
        )
        .expect("it is allowed");
    client
        .batch_execute("create unique index concurrently a_id_ccnew on a (n)")
        .expect_err("there are duplicates");
    leave_begun(&database, "before:");
    let dir = files(&[("1_a.sql", "reindex index concurrently a_id")]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it runs again");
    assert_eq!(count(&database, INVALID), 0);
    assert_eq!(count(&database, INDEXES), 1);
}

#[test]
fn an_interrupted_detaching_is_finalized() {
    let database = Database::new();
    let (mut client, mut reader) = (database.client(), database.client());
    client
        .batch_execute(
            "create table p (id int) partition by range (id);
             create table p1 partition of p for values from (0) to (9)",
        )
        .expect("it is allowed");
    reader
        .batch_execute("begin isolation level repeatable read")
        .and_then(|()| reader.batch_execute("select * from p"))
        .expect("it is allowed");
    let detach = "alter table p detach partition p1 concurrently";
    client
        .batch_execute("set statement_timeout = '300 ms'")
        .and_then(|()| client.batch_execute(detach))
        .expect_err("it waits for the reader");
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    assert_eq!(count(&database, pending), 1);
    reader.batch_execute("commit").expect("it is allowed");
    leave_begun(&database, "");
    let dir = files(&[("1_a.sql", detach)]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it finalizes");
    assert_eq!(count(&database, "SELECT count(*) FROM pg_inherits"), 0);
}

#[test]
fn an_index_that_was_dropped_before_the_kill_is_not_missed() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "drop index concurrently a_id")]);
    leave_begun(&database, "before: 4000000000");
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it is done");
}

#[test]
fn if_not_exists_does_not_take_another_sessions_failed_index() {
    let database = Database::new();
    let (mut writer, mut builder) = (database.client(), database.client());
    writer
        .batch_execute("create table a (id int); insert into a values (1), (1)")
        .expect("it is allowed");
    writer
        .batch_execute("begin")
        .and_then(|()| writer.batch_execute("insert into a values (2)"))
        .expect("it is allowed");
    let dir = files(&[(
        "1_a.sql",
        "create unique index concurrently if not exists a_id on a (id)",
    )]);
    let local = local(&database, dir.path());
    thread::scope(|scope| {
        scope.spawn(move || {
            builder
                .batch_execute("create unique index concurrently a_id on a (id)")
                .expect_err("there are duplicates");
        });
        wait_for("the other session's index", || {
            (count(&database, INVALID) == 1).then_some(())
        });
        let run = scope.spawn(|| local.invoke("migrations", MIGRATE));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                     AND query LIKE '%if not exists a_id%' AND wait_event_type = 'Lock'
                     AND pid <> pg_backend_pid()";
        wait_for("the statement to wait for the other session", || {
            (count(&database, waits) == 1).then_some(())
        });
        writer.batch_execute("commit").expect("it is allowed");
        let error = run
            .join()
            .expect("no panic")
            .expect_err("there is no index");
        assert!(error.to_string().contains("duplicated"), "{error}");
    });
    assert_eq!(count(&database, INVALID), 0);
}
