//! Settings → what the driver connects to. Pure; the password leaves it in no message.

use crate::Failure;
use crate::settings::DatabaseSettings;
use postgres::Config;
use postgres::config::{Host, SslMode, SslNegotiation};
use std::net::IpAddr;
use std::time::Duration;

/// A server that takes a packet and never confirms it is gone; the kernel's own patience is
/// a quarter of an hour.
const UNCONFIRMED_LIMIT: Duration = Duration::from_secs(30);

/// The driver's configuration.
///
/// TLS is required unless the URL says otherwise or the server is on this machine. Asking for it
/// directly, which saves a round trip, is the URL's to say: only Postgres 17 and later know how.
///
/// # Errors
/// `Function.InvalidSettings`, naming the variable and what to do.
pub fn config(settings: &DatabaseSettings) -> Result<Config, Failure> {
    let (mut config, says_sslmode) = match &settings.url {
        Some(url) => from_url(url)?,
        None => (from_parts(settings)?, false),
    };
    let direct = config.get_ssl_negotiation() == SslNegotiation::Direct;
    if direct && says_sslmode && config.get_ssl_mode() != SslMode::Require {
        return Err(invalid(
            "failed to read DATABASE_URL: sslnegotiation=direct needs sslmode=require",
        ));
    }
    if !says_sslmode {
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
    config.tcp_user_timeout(UNCONFIRMED_LIMIT);
    Ok(config)
}

/// `host:port/database` as `user`, for messages.
pub fn display(config: &Config) -> String {
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

fn from_parts(settings: &DatabaseSettings) -> Result<Config, Failure> {
    let needed = |value: &Option<String>, name| {
        value.clone().ok_or_else(|| {
            invalid(format!(
                "failed to read {name}: it is not set; give DATABASE_URL, or DB_HOST, DB_USER, \
                 DB_PASS and DB_NAME"
            ))
        })
    };
    let host = needed(&settings.host, "DB_HOST")?;
    let name = needed(&settings.name, "DB_NAME")?;
    let user = needed(&settings.user, "DB_USER")?;
    let mut config = Config::new();
    config.host(&host).dbname(&name).user(&user);
    if let Some(password) = &settings.password {
        config.password(password);
    }
    if let Some(port) = &settings.port {
        let number = port.parse().map_err(|_| {
            invalid(format!(
                "failed to read DB_PORT `{port}`: it is a number up to 65535"
            ))
        })?;
        config.port(number);
    }
    Ok(config)
}

/// Also says whether the URL decides about TLS.
fn from_url(url: &str) -> Result<(Config, bool), Failure> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(invalid(
            "failed to read DATABASE_URL: it has to begin with postgres:// or postgresql://",
        ));
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut says_sslmode = false;
    let mut kept = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            // rustls verifies chain and name in every mode, so these two ask for nothing more.
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
            // A note from Prisma to itself.
            ("pgbouncer", _) => continue,
            _ => kept.push(parameter),
        }
        says_sslmode |= parameter.starts_with("sslmode=");
    }
    let config = format!("{address}?{}", kept.join("&"))
        .parse::<Config>()
        .map_err(|error| invalid("failed to read DATABASE_URL").because(error))?;
    if config.get_hosts().is_empty() {
        return Err(invalid("failed to read DATABASE_URL: it names no host"));
    }
    // What stands before the last `@` belongs to the password, and would be shown as the host.
    if address.matches('@').count() > 1 {
        return Err(invalid(
            "failed to read DATABASE_URL: write an @ in the user or the password as %40",
        ));
    }
    Ok((config, says_sslmode))
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
    Failure::new("Function.InvalidSettings", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> DatabaseSettings {
        let (url, host, port, user, password, name, root_certificates) = Default::default();
        DatabaseSettings {
            url,
            host,
            port,
            user,
            password,
            name,
            root_certificates,
        }
    }

    fn by_url(url: &str) -> Result<Config, String> {
        let settings = DatabaseSettings {
            url: Some(url.to_string()),
            ..settings()
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
    fn neons_own_url_is_taken_as_it_is() {
        let url = "postgresql://u:p%40ss@ep-x-pooler.eu-central-1.aws.neon.tech/neondb\
                   ?sslmode=require&channel_binding=require";
        let config = by_url(url).expect("a valid URL");
        assert_eq!(config.get_password(), Some(b"p@ss".as_slice()));
    }

    #[test]
    fn libpqs_verifying_modes_mean_what_is_done_anyway() {
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
    fn a_url_that_cannot_be_used_is_explained_without_its_password() {
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
        let parts = DatabaseSettings {
            host: Some("db.example.com".into()),
            port: Some("6432".into()),
            user: Some("u".into()),
            name: Some("shop_production".into()),
            ..settings()
        };
        let config = config(&parts).expect("all parts are there");
        assert_eq!(
            display(&config),
            "`db.example.com:6432/shop_production` as `u`"
        );
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
    }

    #[test]
    fn without_any_setting_the_message_names_them_all() {
        let failure = config(&settings()).expect_err("nothing is set");
        assert!(
            failure.to_string().contains("DATABASE_URL, or DB_HOST"),
            "{failure}"
        );
    }
}
