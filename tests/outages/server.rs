//! A server of the test's own, which it may stop, crash and make a standby.

use super::{EDIT, LIST, TIMEOUT, in_time};
use crate::connection::secure;
use crate::support::proxy::{self, Fault, NO_FAULT};
use crate::support::{Cluster, Database, Local, Program, local, root, signal, wait_for};
use postgres::{Client, NoTls};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running server; ends with its value, and its files with it.
struct Server {
    dir: PathBuf,
    url: String,
    program: Option<Program>,
}

impl Server {
    fn start(name: &str) -> Server {
        // Where Postgres has to be fetched, the run's own cluster does it, and once.
        Cluster::get();
        let dir = root().join("target/tests").join(name);
        let _ = fs::remove_dir_all(&dir);
        let mut server = Server {
            dir,
            url: String::new(),
            program: None,
        };
        server.run();
        server
    }

    fn run(&mut self) {
        let mut command = Command::new(local());
        command.args(["postgres", "--attached", "--dir"]);
        let mut program = Program::start(command.arg(&self.dir));
        self.url = program.first_line();
        self.program = Some(program);
    }

    /// Starts it again as a standby, which has all rows and takes no changes.
    fn become_standby(&mut self) {
        let query = "SHOW data_directory";
        let data: String = self.client().query_one(query, &[]).expect("it may").get(0);
        self.program = None;
        let signal = Path::new(&data).join("standby.signal");
        fs::write(&signal, "").expect("there is room");
        let owner = fs::metadata(&data).expect("it is on this machine");
        chown(&signal, Some(owner.uid()), Some(owner.gid())).expect("it is ours");
        self.run();
    }

    fn client(&self) -> Client {
        wait_for("the server to take connections", || {
            Client::connect(&self.url, NoTls).ok()
        })
    }

    fn local(&self) -> Local {
        let other = Database::new();
        Local::with(&other).env("DATABASE_URL", &self.url).start()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.program = None;
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_standby_shows_every_page_and_says_that_it_takes_no_changes() {
    let mut server = Server::start("standby");
    let local = server.local();
    let cookie = local.workshop().cookie();
    drop(local);
    server.become_standby();
    let local = server.local();
    let person = local.visitor();
    person.set_cookie(&cookie);
    for path in [
        "/",
        LIST,
        EDIT,
        "/tables/public/customers/new",
        "/users",
        "/audit",
        "/up?db",
    ] {
        let answer = person.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(local.visitor().get("/sign-in/void").status, 404);
    let version = person.get(EDIT).field("version");
    let form = [("email", "admin@example.com"), ("password", "wrong")];
    for answer in [
        super::save(&person, &version, "Nobody"),
        local.visitor().post("/sign-in", &form),
    ] {
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("read-only now"), "{}", answer.body);
    }
    let doctor = local.invoke("migrations", r#"{"action":"doctor"}"#);
    let doctor = doctor.expect("it answers").to_string();
    assert!(doctor.contains("the server is a standby"), "{doctor}");
}

#[test]
fn a_crash_of_the_server_is_waited_out() {
    let server = Server::start("crash-of-the-server");
    let local = server.local();
    let person = local.workshop();
    for _ in 0..3 {
        let query =
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'plain-lambda' LIMIT 1";
        let pid: i32 = server.client().query_one(query, &[]).expect("one").get(0);
        // The server ends all sessions, and recovers.
        signal(u32::try_from(pid).expect("it is positive"), "KILL");
        let answer = person.get(LIST);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let version = person.get(EDIT).field("version");
    let answer = super::save(&person, &version, "Kept");
    assert_eq!(answer.status, 303, "{}", answer.body);
    wait_for("the row", || {
        let row = server
            .client()
            .query_one("SELECT name FROM customers WHERE id = 1", &[]);
        (row.expect("it is there").get::<_, String>(0) == "Kept").then_some(())
    });
}

#[test]
fn silence_over_tls_is_answered_in_time() {
    let server = Server::start("silent-over-tls");
    let authority = secure(&server.url, &["localhost"]);
    let config: postgres::Config = server.url.parse().expect("it is a URL");
    let left = Arc::new(AtomicUsize::new(NO_FAULT));
    let port = config.get_ports()[0];
    let silent = proxy::start(port, Fault::SilentAfter(Arc::clone(&left)));
    let (before, after) = (format!("127.0.0.1:{port}"), format!("localhost:{silent}"));
    let authority = authority
        .path()
        .to_str()
        .expect("temporary paths are UTF-8");
    let local = Local::with(&Database::new())
        .env(
            "DATABASE_URL",
            &(server.url.replace(&before, &after) + "?sslmode=require"),
        )
        .env("DB_SSLROOTCERT", authority)
        .args(["--timeout", &TIMEOUT.to_string()])
        .start();
    let person = local.workshop();
    for at in 0..3 {
        assert_eq!(person.get(LIST).status, 200);
        left.store(at, Ordering::Relaxed);
        let answer = in_time(|| person.get(LIST));
        assert_eq!(answer.status, 503, "{}", answer.body);
        left.store(NO_FAULT, Ordering::Relaxed);
    }
}
