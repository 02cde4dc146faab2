//! Whether a request's Host header is one of ours. Pure.
//!
//! Rails' rules (`ActionDispatch::HostAuthorization`): without regard to case; any port, unless the
//! pattern has one; `.example.com` is that host and one label before it.

use crate::http::Request;
use crate::settings::Settings;
use std::net::IpAddr;

/// What a developer's own browser asks for.
const LOCAL: [&str; 2] = [".localhost", ".test"];

/// Whether a request may go to the host that it names. Without a list, to any.
pub fn allow(settings: &Settings, request: &Request) -> bool {
    if settings.allowed_hosts.is_none() && settings.function_url.is_none() {
        return true;
    }
    allows(settings, request.header("host").unwrap_or_default())
}

fn allows(settings: &Settings, host: &str) -> bool {
    let url = settings.function_url.as_deref().unwrap_or_default();
    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
    let url = url.split('/').next().unwrap_or_default();
    let hosts = settings.allowed_hosts.as_deref().unwrap_or_default();
    let patterns = hosts.split(',').map(str::trim).chain([url]);
    let local = settings.is_local() && is_local(host);
    local || { patterns }.any(|pattern| !pattern.is_empty() && matches(pattern, host))
}

fn matches(pattern: &str, host: &str) -> bool {
    let has_port = pattern
        .rsplit_once(':')
        .is_some_and(|(_, port)| is_port(port));
    let host = match has_port {
        true => host,
        false => without_port(host),
    };
    let Some(apex) = pattern.strip_prefix('.') else {
        return host.eq_ignore_ascii_case(pattern);
    };
    if host.eq_ignore_ascii_case(apex) {
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
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(variables: &[(&str, &str)], host: &str) -> bool {
        let settings = Settings::read(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_string())
        });
        allows(&settings.expect("they are valid"), host)
    }

    #[track_caller]
    fn check(hosts: &str, host: &str, expected: bool) {
        let variables = [("ALLOWED_HOSTS", hosts), ("APP_ENV", "lambda")];
        assert_eq!(allowed(&variables, host), expected, "{hosts} {host}");
    }

    #[test]
    fn a_host_is_matched_whole_and_without_regard_to_case() {
        check("example.com", "Example.COM", true);
        check("example.com", "example.com.evil.net", false);
        check("example.com", "evilexample.com", false);
        check("example.com", "", false);
        check("a.example, b.example", "b.example", true);
    }

    #[test]
    fn any_port_is_allowed_unless_the_pattern_has_one() {
        check("example.com", "example.com:3000", true);
        check("example.com", "example.com:3000:80", false);
        check("example.com", "example.com:evil", false);
        check("example.com:3000", "example.com:3000", true);
        check("example.com:3000", "example.com:3001", false);
        check("example.com:3000", "example.com", false);
    }

    #[test]
    fn a_leading_dot_is_the_host_itself_and_one_label_before_it() {
        check(".example.com", "example.com", true);
        check(".example.com", "www.example.com:80", true);
        check(".example.com", "a.b.example.com", false);
        check(".example.com", "evil example.com", false);
        check(".example.com", "wwwexample.com", false);
        check(".example.com", "ü.example.com", false);
    }

    #[test]
    fn the_functions_url_is_a_host_with_or_without_its_scheme() {
        for url in ["https://x.lambda-url.aws/", "x.lambda-url.aws"] {
            let variables = [("LAMBDA_FUNCTION_URL", url), ("APP_ENV", "lambda")];
            assert!(allowed(&variables, "x.lambda-url.aws"), "{url}");
            assert!(!allowed(&variables, "y.lambda-url.aws"), "{url}");
            assert!(!allowed(&variables, "localhost:9000"), "{url}");
        }
    }

    #[test]
    fn a_developers_own_machine_is_allowed_in_development_only() {
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
