//! The Runtime API for a cold start: plain sockets, polled by the thread that also measures the times.
//! Every answer is one write with a Content-Length. Knows no candidate, and of time only the moment at
//! which a request was complete.

use crate::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long to wait for a request; longer than any start that is worth measuring.
const PATIENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// The Runtime API of one process.
pub(crate) struct Api {
    listener: TcpListener,
    /// A closed connection leaves `None`, because a request refers to its connection by index.
    connections: Vec<Option<Connection>>,
    invocations: u64,
}

/// One of the connections of the client.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A complete request.
pub(crate) struct Request {
    /// When the last byte of the request was read.
    pub at: Instant,
    /// The call of the Runtime API.
    pub call: Call,
    connection: usize,
}

/// A call of the Runtime API.
pub(crate) enum Call {
    /// `GET /next`.
    Next,
    /// `POST /response`, with its body.
    Response(Vec<u8>),
    /// Any other request, which no candidate should send: its head and body.
    Other(String),
}

impl Api {
    /// Listens on a free port.
    pub(crate) fn listen() -> Result<Api> {
        Ok(Api {
            listener: TcpListener::bind("127.0.0.1:0")?,
            connections: Vec::new(),
            invocations: 0,
        })
    }

    /// Returns the value of AWS_LAMBDA_RUNTIME_API.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Waits for `/next`.
    pub(crate) fn await_next(&mut self) -> Result<Request> {
        let request = self.request()?;
        match &request.call {
            Call::Next => Ok(request),
            other => Err(format!("expected /next, got {other}").into()),
        }
    }

    /// Answers `/next` with an event and waits for the response, a page with status 200. `confirm` has to
    /// answer the response.
    pub(crate) fn invoke(&mut self, next: &Request, event: &str) -> Result<Request> {
        self.invocations += 1;
        let deadline = SystemTime::now() + Duration::from_secs(30);
        let deadline = deadline.duration_since(UNIX_EPOCH)?.as_millis();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
             Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-{:012}\r\n\
             Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: \
             arn:aws:lambda:eu-central-1:123456789012:function:web\r\n\
             Lambda-Runtime-Trace-Id: \
             Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n\
             Content-Length: {}\r\n\r\n{event}",
            self.invocations,
            event.len()
        );
        self.send(next, answer.as_bytes())?;
        let request = self.request()?;
        match &request.call {
            Call::Response(body) if is_success(body) => Ok(request),
            other => Err(format!("expected a page, got {other}").into()),
        }
    }

    /// Answers a response with 202.
    pub(crate) fn confirm(&mut self, response: &Request) -> Result<()> {
        let answer = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n\
                       Content-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";
        self.send(response, answer)
    }

    fn send(&mut self, request: &Request, answer: &[u8]) -> Result<()> {
        let connection = self.connections[request.connection].as_mut();
        Ok(connection.ok_or("it hung up")?.stream.write_all(answer)?)
    }

    fn request(&mut self) -> Result<Request> {
        loop {
            for index in self.ready()? {
                if let Some(request) = self.receive(index)? {
                    return Ok(request);
                }
            }
        }
    }

    /// Waits until a connection is readable, accepts a new one, and returns the readable ones.
    fn ready(&mut self) -> Result<Vec<usize>> {
        let known = self.connections.iter().enumerate();
        let open: Vec<(usize, &Connection)> = known
            .filter_map(|(index, known)| known.as_ref().map(|known| (index, known)))
            .collect();
        let mut polled: Vec<PollFd> = open
            .iter()
            .map(|(_, known)| PollFd::new(&known.stream, PollFlags::IN))
            .collect();
        polled.push(PollFd::new(&self.listener, PollFlags::IN));
        if poll(&mut polled, Some(&PATIENCE))? == 0 {
            return Err("no request for 30 seconds".into());
        }
        let is_called = polled.pop().is_some_and(|last| !last.revents().is_empty());
        let ready = open
            .iter()
            .zip(&polled)
            .filter(|(_, poll)| !poll.revents().is_empty())
            .map(|((index, _), _)| *index)
            .collect();
        if is_called {
            let (stream, _) = self.listener.accept()?;
            stream.set_nodelay(true)?;
            self.connections.push(Some(Connection {
                stream,
                received: Vec::new(),
            }));
        }
        Ok(ready)
    }

    fn receive(&mut self, index: usize) -> Result<Option<Request>> {
        let slot = &mut self.connections[index];
        let Some(connection) = slot else {
            return Ok(None);
        };
        if !connection.read()? {
            *slot = None;
            return Ok(None);
        }
        let at = Instant::now();
        Ok(connection.take()?.map(|call| Request {
            at,
            call,
            connection: index,
        }))
    }
}

impl Call {
    /// Returns the size of a response in bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Call::Response(body) => body.len(),
            Call::Next | Call::Other(_) => 0,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Call::Next => out.write_str("/next"),
            Call::Response(body) => write!(out, "/response {}", String::from_utf8_lossy(body)),
            Call::Other(request) => out.write_str(request),
        }
    }
}

impl Connection {
    /// Reads once; returns false when the connection is closed.
    fn read(&mut self) -> Result<bool> {
        let mut bytes = [0; 8 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.received.extend_from_slice(&bytes[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self) -> Result<Option<Call>> {
        let Some(end) = find(&self.received, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&self.received[..end])?;
        let whole = end + 4 + content_length(head)?;
        if self.received.len() < whole {
            return Ok(None);
        }
        let body = self.received[end + 4..whole].to_vec();
        let call = if head.starts_with("GET /2018-06-01/runtime/invocation/next ") {
            Call::Next
        } else if head.starts_with("POST ") && head.contains("/response HTTP/1.1\r\n") {
            Call::Response(body)
        } else {
            Call::Other(format!("{head}\n{}", String::from_utf8_lossy(&body)))
        };
        self.received.drain(..whole);
        Ok(Some(call))
    }
}

fn content_length(head: &str) -> Result<usize> {
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(':').ok_or("a header without a colon")?;
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(value.trim().parse()?);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err("a chunked request, which no candidate should send".into());
        }
    }
    Ok(0)
}

fn is_success(body: &[u8]) -> bool {
    find(body, b"\"statusCode\":200").is_some()
}

fn find(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes
        .windows(sought.len())
        .position(|window| window == sought)
}
