//! Kills backfills at random moments, while another session updates the same rows. Each row is met
//! once, the progress never goes back, and nobody waits for a second.

use super::batched::{count, database_of, hasty};
use super::{MIGRATE, files};
use crate::support::{Database, bootstrap};
use postgres::Client;
use postgres::error::SqlState;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[test]
fn a_backfill_that_is_killed_again_and_again_meets_each_row_once() {
    // A small limit, so that there are many moments between two batches.
    torture(200_000, ", 100 rows", 30, 300);
}

#[test]
#[ignore = "takes minutes: run it by its name"]
fn ten_million_rows_and_two_hundred_kills() {
    torture(10_000_000, "", 200, 500);
}

/// Runs a backfill of a table of `rows`: kills runs within `ms`, then lets invocations of a few seconds
/// finish it.
fn torture(rows: u32, most: &str, kills: u32, ms: u32) {
    let mut random = Random::new();
    let database = database_of(rows);
    let text =
        format!("-- batched: t by id{most}\nUPDATE t SET n = n + 1 WHERE id BETWEEN $1 AND $2");
    let dir = files(&[("1_a.sql", &text)]);
    let ended = AtomicBool::new(false);
    let begun = Instant::now();
    let (longest, struck, invocations) = thread::scope(|scope| {
        let neighbour = scope.spawn(|| neighbour(&database, rows, &ended));
        let watcher = scope.spawn(|| watch(&database, &ended));
        // Ends the two even if an assertion fails.
        let end = Ends(&ended);
        let (mut struck, mut invocations) = (0, 0);
        while struck < kills && !is_done(&database) {
            let run = start(&database, dir.path());
            struck += u32::from(kill_after(run, random.below(ms)));
        }
        let local = hasty(&database, dir.path(), "3");
        while !is_done(&database) {
            invocations += 1;
            assert!(invocations < 1000, "it goes on for ever");
            // On a machine with too much to do, an invocation can end in a batch; the next goes on.
            if let Err(error) = local.invoke("migrations", MIGRATE) {
                println!("{error}");
            }
        }
        drop(end);
        watcher.join().expect("the progress never goes back");
        (neighbour.join().expect("no panic"), struck, invocations)
    });
    println!(
        "{rows} rows, {struck} kills, {invocations} invocations, {:.0?}; longest wait {longest:?}",
        begun.elapsed()
    );
    assert_eq!(count(&database, "n = 1"), i64::from(rows));
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert!(struck > kills / 2, "only {struck} kills");
}

/// Updates one row after the other without changing it; returns the longest time that one took.
fn neighbour(database: &Database, rows: u32, ended: &AtomicBool) -> Duration {
    let mut client = database.client();
    let mut random = Random::new();
    let mut longest = Duration::ZERO;
    while !ended.load(Ordering::Relaxed) {
        let id = i64::from(random.below(rows) + 1);
        let began = Instant::now();
        let updated = client.execute("UPDATE t SET n = n WHERE id = $1", &[&id]);
        // Another test may use up the server's memory for locks.
        updated.map_or_else(
            |error| assert_eq!(error.code(), Some(&SqlState::OUT_OF_MEMORY)),
            drop,
        );
        longest = longest.max(began.elapsed());
        thread::park_timeout(Duration::from_millis(10));
    }
    longest
}

/// Checks that the recorded progress never goes back.
fn watch(database: &Database, ended: &AtomicBool) {
    let mut client = database.client();
    let mut before = (0, 0);
    while !ended.load(Ordering::Relaxed) {
        let now = progress(&mut client).unwrap_or(before);
        assert!(
            now.0 >= before.0 && now.1 >= before.1,
            "{now:?} after {before:?}"
        );
        before = now;
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Returns the recorded rows and the last key; `None` if there are none.
fn progress(client: &mut Client) -> Option<(i64, i64)> {
    let query = "SELECT (progress->>'rows')::bigint, (progress->>'after')::bigint
                 FROM plain_lambda.migrations WHERE version = '1'";
    let row = client.query_opt(query, &[]).ok()??;
    Some((row.get(0), row.get(1)))
}

fn is_done(database: &Database) -> bool {
    let query =
        "SELECT 1 FROM plain_lambda.migrations WHERE version = '1' AND applied_at IS NOT NULL";
    let found = database.client().query_opt(query, &[]);
    found.is_ok_and(|row| row.is_some())
}

fn start(database: &Database, dir: &Path) -> Child {
    Command::new(bootstrap())
        .args(["migrate", MIGRATE])
        .env("DATABASE_URL", database.url())
        .env("MIGRATIONS_DIR", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs")
}

/// Kills a run after these many milliseconds; returns whether it still ran.
fn kill_after(mut run: Child, ms: u32) -> bool {
    let killed_at = Instant::now() + Duration::from_millis(u64::from(ms));
    while Instant::now() < killed_at {
        if run.try_wait().expect("it is ours").is_some() {
            return false;
        }
        thread::park_timeout(Duration::from_millis(1));
    }
    run.kill().expect("it is ours");
    run.wait().expect("it ends");
    true
}

/// Sets a flag when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Random numbers of a seed that is printed: SplitMix64.
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let seed = seed.unwrap_or(u64::from(now.subsec_nanos()));
        println!("SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(limit)).unwrap_or(0)
    }
}
