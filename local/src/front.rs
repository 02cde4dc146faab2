//! The HTTP server in front: one port for the first function's URL and, without `--public`, for
//! Lambda's own API, which refuses the requests of web pages.
//!
//! Each connection has a thread, so that a slow client or function delays no other. Not on
//! may_minihttp, which closes the connection on a request with more than 16 headers. Knows nothing
//! of environments.

use crate::function::Function;
use crate::in_flight::{Entered, InFlight};
use crate::invocation::MAX_PAYLOAD;
use crate::{Result, function_url, guard, invoke_api};
use oxhttp::model::header::{CONTENT_TYPE, RETRY_AFTER};
use oxhttp::model::{Body, HeaderValue, Request, Response, StatusCode};
use oxhttp::{ListeningServer, Server};
use percent_encoding::percent_decode_str;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{mem, thread};

/// The number of connections at the same time. Each takes two file descriptors, and a process
/// usually has 1,024 of them. Further connections wait in the kernel's queue.
const CONNECTIONS: usize = 256;

/// How long a client may be silent while its request is awaited or read, and how long it may not
/// read while its response is written.
const SILENCE: Duration = Duration::from_secs(30);

/// The part of a body that is read at once. The first one is not counted in `ALL_BODIES`.
const CHUNK: usize = 64 * 1024;

/// The total size of the bodies in memory, but for the first `CHUNK` of each: 16 of the largest.
const ALL_BODIES: usize = 16 * MAX_PAYLOAD;

/// The beginning of a one-time link's path.
const LINK: &str = "/sign-in/";

/// The name of oxhttp's thread for a connection, after the client's address and port.
const THREAD: &str = ": responding thread of OxHTTP";

/// Checks that `address` can be listened on, and returns all addresses to listen on, with a free
/// port in place of port 0: oxhttp does not tell which port it got.
///
/// A browser takes either loopback address for `localhost`, so 127.0.0.1 comes with `::1`.
pub(crate) fn reserve(address: SocketAddr) -> Result<Vec<SocketAddr>> {
    let failed = |address: SocketAddr, cause: io::Error| {
        format!("failed to listen on `{address}`: {cause}; choose another: --port, make run PORT=")
    };
    loop {
        let reserved = TcpListener::bind(address).map_err(|cause| failed(address, cause))?;
        let first = reserved.local_addr()?;
        let second = SocketAddr::from((Ipv6Addr::LOCALHOST, first.port()));
        if !first.ip().is_loopback() || first.is_ipv6() {
            return Ok(vec![first]);
        }
        match TcpListener::bind(second) {
            Ok(_) => return Ok(vec![first, second]),
            Err(cause) if cause.kind() != ErrorKind::AddrInUse => return Ok(vec![first]), // no IPv6
            Err(_) if address.port() == 0 => {}
            Err(cause) => return Err(failed(second, cause).into()),
        }
    }
}

/// The server's parts that its threads share.
pub(crate) struct Front {
    /// The functions; the first one has the Function URL.
    pub functions: Vec<Arc<Function>>,
    /// Whether others than this machine's user are served: then only the Function URL is there.
    pub public: bool,
    /// The requests that are being answered.
    pub in_flight: InFlight,
    /// The total size of the bodies in memory, without the first `CHUNK` of each.
    pub bodies: AtomicUsize,
}

impl Front {
    /// Listens and serves.
    pub(crate) fn start(self, addresses: &[SocketAddr]) -> Result<ListeningServer> {
        let mut server = Server::new(move |request| self.serve(request))
            .with_global_timeout(SILENCE)
            .with_max_concurrent_connections(CONNECTIONS);
        for address in addresses {
            server = server.bind(*address);
        }
        let failed = |cause| format!("failed to listen on `{}`: {cause}", addresses[0]);
        Ok(server.spawn().map_err(failed)?)
    }

    fn serve(&self, request: &mut Request<Body>) -> Response<Body> {
        let Some(entered) = self.in_flight.enter() else {
            return retry(StatusCode::SERVICE_UNAVAILABLE, "Shutting down.\n");
        };
        let is_call = !self.public && invoke_api::is_call(request.uri().path());
        let mut response = match is_call {
            true => self.call(request, &entered),
            false => self.page(request),
        };
        // oxhttp drops the response, and with it the entry, when the response is sent.
        response.extensions_mut().insert(entered);
        response
    }

    /// Serves a call of Lambda's own API.
    fn call(&self, request: &mut Request<Body>, entered: &Entered) -> Response<Body> {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        if let Some(sign) = guard::sign_of_a_page(headers) {
            let (method, path) = (request.method(), request.uri().path());
            eprintln!("refused {method} {path}: it has {sign}, and may come from a web page");
            let message = format!("A web page may not call this API, and the request has {sign}.");
            return invoke_api::refuse(StatusCode::FORBIDDEN, "AccessDeniedException", &message);
        }
        match self.read(request.body_mut()) {
            Ok(mut body) => {
                let event = mem::take(&mut body.bytes);
                invoke_api::serve(&self.functions, request, event, entered)
            }
            Err(Unread::TooLarge) => {
                let message = format!(
                    "Request must be smaller than {MAX_PAYLOAD} bytes for the InvokeFunction \
                     operation"
                );
                let error_type = "RequestTooLargeException";
                invoke_api::refuse(StatusCode::PAYLOAD_TOO_LARGE, error_type, &message)
            }
            Err(unread) => unread.response(),
        }
    }

    /// Serves a request for the Function URL, and logs it.
    fn page(&self, request: &mut Request<Body>) -> Response<Body> {
        let response = self.answer(request);
        let (method, path) = (request.method(), loggable(request.uri().path()));
        eprintln!("{method} {path} {}", response.status().as_u16());
        response
    }

    fn answer(&self, request: &mut Request<Body>) -> Response<Body> {
        if !self.public {
            // No proxy has set it, and, as on AWS, a client's own claim does not count.
            request.headers_mut().remove("x-forwarded-for");
        }
        if !request.uri().path().starts_with('/') {
            // `OPTIONS *`, which is about the server.
            return text(StatusCode::BAD_REQUEST, "The request has no path.\n");
        }
        let Some(client) = function_url::client(request.headers(), peer()) else {
            let message = "The request has no address in X-Forwarded-For.\n";
            return text(StatusCode::BAD_REQUEST, message);
        };
        match self.read(request.body_mut()) {
            Ok(body) => function_url::serve(&self.functions[0], client, request, &body.bytes),
            Err(unread) => unread.response(),
        }
    }

    /// Reads the body. The server reads the rest away.
    fn read(&self, body: &mut Body) -> std::result::Result<ReadBody<'_>, Unread> {
        let mut read = ReadBody {
            bytes: Vec::new(),
            counted: 0,
            all: &self.bodies,
        };
        loop {
            let mut chunk = body.take(CHUNK as u64);
            match chunk.read_to_end(&mut read.bytes) {
                Err(cause) => return Err(Unread::Failed(cause)),
                Ok(count) if count < CHUNK => break,
                Ok(_) if read.bytes.len() > MAX_PAYLOAD => break,
                Ok(_) => read.count(CHUNK)?,
            }
        }
        match read.bytes.len() <= MAX_PAYLOAD {
            true => Ok(read),
            false => Err(Unread::TooLarge),
        }
    }
}

/// A body that has been read. Its size counts until it is dropped.
struct ReadBody<'a> {
    bytes: Vec<u8>,
    counted: usize,
    all: &'a AtomicUsize,
}

impl ReadBody<'_> {
    /// Counts the bytes that are to be read next.
    fn count(&mut self, bytes: usize) -> std::result::Result<(), Unread> {
        self.counted += bytes;
        match self.all.fetch_add(bytes, Ordering::Relaxed) + bytes > ALL_BODIES {
            true => Err(Unread::NoRoom),
            false => Ok(()),
        }
    }
}

impl Drop for ReadBody<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// Why a body was not read.
enum Unread {
    /// It is larger than an event may be.
    TooLarge,
    /// The other bodies take all the memory that bodies may take.
    NoRoom,
    /// The client was silent for too long, or sent it wrongly.
    Failed(io::Error),
}

impl Unread {
    fn response(self) -> Response<Body> {
        match self {
            Unread::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"),
            Unread::Failed(cause) => text(StatusCode::BAD_REQUEST, &cause.to_string()),
            Unread::NoRoom => {
                let message = "Too many large requests at the same time.\n";
                retry(StatusCode::SERVICE_UNAVAILABLE, message)
            }
        }
    }
}

/// Returns the client's address, which oxhttp tells only in the name of the connection's thread.
fn peer() -> Option<IpAddr> {
    let thread = thread::current();
    let address: SocketAddr = thread.name()?.strip_suffix(THREAD)?.parse().ok()?;
    Some(address.ip().to_canonical())
}

/// Returns a path for the log: without the token of a one-time link, which follows `/sign-in/`, and
/// without an address of a person, however they are encoded. The tool's own log line is as strict.
fn loggable(path: &str) -> String {
    if meaning(path).contains(LINK) {
        return format!("{LINK}[filtered]");
    }
    let segments = path
        .split('/')
        .map(|segment| match meaning(segment).contains('@') {
            true => "[filtered]",
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

/// Returns what a path means at most: decoded repeatedly, in lower case, without blanks.
fn meaning(path: &str) -> String {
    let mut path = path.to_owned();
    for _ in 0..5 {
        path = percent_decode_str(&path).decode_utf8_lossy().into_owned();
    }
    path.retain(|letter| !letter.is_whitespace() && !letter.is_control() && letter != '+');
    path.replace('\\', "/")
        .replace(['\u{ff20}', '\u{fe6b}'], "@")
        .to_lowercase()
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain")
        .body(Body::from(text.to_owned()))
        .expect("all headers are valid")
}

fn retry(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = text(status, message);
    let seconds = HeaderValue::from_static("5");
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logged_path_has_no_token_and_no_address() {
        for path in [
            "/sign-in/TOKEN",
            "/sign%2Din/TOKEN",
            "/sign%252Din/TOKEN",
            "/sign-in%2FTOKEN",
            "/sign-in\\TOKEN",
            "/sign-in%20/TOKEN",
            "//Sign-In//TOKEN/x",
        ] {
            assert_eq!(loggable(path), "/sign-in/[filtered]", "{path}");
        }
        for path in ["/row/ada@x/1", "/row/ada%40x/1", "/row/ada%EF%BC%A0x/1"] {
            assert_eq!(loggable(path), "/row/[filtered]/1", "{path}");
        }
        for path in ["/", "/sign-in", "/tables/public/orders", "/a%2Fb"] {
            assert_eq!(loggable(path), path);
        }
    }

    #[test]
    fn the_peer_is_in_the_name_of_oxhttps_thread() {
        let peer_of = |name: &str| {
            let thread = thread::Builder::new().name(name.to_owned()).spawn(peer);
            thread.expect("it starts").join().expect("it only parses")
        };
        for (name, address) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[::ffff:192.0.2.7]:4711", "192.0.2.7"),
        ] {
            let peer = peer_of(&format!("{name}{THREAD}"));
            assert_eq!(peer, address.parse().ok(), "{name}");
        }
        assert_eq!(peer_of("main"), None);
    }
}
