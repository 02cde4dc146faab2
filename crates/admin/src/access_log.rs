//! The access log: one line for each request, in which the token of a one-time link and the values
//! of secret parameters are hidden. Knows no page.

use crate::users::link;
use web::Request;

/// Parts of parameter names whose values are hidden: the list that a new Rails app has
/// (`filter_parameter_logging.rb`).
const SECRET_NAMES: [&str; 12] = [
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

/// The path of the health check.
pub(crate) const UP: &str = "/up";

/// Logs a request and the status of its response.
pub(crate) fn write(request: &Request, status: u16) {
    // A monitor asks often, and its lines would hide the others. Rails leaves them out, too.
    if request.path == UP && status == 200 {
        return;
    }
    log(request, status);
}

/// Returns the path for a log: without the token of a one-time link, which is a secret.
pub(crate) fn loggable_path<'a>(request: &'a Request) -> &'a str {
    match request.path.starts_with(link::PATH) {
        true => link::PATH,
        false => &request.path,
    }
}

// Few starts run it: inlined, it would be paged in by all of them.
#[inline(never)]
fn log(request: &Request, status: u16) {
    let (method, path, address) = (&request.method, loggable_path(request), &request.source_ip);
    let query = filtered_query(&request.query);
    log::info!("{method} {path}{query} {status} for {address}");
}

/// Returns the query with its question mark, and with `[filtered]` for each secret value.
fn filtered_query(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    // A filter of a list has its column in `c`, and the values for it in the `v` and `w` after it.
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
    SECRET_NAMES.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_secret_parameters_are_filtered() {
        assert_eq!(
            filtered_query("a=1&api_key=2&Password=3&token="),
            "?a=1&api_key=[filtered]&Password=[filtered]&token="
        );
        assert_eq!(
            filtered_query("c=email&o=is&v=a%40b&c=id&o=between&v=1&w=2"),
            "?c=email&o=is&v=[filtered]&c=id&o=between&v=1&w=2"
        );
        assert_eq!(filtered_query("db"), "?db");
        assert_eq!(filtered_query(""), "");
    }
}
