//! What a server runs out of: the room on its disk, and its connections. On a small disk of the
//! test's own, which is filled, and at the server's own limit of connections.

use super::server::local_on;
use super::{EDIT, LIST, in_time, letters, rename};
use crate::support::{Answer, Local, Person, Server, needs, wait_for};
use postgres::{Client, NoTls};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// The pages that only read.
const READING: [&str; 6] = ["/", LIST, EDIT, "/users", "/audit", "/up?db"];

/// A file that takes all the room of a disk, until it is dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn fill(server: &Server) -> Ballast {
        let path = server.dir().join("ballast");
        let mut file = File::create(&path).expect("there is room for a name");
        // The last pieces are small, so that less than a page of a table is left.
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ballast(path)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("it is ours");
    }
}

/// Saves a note that has to be stored in pages of its own.
fn save_a_long_note(person: &Person) -> Answer {
    let path = "/tables/public/orders/edit/2";
    let form = person.get(path);
    assert_eq!(form.status, 200, "{}", form.body);
    person.post(
        path,
        &[
            ("version", &form.field("version")),
            ("v:note", &letters(400_000)),
        ],
    )
}

#[track_caller]
fn check_is_full(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    for said in ["The database is full", "Nothing was saved"] {
        assert!(answer.body.contains(said), "no {said}: {}", answer.body);
    }
    assert_eq!(answer.header("retry-after"), "5");
}

#[test]
fn a_full_disk_refuses_what_needs_room_and_goes_on_when_there_is_some() {
    needs!(Mounts);
    let server = Server::on_a_small_disk("full-disk");
    let local = local_on(&server);
    let person = local.workshop();
    let full = Ballast::fill(&server);
    check_is_full(&save_a_long_note(&person));
    check_is_full(&save_a_long_note(&person));
    for path in READING {
        let answer = person.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    // These may still find room in a page of their tables.
    let form = [("email", "admin@example.com"), ("password", "wrong")];
    for answer in [
        rename(&person, "Full"),
        local.visitor().post("/sign-in", &form),
        person.post("/sign-out-everywhere", &[]),
    ] {
        assert_ne!(answer.status, 500, "{}", answer.body);
    }
    drop(full);
    let person = local.sign_in("editor");
    let answer = save_a_long_note(&person);
    assert_eq!(answer.status, 303, "{}", answer.body);
}

#[test]
fn a_server_that_a_full_disk_ends_is_a_503_until_there_is_room() {
    needs!(Mounts);
    let server = Server::on_a_small_disk("full-log");
    let local = Local::with(&crate::support::Database::new())
        .env("DATABASE_URL", server.url())
        .args(["--timeout", "3"])
        .start();
    let person = local.workshop();
    // Without room for its next log, the server stops itself.
    let full = Ballast::fill(&server);
    let mut client = server.client();
    let log = "SELECT pg_logical_emit_message(true, 'full', repeat('x', 1000000))";
    while client.batch_execute(log).is_ok() {}
    wait_for("the server to be gone", || {
        Client::connect(server.url(), NoTls).is_err().then_some(())
    });
    for path in [LIST, EDIT, "/", "/up?db"] {
        let answer = in_time(|| person.get(path));
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
    }
    drop(full);
    drop(server.client());
    let answer = rename(&person, "Kept");
    assert_eq!(answer.status, 303, "{}", answer.body);
}

#[test]
fn a_server_without_a_free_connection_is_a_503_until_one_ends() {
    let mut server = Server::start("no-connection");
    let local = local_on(&server);
    let cookie = local.workshop().cookie();
    drop(local);
    // All but five of its connections are kept for administrators, who can so look at it.
    let mut admin = server.client();
    let most: String = admin
        .query_one("SHOW max_connections", &[])
        .expect("it may")
        .get(0);
    let reserved = most.parse::<u32>().expect("it is a number") - 5;
    for statement in [
        "CREATE ROLE guest LOGIN PASSWORD 'guest'",
        "GRANT pg_read_all_data, pg_write_all_data TO guest",
        &format!("ALTER SYSTEM SET superuser_reserved_connections = {reserved}"),
    ] {
        admin.batch_execute(statement).expect("it may");
    }
    drop(admin);
    server.start_again();
    let (_, rest) = server.url().split_once('@').expect("it has a password");
    let guests = format!("postgres://guest:guest@{rest}");
    let mut others: Vec<Client> = (0..5)
        .map(|_| Client::connect(&guests, NoTls).expect("there is one left"))
        .collect();
    let refused = Client::connect(&guests, NoTls).err().expect("none is left");
    let code = refused.code().expect("the server says why");
    assert_eq!(code.code(), "53300", "{refused}");
    let local = Local::with(&crate::support::Database::new())
        .env("DATABASE_URL", &guests)
        .args(["--timeout", "3"])
        .start();
    let person = local.visitor();
    person.set_cookie(&cookie);
    for path in [LIST, "/up?db", "/sign-in/void"] {
        let answer = in_time(|| person.get(path));
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
    }
    let form = [("email", "admin@example.com"), ("password", "wrong")];
    let answer = in_time(|| local.visitor().post("/sign-in", &form));
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), "5");
    others.pop();
    wait_for("a free connection", || {
        (person.get(LIST).status == 200).then_some(())
    });
}
