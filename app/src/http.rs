//! The `http` handler: event → request → page → response → reply.
//!
//! Knows the order of these steps; which page answers what is in `pages`.

mod access;
mod event;
mod form;
mod request;
mod response;
mod transfer;

pub use form::{Unreadable, escape, field, query};
pub use request::Request;
pub use response::Response;
pub use transfer::takes_gzip;

use crate::{App, Failure, Invocation, Reply, guard, pages};

/// Answers a request. What goes wrong in a page becomes an error page, because a failed invocation
/// is a bare "Internal Server Error" to a browser.
///
/// # Errors
/// `Function.InvalidEvent` and `Function.UnknownEvent` when the event is no request.
pub fn handle(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    let request = Request::from_event(invocation)?;
    let response = match guard::refusal(&app.settings, &request) {
        None => pages::answer(app, invocation, &request),
        Some(refusal) => pages::refuse(&request, &refusal),
    };
    let reply = finish(response, &request, invocation);
    if reply.body.len() <= Reply::LIMIT {
        return Ok(reply);
    }
    log::error!(
        "failed to answer {} {}: the page is too large",
        request.method,
        request.path
    );
    Ok(finish(pages::too_large(&request), &request, invocation))
}

fn finish(response: Response, request: &Request, invocation: &Invocation) -> Reply {
    let response = response.with("x-request-id", invocation.request_id.clone());
    let response = transfer::prepare(response, request);
    access::log(request, response.status);
    response.into_reply(request.shape)
}
