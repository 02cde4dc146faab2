//! A Runtime API over plain sockets that sends exactly the bytes of a test, so that the executable also
//! meets answers that no correct server sends.

use super::SECRET;
use super::program::Program;
use super::{patience, wait_for};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The headers that Lambda sends with every event.
pub(crate) const USUAL: &str = "Lambda-Runtime-Deadline-Ms: 99999999999999\r\n\
    Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:f\r\n\
    Lambda-Runtime-Trace-Id: Root=1-0-0;Parent=0;Sampled=0\r\n";

/// The variables that Lambda sets for every process, besides the address of the API.
const VARIABLES: [(&str, &str); 6] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "f"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
    ("AWS_REGION", "eu-west-1"),
];

/// A Runtime API, and the process that it serves.
pub(crate) struct RuntimeApi {
    listener: TcpListener,
    /// The last one is the current connection: the last request came on it.
    connections: Vec<BufReader<TcpStream>>,
    made: usize,
    program: Option<Program>,
}

/// A request of the runtime.
#[derive(Debug)]
pub(crate) struct Request {
    /// The request line: method, target and version.
    pub line: String,
    /// The headers; their names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl RuntimeApi {
    /// Starts an API, and an executable with its address.
    pub(crate) fn with(executable: &Path, handler: &str, variables: &[(&str, &str)]) -> RuntimeApi {
        let mut api = RuntimeApi::listen();
        let address = api.listener.local_addr().expect("it is bound").to_string();
        api.start(executable, handler, &address, variables);
        api
    }

    /// Starts an API without an executable.
    pub(crate) fn listen() -> RuntimeApi {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        listener.set_nonblocking(true).expect("the socket is open");
        RuntimeApi {
            listener,
            connections: Vec::new(),
            made: 0,
            program: None,
        }
    }

    /// Returns the port of the API.
    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("it is bound").port()
    }

    /// Starts an executable with an address of an API.
    pub(crate) fn start(
        &mut self,
        executable: &Path,
        handler: &str,
        address: &str,
        variables: &[(&str, &str)],
    ) {
        let mut command = Command::new(executable);
        command
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("_HANDLER", handler)
            .env("SECRET_KEY_BASE", SECRET)
            .envs(VARIABLES)
            .envs(variables.iter().copied());
        if let Some(directory) = executable.parent() {
            command.env("LAMBDA_TASK_ROOT", directory);
        }
        let mut program = Program::start(&mut command);
        program.ignore_output();
        self.program = Some(program);
    }

    /// Waits for the next request on any connection.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Request {
        wait_for("the runtime's next request", || self.take_request())
    }

    /// Waits for the next request; returns `None` when the executable ends instead.
    #[track_caller]
    pub(crate) fn request_or_end(&mut self) -> Option<Request> {
        wait_for("the runtime's next request, or its end", || {
            // The order matters: a request that was sent before the end is still taken.
            let ended = self.program.as_mut().expect("it was started").has_ended();
            let request = self.take_request();
            (request.is_some() || ended).then_some(request)
        })
    }

    /// Reads a request if one has begun to arrive.
    #[track_caller]
    fn take_request(&mut self) -> Option<Request> {
        self.accept();
        let busy = self.connections.iter_mut().rposition(is_readable)?;
        // The connection of the request becomes the last, the current one.
        let mut connection = self.connections.remove(busy);
        let request = read(&mut connection)?;
        self.connections.push(connection);
        Some(request)
    }

    fn accept(&mut self) {
        while let Ok((connection, _)) = self.listener.accept() {
            self.connections.insert(0, keep(connection));
            self.made += 1;
        }
    }

    /// Reads once from the current connection: the bytes of one write of the runtime.
    pub(crate) fn one_read(&mut self) -> Vec<u8> {
        self.current()
            .fill_buf()
            .expect("the other side writes")
            .to_vec()
    }

    /// Sends bytes on the current connection.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.current()
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("the other side listens");
    }

    #[track_caller]
    fn current(&mut self) -> &mut BufReader<TcpStream> {
        self.connections.last_mut().expect("there was a request")
    }

    /// Closes every connection.
    pub(crate) fn close(&mut self) {
        self.connections.clear();
    }

    /// Moves the current connection to another `RuntimeApi`.
    #[track_caller]
    pub(crate) fn split_off(&mut self) -> RuntimeApi {
        let connection = self.connections.pop().expect("there was a request");
        RuntimeApi {
            listener: self.listener.try_clone().expect("the socket is open"),
            connections: vec![connection],
            made: 0,
            program: None,
        }
    }

    /// Answers a request with a status and a JSON body.
    pub(crate) fn reply(&mut self, status: u16, body: &str) {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
    }

    /// Waits for `/next`, and answers it with an event and the usual headers.
    #[track_caller]
    pub(crate) fn hand(&mut self, id: &str, event: impl AsRef<[u8]>) {
        self.hand_with(id, "", event);
    }

    /// Does so with further headers, each of which ends in CR LF.
    #[track_caller]
    pub(crate) fn hand_with(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        self.hand_only(id, &format!("{USUAL}{headers}"), event);
    }

    /// Does so with these headers instead of the usual ones.
    #[track_caller]
    pub(crate) fn hand_only(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        self.expect_next();
        self.hand_over(id, headers, event);
    }

    /// Answers a `/next` that has been read with an event.
    pub(crate) fn hand_over(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        let event = event.as_ref();
        self.send(format!(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            event.len()
        ));
        self.send(event);
    }

    /// Checks that the next request is `/next`.
    #[track_caller]
    pub(crate) fn expect_next(&mut self) -> Request {
        let request = self.request();
        assert_eq!(
            request.line,
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
        );
        request
    }

    /// Checks that the next request is the answer to an invocation, and answers it with 202.
    #[track_caller]
    pub(crate) fn expect_answer(&mut self, id: &str, what: &str) -> Request {
        let request = self.request();
        let line = format!("POST /2018-06-01/runtime/invocation/{id}/{what} HTTP/1.1");
        assert_eq!(
            request.line,
            line,
            "{}",
            String::from_utf8_lossy(&request.body)
        );
        self.reply(202, r#"{"status":"OK"}"#);
        request
    }

    /// Answers every request with the same bytes until the executable ends. Fails if there was no request.
    #[track_caller]
    pub(crate) fn answer_all_with(&mut self, bytes: &str) -> (ExitStatus, String) {
        let mut asked = false;
        wait_for("the executable to end", || {
            while self.take_request().is_some() {
                // The executable may close the connection before it has read all bytes.
                let _ = self.current().get_mut().write_all(bytes.as_bytes());
                self.close();
                asked = true;
            }
            let program = self.program.as_mut().expect("it was started");
            program.has_ended().then_some(())
        });
        assert!(asked, "it ended before it asked for anything");
        self.end()
    }

    /// Waits for another connection to the same API, and returns it as another `RuntimeApi`.
    #[track_caller]
    pub(crate) fn take_connection(&self) -> RuntimeApi {
        let listener = self.listener.try_clone().expect("the socket is open");
        let (connection, _) = wait_for("the runtime to connect", || listener.accept().ok());
        RuntimeApi {
            listener,
            connections: vec![keep(connection)],
            made: 1,
            program: None,
        }
    }

    /// Refuses connections from now on.
    pub(crate) fn stop_listening(&mut self) {
        self.listener = RuntimeApi::listen().listener;
    }

    /// Counts the connections that were made until now.
    pub(crate) fn connections_made(&mut self) -> usize {
        self.accept();
        self.made
    }

    /// Returns whether another request has arrived; takes it.
    pub(crate) fn is_asked(&mut self) -> bool {
        self.take_request().is_some()
    }

    /// Returns what the executable has logged.
    pub(crate) fn log(&self) -> String {
        self.program().log()
    }

    /// Returns the executable's process.
    pub(crate) fn program(&self) -> &Program {
        self.program.as_ref().expect("it was started")
    }

    /// Waits for the executable's end; returns its status and its complete log.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let program = self.program.as_mut().expect("it was started");
        (program.wait(), program.whole_log())
    }
}

fn keep(connection: TcpStream) -> BufReader<TcpStream> {
    connection
        .set_nonblocking(false)
        .expect("the socket is open");
    let deadline = Some(patience());
    connection
        .set_read_timeout(deadline)
        .expect("the socket is open");
    connection
        .set_write_timeout(deadline)
        .expect("the socket is open");
    // Without this option, two small writes in a row take 40 ms.
    connection.set_nodelay(true).expect("the socket is open");
    BufReader::new(connection)
}

/// Returns whether a read would return at once, with bytes or at the end of the stream.
fn is_readable(connection: &mut BufReader<TcpStream>) -> bool {
    if !connection.buffer().is_empty() {
        return true;
    }
    let socket = connection.get_ref();
    socket.set_nonblocking(true).expect("the socket is open");
    let peeked = socket.peek(&mut [0]);
    socket.set_nonblocking(false).expect("the socket is open");
    !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Reads a request; returns `None` when the connection is closed.
#[track_caller]
fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        match read_line(connection)? {
            line if line.is_empty() => break,
            line => lines.push(line),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next().expect("a request has a first line");
    let headers: Vec<(String, String)> = lines
        .map(|header| {
            let (name, value) = header.split_once(':').expect("a header has a colon");
            (name.to_ascii_lowercase(), value.trim().to_string())
        })
        .collect();
    let mut request = Request {
        line,
        headers,
        body: Vec::new(),
    };
    request.body = match request.header("transfer-encoding") {
        Some("chunked") => read_chunks(connection),
        _ => {
            let length = request.header("content-length").unwrap_or("0");
            read_bytes(connection, length.parse().expect("it is a number"))
        }
    };
    Some(request)
}

/// Reads a line; returns it without its end, or `None` when the connection is closed.
#[track_caller]
fn read_line(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = Vec::new();
    match connection.read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) => Some(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("no request: {error}"),
    }
}

/// Reads a chunked body.
#[track_caller]
fn read_chunks(connection: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let size = read_line(connection).expect("the body is whole");
        let size = usize::from_str_radix(&size, 16).expect("a chunk's size is hexadecimal");
        body.extend(read_bytes(connection, size));
        let end = read_line(connection).expect("the body is whole");
        assert_eq!(end, "", "a chunk ends where it said");
        if size == 0 {
            return body;
        }
    }
}

#[track_caller]
fn read_bytes(connection: &mut BufReader<TcpStream>, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    connection
        .read_exact(&mut bytes)
        .expect("the body is whole");
    bytes
}
