//! How a migration run connects: to the server itself where that is known, and with settings that
//! let an orphaned session die in seconds. Pure.
//!
//! Knows poolers' names and words; knows no migration.

use postgres::Config;
use postgres::config::Host;

/// In the startup packet, where `RESET ALL` comes back to them. A process that was killed says
/// goodbye; one whose network went away does not, so it is asked for.
const OPTIONS: &str = "-c idle_in_transaction_session_timeout=10s \
    -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

/// A setting of no meaning to Postgres. A session that has it is the one that we started: a pooler
/// that hands out others has dropped it, or refused it.
pub const MARK: &str = "plain_lambda.run";

/// The configuration for migrations, and `value` as the mark of our own session.
pub fn config(config: &Config, value: &str) -> Config {
    let mut direct = without_pooler(config);
    let own = config.get_options().unwrap_or_default();
    direct.options(format!("{own} {OPTIONS} -c {MARK}={value}").trim_start());
    direct
}

/// Whether the other side is a pooler that knows nothing of sessions' settings: PgBouncer, and
/// Neon's; RDS Proxy.
pub fn refuses_options(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        let message = error.message();
        message.contains("unsupported startup parameter")
            || message.contains("unsupported options startup parameter")
            || message.contains("doesn't support command-line options")
    })
}

/// Neon's pooled host is the direct one with `-pooler` in its first label ("Connection pooling",
/// Neon's documentation).
fn without_pooler(config: &Config) -> Config {
    let hosts: Vec<String> = config.get_hosts().iter().filter_map(neons_own).collect();
    if hosts.is_empty() || hosts.len() != config.get_hosts().len() {
        return config.clone();
    }
    let mut direct = Config::new();
    hosts.iter().for_each(|host| {
        direct.host(host);
    });
    config.get_ports().iter().for_each(|port| {
        direct.port(*port);
    });
    rest(config, &mut direct);
    direct
}

/// All but the hosts, which a configuration can only gain.
fn rest(config: &Config, direct: &mut Config) {
    if let Some(user) = config.get_user() {
        direct.user(user);
    }
    if let Some(password) = config.get_password() {
        direct.password(password);
    }
    if let Some(name) = config.get_dbname() {
        direct.dbname(name);
    }
    if let Some(name) = config.get_application_name() {
        direct.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        direct.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        direct.tcp_user_timeout(*timeout);
    }
    direct
        .ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs());
}

fn neons_own(host: &Host) -> Option<String> {
    let Host::Tcp(host) = host else { return None };
    let (endpoint, domain) = host.split_once('.')?;
    let endpoint = endpoint.strip_suffix("-pooler")?;
    domain
        .ends_with("neon.tech")
        .then(|| format!("{endpoint}.{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str) {
        let pooled: Config = url.parse().expect("a valid URL");
        let direct = config(&pooled, "1");
        assert_eq!(direct.get_hosts(), [Host::Tcp(host.to_string())]);
        assert_eq!(direct.get_password(), pooled.get_password());
        assert_eq!(direct.get_ssl_mode(), pooled.get_ssl_mode());
        assert_eq!(direct.get_channel_binding(), pooled.get_channel_binding());
    }

    #[test]
    fn neons_pooler_is_gone_around_and_no_other_host_is_touched() {
        check(
            "postgres://u:p@ep-x-1-pooler.eu-central-1.aws.neon.tech/d?sslmode=require&channel_binding=require",
            "ep-x-1.eu-central-1.aws.neon.tech",
        );
        check(
            "postgres://u:p@ep-x-1.aws.neon.tech/d",
            "ep-x-1.aws.neon.tech",
        );
        check(
            "postgres://u:p@db-pooler.example.com/d",
            "db-pooler.example.com",
        );
    }

    #[test]
    fn the_users_own_options_stay_before_ours() {
        let own: Config = "postgres://u@h/d?options=endpoint%3Dep-x"
            .parse()
            .expect("valid");
        let direct = config(&own, "7");
        let options = direct.get_options().expect("there are some");
        assert!(options.starts_with("endpoint=ep-x -c "), "{options}");
        assert!(options.ends_with(" -c plain_lambda.run=7"), "{options}");
    }
}
