//! Every page of the app, in one `match`: path → page, with the methods it takes.
//!
//! Also the pages for what went wrong. Knows nothing of events.

mod home;
mod style;

use crate::http::{Request, Response};
use crate::{App, Failure, Invocation};
use askama::Template;

/// Answers a request, whatever it is.
pub fn answer(app: &App, invocation: &Invocation, request: &Request) -> Response {
    let page = match request.path.as_ref() {
        "/" => read_only(request, || home::show(app, invocation)),
        "/up" => read_only(request, || Ok(up())),
        path if path == style::path() => read_only(request, || Ok(style::show())),
        path => Ok(not_found(path)),
    };
    page.unwrap_or_else(|failure| {
        log::error!(
            "failed to answer {} {}: {failure}",
            request.method,
            request.path
        );
        went_wrong(app, invocation, &failure)
    })
}

fn read_only(
    request: &Request,
    page: impl FnOnce() -> Result<Response, Failure>,
) -> Result<Response, Failure> {
    match request.method.as_ref() {
        "GET" | "HEAD" => page(),
        method => Ok(method_not_allowed(method, "GET, HEAD")),
    }
}

/// The process answers; the database is not asked.
fn up() -> Response {
    Response {
        status: 200,
        headers: Vec::new(),
        body: "up\n".to_string(),
    }
    .with("content-type", "text/plain; charset=utf-8")
    .with("cache-control", "no-store")
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    style: String,
    title: &'a str,
    text: &'a str,
    detail: &'a str,
}

fn notice(status: u16, title: &str, text: &str, detail: &str) -> Response {
    render(
        status,
        &Notice {
            style: style::path(),
            title,
            text,
            detail,
        },
    )
}

fn not_found(path: &str) -> Response {
    notice(
        404,
        "Page not found",
        "There is no page at this address.",
        path,
    )
}

fn method_not_allowed(method: &str, allowed: &'static str) -> Response {
    let text = format!("This page takes {allowed}, not {method}.");
    notice(405, "Method not allowed", &text, "").with("allow", allowed)
}

fn went_wrong(app: &App, invocation: &Invocation, failure: &Failure) -> Response {
    let detail = match app.settings.shows_causes() {
        true => failure.to_string(),
        false => format!("Request {}", invocation.request_id),
    };
    match failure.kind() {
        "Function.DatabaseUnavailable" => notice(
            503,
            "The database does not answer",
            "It may be waking up. Try again in a moment.",
            &detail,
        )
        .with("retry-after", "5"),
        _ => notice(
            500,
            "Something went wrong",
            "The error is in the log.",
            &detail,
        ),
    }
}

/// The page itself is more than Lambda sends, which would be a bare 502.
pub fn too_large() -> Response {
    notice(
        500,
        "Page too large",
        "It has more than the 6 MB that can be sent.",
        "",
    )
}

fn render(status: u16, page: &impl Template) -> Response {
    // Writing to a string fails only when a value's own Display does, and ours do not.
    Response::html(
        status,
        page.render().expect("templates render what they are given"),
    )
}
