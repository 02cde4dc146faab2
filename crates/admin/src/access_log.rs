//! The access log: one line for each request, in which the token of a one-time link and the values
//! of secret parameters are hidden. Knows no page.

use crate::users::link;
use records::catalog::is_secret_name;
use web::{Loggable, Request, Secrets, Shown};

/// Parts of parameter names whose values are hidden, besides those of secrets: a log hides an email,
/// too, and a short part inside of a word, where a wrong guess costs nothing.
const HIDDEN_NAMES: [&str; 6] = ["email", "salt", "otp", "ssn", "cvv", "cvc"];

/// The path of the health check.
pub(crate) const UP: &str = "/up";

/// Logs a request, the status of its response, and the id of the user who is signed in.
pub(crate) fn write(request: &Request, status: u16, user: Option<i64>) {
    // A monitor asks often, and its lines would hide the others. Rails leaves them out, too.
    if request.path == UP && status == 200 {
        return;
    }
    log(request, status, user);
}

/// Returns a request as it may be logged: without the token of a one-time link, the values of secret
/// parameters and addresses of persons. Nothing else of a request's path and query goes to a log.
pub(crate) fn loggable<'a>(request: &'a Request) -> Loggable<'a> {
    let secrets = Secrets {
        path: link::PATH,
        is_secret_name: is_secret,
        // A filter of a list has its column in `c`, and the values for it in the `v` and `w` after.
        column: ("c", &["v", "w"]),
    };
    Loggable::new(request, secrets)
}

// Few starts run it: inlined, it would be paged in by all of them.
#[inline(never)]
fn log(request: &Request, status: u16, user: Option<i64>) {
    let (line, address) = (loggable(request), Shown(&request.source_ip, 100));
    match user {
        Some(user) => log::info!("{line} {status} for {address}, user {user}"),
        None => log::info!("{line} {status} for {address}"),
    }
}

fn is_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    is_secret_name(name) || HIDDEN_NAMES.iter().any(|part| lower.contains(part))
}
