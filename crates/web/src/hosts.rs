//! Decides which hosts are served, by `LAMBDA_FUNCTION_URL` and `ALLOWED_HOSTS`.
//!
//! The rules are those of Rails (`ActionDispatch::HostAuthorization`): case does not count; any
//! port matches, unless the pattern has one; `.example.com` matches that host and one label before
//! it. Knows no page.

use crate::Request;
use handler::{AppEnv, Failure, Kind, Variables};
use std::net::IpAddr;

/// The hosts that are served on a developer's machine, besides IP addresses.
const LOCAL: [&str; 2] = [".localhost", ".test"];

/// The hosts that are served, and the address for links to our pages.
pub struct Hosts {
    /// `LAMBDA_FUNCTION_URL`, without a slash at the end.
    function_url: Option<String>,
    /// `ALLOWED_HOSTS`, a list with commas.
    allowed: Option<String>,
    is_local: bool,
}

impl Hosts {
    /// Reads the variables.
    ///
    /// ```
    /// use handler::{AppEnv, Variables};
    /// use web::Hosts;
    ///
    /// let read = |hosts| {
    ///     let variables = Variables::from_iter([("ALLOWED_HOSTS", hosts)]);
    ///     Hosts::read(&variables, AppEnv::Lambda)
    /// };
    /// assert!(read("app.example.com, .example.org").is_ok());
    /// assert!(read("https://app.example.com").is_err());
    /// ```
    ///
    /// # Errors
    /// `Function.InvalidSettings` for a value that cannot be a host: one with a scheme (in
    /// `ALLOWED_HOSTS`), a path, a star, a space or an invalid port.
    pub fn read(variables: &Variables, app_env: AppEnv) -> Result<Hosts, Failure> {
        let url = variables.get("LAMBDA_FUNCTION_URL")?;
        let url = url.map(|url| url.trim_end_matches('/'));
        if let Some(url) = url {
            let host = url.strip_prefix("https://").or(url.strip_prefix("http://"));
            check("LAMBDA_FUNCTION_URL", url, host.unwrap_or(url))?;
        }
        let allowed = variables.get("ALLOWED_HOSTS")?;
        for pattern in allowed.into_iter().flat_map(patterns) {
            check(
                "ALLOWED_HOSTS",
                pattern,
                pattern.strip_prefix('.').unwrap_or(pattern),
            )?;
        }
        Ok(Hosts {
            function_url: url.map(str::to_string),
            allowed: allowed.map(str::to_string),
            is_local: app_env.is_local(),
        })
    }

    /// Returns `true` if the host that a request names is served: one of the settings, or any host
    /// when the settings have none.
    pub fn allow(&self, request: &Request) -> bool {
        self.is_open() || self.allow_host(request.header("host").unwrap_or_default())
    }

    /// Returns `true` if any host is served, because the settings have none.
    pub fn is_open(&self) -> bool {
        self.allowed.is_none() && self.function_url.is_none()
    }

    /// Returns the address of the pages, without a slash at the end; `None` without
    /// `LAMBDA_FUNCTION_URL`.
    pub fn origin(&self) -> Option<String> {
        let url = self.function_url.as_deref()?;
        Some(match url.contains("://") {
            true => url.to_string(),
            false => format!("https://{url}"),
        })
    }

    /// Returns the values of the settings, with commas between them.
    pub fn display(&self) -> String {
        let values = [&self.function_url, &self.allowed];
        let values: Vec<&str> = values.into_iter().flatten().map(String::as_str).collect();
        values.join(",")
    }

    fn allow_host(&self, host: &str) -> bool {
        if self.is_local && is_local(host) {
            return true;
        }
        let url = self.function_url.as_deref().unwrap_or_default();
        let url = url.split_once("://").map_or(url, |(_, host)| host);
        let allowed = patterns(self.allowed.as_deref().unwrap_or_default());
        let mut patterns = allowed.chain([url].into_iter().filter(|url| !url.is_empty()));
        patterns.any(|pattern| matches(pattern, host))
    }
}

fn patterns(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
}

/// Refuses a value that no Host header can match: with it, every request would be refused.
fn check(variable: &str, value: &str, host: &str) -> Result<(), Failure> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let wrong = if value.contains("://") && host == value {
        "it has a scheme; write the host alone"
    } else if host.contains('/') {
        "it has a path; write the host alone"
    } else if host.contains('*') {
        "a star matches no host; write `.example.com` for a domain and its subdomains"
    } else if name.is_empty() || host.contains(|letter: char| letter.is_whitespace()) {
        "it is no host"
    } else if port.is_some_and(|port| !is_port(port)) {
        "its port is no number from 1 to 65535"
    } else {
        return Ok(());
    };
    Err(Failure::new(
        Kind::InvalidSettings,
        format!("failed to read {variable} `{value}`: {wrong}"),
    ))
}

fn matches(pattern: &str, host: &str) -> bool {
    let has_port = pattern
        .rsplit_once(':')
        .is_some_and(|(_, port)| is_port(port));
    let host = match has_port {
        true => host,
        false => without_port(host),
    };
    let Some(domain) = pattern.strip_prefix('.') else {
        return host.eq_ignore_ascii_case(pattern);
    };
    if host.eq_ignore_ascii_case(domain) {
        return true;
    }
    let Some(at) = host.len().checked_sub(pattern.len()) else {
        return false;
    };
    host.is_char_boundary(at) && host[at..].eq_ignore_ascii_case(pattern) && is_label(&host[..at])
}

fn is_local(host: &str) -> bool {
    let bare = without_port(host);
    let address = bare.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || LOCAL.iter().any(|pattern| matches(pattern, host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if is_port(port) && (!name.contains(':') || name.ends_with(']')) => name,
        _ => host,
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse().is_ok_and(|port: u16| port > 0)
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Hosts, Failure> {
        let variables = Variables::from_iter(variables.iter().copied());
        let app_env = AppEnv::read(&variables)?;
        Hosts::read(&variables, app_env)
    }

    fn allowed(variables: &[(&str, &str)], host: &str) -> bool {
        read(variables).expect("they are valid").allow_host(host)
    }

    #[test]
    fn a_value_that_cannot_be_a_host_is_refused_with_the_reason() {
        for (variable, value, reason) in [
            ("ALLOWED_HOSTS", "https://a.example", "scheme"),
            (
                "ALLOWED_HOSTS",
                "a.example, b.example/x",
                "`b.example/x`: it has a path",
            ),
            ("ALLOWED_HOSTS", "*.example.com", "star"),
            ("ALLOWED_HOSTS", "a.example b.example", "no host"),
            ("ALLOWED_HOSTS", "a.example:http", "port"),
            ("ALLOWED_HOSTS", "a.example:0", "port"),
            ("ALLOWED_HOSTS", "a.example:70000", "port"),
            ("ALLOWED_HOSTS", ".", "no host"),
            ("LAMBDA_FUNCTION_URL", "https://x.on.aws/pages", "path"),
            ("LAMBDA_FUNCTION_URL", "ftp://x.on.aws", "scheme"),
        ] {
            let failure = read(&[(variable, value)]).err().expect("it is refused");
            let failure = failure.to_string();
            assert!(
                failure.starts_with(&format!("failed to read {variable} `")),
                "{failure}"
            );
            assert!(failure.contains(reason), "{failure}");
        }
        for value in [
            "a.example",
            ".a.example:8080",
            "[::1]:9000",
            "[::1]",
            " a , ,b ",
        ] {
            assert!(read(&[("ALLOWED_HOSTS", value)]).is_ok(), "{value}");
        }
        for url in ["https://x.on.aws/", "x.on.aws", "http://localhost:9000"] {
            assert!(read(&[("LAMBDA_FUNCTION_URL", url)]).is_ok(), "{url}");
        }
    }

    #[track_caller]
    fn check(hosts: &str, host: &str, expected: bool) {
        let variables = [("ALLOWED_HOSTS", hosts), ("APP_ENV", "lambda")];
        assert_eq!(allowed(&variables, host), expected, "{hosts} {host}");
    }

    #[test]
    fn a_pattern_matches_the_whole_host_without_regard_to_case() {
        check("example.com", "Example.COM", true);
        check("example.com", "example.com.evil.net", false);
        check("example.com", "evilexample.com", false);
        check("example.com", "", false);
        check("a.example, b.example", "b.example", true);
    }

    #[test]
    fn a_pattern_matches_any_port_unless_it_has_one() {
        check("example.com", "example.com:3000", true);
        check("example.com", "example.com:3000:80", false);
        check("example.com", "example.com:evil", false);
        check("example.com:3000", "example.com:3000", true);
        check("example.com:3000", "example.com:3001", false);
        check("example.com:3000", "example.com", false);
    }

    #[test]
    fn a_leading_dot_matches_the_host_itself_and_one_label_before_it() {
        check(".example.com", "example.com", true);
        check(".example.com", "www.example.com:80", true);
        check(".example.com", "a.b.example.com", false);
        check(".example.com", "evil example.com", false);
        check(".example.com", "wwwexample.com", false);
        check(".example.com", "ü.example.com", false);
    }

    #[test]
    fn the_function_url_is_a_host_with_or_without_its_scheme() {
        for url in ["https://x.lambda-url.aws/", "x.lambda-url.aws"] {
            let variables = [("LAMBDA_FUNCTION_URL", url), ("APP_ENV", "lambda")];
            assert!(allowed(&variables, "x.lambda-url.aws"), "{url}");
            assert!(!allowed(&variables, "y.lambda-url.aws"), "{url}");
            assert!(!allowed(&variables, "localhost:9000"), "{url}");
        }
    }

    #[test]
    fn local_hosts_are_served_in_development_only() {
        let variables = [("ALLOWED_HOSTS", "x.example"), ("APP_ENV", "development")];
        for host in [
            "localhost:9000",
            "127.0.0.1",
            "[::1]:9000",
            "shop.test",
            "x.example",
        ] {
            assert!(allowed(&variables, host), "{host}");
        }
        assert!(!allowed(&variables, "localhost.evil.net"));
    }
}
