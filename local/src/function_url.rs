//! The Function URL: a browser's request becomes an event, the function's answer a response.
//!
//! Knows nothing of environments. Source: "Invoking Lambda function URLs", AWS Lambda Developer
//! Guide; where that is wrong, LocalStack's tests that were validated against AWS.

mod event;
mod reply;

use crate::function::{Function, Throttled};
use crate::invocation::MAX_PAYLOAD;
use oxhttp::model::{Body, Method, Request, Response, StatusCode};
use reply::Reply;

/// Lets the function answer a request whose body has been read.
pub fn serve(function: &Function, request: &Request<Body>, body: &[u8]) -> Response<Body> {
    let event = event::build(request, body);
    let reply = if event.len() > MAX_PAYLOAD {
        // Base64 makes a body a third larger.
        Reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
    } else {
        match function.invoke(event, None) {
            Ok(reply) => reply::infer(reply.answer),
            Err(Throttled) => Reply::text(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
        }
    };
    // Neither has a body (RFC 9110, 9.3.2, 15.3.5, 15.4.5): a client would take it for a response.
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&reply.status);
    let mut response = Response::new(match request.method() == Method::HEAD || bodiless {
        true => Body::empty(),
        false => Body::from(reply.body),
    });
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
