//! The `doctor` action: says what is wrong with a deployed function, and how to mend it.
//!
//! Changes nothing, and shows no secret. Knows no page.

use crate::shared::Shared;
use database::{Connection, Purpose, describe};
use handler::{Failure, Invocation};
use postgres::SimpleQueryMessage;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds by which the clocks of this process and of the database may differ. Sessions expire by
/// the first; one-time links expire, and rows are dated, by the second.
const CLOCKS_APART: f64 = 5.0;

/// The version, the clock, the version of TLS, whether the server is on this machine, whether it is
/// a standby, and whether transactions are read-only.
const SERVER: &str = "
    SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp()),
           (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl),
           coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true),
           pg_is_in_recovery(), current_setting('transaction_read_only')";

/// Checks the settings, the database and the migrations. Returns
/// `{"ok","version","architecture","environment","checks":[{"check","ok","found","fix"}…]}`, with
/// `fix` where a check found something wrong, which is no error.
///
/// # Errors
/// `Function.InvalidSettings`.
pub(crate) fn doctor(shared: &Shared, invocation: &Invocation) -> Result<Value, Failure> {
    let mut checks = settings(shared);
    match shared.database.connection(invocation, Purpose::Migrations) {
        Ok(mut connection) => {
            checks.push(good("database", shared.database.place()?));
            match server(&mut connection) {
                Ok(found) => checks.extend(found),
                Err(error) => checks.push(bad("server", describe(&error), "see the server's log")),
            }
            checks.push(migrations(shared, &mut connection));
        }
        Err(failure) => checks.push(bad(
            "database",
            failure.to_string(),
            "set DATABASE_URL, or the DB_* parts, to a server that this function reaches",
        )),
    }
    let ok = checks.iter().all(|check| check["ok"] == true);
    Ok(json!({
        "ok": ok,
        "version": env!("CARGO_PKG_VERSION"),
        "architecture": std::env::consts::ARCH,
        "environment": shared.app_env.name(),
        "checks": checks,
    }))
}

fn settings(shared: &Shared) -> Vec<Value> {
    let secret = match shared.secrets.check() {
        Ok(()) => good("SECRET_KEY_BASE", "set"),
        Err(failure) => bad(
            "SECRET_KEY_BASE",
            failure.to_string(),
            "set it in deploy.env",
        ),
    };
    let hosts = match shared.hosts.is_open() {
        false => good("hosts", shared.hosts.display()),
        true => bad(
            "hosts",
            "any host is served",
            "set LAMBDA_FUNCTION_URL, which make deploy does, or ALLOWED_HOSTS",
        ),
    };
    let reset = match shared.migrator().settings.reset_database {
        false => good("RESET_DATABASE", "false"),
        true => bad(
            "RESET_DATABASE",
            "true: migrate drops the database",
            "remove it",
        ),
    };
    vec![secret, hosts, reset]
}

fn server(connection: &mut Connection) -> Result<Vec<Value>, postgres::Error> {
    let messages = connection.simple_query(SERVER)?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |column: usize| row.and_then(|row| row.get(column));
    let here = SystemTime::now().duration_since(UNIX_EPOCH);
    let there: f64 = text(1).and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let apart = here.unwrap_or_default().as_secs_f64() - there;
    let found = format!("{apart:.1} s ahead of the database's");
    let clock = match apart.abs() < CLOCKS_APART {
        true => good("clock", found),
        false => bad("clock", found, "set the clock of the one that is wrong"),
    };
    let tls = match (text(2), text(3)) {
        (Some(version), _) => good("TLS", version),
        (None, Some("t")) => good("TLS", "none, the server is on this machine"),
        (None, _) => bad("TLS", "none", "remove sslmode from DATABASE_URL"),
    };
    let postgres = good("Postgres", text(0).unwrap_or("unknown"));
    let writes = match (text(4), text(5)) {
        (Some("t"), _) => bad(
            "writes",
            "none: the server is a standby",
            "name the primary",
        ),
        (_, Some("on")) => bad(
            "writes",
            "none: transactions are read-only",
            "see default_transaction_read_only of the server, the database and the role",
        ),
        _ => good("writes", "allowed"),
    };
    Ok(vec![postgres, tls, clock, writes])
}

fn migrations(shared: &Shared, connection: &mut Connection) -> Value {
    let status = migrate::compare(&shared.migrator(), connection);
    let checked = status.and_then(|status| status.check(&[]).map(|()| status));
    match checked {
        Err(failure) => bad("migrations", failure.to_string(), "see make status"),
        Ok(status) if status.pending_count() > 0 => bad(
            "migrations",
            status.pending_in_words(),
            "run {\"action\":\"migrate\"}",
        ),
        Ok(status) => good(
            "migrations",
            format!(
                "{} applied, and {} of the tool's own",
                status.applied.len(),
                status.built_in_applied.len()
            ),
        ),
    }
}

fn good(check: &str, found: impl Into<String>) -> Value {
    json!({"check": check, "ok": true, "found": found.into()})
}

fn bad(check: &str, found: impl Into<String>, fix: &str) -> Value {
    json!({"check": check, "ok": false, "found": found.into(), "fix": fix})
}
