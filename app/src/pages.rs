//! Every page of the app, in one `match`: path → page, with the methods it takes.
//!
//! Also the pages for what went wrong. Knows nothing of events.

mod assets;
mod frame;
mod home;
mod up;

use crate::guard::Refusal;
use crate::http::{Request, Response};
use crate::{App, Failure, Invocation};
use askama::Template;
use frame::Frame;
use serde_json::json;

/// Answers a request, whatever it is.
pub fn answer(app: &App, invocation: &Invocation, request: &Request) -> Response {
    if request.path.contains('%') && request.segments().is_none() {
        let text = "A % in an address is followed by two hexadecimal digits of UTF-8.";
        return notice(request, 400, "No such address", text, "");
    }
    let page = match request.path.as_ref() {
        "/" => read_only(request, || home::show(app, invocation)),
        "/up" => read_only(request, || Ok(up::show(app, invocation, request))),
        path => match assets::find(request) {
            Some(file) => read_only(request, || Ok(file)),
            None => Ok(not_found(request, path)),
        },
    };
    page.unwrap_or_else(|failure| {
        log::error!(
            "failed to answer {} {}: {failure}",
            request.method,
            request.path
        );
        went_wrong(app, invocation, request, &failure)
    })
}

fn read_only(
    request: &Request,
    page: impl FnOnce() -> Result<Response, Failure>,
) -> Result<Response, Failure> {
    match request.method.as_ref() {
        "GET" | "HEAD" => page(),
        _ => Ok(method_not_allowed(request, "GET, HEAD")),
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

/// A person gets a page, a program the same in JSON.
fn notice(request: &Request, status: u16, title: &str, text: &str, detail: &str) -> Response {
    let accepted = request.header("accept").unwrap_or_default();
    let response = match accepted.contains("application/json") && !accepted.contains("text/html") {
        true => {
            let said = json!({"status": status, "error": title, "text": text, "detail": detail});
            Response::of(status, "application/json", said.to_string())
        }
        false => Frame::default().around(
            status,
            title,
            &Notice {
                title,
                text,
                detail,
            },
        ),
    };
    response.with("cache-control", "no-store")
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

fn not_found(request: &Request, path: &str) -> Response {
    let text = "There is no page at this address.";
    notice(request, 404, "Page not found", text, path)
}

fn method_not_allowed(request: &Request, allowed: &'static str) -> Response {
    let text = format!("This page takes {allowed}, not {}.", request.method);
    notice(request, 405, "Method not allowed", &text, "").with("allow", allowed)
}

fn went_wrong(
    app: &App,
    invocation: &Invocation,
    request: &Request,
    failure: &Failure,
) -> Response {
    let detail = match app.settings.shows_causes() {
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
        _ => {
            let text = "The error is in the log.";
            return notice(request, 500, "Something went wrong", text, &detail);
        }
    };
    let response = notice(request, 503, title, text, &detail).with("retry-after", "5");
    match failure.kind() {
        "Function.DatabaseUnavailable" => response.with("refresh", "5"),
        _ => response,
    }
}

/// The page itself is more than Lambda sends, which would be a bare 502.
pub fn too_large(request: &Request) -> Response {
    let text = "It has more than the 6 MB that can be sent.";
    notice(request, 500, "Page too large", text, "")
}
