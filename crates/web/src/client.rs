//! Says where a client is, so that attempts can be counted: an IPv4 address, or the /64 of an IPv6
//! address, because one subscriber has a whole /64.
//!
//! Knows the forms in which platforms and proxies write an address. Knows no request and no limit.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The network of a client whose address cannot be read. All such clients share it, so a client
/// gains nothing by an unreadable address.
const UNKNOWN: &str = "unknown";

/// Returns the network of a client: `192.0.2.7`, or `2001:db8:1:2::/64`. Reads `address`,
/// `address:port`, `[address]` and `[address]:port`. An IPv4 address that is written as IPv6
/// (`::ffff:192.0.2.7`) is an IPv4 address.
pub(crate) fn network(client: &str) -> String {
    match address(client.trim()).map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let bits = address.to_bits() >> 64 << 64;
            format!("{}/64", Ipv6Addr::from_bits(bits))
        }
        None => UNKNOWN.to_string(),
    }
}

fn address(client: &str) -> Option<IpAddr> {
    let bare = client
        .strip_prefix('[')
        .and_then(|client| client.strip_suffix(']'));
    let address = bare.unwrap_or(client).parse().ok();
    address.or_else(|| client.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_client_is_its_address_whatever_the_port() {
        for client in [
            "192.0.2.7",
            "192.0.2.7:443",
            " 192.0.2.7 ",
            "::ffff:192.0.2.7",
            "[::ffff:192.0.2.7]:443",
        ] {
            assert_eq!(network(client), "192.0.2.7", "{client}");
        }
        assert_ne!(network("192.0.2.8"), network("192.0.2.7"));
    }

    #[test]
    fn an_ipv6_client_is_its_64_whatever_the_port() {
        for client in [
            "2001:db8:1:2::1",
            "2001:db8:1:2:ffff:ffff:ffff:ffff",
            "[2001:DB8:1:2::9]",
            "[2001:db8:1:2::9]:50123",
        ] {
            assert_eq!(network(client), "2001:db8:1:2::/64", "{client}");
        }
        assert_eq!(network("2001:db8:1:3::1"), "2001:db8:1:3::/64");
    }

    #[test]
    fn clients_without_a_readable_address_share_one_network() {
        for client in [
            "",
            "ada",
            "192.0.2",
            "192.0.2.7:99999",
            "[192.0.2.7",
            "192.0.2.7, 192.0.2.8",
        ] {
            assert_eq!(network(client), UNKNOWN, "{client}");
        }
    }
}
