//! The private Postgres of `local`: it keeps its rows, has one owner, and recovers after a crash.

use crate::support::{Cluster, Program, local, root, signal, state, wait_for};
use postgres::{Client, NoTls};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory for one test; removed when dropped.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = root().join("target/tests").join(name);
        let _ = fs::remove_dir_all(&dir);
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(dir: &Path) -> (Program, String) {
    // If Postgres has to be downloaded, the cluster of the run does so, once.
    Cluster::get();
    let mut program = Program::start(
        Command::new(local())
            .args(["postgres", "--attached", "--dir"])
            .arg(dir),
    );
    let url = program.first_line();
    (program, url)
}

/// Returns a connection to the server and the server's process id, read from postmaster.pid.
fn postmaster(url: &str) -> (Client, u32) {
    let mut client = Client::connect(url, NoTls).expect("it takes connections");
    let query = "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)";
    let pid: String = client.query_one(query, &[]).expect("it is allowed").get(0);
    (client, pid.parse().expect("it is a number"))
}

#[test]
fn a_postgres_left_by_a_killed_local_is_stopped_and_its_rows_are_kept() {
    let dir = Dir::new("crash");
    let (mut first, url) = start(&dir.0);
    let (mut client, left) = postmaster(&url);
    client
        .batch_execute("CREATE TABLE kept ()")
        .expect("it is allowed");
    // With `fsync` off, only a checkpoint makes sure that the table survives the kill.
    client.batch_execute("CHECKPOINT").expect("it is allowed");
    signal(first.pid(), "KILL");
    first.wait();
    assert!(!state(left).is_empty(), "it outlived its owner");

    let (mut second, url) = start(&dir.0);
    assert!(
        state(left).is_empty() || state(left).starts_with('Z'),
        "it was stopped"
    );
    let (mut client, _) = postmaster(&url);
    client
        .batch_execute("SELECT FROM kept")
        .expect("the rows are kept");
    drop(client);
    second.signal("INT");
    assert!(second.wait().success(), "{}", second.whole_log());
}

#[test]
fn a_directory_has_one_owner() {
    let dir = Dir::new("owner");
    let (_owner, url) = start(&dir.0);
    let (_, pid) = postmaster(&url);
    let output = Command::new(local())
        .args(["postgres", "--dir"])
        .arg(&dir.0)
        .output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another `local` is running on it"), "{said}");
    assert_eq!(postmaster(&url).1, pid, "the owner's server goes on");
}

#[test]
fn a_server_that_dies_is_started_again_at_its_url() {
    let dir = Dir::new("dies");
    let (mut program, url) = start(&dir.0);
    let (client, first) = postmaster(&url);
    drop(client);
    signal(first, "KILL");
    let second = wait_for("a new server", || {
        let mut client = Client::connect(&url, NoTls).ok()?;
        let query = "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)";
        let pid: String = client.query_one(query, &[]).ok()?.get(0);
        pid.parse::<u32>().ok().filter(|pid| *pid != first)
    });
    let said = "the private Postgres has died; starting it again";
    wait_for("the log to say so", || {
        program.log().contains(said).then_some(())
    });
    assert_eq!(program.log().matches(said).count(), 1, "{}", program.log());
    program.signal("INT");
    assert!(program.wait().success(), "{}", program.whole_log());
    wait_for("the new server to end", || {
        state(second).is_empty().then_some(())
    });
}

#[test]
fn the_url_is_in_a_file_that_nobody_else_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new("url");
    let (program, url) = start(&dir.0);
    let file = dir.0.join("url");
    assert_eq!(
        fs::read_to_string(&file).expect("it is there").trim_end(),
        url
    );
    let mode = fs::metadata(&file)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let (user_and_password, _) = url.split_once('@').expect("the URL has a password");
    let (_, password) = user_and_password
        .rsplit_once(':')
        .expect("the URL has a password");
    assert!(!program.log().contains(password), "{}", program.log());
}
