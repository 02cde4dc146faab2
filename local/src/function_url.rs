//! The Function URL: turns a browser's request into an event, and the function's answer into a
//! response.
//!
//! Knows nothing of environments. Source: "Invoking Lambda function URLs", AWS Lambda Developer
//! Guide; where that is wrong, those of LocalStack's tests that were validated against AWS.

mod event;
mod reply;

pub(crate) use event::client;

use crate::function::{Function, Throttled};
use crate::invocation::MAX_PAYLOAD;
use oxhttp::model::{Body, Method, Request, Response, StatusCode};
use reply::Reply;
use std::net::IpAddr;

/// Has the function answer the request of `client`, whose body has been read.
pub(crate) fn serve(
    function: &Function,
    client: IpAddr,
    request: &Request<Body>,
    body: &[u8],
) -> Response<Body> {
    let event = event::build(request, client, body);
    let reply = if event.len() > MAX_PAYLOAD {
        // The body has passed the limit, but Base64 makes it a third larger.
        Reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
    } else {
        match function.invoke(event, None) {
            Ok(reply) => reply::infer(reply.answer).unwrap_or_else(|cause| {
                let name = &function.name;
                eprintln!("failed to read the reply of `{name}` as a response: {cause}");
                reply::bad_gateway()
            }),
            Err(Throttled) => Reply::text(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded."),
        }
    };
    // The responses to HEAD, 204, 205 and 304 have no body (RFC 9110, 9.3.2, 15.3.5, 15.3.6,
    // 15.4.5): a client would take the body for the next response.
    let bodiless = matches!(
        reply.status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    let mut response = Response::new(match bodiless || request.method() == Method::HEAD {
        true => Body::empty(),
        false => Body::from(reply.body),
    });
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}
