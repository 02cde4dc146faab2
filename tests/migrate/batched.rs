//! Files that run in batches: `-- batched: <table> by <key>`.

use super::{MIGRATE, check_fails, files, local, versions};
use crate::support::proxy::{self, Fault};
use crate::support::{Database, Local, PgBouncer, Program, bootstrap, needs, wait_for};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Adds one to each row, so that a row which is met twice or never is seen.
pub(super) const ADD_ONE: &str =
    "-- batched: t by id\nUPDATE t SET n = n + 1 WHERE id BETWEEN $1 AND $2;";

/// Returns a database with a table `t` of these many rows, whose `n` is 0.
pub(super) fn database_of(rows: u32) -> Database {
    let database = Database::new();
    database
        .client()
        .batch_execute(&format!(
            "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
             INSERT INTO t SELECT g FROM generate_series(1, {rows}) g; ANALYZE t"
        ))
        .expect("the administrator may");
    database
}

/// Counts the rows of `t` for which a condition holds.
pub(super) fn count(database: &Database, condition: &str) -> i64 {
    let query = format!("SELECT count(*) FROM t WHERE {condition}");
    let row = database.client().query_one(&query, &[]);
    row.expect("it is readable").get(0)
}

/// Starts `local` with invocations of these many seconds.
pub(super) fn hasty(database: &Database, dir: &Path, seconds: &str) -> Local {
    Local::with(database)
        .migrations(dir)
        .args(["--timeout", seconds])
        .start()
}

/// Returns a file that runs so slowly that an invocation of 4 s does some batches of its 2,000 rows.
fn slow() -> TempDir {
    let text = "-- batched: t by id\nUPDATE t SET n = n + 1 + length(pg_sleep(0.005)::text) \
                WHERE id BETWEEN $1 AND $2";
    files(&[("1_a.sql", text), ("2_b.sql", "create table b ()")])
}

#[track_caller]
fn succeed(local: &Local, event: &str) -> Value {
    let reply = local.invoke("migrations", event);
    reply.unwrap_or_else(|error| panic!("{event}: {error}"))
}

#[test]
fn every_row_is_met_once_and_the_reply_says_how_many() {
    let database = database_of(5000);
    let dir = files(&[("1_a.sql", ADD_ONE)]);
    let reply = succeed(&local(&database, dir.path()), MIGRATE);
    assert_eq!(reply["status"], "done", "{reply}");
    let progress = &reply["applied"][0]["progress"];
    assert_eq!(progress["rows"], 5000, "{reply}");
    assert_eq!(progress["changed"], 5000, "{reply}");
    assert!(progress["batches"].as_u64() > Some(3), "{reply}");
    assert_eq!(progress["lag"], "no standby", "{reply}");
    assert_eq!(count(&database, "n = 1"), 5000);
}

#[test]
fn the_next_invocation_goes_on_and_later_files_wait() {
    let database = database_of(2000);
    let dir = slow();
    let local = hasty(&database, dir.path(), "4");
    let mut rows = 0;
    let first = succeed(&local, MIGRATE);
    assert_eq!(first["status"], "partial", "{first}");
    assert_eq!(versions(&first["pending"]), ["1", "2"]);
    let progress = &first["pending"][0]["progress"];
    assert_eq!(progress["about"], 2000, "{first}");
    for number in ["percent", "rows_per_second", "seconds_left"] {
        assert!(progress[number].as_u64() > Some(0), "{number} in {first}");
    }
    let status = succeed(&local, r#"{"action":"status"}"#);
    assert_eq!(&status["pending"][0]["progress"], progress, "{status}");
    assert!(!database.has("b"));
    for _ in 0..20 {
        let reply = succeed(&local, MIGRATE);
        if reply["status"] == "done" {
            assert_eq!(count(&database, "n = 1"), 2000);
            assert!(database.has("b"));
            return;
        }
        if versions(&reply["pending"]) == ["1", "2"] {
            let now = reply["pending"][0]["progress"]["rows"].as_u64();
            assert!(now > Some(rows), "{reply}");
            rows = now.unwrap_or(0);
        }
    }
    panic!("it goes on for ever");
}

#[test]
fn rows_that_are_inserted_behind_the_last_key_of_the_start_are_left_alone() {
    let database = database_of(2000);
    let dir = slow();
    let local = hasty(&database, dir.path(), "4");
    succeed(&local, MIGRATE);
    let insert = "INSERT INTO t SELECT g FROM generate_series(2001, 2100) g";
    database
        .client()
        .batch_execute(insert)
        .expect("it is allowed");
    fs::write(dir.path().join("1_a.sql"), ADD_ONE).expect("there is room");
    let allow = r#"{"action":"migrate","allow":["edited:1"]}"#;
    assert_eq!(succeed(&local, allow)["status"], "done");
    assert_eq!(count(&database, "n = 1 AND id <= 2000"), 2000);
    assert_eq!(count(&database, "n = 0"), 100);
}

#[test]
fn keys_of_every_type_and_keys_that_repeat_are_passed_through() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "-- batched: x by k, 7 rows\nupdate x set n = n + 1 where k between $1 and $2",
    )]);
    for (type_, keys) in [
        ("int", "g - 50"),
        ("smallint", "g % 10"),
        ("uuid", "md5(g::text)::uuid"),
        (
            "text",
            "CASE g WHEN 1 THEN '' ELSE chr(g + 32) || '''\\' END",
        ),
        ("char(4)", "g::text"),
        ("varchar(9)", "g::text COLLATE \"C\""),
        (
            "timestamptz",
            "CASE g WHEN 1 THEN '-infinity' ELSE now() + g * interval '1.1 s' END",
        ),
        (
            "date",
            "CASE g WHEN 1 THEN '0044-03-15 BC' ELSE current_date + g END",
        ),
        ("numeric", "CASE g WHEN 1 THEN 'NaN' ELSE g / 3.0 END"),
        ("float8", "g / 3.0"),
        ("interval", "g * interval '1 h 1 s'"),
        ("bytea", "int4send(g)"),
        ("inet", "'10.0.0.0'::inet + g"),
        ("mood", "(enum_range(NULL::mood))[1 + g % 3]"),
        ("\"Odd Domain\"", "g"),
    ] {
        let prepare = format!(
            "SET client_min_messages = warning;
             DROP SCHEMA IF EXISTS plain_lambda CASCADE; DROP TABLE IF EXISTS x;
             DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
             DROP DOMAIN IF EXISTS \"Odd Domain\"; CREATE DOMAIN \"Odd Domain\" AS bigint CHECK (VALUE > 0);
             CREATE TABLE x (k {type_} NOT NULL, n int NOT NULL DEFAULT 0);
             INSERT INTO x SELECT {keys} FROM generate_series(1, 90) g; CREATE INDEX ON x (k)"
        );
        let mut client = database.client();
        client
            .batch_execute(&prepare)
            .expect("the administrator may");
        // How a date is shown must not matter.
        let name = database.name();
        let style = format!("ALTER DATABASE {name} SET datestyle = 'SQL, DMY'");
        client.batch_execute(&style).expect("the administrator may");
        let output = run(&database.url(), dir.path());
        assert!(output.contains("\"rows\":90"), "{type_}: {output}");
        let query = "SELECT count(*) FROM x WHERE n = 1";
        let once: i64 = client.query_one(query, &[]).expect("it is there").get(0);
        assert_eq!(once, 90, "{type_}");
    }
}

#[test]
fn deletes_and_inserts_of_what_is_selected_run_in_batches_too() {
    let database = database_of(1000);
    let dir = files(&[
        ("1_a.sql", "create table u (id bigint)"),
        (
            "2_b.sql",
            "-- batched: t by id\nINSERT INTO u SELECT id FROM t WHERE id >= $1 AND id <= $2",
        ),
        (
            "3_c.sql",
            "-- batched: public.t by id, 50 rows\nDELETE FROM t WHERE id BETWEEN $1 AND $2 AND id > 10",
        ),
        (
            "4_d.sql",
            "-- batched: u by id\nDELETE FROM u WHERE id BETWEEN $1 AND $2",
        ),
    ]);
    let local = local(&database, dir.path());
    check_fails(
        &local,
        "Function.MigrationFailed",
        &["4_d.sql", "`id` may be NULL"],
    );
    assert_eq!(count(&database, "true"), 10);
    let mut client = database.client();
    let row = client.query_one("SELECT count(DISTINCT id), count(*) FROM u", &[]);
    let row = row.expect("it is there");
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1000, 1000));
    let batches =
        "SELECT (progress->>'batches')::int FROM plain_lambda.migrations WHERE version = '3'";
    let batches: i32 = client.query_one(batches, &[]).expect("it is there").get(0);
    assert_eq!(batches, 20, "50 rows at most");
}

#[test]
fn an_empty_table_needs_no_batch() {
    let database = database_of(0);
    let dir = files(&[("1_a.sql", ADD_ONE)]);
    let reply = succeed(&local(&database, dir.path()), MIGRATE);
    assert_eq!(reply["applied"][0]["progress"]["batches"], 0, "{reply}");
}

#[test]
fn a_key_by_which_rows_could_be_missed_or_found_slowly_is_refused() {
    let database = Database::new();
    let prepare = "
        CREATE TABLE a (id bigint); CREATE INDEX ON a (id);
        CREATE TABLE b (id bigint NOT NULL); CREATE INDEX ON b (id) WHERE id > 5;
        CREATE INDEX ON b USING hash (id); CREATE INDEX ON b ((id + 1));
        CREATE TABLE c (id bigint NOT NULL, x int NOT NULL, PRIMARY KEY (x, id));
        CREATE TABLE d (id text NOT NULL); CREATE INDEX ON d (id text_pattern_ops);
        CREATE INDEX ON d (id COLLATE \"C\"); CREATE VIEW v AS SELECT * FROM b;
        CREATE TABLE e (x int, id int NOT NULL GENERATED ALWAYS AS (x) STORED UNIQUE);
        CREATE TABLE f (id jsonb PRIMARY KEY); CREATE TABLE g (id int[] PRIMARY KEY)";
    database
        .client()
        .batch_execute(prepare)
        .expect("the administrator may");
    for (table, says) in [
        ("a", "may be NULL"),
        ("b", "no complete btree index"),
        ("c", "no complete btree index"),
        ("d", "no complete btree index"),
        ("v", "no table `v`"),
        ("e", "generated"),
        ("f", "cannot hold"),
        ("g", "cannot hold"),
        ("nowhere", "no table `nowhere`"),
    ] {
        let text =
            format!("-- batched: {table} by id\nDELETE FROM {table} WHERE id BETWEEN $1 AND $2");
        let dir = files(&[("1_a.sql", &text)]);
        check_fails(
            &local(&database, dir.path()),
            "Function.MigrationFailed",
            &["1_a.sql", "in batches", says],
        );
    }
    let text = "-- batched: b by no\nDELETE FROM b WHERE no BETWEEN $1 AND $2";
    let dir = files(&[("1_a.sql", text)]);
    let local = local(&database, dir.path());
    check_fails(&local, "Function.MigrationFailed", &["no column `no`"]);
}

#[test]
fn a_mark_that_is_not_understood_is_refused_before_anything_runs() {
    let database = database_of(1);
    let dir = files(&[
        ("1_a.sql", "create table a ()"),
        (
            "2_b.sql",
            "-- batched: t by id\nupdate t set n = 1 where id > $1 and id <= $2",
        ),
    ]);
    let local = local(&database, dir.path());
    check_fails(
        &local,
        "Function.InvalidMigrations",
        &["2_b.sql:2:", "id BETWEEN $1 AND $2"],
    );
    assert!(!database.has("a"));
}

#[test]
fn an_edit_half_way_is_refused_and_allowed_by_name_and_so_a_backfill_is_given_up() {
    let database = database_of(2000);
    let dir = slow();
    let local = hasty(&database, dir.path(), "4");
    succeed(&local, MIGRATE);
    let path = dir.path().join("1_a.sql");
    fs::write(&path, "-- given up\nSELECT 1").expect("there is room");
    let says = ["1_a.sql", "edited after some of its batches", "edited:1"];
    check_fails(&local, "Function.MigrationsDiffer", &says);
    let rollback = local.invoke("migrations", r#"{"action":"rollback"}"#);
    let error = rollback.expect_err("it is half applied");
    assert_eq!(error["errorType"], "Function.CannotRollBack", "{error}");
    let allow = r#"{"action":"migrate","allow":["edited:1"]}"#;
    let reply = succeed(&local, allow);
    assert_eq!(versions(&reply["applied"]), ["1", "2"], "{reply}");
    assert!(count(&database, "n = 0") > 0);
    let status = succeed(&local, r#"{"action":"status"}"#);
    assert_eq!(versions(&status["applied"]), ["1", "2"], "{status}");
}

#[test]
fn a_statement_that_changes_rows_outside_of_its_batch_is_refused() {
    let database = database_of(1000);
    let text = "-- batched: t by id\nUPDATE t SET n = n + 1 WHERE n < 0 OR id > 500 OR id BETWEEN $1 AND $2";
    let dir = files(&[("1_a.sql", text)]);
    let local = local(&database, dir.path());
    let says = ["1_a.sql", "in a batch of 100", "parentheses"];
    check_fails(&local, "Function.MigrationFailed", &says);
    assert_eq!(count(&database, "n <> 0"), 0);
}

#[test]
fn an_error_keeps_the_batches_before_it_and_the_next_run_goes_on_there() {
    let database = database_of(1000);
    let check = "ALTER TABLE t ADD CHECK (n < 1 OR id <> 700)";
    database
        .client()
        .batch_execute(check)
        .expect("it is allowed");
    let dir = files(&[("1_a.sql", ADD_ONE)]);
    let local = local(&database, dir.path());
    let says = [
        "1_a.sql:2:1`",
        "kept the 2 batches before",
        "SQLSTATE 23514",
    ];
    check_fails(&local, "Function.MigrationFailed", &says);
    assert_eq!(count(&database, "n = 1"), 300);
    let mend = "ALTER TABLE t DROP CONSTRAINT t_check";
    database
        .client()
        .batch_execute(mend)
        .expect("it is allowed");
    succeed(&local, MIGRATE);
    assert_eq!(count(&database, "n = 1"), 1000);
}

#[test]
fn a_single_row_that_takes_too_long_is_an_error_that_says_so() {
    let database = database_of(500);
    let text = "-- batched: t by id\nUPDATE t SET n = length(pg_sleep(CASE id WHEN 301 THEN 5 ELSE 0 END)::text) + 1 WHERE id BETWEEN $1 AND $2";
    let dir = files(&[("1_a.sql", text)]);
    let local = local(&database, dir.path());
    let says = ["1_a.sql:2:1`", "a batch of one row takes too long", "57014"];
    check_fails(&local, "Function.MigrationFailed", &says);
    assert_eq!(
        count(&database, "n = 1"),
        300,
        "all rows before it are done"
    );
}

#[test]
fn a_row_that_another_session_has_locked_is_waited_for_and_the_session_is_named() {
    let database = database_of(500);
    let dir = files(&[("1_a.sql", ADD_ONE)]);
    let local = hasty(&database, dir.path(), "6");
    let mut other = database.client();
    other
        .batch_execute("BEGIN; UPDATE t SET n = 0 WHERE id = 450")
        .expect("it is free");
    // Batches become smaller until only the row that is locked is left.
    let error = (0..8).find_map(|_| local.invoke("migrations", MIGRATE).err());
    let error = error.expect("the row stays locked");
    assert_eq!(error["errorType"], "Function.OutOfTime", "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(message.contains("blocked by pid "), "{error}");
    assert_eq!(count(&database, "n = 1"), 449);
    thread::scope(|scope| {
        let run = scope.spawn(|| succeed(&local, MIGRATE));
        let tried = || local.log().matches("trying a batch of").count();
        let before = tried();
        wait_for("an attempt", || (tried() > before).then_some(()));
        other.batch_execute("COMMIT").expect("it is open");
        assert_eq!(run.join().expect("no panic")["status"], "done");
    });
    assert_eq!(count(&database, "n = 1"), 500);
}

/// Returns a file whose rows take 10 ms each.
fn ten_ms_a_row() -> TempDir {
    let text = "-- batched: t by id\nUPDATE t SET n = n + 1 + length(pg_sleep(0.01)::text) \
                WHERE id BETWEEN $1 AND $2";
    files(&[("1_a.sql", text)])
}

/// Always wants the row with which the next batch begins; returns the longest time that one took.
fn want_next_rows(database: &Database, has_ended: impl Fn() -> bool) -> Duration {
    let mut client = database.client();
    let mut longest = Duration::ZERO;
    let next = "SELECT coalesce((progress->>'after')::bigint, 0) + 1
                FROM plain_lambda.migrations WHERE version = '1'";
    while !has_ended() {
        let row = client.query_opt(next, &[]).ok().flatten();
        let id: i64 = row.map_or(1, |row| row.get(0));
        let began = Instant::now();
        let update = "UPDATE t SET n = n WHERE id = $1";
        client.execute(update, &[&id]).expect("it may");
        longest = longest.max(began.elapsed());
    }
    longest
}

#[test]
fn batches_of_slow_rows_are_short_and_shorter_while_others_wait() {
    let database = database_of(240);
    let dir = ten_ms_a_row();
    let longest = thread::scope(|scope| {
        let run = scope.spawn(|| run(&database.url(), dir.path()));
        let longest = want_next_rows(&database, || run.is_finished());
        let reply = run.join().expect("it ends");
        let reply: Value = serde_json::from_str(&reply).expect("it is JSON");
        // Without anybody who waits, a batch would have some 40 rows.
        let batches = reply["applied"][0]["progress"]["batches"].as_u64();
        assert!(batches > Some(12), "{reply}");
        longest
    });
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert_eq!(count(&database, "n = 1"), 240);
}

#[test]
fn a_process_that_freezes_in_a_batch_keeps_its_locks_for_a_second() {
    let database = database_of(600);
    let dir = ten_ms_a_row();
    let mute = Arc::new(AtomicBool::new(false));
    let port = proxy::start(database.port(), Fault::Mute(Arc::clone(&mute)));
    let mut frozen = Program::start(
        Command::new(bootstrap())
            .args(["migrate", MIGRATE])
            .env("DATABASE_URL", database.url_at(port))
            .env("MIGRATIONS_DIR", dir.path()),
    );
    let mut client = database.client();
    // The first batch may take too long, and then holds no lock.
    let running = "SELECT count(*) FROM plain_lambda.migrations, pg_stat_activity
                   WHERE progress IS NOT NULL AND datname = current_database() AND state = 'active'
                     AND query LIKE 'UPDATE t%' AND query_start < now() - interval '20 ms'";
    wait_for("a batch", || {
        let row = client.query_one(running, &[]).ok()?;
        (row.get::<_, i64>(0) > 0).then_some(())
    });
    mute.store(true, Ordering::Relaxed);
    // It is more than a second, as the machine may have much to do.
    let limit = "SET statement_timeout = '6 s'";
    client.batch_execute(limit).expect("it may");
    let updated = client.execute("UPDATE t SET n = n", &[]);
    updated.expect("the locks are free");
    frozen.signal("KILL");
    frozen.wait();
    run(&database.url(), dir.path());
    assert_eq!(count(&database, "n = 1"), 600);
}

#[test]
fn two_runs_behind_a_pooler_share_the_batches() {
    needs!(PgBouncer);
    let database = database_of(200);
    let pgbouncer = PgBouncer::start(&database, "");
    let dir = ten_ms_a_row();
    let url = database.url_at(pgbouncer.port());
    thread::scope(|scope| {
        let runs = [(); 3].map(|()| scope.spawn(|| run(&url, dir.path())));
        // A run pauses for who waits, and the others go on meanwhile.
        want_next_rows(&database, || runs.iter().all(ScopedJoinHandle::is_finished));
    });
    assert_eq!(count(&database, "n = 1"), 200);
}

#[test]
fn a_dry_run_a_down_file_and_a_seed_run_no_batches() {
    let database = database_of(10);
    let dir = files(&[
        ("1_a.sql", ADD_ONE),
        ("1_a.down.sql", ADD_ONE),
        ("seed.sql", ADD_ONE),
    ]);
    let local = local(&database, dir.path());
    let dry = succeed(&local, r#"{"action":"migrate","dry_run":true}"#);
    assert!(
        dry["not_tried"][0]["reason"]
            .as_str()
            .expect("it is text")
            .contains("batches"),
        "{dry}"
    );
    assert_eq!(count(&database, "n = 0"), 10);
    succeed(&local, MIGRATE);
    for action in ["rollback", "seed"] {
        let event = format!(r#"{{"action":"{action}"}}"#);
        let error = local
            .invoke("migrations", &event)
            .expect_err("it is refused");
        let message = error["errorMessage"].as_str().expect("it is text");
        assert!(
            message.contains("only a file that migrates runs in batches"),
            "{error}"
        );
    }
    assert_eq!(count(&database, "n = 1"), 10);
}

/// Runs `migrate` in a process of its own; returns its reply.
#[track_caller]
pub(super) fn run(url: &str, dir: &Path) -> String {
    let output = Command::new(bootstrap())
        .args(["migrate", MIGRATE])
        .env("DATABASE_URL", url)
        .env("MIGRATIONS_DIR", dir)
        .output()
        .expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    String::from_utf8(output.stdout).expect("it is JSON")
}
