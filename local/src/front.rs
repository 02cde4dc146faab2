//! The HTTP server in front: one port for the first function's URL and, without `--public`, for the
//! Invoke API.
//!
//! Each connection has a thread, so that a slow client or function delays no other. Not on
//! may_minihttp, which closes the connection on a request with more than 16 headers. Knows nothing
//! of environments.

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

/// Checks that `address` can be listened on, and returns it, with a free port in place of port 0:
/// oxhttp does not tell which port it got.
pub(crate) fn reserve(address: SocketAddr) -> Result<SocketAddr> {
    let reserved = TcpListener::bind(address).and_then(|port| port.local_addr());
    Ok(reserved.map_err(|cause| {
        format!("failed to listen on `{address}`: {cause}; choose another: --port, make run PORT=")
    })?)
}

/// Listens and serves; with `public`, only the first function's URL.
pub(crate) fn start(
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
            // No proxy has set it, and, as on AWS, a client's own claim does not count.
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

/// Reads the body, or returns `None` if it is larger than an event may be. The server drains the
/// rest.
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
