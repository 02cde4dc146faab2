//! Migrations behind PgBouncer in transaction mode, where clients share the server's sessions.

use super::{MIGRATE, check_fails, files, versions};
use crate::support::{BUILT_IN, Cluster, Database, Local, PgBouncer, bootstrap, needs, wait_for};
use postgres::{Client, NoTls};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

fn run(url: &str, dir: &Path) -> Output {
    send(url, dir, MIGRATE)
}

fn send(url: &str, dir: &Path, event: &str) -> Output {
    Command::new(bootstrap())
        .args(["migrate", event])
        .env("DATABASE_URL", url)
        .env("MIGRATIONS_DIR", dir)
        .output()
        .expect("it runs")
}

/// Checks that of ten concurrent runs none fails, and that each file is applied once.
fn ten_at_once(url: &str) {
    let texts: Vec<(String, String)> = (1..=8)
        .map(|version| {
            let text = format!("create table t{version} (); select pg_sleep(0.02)");
            (format!("{version}_t.sql"), text)
        })
        .collect();
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let dir = files(&texts);
    let outputs: Vec<Output> = thread::scope(|scope| {
        let runs: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| run(url, dir.path())))
            .collect();
        runs.into_iter()
            .map(|run| run.join().expect("no panic"))
            .collect()
    });
    let mut applied = 0;
    for output in &outputs {
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        applied += log.matches("INFO applied ").count();
    }
    assert_eq!(applied, 8 + BUILT_IN, "each file once");
}

#[test]
fn ten_runs_at_once_apply_each_file_once() {
    ten_at_once(&Database::new().url());
}

#[test]
fn ten_runs_at_once_behind_a_pooler_apply_each_file_once() {
    needs!(PgBouncer);
    let database = Database::new();
    let pgbouncer = PgBouncer::start(&database, "");
    ten_at_once(&database.url_at(pgbouncer.port()));
}

#[test]
fn a_pooler_that_ignores_startup_parameters_is_detected_too() {
    needs!(PgBouncer);
    let database = Database::new();
    let pgbouncer = PgBouncer::start(&database, "ignore_startup_parameters=options");
    ten_at_once(&database.url_at(pgbouncer.port()));
}

#[test]
fn settings_and_locks_of_a_run_do_not_reach_the_poolers_other_clients() {
    needs!(PgBouncer);
    let database = Database::new();
    let pgbouncer = PgBouncer::start(&database, "default_pool_size=1");
    let url = database.url_at(pgbouncer.port());
    let text = "select set_config('search_path', '', false); set lock_timeout = '1 h';\n\
                create table public.a (id int);\ncopy public.a from stdin;\n1\n\\.\n";
    let dir = files(&[("1_a.sql", text), ("2_b.sql", "create table b ()")]);
    let output = run(&url, dir.path());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut other = Client::connect(&url, NoTls).expect("the pooler takes connections");
    let query = "SELECT current_setting('search_path') || ' ' || current_setting('lock_timeout')
        || ' ' || current_setting('statement_timeout')";
    let said = other.simple_query(query).expect("it is readable");
    let said = said.iter().find_map(|message| match message {
        postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(said, Some("\"$user\", public 0 0"));
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                 AND database = (SELECT oid FROM pg_database WHERE datname = $1)";
    let row = Cluster::get().admin().query_one(locks, &[&database.name()]);
    assert_eq!(row.expect("it is readable").get::<_, i64>(0), 0);
}

#[test]
fn a_file_that_needs_its_own_session_is_refused_with_the_setting_to_change() {
    needs!(PgBouncer);
    let database = Database::new();
    let pgbouncer = PgBouncer::start(&database, "");
    let dir = files(&[
        ("1_a.sql", "create table a (id int)"),
        ("2_b.sql", "create index concurrently a_id on a (id)"),
    ]);
    let url = database.url_at(pgbouncer.port());
    let local = Local::with(&database)
        .migrations(dir.path())
        .env("DATABASE_URL", &url)
        .start();
    check_fails(
        &local,
        "Function.PoolerInTheWay",
        &["2_b.sql", "DATABASE_URL of the server itself"],
    );
    assert!(database.has("a") && !database.has("a_id"));
    let output = run(&database.url(), dir.path());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let reply = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let reply: serde_json::Value = reply;
    assert_eq!(versions(&reply["applied"]), ["2"]);
}

#[test]
fn repair_and_baseline_behind_a_pooler_write_under_the_lock() {
    needs!(PgBouncer);
    let database = Database::new();
    let pgbouncer = PgBouncer::start(&database, "");
    let url = database.url_at(pgbouncer.port());
    let dir = files(&[("1_a.sql", "create table a ()")]);
    assert!(run(&url, dir.path()).status.success());
    let guard = "
        CREATE FUNCTION is_locked() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted
                           AND pid = pg_backend_pid()) THEN RAISE 'written without the lock'; END IF;
            RETURN new;
        END $$;
        CREATE TRIGGER is_locked BEFORE INSERT OR UPDATE ON plain_lambda.migrations
            FOR EACH ROW EXECUTE FUNCTION is_locked()";
    let mut client = database.client();
    client.batch_execute(guard).expect("it is allowed");
    fs::write(dir.path().join("1_a.sql"), "create table a (id int)").expect("there is room");
    fs::write(dir.path().join("2_b.sql"), "create table b ()").expect("there is room");
    for (event, says) in [
        (r#"{"action":"repair"}"#, r#""edited":["1"]"#),
        (r#"{"action":"baseline","to":"2"}"#, r#""name":"b""#),
    ] {
        let output = send(&url, dir.path(), event);
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let reply = String::from_utf8_lossy(&output.stdout);
        assert!(reply.contains(says), "{reply}");
    }
}

#[test]
fn a_rollback_behind_a_pooler_that_waited_for_the_same_one_reports_it() {
    needs!(PgBouncer);
    let database = Database::new();
    let pgbouncer = PgBouncer::start(&database, "");
    let url = database.url_at(pgbouncer.port());
    let down = "select pg_sleep(0.5); drop table";
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        ("1_a.down.sql", &format!("{down} a")),
        ("2_b.sql", "create table b ()"),
        ("2_b.down.sql", &format!("{down} b")),
    ]);
    assert!(run(&url, dir.path()).status.success());
    let rollback = || send(&url, dir.path(), r#"{"action":"rollback"}"#);
    let outputs = thread::scope(|scope| {
        let first = scope.spawn(rollback);
        wait_for("the first to hold the lock", || {
            holds_lock(&database).then_some(())
        });
        [rollback(), first.join().expect("no panic")]
    });
    for output in outputs {
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let reply = String::from_utf8_lossy(&output.stdout);
        assert!(reply.contains(r#""version":"2""#), "{reply}");
    }
    assert!(database.has("a") && !database.has("b"));
}

/// Returns whether a session runs a down file.
fn holds_lock(database: &Database) -> bool {
    let query = "SELECT count(*) > 0 FROM pg_stat_activity
                 WHERE datname = $1 AND query LIKE '%pg_sleep(0.5)%' AND pid <> pg_backend_pid()";
    let row = Cluster::get().admin().query_one(query, &[&database.name()]);
    row.expect("it is readable").get(0)
}
