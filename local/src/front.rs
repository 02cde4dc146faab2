//! The HTTP server in front: one port for the first function's URL and, unless it is
//! public, the Invoke API.
//!
//! A thread per connection, so a slow client or function holds up nobody else. Not on
//! may_minihttp, which closes the connection on a request with more than 16 headers.

use crate::Result;
use crate::function::Function;
use crate::invocation::MAX_PAYLOAD;
use crate::{function_url, invoke_api};
use oxhttp::model::header::CONTENT_TYPE;
use oxhttp::model::{Body, Request, Response, StatusCode};
use oxhttp::{ListeningServer, Server};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// That address, with a free port if it is 0. oxhttp does not tell which port it got, so it is not
/// asked for port 0.
pub fn reserve(address: SocketAddr) -> Result<SocketAddr> {
    let reserved = TcpListener::bind(address).and_then(|port| port.local_addr());
    Ok(reserved.map_err(|cause| {
        format!("failed to listen on `{address}`: {cause}; choose another: --port, make run PORT=")
    })?)
}

/// Listens; in `public` only for the function's URL.
pub fn start(
    address: SocketAddr,
    public: bool,
    functions: Vec<Arc<Function>>,
) -> Result<ListeningServer> {
    let server = Server::new(move |request| serve(&functions, public, request)).bind(address);
    let failed = |cause| format!("failed to listen on `{address}`: {cause}");
    Ok(server.spawn().map_err(failed)?)
}

fn serve(functions: &[Arc<Function>], public: bool, request: &mut Request<Body>) -> Response<Body> {
    let name = match public {
        true => None,
        false => {
            // No proxy is before it: as on AWS, a client does not say who it is.
            request.headers_mut().remove("x-forwarded-for");
            invoke_api::function_name(request)
        }
    };
    let body = match read(request.body_mut()) {
        Ok(body) => body,
        Err(cause) => return text(StatusCode::BAD_REQUEST, &cause.to_string()),
    };
    match (name, body) {
        (Some(name), Some(body)) => invoke_api::serve(functions, &name, request, body),
        (Some(_), None) => {
            let message = format!(
                "Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction operation"
            );
            invoke_api::refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                &message,
            )
        }
        (None, Some(body)) => function_url::serve(&functions[0], request, &body),
        (None, None) => text(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
    }
}

/// The body; none if it is larger than an event may be. The server drains what is left.
fn read(body: &mut Body) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    body.take(MAX_PAYLOAD as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX_PAYLOAD).then_some(bytes))
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain")
        .body(Body::from(text.to_owned()))
        .expect("all headers are valid")
}
