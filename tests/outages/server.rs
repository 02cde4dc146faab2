//! A server of the test's own, which it may stop, crash and make a standby.

use super::{EDIT, LIST, TIMEOUT, in_time};
use crate::connection::secure;
use crate::support::proxy::{self, Fault, NO_FAULT};
use crate::support::{Database, Local, Server, signal, wait_for};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Starts a server again as a standby, which has all rows and takes no changes.
fn become_standby(server: &mut Server) {
    let query = "SHOW data_directory";
    let data: String = server
        .client()
        .query_one(query, &[])
        .expect("it may")
        .get(0);
    server.stop();
    let signal = Path::new(&data).join("standby.signal");
    fs::write(&signal, "").expect("there is room");
    let owner = fs::metadata(&data).expect("it is on this machine");
    chown(&signal, Some(owner.uid()), Some(owner.gid())).expect("it is ours");
    server.start_again();
}

pub(super) fn local_on(server: &Server) -> Local {
    let other = Database::new();
    Local::with(&other)
        .env("DATABASE_URL", server.url())
        .start()
}

#[test]
fn a_standby_shows_every_page_and_says_that_it_takes_no_changes() {
    let mut server = Server::start("standby");
    let local = local_on(&server);
    let cookie = local.workshop().cookie();
    drop(local);
    become_standby(&mut server);
    let local = local_on(&server);
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
        person.get("/tables/public/orders/export?as=csv"),
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
    let local = local_on(&server);
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
    let authority = secure(server.url(), &["localhost"]);
    let config: postgres::Config = server.url().parse().expect("it is a URL");
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
            &(server.url().replace(&before, &after) + "?sslmode=require"),
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
