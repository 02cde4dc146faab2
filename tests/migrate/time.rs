//! Runs that need more time than an invocation has.

use super::{MIGRATE, check_fails, files, versions};
use crate::support::{Database, Local, signal, wait_for};
use std::path::Path;
use std::thread;

fn hasty(database: &Database, dir: &Path, seconds: &str) -> Local {
    Local::with(database)
        .migrations(dir)
        .args(["--timeout", seconds])
        .start()
}

#[test]
fn the_next_invocation_continues_a_run_that_ran_out_of_time() {
    let database = Database::new();
    let slow = |table: &str| format!("create table {table} (); select pg_sleep(1.2)");
    let texts = ["a", "b", "c", "d"].map(slow);
    let dir = files(&[
        ("1_a.sql", &texts[0]),
        ("2_b.sql", &texts[1]),
        ("3_c.sql", &texts[2]),
        ("4_d.sql", &texts[3]),
    ]);
    let local = hasty(&database, dir.path(), "5");
    let first = local
        .invoke("migrations", MIGRATE)
        .expect("a partial run is not a failure");
    assert_eq!(first["status"], "partial", "{first}");
    assert_eq!(first["next"], "invoke again");
    let done = versions(&first["applied"]).len();
    assert!((1..4).contains(&done), "{first}");
    assert_eq!(versions(&first["pending"]).len(), 4 - done);
    let second = local.invoke("migrations", MIGRATE).expect("it goes on");
    assert_eq!(versions(&second["applied"])[0], (done + 1).to_string());
}

#[test]
fn a_statement_that_cannot_end_in_time_is_cancelled_and_rolled_back() {
    let database = Database::new();
    // A file that turns statement_timeout off is cancelled, too.
    let text = "set statement_timeout = 0; create table a (); select pg_sleep(60)";
    let dir = files(&[("1_a.sql", text)]);
    let local = hasty(&database, dir.path(), "3");
    check_fails(
        &local,
        "Function.OutOfTime",
        &[
            "1_a.sql",
            "what it had not committed is rolled back",
            "longer timeout",
            "bootstrap migrate",
        ],
    );
    assert!(!database.has("a"));
    let sleeps = "SELECT count(*) = 0 FROM pg_stat_activity
                  WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()
                    AND datname = current_database()";
    wait_for("the statement to be gone", || {
        let row = database.client().query_one(sleeps, &[]);
        row.expect("it is readable").get::<_, bool>(0).then_some(())
    });
}

#[test]
fn a_file_with_some_steps_done_gives_a_partial_reply() {
    let database = Database::new();
    let dir = files(&[(
        "1_a.sql",
        "create table a (); vacuum; select pg_sleep(1); create table b (); select pg_sleep(60)",
    )]);
    let local = hasty(&database, dir.path(), "4");
    let reply = local
        .invoke("migrations", MIGRATE)
        .expect("some steps were done");
    assert_eq!(reply["status"], "partial", "{reply}");
    assert_eq!(versions(&reply["pending"]), ["1"]);
    check_fails(&local, "Function.OutOfTime", &["1_a.sql"]);
}

#[test]
fn a_process_that_is_killed_leaves_no_statement_behind() {
    let database = Database::new();
    let dir = files(&[("1_a.sql", "create table a (); select pg_sleep(600)")]);
    let local = Local::with(&database).migrations(dir.path()).start();
    let state = "SELECT count(*) FROM pg_stat_activity
                 WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()
                   AND datname = current_database()";
    let sleeping = || -> i64 {
        let row = database.client().query_one(state, &[]);
        row.expect("it is readable").get(0)
    };
    thread::scope(|scope| {
        scope.spawn(|| local.invoke("migrations", MIGRATE));
        wait_for("the statement to run", || (sleeping() == 1).then_some(()));
        local
            .environments()
            .into_iter()
            .for_each(|pid| signal(pid, "KILL"));
        wait_for("the server to notice", || (sleeping() == 0).then_some(()));
    });
    assert!(!database.has("a"));
}
