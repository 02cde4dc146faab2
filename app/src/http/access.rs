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
    let pairs: Vec<String> = query.split('&').map(pair).collect();
    format!("?{}", pairs.join("&"))
}

fn pair(pair: &str) -> String {
    let Some((name, value)) = pair.split_once('=') else {
        return pair.to_string();
    };
    let lower = name.to_ascii_lowercase();
    let hides = value.is_empty() || !HIDDEN.iter().any(|part| lower.contains(part));
    match hides {
        true => pair.to_string(),
        false => format!("{name}=[filtered]"),
    }
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
        assert_eq!(shown("db"), "?db");
        assert_eq!(shown(""), "");
    }
}
