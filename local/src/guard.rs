//! Tells a web page's requests from those of this machine's programs.
//!
//! Neither the Invoke API nor the Runtime API has authentication. A page of any site could send
//! them a form and, once the page's name resolves to this machine (DNS rebinding), read the answer.
//! A browser names the page's origin or the foreign host in the headers. Knows neither API.

use std::net::{IpAddr, Ipv6Addr};

/// Returns the first header that a program of this machine does not send: one that only browsers
/// send, or a `Host` that is not this machine. Returns `None` if there is no such header.
pub(crate) fn sign_of_a_page<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Option<String> {
    headers.into_iter().find_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let is_a_browsers = name == "origin" || name.starts_with("sec-fetch-");
        let host = String::from_utf8_lossy(value);
        match name.as_str() {
            _ if is_a_browsers => Some(format!("the header `{name}`")),
            "host" if !is_this_machine(&host) => Some(format!("the host {host:?}")),
            _ => None,
        }
    })
}

/// Returns whether the value of a `Host` header is this machine, at any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if let Some(address) = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    let name = name.to_ascii_lowercase();
    match name.parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(_)) => false,
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(headers: &[(&str, &str)]) -> Option<String> {
        let pairs = headers.iter();
        sign_of_a_page(pairs.map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn the_hosts_of_this_machine_are_accepted() {
        for host in [
            "localhost",
            "localhost:9000",
            "LOCALHOST:9000",
            "web.localhost:9000",
            "127.0.0.1:9000",
            "127.9.9.9",
            "[::1]",
            "[::1]:9000",
        ] {
            assert_eq!(sign(&[("Host", host)]), None, "{host}");
        }
        assert_eq!(sign(&[]), None, "HTTP/1.0 has no host");
        assert_eq!(sign(&[("User-Agent", "curl")]), None);
    }

    #[test]
    fn any_other_host_is_refused() {
        for host in [
            "evil.example:9000",
            "localhost.evil.example",
            "evillocalhost",
            "127.0.0.1.evil.example",
            "128.0.0.1:9000",
            "0.0.0.0:9000",
            "[::]:9000",
            "[::ffff:127.0.0.1]:9000",
            "::1",
            "localhost:9000:x",
            "localhost@evil.example",
            "",
        ] {
            assert!(sign(&[("host", host)]).is_some(), "{host}");
        }
        let two = [("Host", "localhost"), ("Host", "evil.example")];
        assert_eq!(
            sign(&two).as_deref(),
            Some("the host \"evil.example\""),
            "each host is checked"
        );
    }

    #[test]
    fn a_header_that_only_browsers_send_is_refused() {
        for header in [
            "Origin",
            "sec-fetch-site",
            "Sec-Fetch-Mode",
            "Sec-Fetch-Dest",
        ] {
            for value in ["null", "none", "same-origin", "http://localhost:9000"] {
                let said = sign(&[("Host", "localhost:9000"), (header, value)]);
                let name = header.to_ascii_lowercase();
                assert_eq!(said, Some(format!("the header `{name}`")));
            }
        }
    }
}
