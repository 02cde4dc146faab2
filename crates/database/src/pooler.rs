//! The configuration of a migration run's connection: to the server itself where its host is known,
//! and with options that end an orphaned session within seconds.
//!
//! Knows poolers' host names and messages. Knows no migration, and connects to nothing.

use postgres::Config;
use postgres::config::Host;

/// Options in the startup packet, so that `RESET ALL` restores them. The connection of a killed
/// process is closed by its kernel; where the network is gone nothing closes it, so the server
/// sends keepalive probes.
const OPTIONS: &str = "-c idle_in_transaction_session_timeout=10s \
    -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3";

/// The name of a setting that has no meaning to Postgres. A session that has it with our value is
/// the session that we started: a pooler that hands out other sessions drops or refuses the
/// setting.
pub const SESSION_MARKER: &str = "plain_lambda.run";

/// Returns the configuration for migrations, with `value` as the value of [`SESSION_MARKER`].
pub(crate) fn config(config: &Config, value: &str) -> Config {
    let mut direct = without_pooler(config);
    let own = config.get_options().unwrap_or_default();
    direct.options(format!("{own} {OPTIONS} -c {SESSION_MARKER}={value}").trim_start());
    direct
}

/// Returns `true` if the error is that of a pooler which refuses options in the startup packet:
/// PgBouncer, Neon's pooler, RDS Proxy.
pub(crate) fn refuses_options(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| {
        let message = error.message();
        message.contains("unsupported startup parameter")
            || message.contains("unsupported options startup parameter")
            || message.contains("doesn't support command-line options")
    })
}

/// Replaces the host of Neon's pooler by the server's, which is the same without `-pooler` at the
/// end of the first label ("Connection pooling", Neon's documentation). Keeps any other host.
fn without_pooler(config: &Config) -> Config {
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .filter_map(neons_direct_host)
        .collect();
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
    copy_settings(config, &mut direct);
    direct
}

/// Copies all settings but the hosts, which can be added to a configuration and not removed, and
/// the options. Client keepalives and load balancing get the driver's defaults.
fn copy_settings(config: &Config, direct: &mut Config) {
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

fn neons_direct_host(host: &Host) -> Option<String> {
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
    fn the_host_of_neons_pooler_is_replaced_and_no_other_host() {
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
