//! The pages that say what went wrong: in HTML for a browser, in JSON for a program.
//!
//! Logs each failure and each rejected request once. Knows no page that works.

use crate::layout::Layout;
use crate::shared::Shared;
use crate::{access_log, schema};
use askama::Template;
use database::ReadError;
use handler::{Failure, Invocation, Kind};
use serde_json::json;
use web::{Request, Response, Shown, Unreadable};

/// Why a page cannot be made. The operator `?` converts every error that a page meets: of the
/// request, of the connection, of Postgres.
///
/// ```
/// use admin::{PageError, SignedInRequest};
/// use database::{Access, Connection};
/// use web::Response;
///
/// fn show(request: &SignedInRequest, connection: &mut Connection) -> Result<Response, PageError> {
///     let mut transaction = connection.transaction(request.invocation, Access::ReadOnly)?;
///     let names: Vec<(String,)> = transaction.query("SELECT name FROM parts LIMIT 1", &[])?;
///     let (name,) = names.into_iter().next().ok_or(PageError::NotFound)?;
///     Ok(Response::of(200, "text/plain; charset=utf-8", name))
/// }
/// ```
pub enum PageError {
    /// There is no page at this address.
    NotFound,
    /// The query or the form cannot be read.
    Unreadable(Unreadable),
    /// Anything else went wrong. The failure is logged; outside of development, the browser is told
    /// only its kind.
    Failed(Failure),
}

impl From<Unreadable> for PageError {
    fn from(why: Unreadable) -> PageError {
        PageError::Unreadable(why)
    }
}

impl From<Failure> for PageError {
    fn from(failure: Failure) -> PageError {
        PageError::Failed(failure)
    }
}

impl From<postgres::Error> for PageError {
    fn from(error: postgres::Error) -> PageError {
        PageError::Failed(schema::failed(error))
    }
}

impl From<ReadError> for PageError {
    fn from(error: ReadError) -> PageError {
        match error {
            ReadError::Postgres(error) => error.into(),
            mismatch => PageError::Failed(mismatch.into()),
        }
    }
}

/// Why a request is rejected before a page is looked for.
#[derive(Clone, Copy)]
pub(crate) enum Rejection {
    /// The request is for a host that is not one of the site's.
    Host,
    /// Another site made the browser send the request.
    CrossSite,
}

/// Returns the page for an error.
pub(crate) fn for_error(
    shared: &Shared,
    invocation: &Invocation,
    request: &Request,
    error: PageError,
) -> Response {
    match error {
        PageError::NotFound => not_found(request),
        PageError::Unreadable(why) => unreadable(request, why),
        PageError::Failed(failure) => failed(shared, invocation, request, &failure),
    }
}

/// A page with a title, a sentence, and a detail in the font of code, if it is not empty.
#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    title: &'a str,
    text: &'a str,
    detail: &'a str,
}

/// Returns a page with a title, a sentence and a detail, which no cache keeps.
pub(crate) fn notice(
    request: &Request,
    status: u16,
    title: &str,
    text: &str,
    detail: &str,
) -> Response {
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
            Layout::default().around(status, title, &notice)
        }
    };
    response.with("cache-control", "no-store")
}

/// Returns whether the client wants JSON and no HTML: a program, not a browser.
pub(crate) fn wants_json(request: &Request) -> bool {
    let accepted = request.header("accept").unwrap_or_default();
    accepted.contains("application/json") && !accepted.contains("text/html")
}

/// Logs a rejected request, and returns the page for it.
pub(crate) fn rejected(request: &Request, rejection: Rejection) -> Response {
    let (text, log) = match rejection {
        Rejection::Host => (
            "This is not the address of this app.",
            "neither ALLOWED_HOSTS nor LAMBDA_FUNCTION_URL has its host",
        ),
        Rejection::CrossSite => (
            "Another site has sent this request.",
            "it comes from another site",
        ),
    };
    let host = match rejection {
        Rejection::Host => format!(
            " `{}`",
            Shown(request.header("host").unwrap_or_default(), 100)
        ),
        Rejection::CrossSite => String::new(),
    };
    log::warn!("refused {}: {log}{host}", access_log::loggable(request));
    notice(request, 403, "Not allowed", text, "")
}

fn not_found(request: &Request) -> Response {
    let text = "There is no page at this address.";
    notice(request, 404, "Page not found", text, &request.path)
}

/// Returns the page for a path that cannot be decoded.
pub(crate) fn malformed_path(request: &Request) -> Response {
    let text = "A % in an address is followed by two hexadecimal digits of UTF-8, and not by 00.";
    notice(request, 400, "No such address", text, "")
}

/// Returns the page for a method that the route has no function for.
pub(crate) fn method_not_allowed(request: &Request, allowed: &'static str) -> Response {
    let text = format!("This page takes {allowed}, not {}.", request.method);
    notice(request, 405, "Method not allowed", &text, "").with("allow", allowed)
}

fn unreadable(request: &Request, why: Unreadable) -> Response {
    match why {
        Unreadable::Malformed => {
            let text = "A % in a form or query is followed by two hexadecimal digits of UTF-8, and \
                no text has the character NUL.";
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

/// Logs a failure, and returns the page for it.
fn failed(
    shared: &Shared,
    invocation: &Invocation,
    request: &Request,
    failure: &Failure,
) -> Response {
    let level = match failure.kind() {
        Kind::Locked | Kind::WrongValue => log::Level::Warn,
        _ => log::Level::Error,
    };
    log::log!(
        level,
        "failed to answer {}: {failure}",
        access_log::loggable(request)
    );
    if failure.kind() == Kind::QueryFailed {
        // The cached catalog may be out of date, and that may be the cause.
        shared.catalog.forget();
    }
    let detail = match shared.app_env.is_local() {
        true => failure.to_string(),
        false => format!("Request {}", invocation.request_id),
    };
    let changes_nothing = matches!(request.method.as_ref(), "GET" | "HEAD");
    let (status, title, text) = match failure.kind() {
        Kind::DatabaseUnavailable if changes_nothing => (
            503,
            "The database does not answer",
            "It may be waking up. This page asks again by itself in five seconds.",
        ),
        Kind::ConnectionLost if changes_nothing => (
            503,
            "The database does not answer",
            "Its connection was lost. This page asks again by itself in five seconds.",
        ),
        Kind::DatabaseUnavailable | Kind::ConnectionLost => (
            503,
            "The database does not answer",
            "Try again in a moment.",
        ),
        Kind::CommitInDoubt => (
            503,
            "It is not known whether this was saved",
            "The connection to the database was lost before it said so. Look before you try again.",
        ),
        Kind::OutOfTime => (
            503,
            "The database took too long",
            "The query was stopped before its time was over.",
        ),
        Kind::DatabaseReadOnly => (
            503,
            "The database is read-only now",
            "It shows its rows, and takes no changes.",
        ),
        Kind::DatabaseFull => (
            503,
            "The database is full",
            "Its disk has no room left for what was asked.",
        ),
        Kind::Locked => (
            409,
            "Somebody else is changing this",
            "A migration or another user is at it. Try again in a moment.",
        ),
        Kind::WrongValue => (
            422,
            "A value cannot be used",
            "It holds the character U+0000, or \\u0000 in JSON, which Postgres cannot read.",
        ),
        Kind::MigrationsPending => (
            503,
            "Migrations are pending",
            "This page needs tables that the database does not have. Run the migrations first.",
        ),
        _ => (500, "Something went wrong", "The error is in the log."),
    };
    // Before its COMMIT is sent, no transaction is saved.
    let text = match failure.kind() {
        Kind::CommitInDoubt => text.to_string(),
        _ if status == 500 || changes_nothing => text.to_string(),
        _ => format!("{text} Nothing was saved."),
    };
    let response = notice(request, status, title, &text, &detail);
    match (status, failure.kind()) {
        (500 | 422, _) | (_, Kind::CommitInDoubt) => response,
        // Only a GET: what a POST asks for must not be done twice.
        (_, Kind::DatabaseUnavailable | Kind::ConnectionLost) if changes_nothing => {
            response.with("retry-after", "5").with("refresh", "5")
        }
        _ => response.with("retry-after", "5"),
    }
}

/// Returns the page in place of one that is too large for Lambda, which would become a bare 502.
pub(crate) fn too_large(request: &Request) -> Response {
    let megabytes = request.reply_limit() / (1024 * 1024);
    let text = format!("This page is larger than the {megabytes} MB that can be sent.");
    notice(request, 500, "Page too large", &text, "")
}
