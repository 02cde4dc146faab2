//! What happens to a server seldom: its disk is full, and its standby takes its place.

use super::bench::{Bench, Outcome};
use super::chance::Chance;
use super::strike::Moment;
use super::{finish, number, undisturbed};
use crate::support::{free_port, needs, run, wait_for};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The room on the small disk, in MiB: for an empty database, and all that the history needs.
const DISK: u64 = 32;

/// How often the disk is full.
const FILLED: u64 = 4;

/// A small disk; unmounted when dropped.
struct Disk(TempDir);

impl Disk {
    fn mount(owner: &fs::Metadata) -> Disk {
        let dir = open_dir();
        let options = format!(
            "size={DISK}m,mode=700,uid={},gid={}",
            owner.uid(),
            owner.gid()
        );
        let mut mount = Command::new("mount");
        run(mount
            .args(["-t", "tmpfs", "-o", &options, "torture"])
            .arg(dir.path()));
        Disk(dir)
    }

    /// Leaves only this much room.
    fn fill(&self, left: u64) {
        let disk = rustix::fs::statvfs(self.0.path()).expect("it is mounted");
        let free = disk.f_bavail * disk.f_frsize;
        let ballast = vec![1; free.saturating_sub(left) as usize];
        fs::write(self.ballast(), ballast).expect("there is room");
    }

    fn empty(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// A standby; ended when dropped.
struct Standby {
    dir: TempDir,
    programs: PathBuf,
    account: (u32, u32),
}

impl Standby {
    /// Copies the server of a bench, and follows it; returns the standby and its address.
    fn of(bench: &Bench) -> (Standby, String) {
        let standby = Standby {
            dir: open_dir(),
            programs: bench.programs.clone(),
            account: account(bench),
        };
        let mut copy = Command::new(bench.programs.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--dbname"]);
        run(copy.arg(&bench.address).arg("--pgdata").arg(standby.data()));
        let (uid, gid) = standby.account;
        let mut chown = Command::new("chown");
        run(chown
            .args(["-R", &format!("{uid}:{gid}")])
            .arg(standby.data()));
        let port = free_port();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c max_connections=200"
        );
        let log = standby.data().join("log");
        let mut start = standby.pg_ctl();
        run(start
            .args(["start", "--options", &options, "--log"])
            .arg(log));
        let (account, rest) = bench.address.rsplit_once(':').expect("it has a port");
        let (_, database) = rest.split_once('/').expect("it has a path");
        let address = format!("{account}:{port}/{database}");
        (standby, address)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn pg_ctl(&self) -> Command {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command
            .args(["--wait", "--silent", "--pgdata"])
            .arg(self.data());
        command.current_dir(self.dir.path());
        command.uid(self.account.0).gid(self.account.1);
        command
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let _ = self.pg_ctl().args(["stop", "--mode=immediate"]).status();
    }
}

#[test]
fn a_disk_that_is_full_stops_a_run_and_the_next_goes_on_when_there_is_room() {
    needs!(Mounts);
    let bench = Bench::new("torture-full");
    let disk = Disk::mount(&data(&bench));
    let place = disk.0.path().display();
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{place}'");
    bench.admin().batch_execute(&tablespace).expect("it may");
    let mut chance = Chance::of(number("SEED", 1));
    let mut failed = 0;
    for _ in 0..FILLED {
        bench.make_database_with("TABLESPACE small");
        let left = chance.between(0, 4 << 20);
        disk.fill(left);
        let outcome = bench.invoke();
        disk.empty();
        match &outcome {
            Outcome::Failed(said) => {
                assert!(said.contains("SQLSTATE 53100"), "{left}: {said}");
                failed += 1;
            }
            _ => assert_eq!(outcome, Outcome::Done, "{left}"),
        }
        finish(&bench, &mut String::new()).unwrap_or_else(|why| panic!("{left}: {why}"));
        let differs = bench.end().differs(&undisturbed().end);
        assert_eq!(differs, None, "{left} after {outcome:?}");
    }
    assert!(failed > 0, "the disk was never full");
}

#[test]
fn a_standby_that_is_promoted_goes_on_with_the_run_of_its_primary() {
    let mut bench = Bench::new("torture-primary");
    let (_standby, address) = Standby::of(&bench);
    let mut chance = Chance::of(number("SEED", 1));
    // Not the last messages: the run must not have ended.
    let moment = Moment::Message(chance.between(1, undisturbed().messages * 9 / 10));
    bench.make_database();
    let mut first = bench.start(bench.counted());
    moment.comes(&bench, || first.has_ended());
    // Without a word to the standby.
    bench.shut_down("QUIT");
    let outcome = first.finish();
    bench.address = address;
    wait_for("all that the standby has", || {
        let query = "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                     AND EXISTS (SELECT FROM pg_database WHERE datname = 'torture')";
        let row = bench.admin().query_one(query, &[]).expect("it may");
        row.get::<_, Option<bool>>(0)?.then_some(())
    });
    let on_standby = bench.invoke();
    let Outcome::Failed(said) = &on_standby else {
        panic!("a standby takes no changes: {on_standby:?}")
    };
    assert!(said.contains("DATABASE_URL of the primary"), "{said}");
    bench
        .admin()
        .execute("SELECT pg_promote()", &[])
        .expect("it may");
    finish(&bench, &mut String::new()).expect("the new primary takes changes");
    let differs = bench.end().differs(&undisturbed().end);
    assert_eq!(differs, None, "{moment:?}: {outcome:?}");
}

/// Makes a directory that every account can enter.
fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().expect("there is room");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("it is ours");
    dir
}

/// The server's own directory.
fn data(bench: &Bench) -> fs::Metadata {
    let row = bench.admin().query_one("SHOW data_directory", &[]);
    let path: String = row.expect("it may").get(0);
    fs::metadata(Path::new(&path)).expect("it is on this machine")
}

/// The account that the server runs as.
fn account(bench: &Bench) -> (u32, u32) {
    let data = data(bench);
    (data.uid(), data.gid())
}
