//! What is wrong with a deployed function, and what to do about it.
//!
//! Looks and changes nothing; names settings, never what is secret in them.

use super::status;
use crate::database::{Connection, Purpose, describe};
use crate::{App, Failure, Invocation};
use postgres::SimpleQueryMessage;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Sign-in links and sessions expire by this clock, rows are dated by the database's.
const CLOCKS_APART: f64 = 5.0;

const SERVER: &str = "
    SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp()),
           (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl),
           coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true)";

/// Looks at everything that a deploy may have got wrong; answers
/// `{"ok","version","architecture","environment","checks":[{"check","ok","found","fix"}…]}`, with
/// `fix` where something is wrong. Fails only when it cannot look at all.
///
/// # Errors
/// Those of the invocation itself.
pub fn doctor(app: &App, invocation: &Invocation) -> Result<Value, Failure> {
    let mut checks = settings(app);
    match app.database.connection(invocation, Purpose::Migrations) {
        Ok(mut connection) => {
            checks.push(good("database", app.database.place()?));
            match server(&mut connection) {
                Ok(found) => checks.extend(found),
                Err(error) => checks.push(bad("server", describe(&error), "see its log")),
            }
            checks.push(migrations(app, &mut connection));
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
        "environment": app.settings.environment,
        "checks": checks,
    }))
}

fn settings(app: &App) -> Vec<Value> {
    let settings = &app.settings;
    let secret = match settings.check_secret() {
        Ok(()) => good("SECRET_KEY_BASE", "set"),
        Err(failure) => bad(
            "SECRET_KEY_BASE",
            failure.to_string(),
            "set it in deploy.env",
        ),
    };
    let hosts: Vec<&str> = [&settings.function_url, &settings.allowed_hosts]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let hosts = match hosts.is_empty() {
        false => good("hosts", hosts.join(",")),
        true => bad(
            "hosts",
            "any host is served",
            "set LAMBDA_FUNCTION_URL, which make deploy does, or ALLOWED_HOSTS",
        ),
    };
    let reset = match settings.reset_database {
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
    Ok(vec![postgres, tls, clock])
}

fn migrations(app: &App, connection: &mut Connection) -> Value {
    let status = status::compare(app, connection);
    let checked = status.and_then(|status| status.check(&[]).map(|()| status));
    match checked {
        Err(failure) => bad("migrations", failure.to_string(), "see make status"),
        Ok(status) if !status.pending.is_empty() => bad(
            "migrations",
            format!("{} pending", status.pending.len()),
            "run {\"action\":\"migrate\"}",
        ),
        Ok(status) => good("migrations", format!("{} applied", status.applied.len())),
    }
}

fn good(check: &str, found: impl Into<String>) -> Value {
    json!({"check": check, "ok": true, "found": found.into()})
}

fn bad(check: &str, found: impl Into<String>, fix: &str) -> Value {
    json!({"check": check, "ok": false, "found": found.into(), "fix": fix})
}
