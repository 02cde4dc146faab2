//! The pages for what went wrong. A person gets a page, a program the same in JSON.

use super::frame::Frame;
use crate::database::failed;
use crate::guard::Refusal;
use crate::http::{Request, Response, Unreadable};
use crate::{App, Failure, Invocation};
use askama::Template;
use serde_json::json;

/// Why there is no page.
pub enum Stop {
    /// Nothing is at this address.
    NotFound,
    /// The query or the form cannot be read.
    Unreadable(Unreadable),
    /// Something has failed.
    Failed(Failure),
}

impl From<Unreadable> for Stop {
    fn from(why: Unreadable) -> Stop {
        Stop::Unreadable(why)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

impl From<postgres::Error> for Stop {
    fn from(error: postgres::Error) -> Stop {
        Stop::Failed(failed(error))
    }
}

/// The page for a page that there is not.
pub fn stopped(app: &App, invocation: &Invocation, request: &Request, stop: Stop) -> Response {
    match stop {
        Stop::NotFound => not_found(request),
        Stop::Unreadable(why) => unreadable(request, why),
        Stop::Failed(failure) => broken(app, invocation, request, &failure),
    }
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
    detail: &'a str,
}

/// A page that says one thing, which nobody keeps.
pub fn notice(request: &Request, status: u16, title: &str, text: &str, detail: &str) -> Response {
    let response = match wants_json(request) {
        true => {
            let said = json!({"status": status, "error": title, "text": text, "detail": detail});
            Response::of(status, "application/json", said.to_string())
        }
        false => {
            let notice = Notice {
                title,
                text,
                detail,
            };
            Frame::default().around(status, title, &notice)
        }
    };
    response.with("cache-control", "no-store")
}

/// Whether a program asks, and not a person's browser.
pub fn wants_json(request: &Request) -> bool {
    let accepted = request.header("accept").unwrap_or_default();
    accepted.contains("application/json") && !accepted.contains("text/html")
}

/// The page for a request that goes no further.
pub fn refuse(request: &Request, refusal: &Refusal) -> Response {
    let (text, log) = match refusal {
        Refusal::Host => (
            "This is not the address of this app.",
            "its host is not in ALLOWED_HOSTS, nor LAMBDA_FUNCTION_URL",
        ),
        Refusal::CrossSite => (
            "Another site has sent this request.",
            "it comes from another site",
        ),
    };
    log::warn!("refused {} {}: {log}", request.method, request.path);
    notice(request, 403, "Not allowed", text, "")
}

fn not_found(request: &Request) -> Response {
    let text = "There is no page at this address.";
    notice(request, 404, "Page not found", text, &request.path)
}

/// The address is none.
pub fn malformed_path(request: &Request) -> Response {
    let text = "A % in an address is followed by two hexadecimal digits of UTF-8.";
    notice(request, 400, "No such address", text, "")
}

/// The page does not take this method.
pub fn method_not_allowed(request: &Request, allowed: &'static str) -> Response {
    let text = format!("This page takes {allowed}, not {}.", request.method);
    notice(request, 405, "Method not allowed", &text, "").with("allow", allowed)
}

fn unreadable(request: &Request, why: Unreadable) -> Response {
    match why {
        Unreadable::Malformed => {
            let text = "A % in a form or query is followed by two hexadecimal digits of UTF-8.";
            notice(request, 400, "Not readable", text, "")
        }
        Unreadable::OtherType => {
            let text = "A form is sent as application/x-www-form-urlencoded.";
            notice(request, 415, "Not a form", text, "")
        }
        Unreadable::TooLarge => {
            let text = "A form has at most 1 MB and 4000 fields. Nothing was saved.";
            notice(request, 413, "Form too large", text, "")
        }
    }
}

/// Logs why.
fn broken(app: &App, invocation: &Invocation, request: &Request, failure: &Failure) -> Response {
    let (method, path) = (&request.method, request.shown_path());
    log::error!("failed to answer {method} {path}: {failure}");
    // What is known of the tables may be out of date.
    app.catalogue.forget();
    let detail = match app.settings.is_local() {
        true => failure.to_string(),
        false => format!("Request {}", invocation.request_id),
    };
    let (title, text) = match failure.kind() {
        "Function.DatabaseUnavailable" => (
            "The database does not answer",
            "It may be waking up. This page asks again by itself in five seconds.",
        ),
        "Function.OutOfTime" => (
            "The database took too long",
            "The query was stopped before its time was over.",
        ),
        "Function.MigrationsPending" => (
            "Migrations are pending",
            "The database has not what this needs: the migrations function has to run first.",
        ),
        _ => {
            let text = "The error is in the log.";
            return notice(request, 500, "Something went wrong", text, &detail);
        }
    };
    let response = notice(request, 503, title, text, &detail).with("retry-after", "5");
    match failure.kind() {
        // A form would be sent again.
        "Function.DatabaseUnavailable" if request.method == "GET" => response.with("refresh", "5"),
        _ => response,
    }
}

/// The page itself is more than Lambda sends, which would be a bare 502.
pub fn too_large(request: &Request) -> Response {
    let text = "It has more than the 6 MB that can be sent.";
    notice(request, 500, "Page too large", text, "")
}
