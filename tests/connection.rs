//! Connections to Postgres that are refused, lost, silent or encrypted.

use crate::support::proxy::{self, Fault};
use crate::support::{
    Cluster, Database, Local, Part, Program, bootstrap, free_port, local, migrations, needs, root,
    run, wait_for,
};
use postgres::{Client, NoTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const STATUS: &str = r#"{"action":"status"}"#;

/// The longest time for a refusal. It must not wait for r2d2's timeout of 30 s or ours of 20 s.
const AT_ONCE: Duration = Duration::from_secs(5);

#[track_caller]
fn check_fails_at_once(url: &str, says: &str) {
    let database = Database::new();
    let local = Local::with(&database).env("DATABASE_URL", url).start();
    let started = Instant::now();
    let error = local
        .invoke("migrations", STATUS)
        .expect_err("it cannot connect");
    assert!(
        started.elapsed() < AT_ONCE,
        "it took {:?}",
        started.elapsed()
    );
    assert_eq!(
        error["errorType"], "Function.DatabaseUnavailable",
        "{error}"
    );
    let message = error["errorMessage"].as_str().expect("it is text");
    assert!(message.contains(says), "{message}");
    assert!(!message.contains("wrong-password"), "{message}");
}

#[test]
fn a_wrong_password_fails_at_once_with_postgress_message() {
    let url = Database::new().url();
    let (_, server) = url.split_once('@').expect("the URL has a password");
    let url = format!("postgres://postgres:wrong-password@{server}");
    check_fails_at_once(&url, "password authentication failed for user \"postgres\"");
}

#[test]
fn a_refused_connection_fails_at_once() {
    check_fails_at_once("postgres://u@127.0.0.1:1/d", "onnection refused");
}

#[test]
fn a_missing_database_fails_at_once() {
    check_fails_at_once(
        &Cluster::get().url("no_such"),
        "database \"no_such\" does not exist",
    );
}

#[test]
fn a_database_that_wakes_up_is_waited_for_and_each_attempt_is_logged() {
    let says = [
        ("XX000", "Couldn't connect to compute node"),
        ("57P03", "the database system is starting up"),
    ];
    for (code, words) in says {
        let database = Database::new();
        let port = proxy::start(database.port(), Fault::Refuse(3.into(), code, words));
        let local = Local::with(&database)
            .env("DATABASE_URL", &database.url_at(port))
            .start();
        local
            .invoke("migrations", STATUS)
            .expect("the fourth attempt connects");
        let waited = format!("waiting for Postgres: ERROR: {words}");
        assert_eq!(local.log().matches(&waited).count(), 3, "{}", local.log());
    }
}

#[test]
fn a_run_waits_for_a_server_that_does_not_listen_yet() {
    let database = Database::new();
    let port = free_port();
    let local = Local::with(&database)
        .env("DATABASE_URL", &database.url_at(port))
        .start();
    thread::scope(|scope| {
        let run = scope.spawn(|| local.invoke("migrations", r#"{"action":"migrate"}"#));
        local.expect_log("waiting for Postgres");
        let nothing = Fault::CutAt(usize::MAX);
        proxy::start_at(port, database.port(), nothing);
        let reply = run.join().expect("no panic").expect("it connects");
        assert_eq!(reply["status"], "done", "{reply}");
    });
}

#[test]
fn a_permanent_error_fails_at_once_with_a_remedy() {
    let check = |code, words, advice: &str| {
        let database = Database::new();
        let port = proxy::start(database.port(), Fault::Refuse(1.into(), code, words));
        check_fails_at_once(&database.url_at(port), advice);
    };
    check(
        "XX000",
        "Control plane request failed: endpoint is disabled",
        "Neon's console",
    );
    check(
        "XX000",
        "connection is insecure (try using `sslmode=require`)",
        "add sslmode=require",
    );
    check(
        "28P01",
        "password authentication failed for user \"u\"",
        "check the user and the password",
    );
    check(
        "3D000",
        "database \"d\" does not exist",
        "\"action\":\"create\"",
    );
}

#[test]
fn a_silent_server_fails_before_the_deadline() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = silent.local_addr().expect("it is bound").port();
    let database = Database::new();
    let local = Local::with(&database)
        .env("DATABASE_URL", &format!("postgres://u@127.0.0.1:{port}/d"))
        .args(["--timeout", "3"])
        .start();
    for _ in 0..2 {
        let error = local
            .invoke("migrations", STATUS)
            .expect_err("nobody answers");
        let message = error["errorMessage"].as_str().expect("it is text");
        assert!(message.contains("no answer within"), "{message}");
    }
}

#[test]
fn a_connection_that_died_in_a_freeze_is_replaced_unseen() {
    let database = Database::new();
    database
        .client()
        .batch_execute(&format!(
            "ALTER DATABASE {} SET idle_session_timeout = '1500ms'",
            database.name()
        ))
        .expect("the administrator may");
    let local = Local::start(&database);
    local.expect_database();
    let environment = local.frozen();
    wait_for("Postgres to end the idle session", || {
        (database.sessions() == 0).then_some(())
    });
    local.expect_database();
    assert_eq!(local.frozen(), environment, "the same process reconnected");
    assert!(!local.log().contains("ERROR"), "{}", local.log());
}

#[test]
fn a_connection_that_went_mute_in_a_freeze_is_replaced_unseen() {
    let database = Database::new();
    let mute = Arc::new(AtomicBool::new(false));
    let port = proxy::start(database.port(), Fault::Mute(Arc::clone(&mute)));
    let local = Local::with(&database)
        .env("DATABASE_URL", &database.url_at(port))
        .args(["--timeout", "5"])
        .start();
    local.expect_database();
    let environment = local.frozen();
    mute.store(true, Ordering::Relaxed);
    // Only a connection that was idle for a second is checked before its use.
    let idle_since = Instant::now();
    wait_for("a second of idleness", || {
        (idle_since.elapsed() > Duration::from_millis(1100)).then_some(())
    });
    local.expect_database();
    assert_eq!(local.frozen(), environment, "the same process reconnected");
}

#[test]
fn a_function_with_one_second_still_connects() {
    let database = Database::new();
    let local = Local::with(&database).args(["--timeout", "1"]).start();
    local
        .invoke("migrations", STATUS)
        .expect("Postgres is near");
}

#[test]
fn the_log_holds_no_statement_at_any_level() {
    let database = Database::new();
    let dir = tempfile::tempdir().expect("there is room");
    let secret = "create table a (x text default 's3cret')";
    fs::write(dir.path().join("1_a.sql"), secret).expect("there is room");
    let local = Local::with(&database)
        .migrations(dir.path())
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .start();
    local
        .invoke("migrations", r#"{"action":"migrate"}"#)
        .expect("it applies");
    local.expect_log("applied ");
    assert!(!local.log().contains("s3cret"), "{}", local.log());
}

#[test]
fn one_environment_keeps_one_connection() {
    let database = Database::new();
    let local = Local::start(&database);
    for _ in 0..5 {
        local.expect_database();
    }
    assert_eq!(database.sessions(), 1);
}

#[test]
fn db_name_gets_the_suffix_of_the_environment() {
    let database = Database::new();
    let url = database.url();
    let address = url.strip_prefix("postgres://").expect("it is a URL");
    let (user, rest) = address.split_once(':').expect("it has a user");
    let (password, rest) = rest.split_once('@').expect("it has a password");
    let (host, rest) = rest.split_once(':').expect("it has a host");
    let (port, name) = rest.split_once('/').expect("it has a port");
    let stem = format!("{name}_parts");
    let mut admin = Cluster::get().admin();
    admin
        .batch_execute(&format!("CREATE DATABASE {stem}_test"))
        .expect("the administrator may");
    let local = Local::with(&database)
        .env("DATABASE_URL", "")
        .env("DB_USER", user)
        .env("DB_PASS", password)
        .env("DB_HOST", host)
        .env("DB_PORT", port)
        .env("DB_NAME", &stem)
        .start();
    local.expect_database();
    let (mut named, wanted) = (Cluster::get().admin(), format!("{stem}_test"));
    let sessions = named.query_one(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = $1",
        &[&wanted],
    );
    assert_eq!(sessions.expect("the administrator may").get::<_, i64>(0), 1);
    drop(local);
    admin
        .batch_execute(&format!("DROP DATABASE {stem}_test WITH (FORCE)"))
        .expect("it is ours");
}

#[test]
fn tls_is_verified_against_the_given_root_certificate() {
    let authority = secure(&Cluster::get().url("postgres"), &["localhost"]);
    let database = Database::new();
    let url = database.url().replace("127.0.0.1", "localhost")
        + "?sslmode=require&channel_binding=require";
    let check = |url: &str, roots: &str| {
        let local = Local::with(&database)
            .env("DATABASE_URL", url)
            .env("DB_SSLROOTCERT", roots)
            .start();
        local.invoke("migrations", STATUS)
    };
    let own = authority
        .path()
        .to_str()
        .expect("temporary paths are UTF-8");
    check(&url, own).expect("the authority signed the certificate for this name");
    let refused = |url: &str, roots: &str, says: &str| {
        let error = check(url, roots).expect_err("it cannot be trusted");
        assert!(
            error["errorMessage"]
                .as_str()
                .is_some_and(|text| text.contains(says)),
            "{error}"
        );
    };
    refused(&url, "", "UnknownIssuer");
    refused(
        &url.replace("localhost", "127.0.0.1"),
        own,
        "not valid for name",
    );
    refused(&url, "/no/such/file.pem", "DB_SSLROOTCERT");
}

#[test]
fn direct_tls_connects_to_a_server_that_supports_it() {
    needs!(Postgres18);
    let folder = Part::Postgres18.path().join("bin");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut server = Program::start(
        Command::new(local())
            .env("PATH", format!("{}:{path}", folder.display()))
            .args(["postgres", "--attached", "--dir"])
            .arg(root().join("target/tests/postgres-18")),
    );
    let url = server.first_line();
    let authority = secure(&url, &["localhost"]);
    let url = url.replace("127.0.0.1", "localhost") + "?sslnegotiation=direct";
    let mut status = Command::new(bootstrap());
    status
        .args(["migrate", STATUS])
        .env("DATABASE_URL", &url)
        .env("DB_SSLROOTCERT", authority.path())
        .env("MIGRATIONS_DIR", migrations());
    assert!(run(&mut status).contains("pending"));
}

#[test]
fn direct_tls_begins_with_a_handshake_that_names_the_protocol() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let url = format!("postgres://u@localhost:{port}/d?sslnegotiation=direct");
    let _asking = Program::start(
        Command::new(bootstrap())
            .args(["migrate", STATUS])
            .env("DATABASE_URL", url),
    );
    let mut hello = vec![0; 4096];
    let (mut client, _) = listener.accept().expect("it connects");
    let size = client.read(&mut hello).expect("the client sends first");
    assert_eq!(hello[..2], [22, 3], "a TLS handshake");
    let name = b"postgresql";
    let named = hello[..size].windows(name.len()).any(|part| part == name);
    assert!(named, "the server refuses a handshake without its name");
}

/// Gives a server a certificate for names; returns the certificate of the authority that signed it.
pub(crate) fn secure(url: &str, names: &[&str]) -> tempfile::NamedTempFile {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("ring makes keys");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("it is complete");
    let key = KeyPair::generate().expect("ring makes keys");
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let server = CertificateParams::new(names).expect("the names are valid");
    let server = server.signed_by(&key, &authority).expect("it is complete");

    let connect = || Client::connect(url, NoTls).expect("it takes connections");
    let mut admin = connect();
    let dir: String = admin
        .query_one("SHOW data_directory", &[])
        .expect("it is allowed")
        .get(0);
    let owner = fs::metadata(&dir).expect("the cluster is on this machine");
    for (file, text) in [
        ("server.crt", server.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        let path = Path::new(&dir).join(file);
        fs::write(&path, text).expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("it is ours");
    }
    admin
        .batch_execute("ALTER SYSTEM SET ssl = on")
        .expect("the administrator may");
    admin
        .batch_execute("SELECT pg_reload_conf()")
        .expect("the administrator may");
    wait_for("Postgres to take TLS", || {
        let on: String = connect()
            .query_one("SHOW ssl", &[])
            .expect("it is allowed")
            .get(0);
        (on == "on").then_some(())
    });
    let file = tempfile::NamedTempFile::new().expect("there is room");
    fs::write(file.path(), authority.pem()).expect("there is room");
    file
}
