//! Files with transactions of their own: each is what psql makes of it, also when the file is tried
//! again or resumed.

use super::{MIGRATE, check_fails, files, local};
use crate::support::{Database, wait_for};
use std::fs;
use std::thread;

/// Applies one file; returns the value of an expression afterwards.
#[track_caller]
fn after(text: &str, expression: &str) -> String {
    let database = Database::new();
    let dir = files(&[("1_a.sql", text)]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.unwrap_or_else(|error| panic!("{text}: {error}"));
    value(&database, expression)
}

fn value(database: &Database, expression: &str) -> String {
    let query = format!("SELECT ({expression})::text");
    let row = database.client().query_one(&query, &[]);
    row.expect("it is readable").get(0)
}

#[test]
fn what_set_local_sets_ends_with_its_transaction() {
    let schemas = "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY tablename)
                   FROM pg_tables WHERE tablename IN ('a', 'b')";
    let text = "create schema s; begin; set local search_path to s; create table a (); commit;
                create table b ();";
    assert_eq!(after(text, schemas), "s.a public.b");
    let text = "create schema s; begin; set search_path to s; create table a (); commit;
                create table b ();";
    assert_eq!(after(text, schemas), "s.a s.b");
    let text = "begin; set local statement_timeout = '80 ms'; select 1; commit;
                select pg_sleep(0.2); create table a ()";
    assert_eq!(after(text, schemas), "public.a");
}

#[test]
fn a_transaction_has_the_modes_that_its_begin_names() {
    let mode = "create table a (mode text, read_only text)";
    let insert = "insert into a select current_setting('transaction_isolation'), \
                  current_setting('transaction_read_only')";
    assert_eq!(
        after(
            &format!("{mode}; begin isolation level serializable; {insert}; commit; {insert}"),
            "SELECT string_agg(mode, ' ' ORDER BY mode DESC) FROM a"
        ),
        "serializable read committed"
    );
    assert_eq!(
        after(
            &format!("begin isolation level repeatable read; {mode}; {insert}; commit"),
            "SELECT mode FROM a"
        ),
        "repeatable read"
    );
    assert_eq!(
        after(
            &format!(
                "begin isolation level serializable; {mode}; commit and chain; {insert}; commit"
            ),
            "SELECT mode FROM a"
        ),
        "serializable"
    );
}

#[test]
fn a_read_only_transaction_reads_only() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (id int); begin read only; select * from a; commit; insert into a values (1)",
    )]);
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it applies");
    assert_eq!(value(&database, "SELECT count(*) FROM a"), "1");
    let text = "begin read only; select 1;\n insert into a values (2); commit";
    fs::write(dir.path().join("2_b.sql"), text).expect("there is room");
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["2_b.sql:2:2`", "25006"],
    );
}

#[test]
fn constraints_and_temporary_tables_end_with_their_transaction() {
    let text = "create table k (id int primary key);
        create table c (id int references k deferrable initially deferred);
        begin; insert into c values (1); insert into k values (1); commit;
        alter table c add name text;
        begin; create temp table t (id int) on commit drop; commit;
        begin; create temp table t (id int) on commit drop; commit;";
    assert_eq!(after(text, "SELECT count(*) FROM c"), "1");
}

#[test]
fn a_file_that_is_tried_again_keeps_its_settings() {
    let database = Database::new();
    let mut other = database.client();
    other
        .batch_execute("create schema app; create table app.a (id int)")
        .expect("it is allowed");
    other
        .batch_execute("begin; lock table app.a")
        .expect("it is allowed");
    let dir = files(&[(
        "1_a.sql",
        "set search_path = app; begin; alter table a add name text; commit; create table made ()",
    )]);
    let local = local(&database, dir.path());
    thread::scope(|scope| {
        let run = scope.spawn(|| local.invoke("migrations", MIGRATE));
        wait_for("the second attempt", || {
            local.log().contains("trying").then_some(())
        });
        other.batch_execute("commit").expect("it is allowed");
        run.join().expect("no panic").expect("it applies");
    });
    assert!(database.has("app.made") && !database.has("public.made"));
}

#[test]
fn a_file_that_is_resumed_has_its_settings_and_its_role() {
    let database = Database::new();
    let role = format!("{}_role", database.name());
    let before = format!(
        "create schema app; create role {role}; grant all on schema app to {role};
         begin; set local search_path = pg_catalog; set application_name = 'mine'; commit;
         select set_config('search_path', 'app', false); set role {role};
         create table first ();\n"
    );
    let dir = files(&[("1_a.sql", &format!("{before}select 1/0"))]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["resumes at line 5"],
    );
    let text = format!(
        "{before}create table made (n text default current_setting('application_name'));
         insert into made default values"
    );
    fs::write(dir.path().join("1_a.sql"), text).expect("there is room");
    let outcome = local(&database, dir.path()).invoke("migrations", MIGRATE);
    let owned = database.client().query(
        "SELECT (SELECT n FROM app.made), tableowner FROM pg_tables
         WHERE schemaname = 'app' AND tablename = 'made'",
        &[],
    );
    let drop = format!("drop owned by {role} cascade; drop role {role}");
    let found: Vec<(String, String)> = owned
        .unwrap_or_default()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    database
        .client()
        .batch_execute(&drop)
        .expect("the administrator may");
    outcome.expect("it resumes");
    assert_eq!(found, [("mine".to_string(), role)]);
}

#[test]
fn a_deferred_trigger_fires_under_the_role_and_the_settings_of_its_file() {
    let database = Database::new();
    let role = format!("{}_deferred", database.name());
    let setup = format!(
        "create role {role}; grant all on schema public to {role};
         create table seen (role text, setting text); grant all on seen to {role};
         create function see() returns trigger language plpgsql as $$ begin
             insert into seen values (current_user, current_setting('search_path')); return null;
         end $$;
         create table a (id int); grant all on a to {role};
         create constraint trigger t after insert on a deferrable initially deferred
             for each row execute function see();"
    );
    let insert = format!(
        "set role {role}; set local search_path to public, pg_catalog; insert into a values (1)"
    );
    let dir = files(&[
        ("1_setup.sql", &setup),
        ("2_whole.sql", &insert),
        (
            "3_steps.sql",
            &format!("begin; {insert}; commit; vacuum seen"),
        ),
    ]);
    let outcome = local(&database, dir.path()).invoke("migrations", MIGRATE);
    let seen = "SELECT string_agg(DISTINCT role || ' ' || setting, '; ') || count(*) FROM seen";
    let seen = outcome.as_ref().ok().map(|_| value(&database, seen));
    let drop = format!("drop owned by {role} cascade; drop role {role}");
    let mut client = database.client();
    client.batch_execute(&drop).expect("the administrator may");
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen, Some(format!("{role} public, pg_catalog2")));
}

#[test]
fn a_file_that_is_resumed_has_no_setting_that_a_savepoint_undid() {
    let database = Database::new();
    let before = "create schema app;
         begin; savepoint s; set search_path = app; rollback to s; commit and chain;
         set search_path = public; savepoint s; set search_path = app; rollback to s; release s;
         commit and chain;\n";
    let dir = files(&[("1_a.sql", &format!("{before}select 1/0; commit"))]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["resumes at line 5"],
    );
    let text = format!("{before}create table made (); commit");
    fs::write(dir.path().join("1_a.sql"), text).expect("there is room");
    let outcome = local(&database, dir.path()).invoke("migrations", MIGRATE);
    outcome.expect("it resumes");
    assert!(database.has("public.made"));
}

#[test]
fn a_file_that_is_resumed_sets_no_role_that_it_has_dropped() {
    let database = Database::new();
    let role = format!("{}_gone", database.name());
    let before = format!(
        "create role {role}; set role {role}; select 1; reset role; set session authorization {role};
         reset session authorization; drop role {role}; create table a (); vacuum a;\n"
    );
    let dir = files(&[("1_a.sql", &format!("{before}select 1/0"))]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["resumes at line 3"],
    );
    fs::write(dir.path().join("1_a.sql"), format!("{before}select 1")).expect("there is room");
    let outcome = local(&database, dir.path()).invoke("migrations", MIGRATE);
    outcome.expect("it resumes");
}

#[test]
fn a_default_that_only_a_resumed_run_would_have_is_refused_before_anything_runs() {
    let database = Database::new();
    let text = "do $$ begin execute format('alter database %I set search_path = app',
                    current_database()); end $$;\nvacuum;\ncreate table a ()";
    let dir = files(&[("1_a.sql", text)]);
    check_fails(
        &local(&database, dir.path()),
        "Function.InvalidMigrations",
        &[
            "1_a.sql:1:1",
            "sets the default",
            "line 3",
            "a file of its own",
        ],
    );
    assert!(!database.has("a"));
}

#[test]
fn a_setting_that_a_resumed_run_could_not_make_is_refused_before_anything_runs() {
    for setting in [
        "do $$ begin execute 'set search_path = app'; end $$",
        "do $$ begin perform set_config('search_path', 'app', false); end $$",
        "select set_config('search_path', 'app', false) from a",
        "select set_config('search_path', (select min(nspname) from pg_namespace), false)",
    ] {
        let database = Database::new();
        let text = format!("begin; drop schema x; {setting};\ndrop table y; commit;\nvacuum");
        let dir = files(&[("1_a.sql", "create table a ()"), ("2_b.sql", &text)]);
        check_fails(
            &local(&database, dir.path()),
            "Function.InvalidMigrations",
            &["2_b.sql:1:", "makes the setting", "line 3", "SET"],
        );
        assert!(!database.has("a"), "{setting}");
    }
}

#[test]
fn a_temporary_table_that_another_step_uses_is_refused_before_anything_runs() {
    let database = Database::new();
    let dir = files(&[
        ("1_a.sql", "create table a (id int)"),
        (
            "2_b.sql",
            "create temp table t as select 1 as id;\ncreate index concurrently on a (id);\n\
             insert into a select id from t",
        ),
    ]);
    check_fails(
        &local(&database, dir.path()),
        "Function.InvalidMigrations",
        &["2_b.sql:1:1`", "temporary table `t`", "line 3"],
    );
    assert!(!database.has("a"));
}

#[test]
fn a_file_that_releases_the_lock_of_its_run_is_not_recorded() {
    let database = Database::new();
    let mut client = database.client();
    client
        .batch_execute(
            "create function f() returns void language plpgsql as
             $$ begin execute 'select pg_advisory_unlock_all()'; end $$",
        )
        .expect("it is allowed");
    for text in [
        "select f(); create table a ()",
        "vacuum; select f(); vacuum",
    ] {
        let dir = files(&[("1_a.sql", text)]);
        check_fails(
            &local(&database, dir.path()),
            "Function.MigrationFailed",
            &["1_a.sql`", "released the lock"],
        );
    }
    assert!(!database.has("a"));
}

#[test]
fn what_would_release_the_lock_of_the_run_is_refused_before_anything_runs() {
    let database = Database::new();
    for text in [
        "create table a ();\ndiscard all",
        "create table a ();\nwith x as (select pg_advisory_unlock_all()) select from x",
    ] {
        let dir = files(&[("1_a.sql", text)]);
        check_fails(
            &local(&database, dir.path()),
            "Function.InvalidMigrations",
            &["1_a.sql:2:1`", "release the lock"],
        );
    }
    assert!(!database.has("a"));
}

#[test]
fn many_statements_of_a_file_that_runs_step_by_step_are_recorded_one_by_one() {
    let database = Database::new();
    let inserts: String = (1..=300)
        .map(|n| format!("insert into a values ({n});\n"))
        .collect();
    let once = format!("create table a (id int primary key);\n{inserts}");
    let text = format!("{once}insert into a values (7);\n{inserts}vacuum");
    let dir = files(&[("1_a.sql", &text)]);
    check_fails(
        &local(&database, dir.path()),
        "Function.MigrationFailed",
        &["1_a.sql:302:1`", "301 statements before", "23505"],
    );
    assert_eq!(value(&database, "SELECT count(*) FROM a"), "300");
    let text = format!("{once}insert into a values (-7);\nvacuum");
    fs::write(dir.path().join("1_a.sql"), text).expect("there is room");
    let reply = local(&database, dir.path()).invoke("migrations", MIGRATE);
    reply.expect("it resumes");
    assert_eq!(value(&database, "SELECT count(*) FROM a"), "301");
    let applied = "SELECT count(*) FROM plain_lambda.migrations WHERE version = '1'
                   AND applied_at IS NOT NULL AND statements = 303";
    assert_eq!(value(&database, applied), "1");
}
