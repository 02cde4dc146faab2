//! A Runtime API that does what a test says, down to the bytes: what no honest server sends, the
//! real executable has to meet too. Plain sockets; checks nothing by itself.

use super::SECRET;
use super::program::Program;
use super::{patience, wait_for};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// What Lambda sends with every event; a row that leaves them out is about that.
pub const USUAL: &str = "Lambda-Runtime-Deadline-Ms: 99999999999999\r\n\
    Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:f\r\n\
    Lambda-Runtime-Trace-Id: Root=1-0-0;Parent=0;Sampled=0\r\n";

/// What Lambda tells every process besides where its API is.
const VARIABLES: [(&str, &str); 6] = [
    ("AWS_LAMBDA_FUNCTION_NAME", "f"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/f"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
    ("AWS_REGION", "eu-west-1"),
];

/// The API's side, and the process that asks it.
pub struct RuntimeApi {
    listener: TcpListener,
    /// The last is at hand: the last request came on it.
    connections: Vec<BufReader<TcpStream>>,
    made: usize,
    program: Option<Program>,
}

/// A request as it came.
#[derive(Debug)]
pub struct Request {
    /// Method and target.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl RuntimeApi {
    /// An API, and an executable that is told of it.
    pub fn with(executable: &Path, handler: &str, variables: &[(&str, &str)]) -> RuntimeApi {
        let mut api = RuntimeApi::listen();
        let address = api.listener.local_addr().expect("it is bound").to_string();
        api.start(executable, handler, &address, variables);
        api
    }

    /// An API that nobody has been told of.
    pub fn listen() -> RuntimeApi {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        listener.set_nonblocking(true).expect("it is ours");
        RuntimeApi {
            listener,
            connections: Vec::new(),
            made: 0,
            program: None,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("it is bound").port()
    }

    /// Starts the executable with an address of this API.
    pub fn start(
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

    /// The next request, on whichever connection it comes.
    #[track_caller]
    pub fn request(&mut self) -> Request {
        wait_for("the runtime's next request", || self.take_request())
    }

    /// The next request; none when the executable ends instead.
    #[track_caller]
    pub fn request_or_end(&mut self) -> Option<Request> {
        wait_for("the runtime's next request, or its end", || {
            // Asked first: what was sent before the end is still taken.
            let ended = self.program.as_mut().expect("it was started").has_ended();
            let request = self.take_request();
            (request.is_some() || ended).then_some(request)
        })
    }

    /// A request that has come, or has begun to.
    #[track_caller]
    fn take_request(&mut self) -> Option<Request> {
        self.accept();
        let busy = self.connections.iter_mut().rposition(is_readable)?;
        // The connection at hand is the last.
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

    /// What one read of the connection at hand gives: what the other side wrote in one write.
    pub fn one_read(&mut self) -> Vec<u8> {
        self.at_hand()
            .fill_buf()
            .expect("the other side writes")
            .to_vec()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.at_hand()
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("the other side listens");
    }

    #[track_caller]
    fn at_hand(&mut self) -> &mut BufReader<TcpStream> {
        self.connections.last_mut().expect("there was a request")
    }

    /// Closes every connection.
    pub fn close(&mut self) {
        self.connections.clear();
    }

    /// Gives the connection at hand away, to an API of its own.
    #[track_caller]
    pub fn split_off(&mut self) -> RuntimeApi {
        let connection = self.connections.pop().expect("there was a request");
        RuntimeApi {
            listener: self.listener.try_clone().expect("it is ours"),
            connections: vec![connection],
            made: 0,
            program: None,
        }
    }

    /// Answers a request with a status and a JSON body.
    pub fn reply(&mut self, status: u16, body: &str) {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
    }

    /// Waits for the `/next` that is asked for, and hands an event over.
    #[track_caller]
    pub fn hand(&mut self, id: &str, event: impl AsRef<[u8]>) {
        self.hand_with(id, "", event);
    }

    /// The same with more headers, each ending in CR LF.
    #[track_caller]
    pub fn hand_with(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        self.hand_only(id, &format!("{USUAL}{headers}"), event);
    }

    /// The same with only these headers.
    #[track_caller]
    pub fn hand_only(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        self.expect_next();
        self.hand_over(id, headers, event);
    }

    /// Hands an event over to a `/next` that has been read.
    pub fn hand_over(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        let event = event.as_ref();
        self.send(format!(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            event.len()
        ));
        self.send(event);
    }

    /// The next request has to be `/next`.
    #[track_caller]
    pub fn expect_next(&mut self) -> Request {
        let request = self.request();
        assert_eq!(
            request.line,
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
        );
        request
    }

    /// The next request has to be the answer to an invocation; takes it.
    #[track_caller]
    pub fn expect_answer(&mut self, id: &str, what: &str) -> Request {
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

    /// Answers every request with the same bytes, until the executable, which has to ask, ends.
    #[track_caller]
    pub fn answer_all_with(&mut self, bytes: &str) -> (ExitStatus, String) {
        let mut asked = false;
        wait_for("the executable to end", || {
            while self.take_request().is_some() {
                // Who has heard enough hangs up.
                let _ = self.at_hand().get_mut().write_all(bytes.as_bytes());
                self.close();
                asked = true;
            }
            let program = self.program.as_mut().expect("it was started");
            program.has_ended().then_some(())
        });
        assert!(asked, "it ended before it asked for anything");
        self.end()
    }

    /// Another connection to the same API, as an API of its own.
    #[track_caller]
    pub fn take_connection(&self) -> RuntimeApi {
        let listener = self.listener.try_clone().expect("it is ours");
        let (connection, _) = wait_for("the runtime to connect", || listener.accept().ok());
        RuntimeApi {
            listener,
            connections: vec![keep(connection)],
            made: 1,
            program: None,
        }
    }

    /// From now on, nobody can connect.
    pub fn stop_listening(&mut self) {
        self.listener = RuntimeApi::listen().listener;
    }

    /// How many connections were made to it until now.
    pub fn connections_made(&mut self) -> usize {
        self.accept();
        self.made
    }

    /// Whether there is a request that was not waited for.
    pub fn is_asked(&mut self) -> bool {
        self.take_request().is_some()
    }

    /// What the executable has logged.
    pub fn log(&self) -> String {
        self.program().log()
    }

    /// The executable.
    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("it was started")
    }

    /// Waits for the executable's end; its status and its whole log.
    #[track_caller]
    pub fn end(&mut self) -> (ExitStatus, String) {
        let program = self.program.as_mut().expect("it was started");
        (program.wait(), program.whole_log())
    }
}

fn keep(connection: TcpStream) -> BufReader<TcpStream> {
    connection.set_nonblocking(false).expect("it is ours");
    let deadline = Some(patience());
    connection.set_read_timeout(deadline).expect("it is ours");
    connection.set_write_timeout(deadline).expect("it is ours");
    // Two small writes in a row cost 40 ms without it.
    connection.set_nodelay(true).expect("it is ours");
    BufReader::new(connection)
}

/// Whether there is something to read: bytes, or the end.
fn is_readable(connection: &mut BufReader<TcpStream>) -> bool {
    if !connection.buffer().is_empty() {
        return true;
    }
    let socket = connection.get_ref();
    socket.set_nonblocking(true).expect("it is ours");
    let peeked = socket.peek(&mut [0]);
    socket.set_nonblocking(false).expect("it is ours");
    !peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// A request; none when the connection is closed.
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

/// A line without its end; none when the connection is closed.
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

/// A body whose length was not known when it was begun.
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
