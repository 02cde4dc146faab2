//! One line for each request, without what a parameter may have to hide. Knows no page.

use super::Request;

/// What a parameter's name must not hold for its value to be shown: Rails' own list
/// (`filter_parameter_logging.rb`).
const HIDDEN: [&str; 12] = [
    "passw",
    "email",
    "secret",
    "token",
    "_key",
    "crypt",
    "salt",
    "certificate",
    "otp",
    "ssn",
    "cvv",
    "cvc",
];

/// Logs a request that was answered.
pub fn log(request: &Request, status: u16) {
    // Whoever watches the process asks often, and nobody reads it: Rails is silent here too.
    if request.path == "/up" && status == 200 {
        return;
    }
    write(request, status);
}

#[inline(never)]
fn write(request: &Request, status: u16) {
    let (method, path, address) = (&request.method, request.shown_path(), &request.source_ip);
    let query = shown(&request.query);
    log::info!("{method} {path}{query} {status} for {address}");
}

fn shown(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    // A list's filter names its column in a parameter, and its values in those that follow.
    let mut hides_values = false;
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "c" {
            hides_values = is_secret(value);
        }
        let hides = is_secret(name) || (hides_values && matches!(name, "v" | "w"));
        pairs.push(match hides && !value.is_empty() {
            true => format!("{name}=[filtered]"),
            false => pair.to_string(),
        });
    }
    format!("?{}", pairs.join("&"))
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    HIDDEN.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_parameters_are_not_shown() {
        assert_eq!(
            shown("a=1&api_key=2&Password=3&token="),
            "?a=1&api_key=[filtered]&Password=[filtered]&token="
        );
        assert_eq!(
            shown("c=email&o=is&v=a%40b&c=id&o=between&v=1&w=2"),
            "?c=email&o=is&v=[filtered]&c=id&o=between&v=1&w=2"
        );
        assert_eq!(shown("db"), "?db");
        assert_eq!(shown(""), "");
    }
}
