//! Kills runs at every point: the process, the server's backend, or the network. Afterwards the history
//! is true, and the next run leaves the same database as an undisturbed one.

use super::{MIGRATE, files};
use crate::support::proxy::{self, Fault};
use crate::support::{Cluster, Database, bootstrap, wait_for};
use postgres::Client;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Every kind of file: one transaction, steps, an index, data, its own transaction.
const FILES: [(&str, &str); 6] = [
    (
        "1_a.sql",
        "create table a (id int primary key, x text); insert into a select g, g from generate_series(1, 50) g",
    ),
    (
        "2_b.sql",
        "create table b (id int); create index concurrently a_x on a (x); insert into b values (1); vacuum a; insert into b values (2)",
    ),
    (
        "3_c.sql",
        "begin; create type c as enum ('one'); commit; begin; create table cc (x c); commit",
    ),
    (
        "4_d.sql",
        "create table d (id int);\ncopy d from stdin;\n1\n2\n3\n\\.\ninsert into d values (4)",
    ),
    (
        "5_e.sql",
        "alter type c add value 'two'; insert into cc values ('two'); create unique index concurrently cc_x on cc (x)",
    ),
    (
        "6_f.sql",
        "create table f (); comment on table f is 'the end'",
    ),
];

/// The relations, indexes, comments and enum labels of a database, as one text.
const STATE: &str = "
    SELECT coalesce(string_agg(line, ' ' ORDER BY line), '') FROM (
        SELECT c.relkind::text || c.relname || coalesce(i.indisvalid::text, '')
               || coalesce(obj_description(c.oid), '')
        FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace
        UNION ALL SELECT 'label ' || enumlabel FROM pg_enum) lines (line)";

/// What is killed, and after how many messages of the run.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Process(usize),
    Backend(usize),
    Network(usize),
}

#[test]
fn a_run_that_is_killed_anywhere_is_finished_by_the_next() {
    let dir = files(&FILES);
    let database = Database::new();
    let undisturbed: Vec<String> = (1..=FILES.len())
        .map(|version| {
            let to = format!(r#"{{"action":"migrate","to":"{version}"}}"#);
            assert!(
                start(&database.url(), dir.path(), &to)
                    .wait()
                    .expect("it ends")
                    .success()
            );
            state(&database)
        })
        .collect();
    let messages = count_messages(dir.path());
    assert!(messages > 50, "{messages}");
    println!("3 blows at each of {messages} points");
    let blows = (1..=messages).flat_map(|point| {
        [
            Blow::Process(point),
            Blow::Backend(point),
            Blow::Network(point),
        ]
    });
    let blows = Mutex::new(blows);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let blow = blows.lock().expect("no holder panics").next();
                    let Some(blow) = blow else { break };
                    strike(blow, dir.path(), &undisturbed);
                }
            });
        }
    });
}

fn strike(blow: Blow, dir: &Path, undisturbed: &[String]) {
    let database = Database::new();
    let (told, point) = mpsc::channel();
    let fault = match blow {
        Blow::Network(point) => Fault::CutAt(point),
        Blow::Process(point) | Blow::Backend(point) => Fault::TellAt(point, told),
    };
    let port = proxy::start(database.port(), fault);
    let mut run = start(&database.url_at(port), dir, MIGRATE);
    match blow {
        Blow::Network(_) => {}
        Blow::Process(_) if comes_to(&point, &mut run) => run.kill().expect("it is ours"),
        Blow::Backend(_) if comes_to(&point, &mut run) => terminate(&database),
        Blow::Process(_) | Blow::Backend(_) => {}
    }
    run.wait().expect("it ends");
    let mut admin = Cluster::get().admin();
    wait_for("the server to notice", || {
        (sessions(&mut admin, &database) == 0).then_some(())
    });
    let (applied, under_way) = history(&database);
    if under_way == 0 && applied > 0 {
        assert_eq!(state(&database), undisturbed[applied - 1], "after {blow:?}");
    }
    let again = start(&database.url(), dir, MIGRATE)
        .wait_with_output()
        .expect("it ends");
    let log = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success(), "the run after {blow:?}: {log}");
    assert_eq!(
        Some(&state(&database)),
        undisturbed.last(),
        "in the end, after {blow:?}"
    );
    assert_eq!(
        history(&database),
        (FILES.len(), 0),
        "in the end, after {blow:?}"
    );
    assert_eq!(rows(&database), (50, 2, 4), "in the end, after {blow:?}");
}

/// Returns whether the run reaches the point. It may end before, as two of its messages may arrive in one
/// piece; the proxy then still listens.
fn comes_to(point: &Receiver<()>, run: &mut Child) -> bool {
    loop {
        match point.recv_timeout(Duration::from_millis(20)) {
            Ok(()) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
            Err(RecvTimeoutError::Timeout) => {
                if run.try_wait().expect("it is ours").is_some() {
                    return false;
                }
            }
        }
    }
}

fn start(url: &str, dir: &Path, event: &str) -> Child {
    Command::new(bootstrap())
        .args(["migrate", event])
        .env("DATABASE_URL", url)
        .env("MIGRATIONS_DIR", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs")
}

/// Counts the messages of an undisturbed run.
fn count_messages(dir: &Path) -> usize {
    let database = Database::new();
    let (told, messages) = mpsc::channel();
    let port = proxy::start(database.port(), Fault::TellAll(told));
    let ended = start(&database.url_at(port), dir, MIGRATE).wait();
    assert!(ended.expect("it ends").success());
    let mut admin = Cluster::get().admin();
    wait_for("the connection to close", || {
        (sessions(&mut admin, &database) == 0).then_some(())
    });
    messages.try_iter().count()
}

fn terminate(database: &Database) {
    let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = $1 AND application_name LIKE 'plain-lambda%'";
    let terminated = Cluster::get().admin().query(query, &[&database.name()]);
    terminated.expect("the administrator may");
}

fn sessions(admin: &mut Client, database: &Database) -> i64 {
    let query = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = $1 AND application_name LIKE 'plain-lambda%'";
    let row = admin.query_one(query, &[&database.name()]);
    row.expect("it is readable").get(0)
}

fn state(database: &Database) -> String {
    let row = database.client().query_one(STATE, &[]);
    row.expect("the catalog is readable").get(0)
}

/// Counts the files that the history has as applied, and as begun.
fn history(database: &Database) -> (usize, usize) {
    let query =
        "SELECT count(applied_at), count(*) - count(applied_at) FROM plain_lambda.migrations
         WHERE version NOT LIKE 'plain-lambda/%'";
    let Ok(row) = database.client().query_one(query, &[]) else {
        return (0, 0);
    };
    let count = |column: usize| usize::try_from(row.get::<_, i64>(column)).expect("it counts");
    (count(0), count(1))
}

fn rows(database: &Database) -> (i64, i64, i64) {
    let query =
        "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM d)";
    let row = database
        .client()
        .query_one(query, &[])
        .expect("all is there");
    (row.get(0), row.get(1), row.get(2))
}
