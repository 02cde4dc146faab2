//! Files that cannot be one transaction: statements outside of a transaction, resumed files, and failed
//! concurrent indexes.

use super::{MIGRATE, check_fails, files, local, versions};
use crate::support::{Database, wait_for};
use std::fs;
use std::thread;

/// Returns the value of an expression for the rows of the history, in the order of their versions.
fn history(database: &Database, value: &str) -> String {
    let query = format!(
        "SELECT coalesce(string_agg(({value})::text, ' ' ORDER BY version), '')
         FROM plain_lambda.migrations WHERE version NOT LIKE 'plain-lambda/%'"
    );
    let row = database.client().query_one(&query, &[]);
    row.expect("the history is there").get(0)
}

fn invalid_indexes(database: &Database) -> i64 {
    let query = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    let row = database.client().query_one(query, &[]);
    row.expect("the catalog is readable").get(0)
}

#[track_caller]
fn check_applies(texts: &[&str]) -> Database {
    let database = Database::new();
    let named: Vec<(String, &str)> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| (format!("{}_x.sql", index + 1), *text))
        .collect();
    let named: Vec<(&str, &str)> = named.iter().map(|(name, text)| (&**name, *text)).collect();
    let dir = files(&named);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    let reply = reply.expect("it applies");
    assert_eq!(versions(&reply["applied"]).len(), texts.len(), "{reply}");
    assert_eq!(
        history(&database, "applied_at IS NULL"),
        vec!["false"; texts.len()].join(" ")
    );
    database
}

#[test]
fn statements_that_postgres_refuses_in_a_transaction_run_outside_of_one() {
    let database = check_applies(&[
        "create table a (id int, name text);
         create index concurrently a_id on a (id);
         create unique index concurrently if not exists \"A name\" on public.a (name);
         vacuum a; reindex table concurrently a; comment on table a is 'done';
         drop index concurrently a_id",
        "create table p (id int) partition by range (id);
         create table p1 partition of p for values from (0) to (9);
         alter table p detach partition p1 concurrently",
    ]);
    assert!(database.has("\"A name\""));
    assert!(!database.has("a_id"));
    assert_eq!(history(&database, "statements"), "7 3");
}

#[test]
fn a_new_enum_value_can_be_used_later_in_its_file() {
    let database = check_applies(&[
        "create type mood as enum ('good')",
        "alter type mood add value 'bad'; create table m (x mood default 'bad'); insert into m default values",
    ]);
    assert!(database.has("m"));
}

#[test]
fn a_block_or_a_procedure_that_commits_runs_alone() {
    let database = check_applies(&[
        "do $$ begin create table a (); commit; create table b (); end $$",
        "create procedure p() language plpgsql as $$ begin create table c (); commit; end $$; call p()",
    ]);
    assert!(database.has("b") && database.has("c"));
}

#[test]
fn a_transaction_of_a_files_own_is_a_step_with_its_row_in_the_history() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "begin; create table a (); commit; begin; create table b (); commit;\nselect 1/0",
    )]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["1_a.sql:2:1", "6 statements before", "resumes at line 2"],
    );
    assert!(database.has("a") && database.has("b"), "as psql would");
    assert_eq!(
        history(&database, "statements || ' ' || (applied_at IS NULL)"),
        "6 true"
    );
}

#[test]
fn copy_from_stdin_reads_its_data_from_the_file() {
    let database = check_applies(&[
        "create table a (id int, name text);\ncopy a from stdin;\n1\tone\n2\t\\N\n\\.\n\
         copy a to stdout;\n\
         copy a (name, id) from stdin with (format csv);\n\"x;\ny\",3\n\\.\nselect 1;\n",
    ]);
    let sum = "SELECT sum(id)::int4 FROM a";
    let row = database.client().query_one(sum, &[]).expect("it is there");
    assert_eq!(row.get::<_, i32>(0), 6);
}

#[test]
fn a_failed_step_keeps_the_steps_before_it_and_the_next_run_resumes_there() {
    let database = Database::new();
    let once = "create table a (id int);\ninsert into a values (1);\n\
                create index concurrently a_id on a (id);\n";
    let dir = files(&[("1_a.sql", &format!("{once}insert into b values (1)"))]);
    let local = local(&database, dir.path());
    check_fails(
        &local,
        "Function.MigrationFailed",
        &["1_a.sql:4:13", "3 statements before", "resumes"],
    );
    assert_eq!(
        history(&database, "statements || ' ' || (applied_at IS NULL)"),
        "3 true"
    );

    let mended = format!("{once}create table b (id int); insert into b values (1)");
    fs::write(dir.path().join("1_a.sql"), mended).expect("there is room");
    local.invoke("migrations", MIGRATE).expect("it resumes");
    let rows = database.client().query("SELECT * FROM a", &[]);
    assert_eq!(
        rows.expect("it is there").len(),
        1,
        "the first steps ran once"
    );
    assert_eq!(history(&database, "applied_at IS NULL"), "false");
}

#[test]
fn statements_that_have_run_cannot_be_edited_before_the_file_is_resumed() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a (); vacuum; select 1/0")]);
    let local = local(&database, dir.path());
    check_fails(&local, "Function.MigrationFailed", &["SQLSTATE 22012"]);
    let edited = "create table other (); vacuum; select 1";
    fs::write(dir.path().join("1_a.sql"), edited).expect("there is room");
    check_fails(
        &local,
        "Function.MigrationsDiffer",
        &["1_a.sql", "first 2 statements", "edited:1"],
    );
}

#[test]
fn a_failed_index_leaves_nothing_behind() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (id int);\ninsert into a values (1), (1);\n\
         create unique index concurrently a_id on a (id)",
    )]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["1_a.sql:3:1", "is duplicated"],
    );
    assert_eq!(invalid_indexes(&database), 0);
    assert!(!database.has("a_id"));
}

#[test]
fn if_not_exists_replaces_an_invalid_index() {
    let database = Database::new();
    let mut client = database.client();
    client
        .batch_execute("create table a (id int); insert into a values (1), (1)")
        .expect("it is allowed");
    let failed = client.batch_execute("create unique index concurrently a_id on a (id)");
    failed.expect_err("there are duplicates");
    client
        .batch_execute("delete from a")
        .expect("it is allowed");
    assert_eq!(invalid_indexes(&database), 1);
    let text = "create unique index concurrently if not exists a_id on a (id)";
    let dir = files(&[("1_a.sql", text)]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it makes the index again");
    assert_eq!(invalid_indexes(&database), 0);
    assert!(database.has("a_id"));
}

#[test]
fn a_concurrent_index_waits_for_other_transactions_without_a_limit() {
    let database = Database::new();
    let mut other = database.client();
    other
        .batch_execute("create table a (id int)")
        .expect("it is allowed");
    other
        .batch_execute("begin; insert into a values (1)")
        .expect("it is allowed");
    let dir = files(&[("1_a.sql", "create index concurrently a_id on a (id)")]);
    let local = local(&database, dir.path());
    thread::scope(|scope| {
        let run = scope.spawn(|| local.invoke("migrations", MIGRATE));
        // 3.5 s is longer than the lock timeout of other statements.
        let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
                     AND query ILIKE 'create index%' AND now() - query_start > '3.5 s'";
        wait_for("the index to wait", || {
            let row = database.client().query_one(waits, &[]);
            row.expect("it is readable").get::<_, bool>(0).then_some(())
        });
        other.batch_execute("commit").expect("it is allowed");
        run.join().expect("no panic").expect("it applies");
    });
    assert_eq!(invalid_indexes(&database), 0);
}

#[test]
fn markers_of_other_tools_run_a_file_outside_of_a_transaction() {
    for text in [
        "-- no-transaction\ncreate table a (); select 1/0",
        "-- +goose NO TRANSACTION\n-- +goose Up\ncreate table a (); select 1/0;\n",
        "-- migrate:up transaction:false\ncreate table a (); select 1/0",
        "-- atlas:txmode none\ncreate table a (); select 1/0",
        "---- tern: disable-tx ----\ncreate table a (); select 1/0",
    ] {
        let database = Database::new();
        let dir = files(&[("1_a.sql", text)]);
        check_fails(
            &local(&database, dir.path()),
            "Function.MigrationFailed",
            &["kept what its 1 statement before has done, as"],
        );
        assert!(database.has("a"), "{text}");
    }
}
