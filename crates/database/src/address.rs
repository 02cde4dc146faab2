//! Turns the settings into the driver's configuration.
//!
//! No message has the password. Connects to nothing.

use crate::Settings;
use handler::{Failure, Kind};
use postgres::Config;
use postgres::config::{Host, SslMode, SslNegotiation};
use std::net::IpAddr;
use std::time::Duration;

/// The time after which a server that does not acknowledge sent data counts as gone
/// (`TCP_USER_TIMEOUT`); the kernel's default is a quarter of an hour.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(30);

/// Returns the driver's configuration.
///
/// TLS is required unless the URL says otherwise or the server is on this machine. Direct TLS,
/// which saves a round trip, is used only if the URL says so: only Postgres 17 and later know it.
///
/// # Errors
/// `Function.InvalidSettings`, with the variable and what to do.
pub(crate) fn config(settings: &Settings) -> Result<Config, Failure> {
    let (mut config, has_sslmode) = match &settings.url {
        Some(url) => from_url(url)?,
        None => (from_parts(settings)?, false),
    };
    let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    if direct && has_sslmode && config.get_ssl_mode() != SslMode::Require {
        return Err(invalid(
            "failed to read DATABASE_URL: sslnegotiation=direct needs sslmode=require",
        ));
    }
    if !has_sslmode {
        let local = config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        config.ssl_mode(if local && !direct {
            SslMode::Disable
        } else {
            SslMode::Require
        });
    }
    if config.get_application_name().is_none() {
        config.application_name("plain-lambda");
    }
    config.tcp_user_timeout(UNACKNOWLEDGED_LIMIT);
    Ok(config)
}

/// Returns `host:port/database` and the user, for messages.
pub(crate) fn display(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().unwrap_or(&5432);
    let user = config.get_user().unwrap_or_default();
    let name = config.get_dbname().unwrap_or(user);
    format!("`{host}:{port}/{name}` as `{user}`")
}

fn from_parts(settings: &Settings) -> Result<Config, Failure> {
    let required = |value: &Option<String>, name| {
        value.clone().ok_or_else(|| {
            invalid(format!(
                "failed to read {name}: it is not set; give DATABASE_URL, or DB_HOST, DB_USER, \
                 DB_PASS and DB_NAME"
            ))
        })
    };
    let host = required(&settings.host, "DB_HOST")?;
    let name = required(&settings.name, "DB_NAME")?;
    let user = required(&settings.user, "DB_USER")?;
    let mut config = Config::new();
    config.host(&host).dbname(&name).user(&user);
    if let Some(password) = &settings.password {
        config.password(password);
    }
    if let Some(port) = settings.port {
        config.port(port);
    }
    Ok(config)
}

/// Returns the configuration of a URL, and whether the URL has `sslmode`.
fn from_url(url: &str) -> Result<(Config, bool), Failure> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(invalid(
            "failed to read DATABASE_URL: it has to begin with postgres:// or postgresql://",
        ));
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut has_sslmode = false;
    let mut kept = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            // rustls verifies the chain and the name in every mode, so these two add nothing.
            ("sslmode", "verify-ca" | "verify-full") => kept.push("sslmode=require"),
            ("sslmode", "allow") => {
                return Err(invalid(
                    "failed to read DATABASE_URL: sslmode=allow is not supported, \
                     use require or disable",
                ));
            }
            ("sslrootcert", _) => {
                return Err(invalid(
                    "failed to read DATABASE_URL: give the file of sslrootcert as DB_SSLROOTCERT",
                ));
            }
            // Prisma's own parameter: Postgres does not know it.
            ("pgbouncer", _) => continue,
            _ => kept.push(parameter),
        }
        has_sslmode |= parameter.starts_with("sslmode=");
    }
    let config = format!("{address}?{}", kept.join("&"))
        .parse::<Config>()
        .map_err(|error| invalid("failed to read DATABASE_URL").with_source(error))?;
    if config.get_hosts().is_empty() {
        return Err(invalid("failed to read DATABASE_URL: it names no host"));
    }
    // The driver ends the password at the first `@`, and messages would show its rest as the host.
    if address.matches('@').count() > 1 {
        return Err(invalid(
            "failed to read DATABASE_URL: write an @ in the user or the password as %40",
        ));
    }
    Ok((config, has_sslmode))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(Kind::InvalidSettings, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_url(url: &str) -> Result<Config, String> {
        let settings = Settings {
            url: Some(url.to_string()),
            ..Settings::default()
        };
        config(&settings).map_err(|failure| failure.to_string())
    }

    #[track_caller]
    fn check_tls(url: &str, expected: SslMode) {
        assert_eq!(by_url(url).expect("a valid URL").get_ssl_mode(), expected);
    }

    #[test]
    fn tls_is_required_unless_the_server_is_on_this_machine_or_the_url_says_otherwise() {
        check_tls("postgres://u@db.example.com/d", SslMode::Require);
        check_tls("postgres://u@127.0.0.1/d", SslMode::Disable);
        check_tls("postgres://u@[::1]/d", SslMode::Disable);
        check_tls("postgres://u@localhost/d", SslMode::Disable);
        check_tls("postgres:///d?host=/tmp&user=u", SslMode::Disable);
        check_tls("postgres://u@localhost/d?sslmode=require", SslMode::Require);
        check_tls(
            "postgres://u@localhost/d?hostaddr=203.0.113.5",
            SslMode::Require,
        );
        check_tls(
            "postgres://u@db.example.com/d?sslmode=disable",
            SslMode::Disable,
        );
    }

    #[test]
    fn direct_tls_is_tls_even_on_this_machine() {
        check_tls(
            "postgres://u@localhost/d?sslnegotiation=direct",
            SslMode::Require,
        );
        let config = by_url("postgres://u@db.example.com/d").expect("a valid URL");
        assert_eq!(config.get_ssl_negotiation(), SslNegotiation::Postgres);
    }

    #[test]
    fn the_url_that_neon_shows_is_accepted_unchanged() {
        let url = "postgresql://u:p%40ss@ep-x-pooler.eu-central-1.aws.neon.tech/neondb\
                   ?sslmode=require&channel_binding=require";
        let config = by_url(url).expect("a valid URL");
        assert_eq!(config.get_password(), Some(b"p@ss".as_slice()));
    }

    #[test]
    fn verify_ca_and_verify_full_mean_the_same_as_require() {
        check_tls(
            "postgres://u@db.example.com/d?sslmode=verify-full",
            SslMode::Require,
        );
        check_tls(
            "postgres://u@db.example.com/d?pgbouncer=true&sslmode=verify-ca",
            SslMode::Require,
        );
    }

    #[test]
    fn an_invalid_url_is_refused_with_the_reason_and_without_its_password() {
        let check = |url: &str, expected: &str| {
            let message = by_url(url).expect_err("it cannot be used");
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        };
        check("mysql://u:hunter2@h/d", "postgres://");
        check(
            "postgres://u:hunter2@h/d?sslmode=allow",
            "require or disable",
        );
        check(
            "postgres://u:hunter2@h/d?sslrootcert=/ca.pem",
            "DB_SSLROOTCERT",
        );
        check(
            "postgres://u:hunter2@h/d?sslmode=prefer&sslnegotiation=direct",
            "needs sslmode=require",
        );
        check("postgres://u:hunter2@h:x/d", "port");
        check("postgres://u:@hunter2@h/d", "as %40");
        check("postgres:///d?user=u&password=hunter2", "no host");
        check("postgres://u:hunter2@h/d?colour=red", "colour");
    }

    #[test]
    fn the_parts_name_the_database_when_there_is_no_url() {
        let parts = Settings {
            host: Some("db.example.com".into()),
            port: Some(6432),
            user: Some("u".into()),
            name: Some("shop_production".into()),
            ..Settings::default()
        };
        let config = config(&parts).expect("all parts are there");
        assert_eq!(
            display(&config),
            "`db.example.com:6432/shop_production` as `u`"
        );
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn without_any_setting_the_message_names_every_setting() {
        let failure = config(&Settings::default()).expect_err("nothing is set");
        assert!(
            failure.to_string().contains("DATABASE_URL, or DB_HOST"),
            "{failure}"
        );
    }
}
