//! Backfills of a server with a standby that replays late.

use super::batched::{ADD_ONE, run};
use super::{MIGRATE, files};
use crate::support::{Cluster, Database, Local, Program, Server, local, root, wait_for};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A standby that replays three seconds later; ended and removed when dropped.
struct Standby {
    dir: PathBuf,
    program: Option<Program>,
}

impl Standby {
    /// Copies a server, and follows it.
    fn of(server: &Server) -> Standby {
        let dir = root().join("target/tests/backfill-standby");
        let _ = fs::remove_dir_all(&dir);
        let row = server.client().query_one("SHOW data_directory", &[]);
        let data: String = row.expect("it may").get(0);
        let copied = data.replace("backfill-primary", "backfill-standby");
        let [home, copied_home] = [&data, &copied].map(|data| {
            let parent = Path::new(data).parent();
            parent.expect("it is in a directory").to_path_buf()
        });
        fs::create_dir_all(&copied_home).expect("there is room");
        let password = home.join("password");
        fs::copy(password, copied_home.join("password")).expect("there is room");
        let mut copy = Cluster::get().command("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--dbname"]);
        crate::support::run(copy.args([server.url(), "--pgdata", &copied]));
        let settings = Path::new(&copied).join("postgresql.auto.conf");
        let mut settings = OpenOptions::new().append(true).open(settings);
        let settings = settings.as_mut().expect("pg_basebackup has written it");
        writeln!(settings, "recovery_min_apply_delay = '3s'").expect("there is room");
        let mut chown = Command::new("chown");
        chown.args(["-R", "--reference", &data]);
        crate::support::run(chown.arg(&copied_home));
        let mut command = Command::new(local());
        command.args(["postgres", "--attached", "--dir"]);
        let mut program = Program::start(command.arg(&dir));
        program.first_line();
        Standby {
            dir,
            program: Some(program),
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.program = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_standby_that_is_behind_is_waited_for_and_one_that_cannot_be_seen_is_said() {
    let server = Server::start("backfill-primary");
    let mut client = server.client();
    client
        .batch_execute(
            "CREATE ROLE plain LOGIN PASSWORD 'plain'; CREATE TABLE t (id bigint PRIMARY KEY, n int);
             INSERT INTO t SELECT g, 0 FROM generate_series(1, 1000) g; ALTER TABLE t OWNER TO plain;
             DO $$ BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || current_database() || ' TO plain'; END $$;
             CREATE TABLE written (at timestamptz)",
        )
        .expect("the administrator may");
    let standby = Standby::of(&server);
    let dir = files(&[("1_a.sql", ADD_ONE)]);
    let (_, rest) = server.url().rsplit_once('@').expect("it has a user");
    let reply = run(&format!("postgres://plain:plain@{rest}"), dir.path());
    assert!(reply.contains("\"lag\":\"unknown\""), "{reply}");

    let dir = files(&[("1_a.sql", ADD_ONE), ("2_b.sql", ADD_ONE)]);
    wait_for("the standby to be behind", || {
        let query = "SELECT count(*) FROM pg_stat_replication WHERE replay_lag > '2.5 s'";
        let insert = "INSERT INTO written VALUES (now())";
        client.batch_execute(insert).expect("it may");
        let behind: i64 = client.query_one(query, &[]).expect("it may").get(0);
        (behind > 0).then_some(())
    });
    let other = Database::new();
    let local = Local::with(&other)
        .migrations(dir.path())
        .args(["--timeout", "5"])
        .env("DATABASE_URL", server.url())
        .start();
    let error = local.invoke("migrations", MIGRATE).expect_err("it waits");
    assert_eq!(error["errorType"], "Function.OutOfTime", "{error}");
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(
        message.contains("by the standbys, which are behind by "),
        "{error}"
    );
    drop(standby);
    let reply = local.invoke("migrations", MIGRATE);
    let reply = reply.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        reply["applied"][0]["progress"]["lag"], "no standby",
        "{reply}"
    );
}
