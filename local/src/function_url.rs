//! The Function URL: turns a browser's request into an event, and the function's answer into a
//! response.
//!
//! Knows nothing of environments. Source: "Invoking Lambda function URLs", AWS Lambda Developer
//! Guide; where that is wrong, those of LocalStack's tests that were validated against AWS.

mod event;
mod reply;

use crate::function::{Function, Throttled};
use crate::invocation::MAX_PAYLOAD;
use oxhttp::model::{Body, Method, Request, Response, StatusCode};
use reply::Reply;

/// Has the function answer a request whose body has been read.
pub(crate) fn serve(function: &Function, request: &Request<Body>, body: &[u8]) -> Response<Body> {
    let event = event::build(request, body);
    let reply = if event.len() > MAX_PAYLOAD {
        // The body has passed the limit, but Base64 makes it a third larger.
        Reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
    } else {
        match function.invoke(event, None) {
            Ok(reply) => reply::infer(reply.answer),
            Err(Throttled) => Reply::text(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
        }
    };
    // The responses to HEAD, 204 and 304 have no body (RFC 9110, 9.3.2, 15.3.5, 15.4.5): a client
    // would take the body for the next response.
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&reply.status);
    let mut response = Response::new(match request.method() == Method::HEAD || bodiless {
        true => Body::empty(),
        false => Body::from(reply.body),
    });
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
