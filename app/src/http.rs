//! The `http` handler: event → request → page → response → reply.
//!
//! Knows payload format 2.0; which page answers what is in `pages`.

mod request;
mod response;

pub use request::Request;
pub use response::Response;

use crate::{App, Failure, Invocation, Reply, pages};

/// Answers a Function URL request. What goes wrong in a page becomes an error page, because a
/// failed invocation is a bare "Internal Server Error" to a browser.
///
/// # Errors
/// `Function.InvalidEvent` and `Function.UnknownEvent` when the event is no request.
pub fn handle(app: &App, invocation: &Invocation) -> Result<Reply, Failure> {
    let request = Request::from_event(invocation)?;
    let mut response = pages::answer(app, invocation, &request);
    if request.method == "HEAD" {
        response.body.clear();
    }
    let reply = response.into_reply();
    if reply.body.len() <= Reply::LIMIT {
        return Ok(reply);
    }
    log::error!(
        "failed to answer {} {}: the page is too large",
        request.method,
        request.path
    );
    Ok(pages::too_large().into_reply())
}
